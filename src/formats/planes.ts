/**
 * How the codes of 32 inputs (one activation record) lie in a packed block: codes of one to six or eight bits are cut into planes of one,
 * two, four or eight bits, and a plane of w bits is w words of each of the eight rows. Every word holds bits of the same four consecutive inputs of each row, so a
 * shift and a mask give a register of codes, and two planes join with an `or`. Owns the order of bits, for reading and for packing.
 *
 * A record has two parts of sixteen inputs, a part four quads of four inputs. Planes of four bits: word j holds quad j of the first part low and of the
 * second high. Of eight bits: a word for each quad. Of two bits: a word for each part, quad j at bit 2 j. Of one bit: one word, quad j of the first part at bit 4 + j, of the second at j.
 */
import { type Bytes, type IntLike, int, konst, type Val } from "../ir/trace.ts";
import type { Int, PackBlock } from "./packed.ts";

/** Bits of the codes of a form. */
export type CodeBits = 1 | 2 | 3 | 4 | 5 | 6 | 8;
/** `width` bits of every code, from bit `at` on. */
interface Plane {
  readonly width: 1 | 2 | 4 | 8;
  readonly at: number;
}
/** One-bit codes stand at bit 1: they are 0 and 2, whose middle is an integer. */
const layouts: Readonly<Record<CodeBits, readonly Plane[]>> = {
  1: [{ width: 1, at: 1 }],
  2: [{ width: 2, at: 0 }],
  3: [
    { width: 2, at: 0 },
    { width: 1, at: 2 },
  ],
  4: [{ width: 4, at: 0 }],
  5: [
    { width: 4, at: 0 },
    { width: 1, at: 4 },
  ],
  6: [
    { width: 4, at: 0 },
    { width: 2, at: 4 },
  ],
  8: [{ width: 8, at: 0 }],
};

/** Bytes of the planes of one record of eight rows. */
export const planeBytes = (bits: CodeBits): number => 32 * bits;
/** The greatest code. */
export const greatestCode = (bits: CodeBits): number => (bits === 1 ? 2 : 2 ** bits - 1);

/** The words that a part's quads are shifted out of, one for each plane narrower than four bits. In 16-bit lanes, as the machines shift. */
export type Shifting = readonly Val<"u16", 16>[];

const narrowPlanes = (bits: CodeBits): readonly Plane[] => layouts[bits].filter(p => p.width < 4);
/** Byte offset of a plane: those before it are wider. */
const planeAt = (bits: CodeBits, plane: Plane): number =>
  32 * layouts[bits].slice(0, layouts[bits].indexOf(plane)).reduce((sum, p) => sum + p.width, 0);

/** The state before the first quad of part `part` of the record whose planes begin at byte `at`. */
export function beginPart(bits: CodeBits, w: Bytes, at: Int, part: number): Shifting {
  return narrowPlanes(bits).map(plane => {
    const first = at.add(planeAt(bits, plane));
    if (plane.width === 2) return w.load("u16", 16, first.add(32 * part));
    const word = w.load("u16", 16, first);
    return part ? word.shl(plane.at) : word.shr(4 - plane.at);
  });
}

/** The codes of quad `quad` (0 .. 3) of a part in each row, and the state before the next quad. Quads are taken in order. */
export function takeQuad(
  bits: CodeBits,
  w: Bytes,
  at: Int,
  part: number,
  quad: IntLike,
  shifting: Shifting,
): { codes: Val<"u8", 32>; next: Shifting } {
  if (bits === 8) return { codes: w.load("u8", 32, at.add(128 * part).add(int(quad).mul(32))), next: shifting };
  const fields = narrowPlanes(bits).map((plane, i) => {
    // Bits that a shift brings over from the neighbouring byte lie outside the mask.
    const word = plane.width === 2 && plane.at ? shifting[i].shl(plane.at) : shifting[i];
    return word.as("u8", 32).and((2 ** plane.width - 1) << plane.at);
  });
  const next = narrowPlanes(bits).map((plane, i) => shifting[i].shr(plane.width));
  if (bits < 4) return { codes: fields.reduce((a, b) => a.or(b)), next };
  const word = w.load("u8", 32, at.add(int(quad).mul(32)));
  return { codes: fields.reduce((a, b) => a.or(b), part ? word.shr(4) : word.and(15)), next };
}

/** Four codes of neighbouring inputs of one row, one in each byte. */
export type Quad = Val<"i32", 1>;

const every = (mask: number): number => (mask * 0x01010101) | 0;
/** Bits `at` .. `at` + `width` - 1 of each byte, at the bottom of the byte. */
export const field = (q: Quad, at: number, width: number): Quad => q.shr(at).and(every(2 ** width - 1));

/** Packs one row's codes of a record, given as its eight quads, into the planes at byte `to` of the packed block. */
export function packCodes(b: PackBlock, bits: CodeBits, to: IntLike, quads: readonly Quad[]): void {
  for (const plane of layouts[bits]) {
    const fields = quads.map(q => (layouts[bits].length === 1 && plane.at === 0 ? q : field(q, plane.at, plane.width)));
    planeWords(plane.width, fields).forEach((word, i) => {
      b.target.store(b.at.add(b.row.mul(4)).add(int(to).add(planeAt(bits, plane) + 32 * i)), word);
    });
  }
}

function planeWords(width: Plane["width"], f: readonly Quad[]): Quad[] {
  const join = (parts: readonly (readonly [Quad, number])[]): Quad =>
    parts.reduce<Quad>((word, [q, shift]) => word.or(q.shl(shift)), konst("i32", 1, 0));
  if (width === 8) return [...f];
  if (width === 4) return [0, 1, 2, 3].map(j => f[j].or(f[4 + j].shl(4)));
  if (width === 2) return [0, 4].map(p => join([0, 1, 2, 3].map(j => [f[p + j], 2 * j] as const)));
  return [join([0, 1, 2, 3].flatMap(j => [[f[j], 4 + j] as const, [f[4 + j], j] as const]))];
}
