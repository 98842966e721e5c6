/**
 * Random weights in the block formats of GGUF. Each format draws weights that look like N(0, SIGMA) and rounds them to its own grid, with scales
 * that vary from block to block, so that a model made of them keeps finite activations and spread-out logits.
 */

const SIGMA = 0.02;
const POOL_BYTES = 12 * 2 ** 20;

/** A small seeded generator (sfc32): 32 random bits a call. */
export function random32(seed) {
  let a = seed | 0;
  let b = (seed * 0x9e3779b9) | 0;
  let c = 0x2545f491;
  let counter = 1;
  const next = () => {
    const sum = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return sum >>> 0;
  };
  for (let i = 0; i < 16; i++) next();
  return next;
}

/**
 * @typedef {{ uniform: () => number, normal: () => number, sign: () => number }} Source uniform in [0, 1), normal with deviation 1, sign 1 or -1
 */

/** @returns {Source} */
export function source(seed) {
  const next = random32(seed);
  const uniform = () => next() / 2 ** 32;
  const table = new Float32Array(1 << 16);
  for (let i = 0; i < table.length; i++) table[i] = Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal: () => table[next() >>> 16], sign: () => (next() & 1 ? 1 : -1) };
}

const scratch = new DataView(new ArrayBuffer(4));

function float32Bits(value) {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

/** The bits of the nearest half-precision number (ties to even); a subnormal or too large value is rounded like any other. */
export function halfBits(value) {
  const sign = value < 0 ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude < 2 ** -14) return sign | roundEven(magnitude * 2 ** 24);
  const exponent = Math.floor(Math.log2(magnitude));
  const bits = ((exponent + 14) << 10) + roundEven(magnitude * 2 ** (10 - exponent));
  return sign | Math.min(bits, 0x7c00);
}

function roundEven(x) {
  const low = Math.floor(x);
  const rest = x - low;
  return rest > 0.5 || (rest === 0.5 && low & 1) ? low + 1 : low;
}

function clamp(x, low, high) {
  return Math.min(Math.max(Math.round(x), low), high);
}

/** Value of one weight, in units of the step `d`. */
const weight = (from, d) => (from.normal() * SIGMA) / d;

/** 32 weights: scale, then 16 bytes with weight j low and weight j + 16 high. */
function writeQ4_0(out, at, from) {
  const d = (from.sign() * SIGMA * (2 + 0.8 * from.uniform())) / 8;
  out.setUint16(at, halfBits(d), true);
  for (let j = 0; j < 16; j++) {
    const low = clamp(weight(from, d) + 8, 0, 15);
    const high = clamp(weight(from, d) + 8, 0, 15);
    out.setUint8(at + 2 + j, low | (high << 4));
  }
}

/** 32 weights: scale, then 32 signed bytes. */
function writeQ8_0(out, at, from) {
  const d = (SIGMA * (2 + 0.8 * from.uniform())) / 127;
  out.setUint16(at, halfBits(d), true);
  for (let j = 0; j < 32; j++) out.setInt8(at + 2 + j, clamp(weight(from, d), -127, 127));
}

/** Packs eight 6-bit scales and eight 6-bit minimums into the 12 bytes of Q4_K. */
function packScales(out, at, scales, mins) {
  for (let g = 0; g < 4; g++) {
    out.setUint8(at + g, scales[g] | ((scales[g + 4] >> 4) << 6));
    out.setUint8(at + 4 + g, mins[g] | ((mins[g + 4] >> 4) << 6));
    out.setUint8(at + 8 + g, (scales[g + 4] & 15) | ((mins[g + 4] & 15) << 4));
  }
}

/** 256 weights: d, dmin, packed scales, then nibbles; a group's minimum sits about half its range below zero. */
function writeQ4_K(out, at, from) {
  const d = (SIGMA * (4.2 + 0.6 * from.uniform())) / 15 / 48;
  const dmin = d * 7.5;
  const scales = [];
  const mins = [];
  for (let g = 0; g < 8; g++) {
    scales.push(40 + Math.floor(from.uniform() * 17));
    mins.push(clamp(scales[g] + from.uniform() * 4 - 2, 0, 63));
  }
  out.setUint16(at, halfBits(d), true);
  out.setUint16(at + 2, halfBits(dmin), true);
  packScales(out, at + 4, scales, mins);
  const code = g => clamp(weight(from, d * scales[g]) + (dmin * mins[g]) / (d * scales[g]), 0, 15);
  for (let p = 0; p < 4; p++) for (let t = 0; t < 32; t++) out.setUint8(at + 16 + 32 * p + t, code(2 * p) | (code(2 * p + 1) << 4));
}

/** 256 weights: low nibbles, high bit pairs, sixteen signed scales, d. */
function writeQ6_K(out, at, from) {
  const d = (SIGMA * (2.4 + 0.8 * from.uniform())) / 31 / 96;
  for (let g = 0; g < 16; g++) out.setInt8(at + 192 + g, from.sign() * (80 + Math.floor(from.uniform() * 48)));
  out.setUint16(at + 208, halfBits(d), true);
  for (let h = 0; h < 2; h++) {
    for (let t = 0; t < 32; t++) {
      const q = [0, 1, 2, 3].map(k => clamp(weight(from, d * out.getInt8(at + 192 + 8 * h + 2 * k + (t >> 4))) + 32, 0, 63));
      out.setUint8(at + 64 * h + t, (q[0] & 15) | ((q[2] & 15) << 4));
      out.setUint8(at + 64 * h + 32 + t, (q[1] & 15) | ((q[3] & 15) << 4));
      out.setUint8(at + 128 + 32 * h + t, (q[0] >> 4) | ((q[1] >> 4) << 2) | ((q[2] >> 4) << 4) | ((q[3] >> 4) << 6));
    }
  }
}

/**
 * A block of random codes: `half` bytes offset of its scale, which makes the weights' deviation SIGMA where it is `deviation` at scale 1; `minimum`: offset
 * of a second half and what it is to the first, so that the weights' mean is zero.
 */
const randomCodes =
  (bytes, deviation, half, minimum = undefined) =>
  (out, at, from) => {
    for (let i = 0; i < bytes; i++) out.setUint8(at + i, Math.floor(256 * from.uniform()));
    const d = (SIGMA / deviation) * (0.75 + 0.5 * from.uniform());
    out.setUint16(at + half, halfBits(d), true);
    if (minimum) out.setUint16(at + minimum.half, halfBits(d * minimum.factor), true);
  };

/** 256 weights of random codes; the scale's four bits at a time stand at the top of the last four words. */
function writeIQ1_M(out, at, from) {
  for (let i = 0; i < 56; i++) out.setUint8(at + i, Math.floor(256 * from.uniform()));
  const bits = halfBits((SIGMA / 6.5) * (0.75 + 0.5 * from.uniform()));
  for (let i = 0; i < 4; i++) {
    const word = out.getUint16(at + 48 + 2 * i, true) & 0xfff;
    out.setUint16(at + 48 + 2 * i, word | (((bits >> (4 * i)) & 15) << 12), true);
  }
}

/** The same for a block that begins with `scales` bytes of small floats, any of `least` .. `least` + `range` - 1. */
const randomFloat4 = (bytes, scales, least, range) => (out, at, from) => {
  for (let i = 0; i < bytes; i++)
    out.setUint8(at + i, i < scales ? least + Math.floor(range * from.uniform()) : Math.floor(256 * from.uniform()));
};

/** 256 weights of -d, 0 or d: 2 bits each, then d. */
function writeTQ2_0(out, at, from) {
  const d = SIGMA * (1.1 + 0.25 * from.uniform());
  const code = () => 1 + (from.uniform() < 1 / 3 ? 0 : from.sign());
  for (let i = 0; i < 64; i++) out.setUint8(at + i, code() | (code() << 2) | (code() << 4) | (code() << 6));
  out.setUint16(at + 64, halfBits(d), true);
}

/**
 * @typedef {object} WeightFormat
 * @property {number} id the tensor type in GGUF
 * @property {number} fileType general.file_type of a file of such tensors
 * @property {number} block weights in a block
 * @property {number} bytes bytes of a block
 * @property {(out: DataView, at: number, from: Source) => void} write writes one random block
 */

/** @type {Record<string, WeightFormat>} */
export const FORMATS = {
  f32: { id: 0, fileType: 0, block: 1, bytes: 4, write: (out, at, from) => out.setFloat32(at, from.normal() * SIGMA, true) },
  f16: { id: 1, fileType: 1, block: 1, bytes: 2, write: (out, at, from) => out.setUint16(at, halfBits(from.normal() * SIGMA), true) },
  bf16: {
    id: 30,
    fileType: 32,
    block: 1,
    bytes: 2,
    write: (out, at, from) => out.setUint16(at, float32Bits(from.normal() * SIGMA) >>> 16, true),
  },
  q4_0: { id: 2, fileType: 2, block: 32, bytes: 18, write: writeQ4_0 },
  q8_0: { id: 8, fileType: 7, block: 32, bytes: 34, write: writeQ8_0 },
  q4_k: { id: 12, fileType: 14, block: 256, bytes: 144, write: writeQ4_K },
  q4_1: { id: 3, fileType: 3, block: 32, bytes: 20, write: randomCodes(20, 4.6, 0, { half: 2, factor: -7.5 }) },
  q5_0: { id: 6, fileType: 8, block: 32, bytes: 22, write: randomCodes(22, 9.2, 0) },
  q5_1: { id: 7, fileType: 9, block: 32, bytes: 24, write: randomCodes(24, 9.2, 0, { half: 2, factor: -15.5 }) },
  q2_k: { id: 10, fileType: 10, block: 256, bytes: 84, write: randomCodes(84, 20, 80, { half: 82, factor: 1.5 }) },
  q3_k: { id: 11, fileType: 12, block: 256, bytes: 110, write: randomCodes(110, 42, 108) },
  q5_k: { id: 13, fileType: 17, block: 256, bytes: 176, write: randomCodes(176, 530, 0, { half: 2, factor: 15.5 }) },
  iq1_s: { id: 19, fileType: 24, block: 256, bytes: 50, write: randomCodes(50, 6.5, 0) },
  iq2_xxs: { id: 16, fileType: 19, block: 256, bytes: 66, write: randomCodes(66, 57, 0) },
  iq2_xs: { id: 17, fileType: 20, block: 256, bytes: 74, write: randomCodes(74, 57, 0) },
  iq2_s: { id: 22, fileType: 28, block: 256, bytes: 82, write: randomCodes(82, 57, 0) },
  iq3_xxs: { id: 18, fileType: 23, block: 256, bytes: 98, write: randomCodes(98, 142, 0) },
  iq3_s: { id: 21, fileType: 26, block: 256, bytes: 110, write: randomCodes(110, 148, 0) },
  iq1_m: { id: 29, fileType: 31, block: 256, bytes: 56, write: writeIQ1_M },
  iq4_nl: { id: 20, fileType: 25, block: 32, bytes: 18, write: randomCodes(18, 68, 0) },
  iq4_xs: { id: 23, fileType: 30, block: 256, bytes: 136, write: randomCodes(136, 1250, 0) },
  mxfp4: { id: 39, fileType: 38, block: 32, bytes: 17, write: randomFloat4(17, 1, 118, 2) },
  nvfp4: { id: 40, fileType: 39, block: 64, bytes: 36, write: randomFloat4(36, 4, 6, 4) },
  tq1_0: { id: 34, fileType: 36, block: 256, bytes: 54, write: randomCodes(54, 0.8, 52) },
  q2_0: { id: 42, fileType: 41, block: 64, bytes: 18, write: randomCodes(18, 1.2, 0) },
  q1_0: { id: 41, fileType: 40, block: 128, bytes: 18, write: randomCodes(18, 1, 0) },
  q6_k: { id: 14, fileType: 18, block: 256, bytes: 210, write: writeQ6_K },
  tq2_0: { id: 35, fileType: 37, block: 256, bytes: 66, write: writeTQ2_0 },
};

function isPrime(n) {
  for (let i = 2; i * i <= n; i++) if (n % i === 0) return false;
  return n > 1;
}

/**
 * About 12 MiB of random blocks. Their number is prime: a matrix longer than the pool repeats it, but never at the same place in a row.
 * @param {WeightFormat} format
 */
export function randomPool(format, seed) {
  let blocks = Math.floor(POOL_BYTES / format.bytes);
  while (!isPrime(blocks)) blocks--;
  const bytes = new Uint8Array(blocks * format.bytes);
  const view = new DataView(bytes.buffer);
  const from = source(seed);
  for (let i = 0; i < blocks; i++) format.write(view, i * format.bytes, from);
  return { bytes, blocks };
}
