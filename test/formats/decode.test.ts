/**
 * Every weight format, from the bytes of a file to packed rows and back: the values must be those of the float64 reference rounded once, on
 * every machine, and magnitudes that do not fit must be told.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { dequantise } from "../../reference/llama.ts";
import { weightFormats } from "../../src/formats/index.ts";
import { ROW_PADDING, type WeightFormat } from "../../src/formats/packed.ts";
import { blockFormats, damaged, damages, edgeBlocks, randomBlocks, typeNamed } from "../fixtures/blocks.ts";
import { decodeRows, packFitting, packRows } from "../fixtures/packing.ts";
import { Random } from "../fixtures/random.ts";
import { describeShared } from "../shared.ts";

/** Places where two lists differ in a bit; not-a-number equals itself. */
const differing = (own: ArrayLike<number>, expected: ArrayLike<number>): number[] =>
  Array.from({ length: expected.length }, (_, i) => i).filter(i => !Object.is(own[i], expected[i]));

/** Decoded blocks, through groups of eight one-block rows, so that each group is packed on its own. */
function throughPacked(format: WeightFormat, blocks: Uint8Array): Float32Array {
  const { blockBytes, blockLength } = typeNamed(format.name);
  const { inputs } = format.packed;
  const rowBytes = (inputs / blockLength) * blockBytes;
  const step = 8 * rowBytes;
  const pieces: number[] = [];
  for (let at = 0; at < blocks.length; at += step) {
    const piece = blocks.subarray(at, at + step);
    const rows = Math.ceil(piece.length / rowBytes);
    const whole = new Uint8Array(rows * rowBytes);
    whole.set(piece);
    const packed = packFitting(format, whole, rows, inputs);
    const values = decodeRows(packed);
    const finite = packed.worst.every(m => m < format.infinite);
    pieces.push(...(finite ? values : values.fill(Number.NaN)));
  }
  return Float32Array.from(pieces.slice(0, (blocks.length / blockBytes) * blockLength));
}

const rounded = (name: string, blocks: Uint8Array): Float32Array => Float32Array.from(dequantise(typeNamed(name).id, blocks));

const formats = [...blockFormats].flatMap(([name, format]) => [
  { title: name, name, format },
  ...(format.quads ? [{ title: `${name} as ${format.quads.packed.name}`, name, format: format.quads }] : []),
]);

for (const { title, name, format } of formats) {
  const { inputs } = format.packed;

  describe(`${title}: packed and decoded`, () => {
    it("gives the reference's values, rounded once, for random blocks of several rows", () => {
      const random = new Random(11);
      for (const [rows, count] of [
        [16, 1],
        [21, 3],
      ]) {
        const blocks = randomBlocks(name, rows * count * inputs, 0.05, random);
        expect(differing(decodeRows(packRows(format, blocks, rows, count * inputs)), rounded(name, blocks))).toEqual([]);
      }
    });

    it("gives the reference's values for blocks at the edges", () => {
      const blocks = edgeBlocks(name);
      const rows = blocks.length / ((inputs / typeNamed(name).blockLength) * typeNamed(name).blockBytes);
      const packed = packRows(format, blocks, rows, inputs);
      expect(Math.max(...packed.worst)).toBeLessThan(format.infinite);
      expect(differing(decodeRows(packed), rounded(name, blocks))).toEqual([]);
    });

    it("is the same on every machine", () => {
      const blocks = randomBlocks(name, 16 * inputs, 1, new Random(12));
      decodeRows(packRows(format, blocks, 11, inputs, true), true);
    });

    it("writes whole packed blocks and zero rows behind the last row, and nothing else", () => {
      const blocks = randomBlocks(name, 3 * inputs, 1, new Random(13));
      const packed = packRows(format, blocks, 3, inputs);
      const whole = decodeRows({ ...packed, rows: ROW_PADDING });
      expect([...whole.subarray(3 * inputs)].every(x => x === 0)).toBe(true);
      expect(packed.bytes.length).toBe((ROW_PADDING / 8) * format.packed.bytes);
    });

    // NVFP4 has no scale that is not finite.
    if (damages(name))
      it("tells the greatest magnitude of each group, infinite and undefined ones included", () => {
        const perRow = inputs / typeNamed(name).blockLength;
        const blocks = randomBlocks(name, 24 * inputs, 0.01, new Random(14));
        for (let which = 0; which < damages(name); which++) {
          const { worst } = packRows(format, damaged(name, blocks, 12 * perRow, which), 24, inputs);
          expect(worst[1], `damage ${which}`).toBeGreaterThanOrEqual(format.infinite);
          expect([worst[0], worst[2]].every(m => m < format.infinite && m > 0)).toBe(true);
          expect(worst[3]).toBeLessThan(worst[0]); // zeros
        }
      });
  });

  describeShared(`${title}: ggml's own decoding`, `ggml-blocks/${name.toLowerCase()}.json`, path => {
    it("is repeated bit for bit, edges included", () => {
      const { decode } = JSON.parse(readFileSync(path, "utf8"));
      const blocks = new Uint8Array(readFileSync(join(path, "..", decode.in)));
      const expected = new Float32Array(new Uint8Array(readFileSync(join(path, "..", decode.out))).buffer);
      const own = throughPacked(format, blocks);
      expect(own.length).toBe(expected.length);
      // A block that is not finite is only refused, not decoded; the loader never runs it.
      const wrong = differing(own, expected).filter(i => !Number.isNaN(own[i]));
      expect(wrong.map(i => [i, own[i], expected[i]])).toEqual([]);
      const skipped = own.filter(Number.isNaN).length;
      const infinite = expected.filter(x => !Number.isFinite(x)).length;
      expect(skipped).toBeLessThanOrEqual(8 * inputs * infinite);
    });
  });
}

describe("F16 beyond what the packed halves hold", () => {
  const format = weightFormats.get("F16")!;
  const values = (bits: number): Uint8Array =>
    new Uint8Array(Uint16Array.from({ length: 64 }, (_, i) => (i === 37 ? bits : 0x3800)).buffer);

  it("127.9375, the greatest below 128, is packed in 16 bits and right", () => {
    const packed = packFitting(format, values(0x57ff), 8, 8);
    expect(packed.format).toBe(format);
    expect(decodeRows(packed)[37]).toBe(127.9375);
  });

  it("128 and more are packed as f32 and right, to the greatest half", () => {
    for (const [bits, value] of [
      [0x5800, 128],
      [0xd801, -128.125],
      [0x7bff, 65504],
    ]) {
      const packed = packFitting(format, values(bits), 8, 8);
      expect(packed.format).toBe(format.fallback);
      expect(decodeRows(packed)[37]).toBe(value);
    }
  });

  it("every half below 128 comes back as it was", () => {
    const halves = Uint16Array.from({ length: 2 * 0x5800 }, (_, i) => (i < 0x5800 ? i : 0x8000 | (i - 0x5800)));
    const blocks = new Uint8Array(halves.buffer);
    const packed = packRows(format, blocks, halves.length / 64, 64);
    expect(differing(decodeRows(packed), rounded("F16", blocks))).toEqual([]);
  });
});
