/**
 * Operand data for kernel tests: a seeded generator, the values of each type at which something changes (ends, zeros, halfway cases,
 * denormals), bytes in and out of memory, and comparison bit for bit with one NaN equal to any other.
 */
import { type Elem, elems, fullRange, type Range, readElem, writeElem } from "../../src/ir/types.ts";

/** mulberry32: numbers in 0 .. 1 from a 32-bit seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
export const below = (random: () => number, n: number): number => Math.floor(random() * n);
export const pick = <T>(random: () => number, list: readonly T[]): T => list[below(random, list.length)];

const tiny = 2 ** -12;
const floatEdges: readonly number[] = [
  ...[0, -0, 1, -1, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 127.5, 255, -129],
  ...[2 ** -149, -(2 ** -149), 2 ** -126, 2 ** -127, 2 ** 127, -(2 ** 127), 3.4028234663852886e38, -3.4028234663852886e38],
  ...[Infinity, -Infinity, Number.NaN, 8388607.5, 8388608, 16777216, 16777215, 2147483520, 2 ** 31, -(2 ** 31), 1e10],
  ...[1 + 2 ** -23, 1 - 2 ** -24, tiny, tiny * (1 + 2 ** -23), tiny * (1 - 2 ** -24), 1 + tiny, -(1 + 2 * tiny), 2 ** 24 + 2],
];

/** Values of a type (inside a promised range) at which rules change. */
export function edges(type: Elem, range: Range = fullRange(type)): readonly number[] {
  const inside = (x: number): boolean => range === undefined || Number.isNaN(x) || (x >= range.min && x <= range.max);
  if (type === "f32") return floatEdges.map(Math.fround).filter(x => (Number.isNaN(x) ? range.min === -Infinity : inside(x)));
  const { min, max } = range;
  const all = [min, min + 1, -1, 0, 1, 2, 127, 128, -128, 255, 256, 32767, 32768, -32768, max - 1, max];
  return [...new Set(all)].filter(inside);
}

const float = new DataView(new ArrayBuffer(4));
export function randomValue(random: () => number, type: Elem, range: Range = fullRange(type)): number {
  if (type !== "f32") return range.min + below(random, range.max - range.min + 1);
  if (Number.isFinite(range.min + range.max)) return Math.fround(range.min + random() * (range.max - range.min));
  const kind = below(random, 3);
  if (kind === 0) return Math.fround(8 * random() - 4);
  if (kind === 1) return below(random, 1 << 16) - (1 << 15) + 0.5;
  float.setUint32(0, random() * 2 ** 32);
  const x = float.getFloat32(0);
  return Number.isNaN(x) ? Number.NaN : x;
}

/** Half edges, half random. */
export const anyValue = (random: () => number, type: Elem, range?: Range): number =>
  random() < 0.5 ? pick(random, edges(type, range)) : randomValue(random, type, range);

export function write(memory: Uint8Array, at: number, type: Elem, values: readonly number[]): void {
  const view = new DataView(memory.buffer, memory.byteOffset);
  values.forEach((x, i) => {
    writeElem(view, type, at + i * elems[type].size, x);
  });
}
export function read(memory: Uint8Array, at: number, type: Elem, count: number): number[] {
  const view = new DataView(memory.buffer, memory.byteOffset);
  return Array.from({ length: count }, (_, i) => readElem(view, type, at + i * elems[type].size));
}

/** Position of the first value that differs; -1 where none does. Zeros must have the same sign. */
export const firstDifference = (a: readonly number[], b: readonly number[]): number => a.findIndex((x, i) => !Object.is(x, b[i]));

/** A number as a message shows it. */
export const shown = (x: number | undefined): string => (Object.is(x, -0) ? "-0" : String(x));
