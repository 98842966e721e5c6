/**
 * Blocks of ggml types that hold weights of quantised checkpoints without loss: building them from whole numbers and scales, and decoding
 * them where a float type is asked for instead. Owns the byte layouts of these types for conversion; the kernels' packing is in formats/.
 *
 * Source: ggml `src/ggml-common.h`, `src/ggml-quants.c` (dequantize_row_*).
 */
import { fromHalf } from "../../formats/encode/floats.ts";
import { smallFloats } from "./floats.ts";

/** Twice the values of E2M1. */
const doubledE2M1 = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12] as const;

interface Grid {
  /** Smallest and largest whole number that a block holds. */
  readonly low: number;
  readonly high: number;
  readonly bytes: number;
  /** Writes 32 numbers from `numbers[at]` on after the scale. */
  readonly put: (numbers: Int16Array, at: number, out: Uint8Array, to: number) => void;
  readonly take: (block: Uint8Array, at: number, out: Float32Array, to: number) => void;
}

/** Types of 32 whole numbers that share one binary16 scale in front, the narrowest first. */
const grids = {
  Q4_0: {
    low: -8,
    high: 7,
    bytes: 18,
    put: (numbers, at, out, to) => {
      for (let j = 0; j < 16; j++) out[to + 2 + j] = (numbers[at + j] + 8) | ((numbers[at + 16 + j] + 8) << 4);
    },
    take: (block, at, out, to) => {
      for (let j = 0; j < 16; j++) {
        out[to + j] = (block[at + 2 + j] & 15) - 8;
        out[to + 16 + j] = (block[at + 2 + j] >> 4) - 8;
      }
    },
  },
  Q5_0: {
    low: -16,
    high: 15,
    bytes: 22,
    put: (numbers, at, out, to) => {
      for (let j = 0; j < 32; j++) {
        const q = numbers[at + j] + 16;
        if (j < 16) out[to + 6 + j] = q & 15;
        else out[to + 6 + j - 16] |= (q & 15) << 4;
        if (q & 16) out[to + 2 + (j >> 3)] |= 1 << (j & 7);
      }
    },
    take: (block, at, out, to) => {
      for (let j = 0; j < 32; j++) {
        const low = j < 16 ? block[at + 6 + j] & 15 : block[at + 6 + j - 16] >> 4;
        out[to + j] = (low | (((block[at + 2 + (j >> 3)] >> (j & 7)) & 1) << 4)) - 16;
      }
    },
  },
  Q8_0: {
    low: -128,
    high: 127,
    bytes: 34,
    put: (numbers, at, out, to) => {
      for (let j = 0; j < 32; j++) out[to + 2 + j] = numbers[at + j];
    },
    take: (block, at, out, to) => {
      for (let j = 0; j < 32; j++) out[to + j] = (block[at + 2 + j] << 24) >> 24;
    },
  },
} as const satisfies Record<string, Grid>;

export type GridType = keyof typeof grids;

/** The narrowest type that holds all whole numbers from `low` to `high`. */
export function narrowestGrid(low: number, high: number): GridType | undefined {
  return (Object.keys(grids) as GridType[]).find(type => grids[type].low <= low && high <= grids[type].high);
}

/** Blocks of 32 numbers each; `scaleBits[i]` is the binary16 scale of block i. */
export function gridBlocks(type: GridType, numbers: Int16Array, scaleBits: Uint16Array): Uint8Array<ArrayBuffer> {
  const { bytes, put } = grids[type];
  const out = new Uint8Array(scaleBits.length * bytes);
  for (let i = 0; i < scaleBits.length; i++) {
    out[i * bytes] = scaleBits[i];
    out[i * bytes + 1] = scaleBits[i] >> 8;
    put(numbers, 32 * i, out, i * bytes);
  }
  return out;
}

const readHalf = (bytes: Uint8Array, at: number): number => fromHalf(bytes[at] | (bytes[at + 1] << 8));

function gridValues(type: GridType, blocks: Uint8Array): Float32Array<ArrayBuffer> {
  const { bytes, take } = grids[type];
  const out = new Float32Array((blocks.length / bytes) * 32);
  for (let at = 0, to = 0; at < blocks.length; at += bytes, to += 32) {
    take(blocks, at, out, to);
    const scale = readHalf(blocks, at);
    for (let j = to; j < to + 32; j++) out[j] *= scale;
  }
  return out;
}

/** MXFP4 blocks from codes in the order of the row, two to a byte with the even one low, and one E8M0 scale for 32. */
export function mxfp4Blocks(codes: Uint8Array, scales: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(scales.length * 17);
  for (let i = 0; i < scales.length; i++) {
    out[17 * i] = scales[i];
    // Stored as value j beside value j + 16.
    for (let j = 0; j < 8; j++) {
      const [front, back] = [codes[16 * i + j], codes[16 * i + 8 + j]];
      out[17 * i + 1 + 2 * j] = (front & 15) | ((back & 15) << 4);
      out[17 * i + 2 + 2 * j] = (front >> 4) | (back & 0xf0);
    }
  }
  return out;
}

function mxfp4Values(blocks: Uint8Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array((blocks.length / 17) * 32);
  for (let at = 0, to = 0; at < blocks.length; at += 17, to += 32) {
    const scale = 2 ** (blocks[at] - 128);
    for (let j = 0; j < 16; j++) {
      out[to + j] = doubledE2M1[blocks[at + 1 + j] & 15] * scale;
      out[to + 16 + j] = doubledE2M1[blocks[at + 1 + j] >> 4] * scale;
    }
  }
  return out;
}

/** NVFP4 blocks of 64 from codes as for MXFP4 and one E4M3 scale (never negative) for 16. */
export function nvfp4Blocks(codes: Uint8Array, scales: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array((scales.length / 4) * 36);
  for (let s = 0; s < scales.length; s++) {
    const block = 36 * (s >> 2);
    out[block + (s & 3)] = scales[s];
    for (let j = 0; j < 4; j++) {
      const [front, back] = [codes[8 * s + j], codes[8 * s + 4 + j]];
      const to = block + 4 + 8 * (s & 3) + 2 * j;
      out[to] = (front & 15) | ((back & 15) << 4);
      out[to + 1] = (front >> 4) | (back & 0xf0);
    }
  }
  return out;
}

function nvfp4Values(blocks: Uint8Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array((blocks.length / 36) * 64);
  for (let at = 0, to = 0; at < blocks.length; at += 36, to += 64) {
    for (let s = 0; s < 4; s++) {
      const bits = blocks[at + s];
      const scale = bits === 0x7f ? 0 : smallFloats.F8_E4M3[bits] / 2;
      for (let j = 0; j < 8; j++) {
        const pair = blocks[at + 4 + 8 * s + j];
        out[to + 16 * s + j] = doubledE2M1[pair & 15] * scale;
        out[to + 16 * s + 8 + j] = doubledE2M1[pair >> 4] * scale;
      }
    }
  }
  return out;
}

/** TQ2_0 blocks of 256 from codes 0, 1, 2 (for -1, 0, +1), all with one binary16 scale. */
export function ternaryBlocks(codes: Uint8Array, scaleBits: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array((codes.length / 256) * 66);
  for (let i = 0; i < codes.length; i++) {
    const within = i & 255;
    out[66 * (i >> 8) + 32 * (within >> 7) + (within & 31)] |= codes[i] << (2 * ((within >> 5) & 3));
  }
  for (let at = 64; at < out.length; at += 66) {
    out[at] = scaleBits;
    out[at + 1] = scaleBits >> 8;
  }
  return out;
}

function ternaryValues(blocks: Uint8Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array((blocks.length / 66) * 256);
  for (let i = 0; i < out.length; i++) {
    const within = i & 255;
    const at = 66 * (i >> 8);
    const code = (blocks[at + 32 * (within >> 7) + (within & 31)] >> (2 * ((within >> 5) & 3))) & 3;
    out[i] = (code - 1) * readHalf(blocks, at + 64);
  }
  return out;
}

/** Decoders by ggml's type name: whole blocks to values. */
export const blockValues: Readonly<Record<string, (blocks: Uint8Array) => Float32Array<ArrayBuffer>>> = {
  Q4_0: blocks => gridValues("Q4_0", blocks),
  Q5_0: blocks => gridValues("Q5_0", blocks),
  Q8_0: blocks => gridValues("Q8_0", blocks),
  MXFP4: mxfp4Values,
  NVFP4: nvfp4Values,
  TQ2_0: ternaryValues,
};
