/**
 * The K formats: 256 inputs in groups of 16 or 32, y = d sc(g) q - dmin mn(g). All but Q3_K, whose 6-bit scales become bytes, keep the size that
 * they have in the file: where weights come from memory, bytes are time.
 */
import { type CodeForm, codeForm, layoutOf } from "./codes.ts";
import { byteOf, type Int, type PackBlock, packByte, packHalf, type WeightFormat, wordAt } from "./packed.ts";
import { field, packCodes, type Quad } from "./planes.ts";

const block = (name: string, bits: CodeForm["bits"], more: Partial<CodeForm>): CodeForm => ({
  name,
  records: 8,
  bits,
  scale: { type: "half", per: "block", minimum: more.sub?.minimum ? true : undefined },
  ...more,
});

/** A K format: where its halves lie, and how scales and codes of a record are packed. */
function kFormat(
  name: string,
  form: CodeForm,
  halves: readonly number[],
  packScales: (b: PackBlock, at: (record: number) => number) => void,
  quads: (b: PackBlock, record: number) => Quad[],
): WeightFormat {
  const { header, minimum, subs, subBytes, recordBytes } = layoutOf(form);
  return {
    name,
    packed: codeForm(form),
    infinite: 0x7c00,
    pack: b => {
      for (const [i, from] of halves.entries()) packHalf(b, from, i * minimum);
      packScales(b, r => subs + r * subBytes);
      for (let r = 0; r < form.records; r++) packCodes(b, form.bits, header + r * recordBytes, quads(b, r));
    },
  };
}

const eight = [0, 1, 2, 3, 4, 5, 6, 7];

/** Two bits each: record r of four shares 32 bytes from `from` on with the three others of its half. */
const pairsOfBits = (b: PackBlock, from: number, r: number): Quad[] =>
  eight.map(j => field(wordAt(b, from + 32 * (r >> 2) + 4 * j), 2 * (r & 3), 2));

export const q2_k = kFormat(
  "Q2_K",
  block("c2k", 2, { sub: { per: 16, minimum: "nibble" } }),
  [80, 82],
  (b, at) => {
    for (let g = 0; g < 16; g++) packByte(b, "u8", b.source.load("u8", 1, b.from.add(g)).to("i32"), at(g >> 1) + 8 * (g & 1));
  },
  (b, r) => pairsOfBits(b, 16, r),
);

export const q3_k = kFormat(
  "Q3_K",
  block("c3k", 3, { zero: 4, sub: { per: 16, signed: true } }),
  [108],
  (b, at) => {
    for (let g = 0; g < 16; g++) {
      const low = byteOf(wordAt(b, 96 + 4 * ((g >> 2) & 1)), g & 3);
      const four = g < 8 ? low.and(15) : low.shr(4);
      const two = byteOf(wordAt(b, 104), g & 3)
        .shr(2 * (g >> 2))
        .and(3);
      packByte(b, "i8", four.or(two.shl(4)).sub(32), at(g >> 1) + 8 * (g & 1));
    }
  },
  (b, r) => pairsOfBits(b, 32, r).map((q, j) => q.or(field(wordAt(b, 4 * j), r, 1).shl(2))),
);

/** Scales and minima of the eight groups of Q4_K and Q5_K, from twelve bytes to twelve others: see codes.ts. */
function sixBitScales(b: PackBlock, at: (record: number) => number): void {
  const [a, m, c] = [4, 8, 12].map(from => wordAt(b, from));
  const top = (x: Int): Int => field(x, 6, 2).shl(4);
  const scales = [field(a, 0, 6), field(c, 0, 4).or(top(a))];
  const least = [field(m, 0, 6), field(c, 4, 4).or(top(m))];
  const minimum = (g: number): Int => byteOf(least[g >> 2], g & 3);
  for (let g = 0; g < 8; g++) packByte(b, "u8", byteOf(scales[g >> 2], g & 3).or(minimum(g).and(48).shl(2)), at(g));
  for (let p = 0; p < 4; p++) {
    const low = minimum(2 * p)
      .and(15)
      .or(
        minimum(2 * p + 1)
          .and(15)
          .shl(4),
      );
    packByte(b, "u8", low, at(8) + 8 * p);
  }
}

/** Records 2 p and 2 p + 1 share the 32 bytes p from `from` on: the one low, the other high. */
const sharedNibbles = (b: PackBlock, from: number, r: number): Quad[] =>
  eight.map(j => field(wordAt(b, from + 32 * (r >> 1) + 4 * j), 4 * (r & 1), 4));

const grouped = { per: 32, minimum: "six" } as const;

export const q4_k = kFormat("Q4_K", block("c4k", 4, { sub: grouped }), [0, 2], sixBitScales, (b, r) => sharedNibbles(b, 16, r));

export const q5_k = kFormat("Q5_K", block("c5k", 5, { sub: grouped }), [0, 2], sixBitScales, (b, r) =>
  sharedNibbles(b, 48, r).map((q, j) => q.or(field(wordAt(b, 16 + 4 * j), r, 1).shl(4))),
);

export const q6_k = kFormat(
  "Q6_K",
  block("c6k", 6, { zero: 32, sub: { per: 16, signed: true } }),
  [208],
  (b, at) => {
    for (let g = 0; g < 16; g++) packByte(b, "i8", b.source.load("i8", 1, b.from.add(192 + g)).to("i32"), at(g >> 1) + 8 * (g & 1));
  },
  (b, r) => {
    const [half, k] = [r >> 2, r & 3];
    return eight.map(j => {
      const low = field(wordAt(b, 64 * half + 32 * (k & 1) + 4 * j), 2 * (k & 2), 4);
      return low.or(field(wordAt(b, 128 + 32 * half + 4 * j), 2 * k, 2).shl(4));
    });
  },
);
