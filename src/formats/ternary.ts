/**
 * TQ1_0 and TQ2_0 (256 inputs), Q2_0 (64), Q1_0 and I2_S (128): few values, one scale a block or a tensor, y = (q - 1) d; of Q1_0, whose bits are
 * packed as 0 and 2, -d or d. Packed in their file's size, except TQ1_0, whose base-3 digits take two bits each (528 bytes for 432), and I2_S,
 * where each block gets the tensor's scale (288 for 256).
 */
import { type CodeForm, codeForm, layoutOf } from "./codes.ts";
import { type PackBlock, packHalf, type WeightFormat, wordAt } from "./packed.ts";
import { type CodeBits, field, packCodes, type Quad } from "./planes.ts";
import { spreadBits } from "./q4_q5.ts";

/** Of a format whose half lies at byte `half`; `quads` gives the codes of a record. */
function few(name: string, bits: CodeBits, records: number, half: number, quads: (b: PackBlock, record: number) => Quad[]): WeightFormat {
  const form: CodeForm = { name: `c${bits}x${records}`, records, bits, zero: 1, scale: { type: "half", per: "block" } };
  const { header, recordBytes } = layoutOf(form);
  return {
    name,
    packed: codeForm(form),
    infinite: 0x7c00,
    pack: b => {
      packHalf(b, half, 0);
      for (let r = 0; r < records; r++) packCodes(b, bits, header + r * recordBytes, quads(b, r));
    },
  };
}

const eight = [0, 1, 2, 3, 4, 5, 6, 7];

export const tq2_0 = few("TQ2_0", 2, 8, 64, (b, r) => eight.map(j => field(wordAt(b, 32 * (r >> 2) + 4 * j), 2 * (r & 3), 2)));

/** Digit n of the base-3 numbers in four bytes: the fraction v / 256 times 3^n, its whole part dropped, times 3. */
function digits(bytes: Quad, n: number): Quad {
  const lane = 0x00ff00ff;
  const digit = (x: Quad): Quad =>
    x
      .mul(3 ** n)
      .and(lane)
      .mul(3)
      .shr(8)
      .and(lane);
  return digit(bytes.and(lane)).or(digit(bytes.shr(8).and(lane)).shl(8));
}

/** Digits 0 .. 4 of 32 bytes, then of 16 bytes, then digits 0 .. 3 of 4 bytes. */
function ternaryQuad(b: PackBlock, quad: number): Quad {
  if (quad < 40) return digits(wordAt(b, 4 * (quad & 7)), quad >> 3);
  if (quad < 60) return digits(wordAt(b, 32 + 4 * (quad & 3)), (quad - 40) >> 2);
  return digits(wordAt(b, 48), quad - 60);
}

export const tq1_0 = few("TQ1_0", 2, 8, 52, (b, r) => eight.map(j => ternaryQuad(b, 8 * r + j)));

/** Two bits each, four neighbours in a byte: byte i of the quad is pair i of the byte. */
const neighbours = (byte: Quad): Quad =>
  [0, 1, 2, 3]
    .map(i =>
      byte
        .shr(2 * i)
        .and(3)
        .shl(8 * i),
    )
    .reduce((a, b) => a.or(b));

export const q2_0 = few("Q2_0", 2, 2, 0, (b, r) => eight.map(j => neighbours(b.source.load("u8", 1, b.from.add(2 + 8 * r + j)).to("i32"))));

export const q1_0 = few("Q1_0", 1, 4, 0, (b, r) => eight.map(j => spreadBits(wordAt(b, 2 + 4 * r), j).shl(1)));

const wide: CodeForm = { name: "c2x4", records: 4, bits: 2, zero: 1, scale: { type: "single", per: "block" } };

/** Byte j of 32 holds inputs j, 32 + j, 64 + j, 96 + j, the first in the upper bits. */
export const i2_s: WeightFormat = {
  name: "I2_S",
  packed: codeForm(wide),
  infinite: 0x7f80,
  trailer: 32,
  padding: 0x55,
  pack: b => {
    const { header, recordBytes } = layoutOf(wide);
    const scale = b.constants!.load("i32", 1, 0);
    b.check(scale.shr(16).and(0x7fff));
    b.target.store(b.at.add(b.row.mul(4)), scale);
    for (let r = 0; r < 4; r++) {
      const quads = eight.map(j => field(wordAt(b, 4 * j), 6 - 2 * r, 2));
      packCodes(b, 2, header + r * recordBytes, quads);
    }
  },
};
