/** Q4_0, Q4_1, Q5_0, Q5_1: 32 inputs, y = (q - middle) d or y = q d + m, codes of four or five bits. Packed in their file's size. */
import { codeForm, layoutOf } from "./codes.ts";
import { type PackBlock, type Packed, packHalf, type WeightFormat, wordAt } from "./packed.ts";
import { type CodeBits, field, packCodes, type Quad } from "./planes.ts";

interface Simple {
  readonly name: string;
  readonly bits: CodeBits;
  /** y = q d + m; without it y = (q - middle) d. */
  readonly minimum?: true;
}

/** The eight quads of sixteen bytes of nibbles: the first sixteen inputs low, the others high. */
export function nibbles(b: PackBlock, from: number): Quad[] {
  const words = [0, 4, 8, 12].map(i => wordAt(b, from + i));
  return [0, 4].flatMap(high => words.map(w => field(w, high, 4)));
}

/** Bits 4 `quad` .. 4 `quad` + 3 of a word, as the lowest bit of each byte. */
export const spreadBits = (word: Quad, quad: number): Quad =>
  word
    .shr(4 * quad)
    .and(15)
    .mul(0x00204081)
    .and(0x01010101);

function simple({ name, bits, minimum }: Simple): WeightFormat {
  const scale = { type: "half", per: 32, minimum } as const;
  const form = { name: minimum ? `c${bits}m` : `c${bits}`, records: 1, bits, zero: minimum ? undefined : 2 ** (bits - 1), scale };
  const { minimum: minimumAt, planes } = layoutOf(form);
  const packed: Packed = codeForm(form);
  return {
    name,
    packed,
    infinite: 0x7c00,
    pack: b => {
      packHalf(b, 0, 0);
      if (minimum) packHalf(b, 2, minimumAt);
      const high = minimum ? 4 : 2;
      const low = nibbles(b, bits === 5 ? high + 4 : high);
      const fifth = bits === 5 ? wordAt(b, high) : undefined;
      packCodes(b, bits, planes, fifth ? low.map((q, i) => q.or(spreadBits(fifth, i).shl(4))) : low);
    },
  };
}

export const q4_0 = simple({ name: "Q4_0", bits: 4 });
export const q4_1 = simple({ name: "Q4_1", bits: 4, minimum: true });
export const q5_0 = simple({ name: "Q5_0", bits: 5 });
export const q5_1 = simple({ name: "Q5_1", bits: 5, minimum: true });
