/**
 * The codebook formats whose values come four or eight at a time from a grid (grids.ts). Packing replaces each index by what it names: IQ2's
 * three magnitudes with their signs and IQ1_M's three values with their shifts take three bits, IQ3's eight magnitudes with their signs four, IQ1_S's
 * three values two. They are then multiplied like any other code, in 1.25 to 2 times their file's size.
 */
import { type CodeForm, codeForm, layoutOf } from "./codes.ts";
import { type GridName, grid } from "./grids.ts";
import { byteOf, type Int, type PackBlock, packByte, packHalf, type WeightFormat, wordAt } from "./packed.ts";
import { packCodes, type Quad } from "./planes.ts";
import { spreadBits } from "./q4_q5.ts";

const octet = (b: PackBlock, from: number): Int => b.source.load("u8", 1, b.from.add(from)).to("i32");
const pair = (b: PackBlock, from: number): Int => b.source.load("u16", 1, b.from.add(from)).to("i32");

/** The entry's digits as quads, `count` of them. */
const entry = (b: PackBlock, index: Int, count: 1 | 2): Quad[] =>
  Array.from({ length: count }, (_, i) => b.constants!.load("i32", 1, index.mul(4 * count).add(4 * i)));

/** Seven sign bits with an eighth that makes their number even. */
function evenSigns(seven: Int): Int {
  const four = seven.xor(seven.shr(4));
  const two = four.xor(four.shr(2));
  return seven.or(two.xor(two.shr(1)).and(1).shl(7));
}

/** A grid format: `scales` packs the record's sub-scales at a byte offset, `quads` gives its codes. */
interface GridFormat {
  readonly name: string;
  readonly grid: GridName;
  readonly form: Omit<CodeForm, "records" | "scale">;
  readonly half: (b: PackBlock) => void;
  readonly scales: (b: PackBlock, record: number, at: number) => void;
  readonly quads: (b: PackBlock, record: number) => Quad[];
}

function gridFormat({ name, grid: gridName, form: most, half, scales, quads }: GridFormat): WeightFormat {
  const form: CodeForm = { ...most, records: 8, scale: { type: "half", per: "block" } };
  const { header, recordBytes, subs, subBytes } = layoutOf(form);
  return {
    name,
    packed: codeForm(form),
    infinite: 0x7c00,
    constants: () => grid(gridName),
    pack: b => {
      half(b);
      for (let r = 0; r < 8; r++) {
        scales(b, r, subs + r * subBytes);
        packCodes(b, form.bits, header + r * recordBytes, quads(b, r));
      }
    },
  };
}

const firstHalf = (b: PackBlock): void => packHalf(b, 0, 0);
/** Four bits s stand for 2 s + 1. */
const odd = (s: Int): Int => s.and(15).shl(1).add(1);
const four = [0, 1, 2, 3];

/** Magnitudes, then the same with a minus. */
const signed = (magnitudes: readonly number[], from: number): number[] =>
  Array.from({ length: 2 * from }, (_, i) => (i < from ? (magnitudes[i] ?? 0) : -(magnitudes[i - from] ?? 0)));

const pairsOf = (name: string, per: 16 | 32): GridFormat["form"] => ({
  name,
  bits: 3,
  table: signed([8, 25, 43], 4),
  zero: 64,
  unit: 1 / 8,
  sub: { per },
});

/** Eight values of an entry and their signs. */
const signedEight = (b: PackBlock, index: Int, signs: Int): Quad[] => entry(b, index, 2).map((q, i) => q.or(spreadBits(signs, i).shl(2)));

/** Two scales of sixteen inputs in the nibbles of a byte. */
const twoScales =
  (from: number): GridFormat["scales"] =>
  (b, r, at) => {
    const both = octet(b, from + r);
    packByte(b, "u8", odd(both), at);
    packByte(b, "u8", odd(both.shr(4)), at + 8);
  };

export const iq2_xxs = gridFormat({
  name: "IQ2_XXS",
  grid: "iq2xxs",
  form: pairsOf("g3", 32),
  half: firstHalf,
  scales: (b, r, at) => packByte(b, "u8", odd(wordAt(b, 6 + 8 * r).shr(28)), at),
  quads: (b, r) => {
    const word = wordAt(b, 6 + 8 * r);
    return four.flatMap(l => signedEight(b, octet(b, 2 + 8 * r + l), evenSigns(word.shr(7 * l).and(127))));
  },
});

export const iq2_xs = gridFormat({
  name: "IQ2_XS",
  grid: "iq2xs",
  form: pairsOf("g3s", 16),
  half: firstHalf,
  scales: twoScales(66),
  quads: (b, r) =>
    four.flatMap(l => {
      const both = pair(b, 2 + 2 * (4 * r + l));
      return signedEight(b, both.and(511), evenSigns(both.shr(9)));
    }),
});

export const iq2_s = gridFormat({
  name: "IQ2_S",
  grid: "iq2s",
  form: pairsOf("g3s", 16),
  half: firstHalf,
  scales: twoScales(74),
  quads: (b, r) => {
    const high = octet(b, 66 + r);
    return four.flatMap(l => {
      const index = octet(b, 2 + 4 * r + l).or(high.shl(8 - 2 * l).and(0x300));
      return signedEight(b, index, octet(b, 34 + 4 * r + l));
    });
  },
});

const quadsOf = (name: string, magnitudes: readonly number[], zero: number, unit: number): GridFormat["form"] => ({
  name,
  bits: 4,
  table: signed(magnitudes, 8),
  zero,
  unit,
  sub: { per: 32 },
});

/** Four values of an entry and their signs. */
const signedFour = (b: PackBlock, index: Int, signs: Int, i: number): Quad => entry(b, index, 1)[0].or(spreadBits(signs, i).shl(3));

export const iq3_xxs = gridFormat({
  name: "IQ3_XXS",
  grid: "iq3xxs",
  // halves of the grid's values, which are all even
  form: quadsOf("g4", [2, 6, 10, 14, 18, 22, 26, 31], 32, 1 / 2),
  half: firstHalf,
  scales: (b, r, at) => packByte(b, "u8", odd(wordAt(b, 66 + 4 * r).shr(28)), at),
  quads: (b, r) => {
    const word = wordAt(b, 66 + 4 * r);
    return four.flatMap(l => {
      const signs = evenSigns(word.shr(7 * l).and(127));
      return [0, 1].map(i => signedFour(b, octet(b, 2 + 8 * r + 2 * l + i), signs, i));
    });
  },
});

export const iq3_s = gridFormat({
  name: "IQ3_S",
  grid: "iq3s",
  form: quadsOf("g4o", [1, 3, 5, 7, 9, 11, 13, 15], 16, 1),
  half: firstHalf,
  scales: (b, r, at) => packByte(b, "u8", odd(octet(b, 106 + (r >> 1)).shr(4 * (r & 1))), at),
  quads: (b, r) => {
    const high = octet(b, 66 + r);
    return four.flatMap(l => {
      const signs = octet(b, 74 + 4 * r + l);
      return [0, 1].map(i => {
        const index = octet(b, 2 + 8 * r + 2 * l + i).or(high.shl(8 - 2 * l - i).and(256));
        return signedFour(b, index, signs, i);
      });
    });
  },
});

/** y = d (2 s + 1) (q - 1 + delta), delta an eighth with a sign: eighths of d multiply 8 (2 s + 1) q - (8 - 8 delta) (2 s + 1). */
const shifted: GridFormat["form"] = { name: "g2", bits: 2, unit: 1 / 8, sub: { per: 32, minimum: "same" } };

export const iq1_s = gridFormat({
  name: "IQ1_S",
  grid: "iq1",
  form: shifted,
  half: firstHalf,
  scales: (b, r, at) => {
    const word = pair(b, 34 + 2 * r);
    const scale = word.shr(12).and(7).shl(1).add(1);
    packByte(b, "u8", scale.shl(3), at);
    packByte(b, "u8", scale.mul(word.shr(15).shl(1).add(7)), at + 8);
  },
  quads: (b, r) => {
    const word = pair(b, 34 + 2 * r);
    return four.flatMap(l =>
      entry(
        b,
        octet(b, 2 + 4 * r + l).or(
          word
            .shr(3 * l)
            .and(7)
            .shl(8),
        ),
        2,
      ),
    );
  },
});

export const iq1_m = gridFormat({
  name: "IQ1_M",
  grid: "iq1",
  // eighths: -1, 0, 1 with an eighth more, and with an eighth less
  form: { name: "g3m", bits: 3, table: [-7, 1, 9, 0, -9, -1, 7], zero: 16, unit: 1 / 8, sub: { per: 16 } },
  half: b => {
    // four bits of the half stand at the top of each of the four words of scales
    const nibbles = four.map(i =>
      pair(b, 48 + 2 * i)
        .shr(12)
        .shl(4 * i),
    );
    const bits = nibbles.reduce((x, y) => x.or(y));
    b.check(bits.and(0x7fff));
    b.target.store(b.at.add(b.row.mul(2)), bits.saturate("u16"));
  },
  scales: (b, r, at) => {
    const word = pair(b, 48 + 2 * (r >> 1));
    for (const part of [0, 1]) {
      const scale = word.shr(6 * (r & 1) + 3 * part).and(7);
      packByte(b, "u8", scale.shl(1).add(1), at + 8 * part);
    }
  },
  quads: (b, r) =>
    four.flatMap(l => {
      const high = byteOf(pair(b, 32 + 2 * r), l >> 1).shr(4 * (l & 1));
      const less = high.shr(3).and(1).mul(0x04040404);
      return entry(b, octet(b, 4 * r + l).or(high.and(7).shl(8)), 2).map(q => q.or(less));
    }),
});
