/** Cases of the kernels that make entries of blocks of tokens: rows in pages, means over blocks, rotation undone; and of reading memory. */
import { expect } from "vitest";
import { PAGE } from "../../src/kernels/attend.ts";
import { type Compression, compress, rowBytes, turnBack, writeRows } from "../../src/kernels/compress.ts";
import { READ_UNIT, readMemory } from "../../src/kernels/read.ts";
import { wordsAt } from "../fixtures/machines.ts";
import { Random } from "../fixtures/random.ts";
import { type Expected, type KernelCase, U } from "./case.ts";
import { table } from "./table.ts";

export function writeRowsCase(columns: number): KernelCase {
  const x = table(new Random(81), 4, columns);
  const [ids, places] = [
    [2, 0, 1, 2],
    [31, 0, 17, 30],
  ];
  return {
    name: `write rows of ${columns}`,
    kernel: writeRows(columns),
    bytes: 8 * ids.length * columns,
    operations: 0,
    lay: image => {
      const [pageBytes, layer] = [rowBytes(columns) + 256, 128];
      const pages = image.space(3 * pageBytes, 0x55);
      const expected = x.rows.map((values, t): Expected => {
        const at = pages + ids[t] * pageBytes + layer + 4 * columns * places[t];
        return { what: `token ${t}`, at, values, bounds: new Float64Array(columns) };
      });
      const args = [x.put(image), image.i32(ids), image.i32(places), pages, ids.length, x.stride, pageBytes, layer];
      return { grid: columns / 32, args, expected };
    },
  };
}

interface Weighed {
  readonly value: number;
  readonly logit: number;
  /** How large the numbers are that the logit is the sum of. */
  readonly size: number;
}

/** The mean of values by a softmax of their logits. A weight moves by twice the worst logit's error and by exp's 4 U; sums add their roundings. */
function weighed(terms: readonly Weighed[]): { value: number; bound: number } {
  const top = Math.max(...terms.map(t => t.logit));
  const weights = terms.map(t => Math.exp(t.logit - top));
  const all = weights.reduce((a, b) => a + b, 0);
  const mean = (f: (t: Weighed) => number): number => terms.reduce((sum, t, i) => sum + weights[i] * f(t), 0) / all;
  const relative = (4 * Math.max(...terms.map(t => t.size)) + 2 * terms.length + 16) * U;
  return { value: mean(t => t.value), bound: relative * mean(t => Math.abs(t.value)) };
}

/** Two sequences on shuffled pages; tokens that end blocks, the first block among them, and tokens that end none. */
export function compressCase(c: Compression): KernelCase {
  const random = new Random(82);
  const width = c.overlap ? 2 * c.size : c.size;
  const lengths = [c.ratio, 2 * PAGE + 7];
  const numbers = [
    [2, 3],
    [4, 0, 1],
  ];
  const pasts = lengths.map(n => ({ values: table(random, n, width).rows, logits: table(random, n, width).rows }));
  const offsets = table(random, c.ratio, width).rows;
  const last = c.ratio * Math.floor(lengths[1] / c.ratio) - 1;
  const tokens = [
    { sequence: 1, position: last },
    { sequence: 0, position: c.ratio - 1 },
    { sequence: 1, position: last - 1 },
    { sequence: 1, position: 2 * c.ratio - 1 },
  ];
  /** Column `i` of the entry that the token ends. */
  const entry = ({ sequence, position }: (typeof tokens)[number], i: number): { value: number; bound: number } => {
    if ((position + 1) % c.ratio) return { value: 0, bound: 0 };
    const { values, logits } = pasts[sequence];
    const first = position + 1 - c.ratio;
    const block = (start: number, column: number): Weighed[] =>
      start < 0
        ? []
        : Array.from({ length: c.ratio }, (_, place) => {
            const [logit, offset] = [logits[start + place][column], offsets[place][column]];
            return { value: values[start + place][column], logit: logit + offset, size: Math.abs(logit) + Math.abs(offset) };
          });
    return weighed(c.overlap ? [...block(first - c.ratio, i), ...block(first, c.size + i)] : block(first, i));
  };
  return {
    name: `compress ${JSON.stringify(c)}`,
    kernel: compress(c),
    bytes: 8 * tokens.length * c.ratio * width,
    operations: 20 * tokens.length * c.ratio * width,
    lay: image => {
      const [values, pageBytes] = [64, 2 * rowBytes(width) + 64];
      const logits = values + rowBytes(width);
      const memory = new Float32Array((5 * pageBytes) / 4).fill(Number.NaN);
      pasts.forEach((past, s) => {
        for (let p = 0; p < lengths[s]; p++) {
          const row = (numbers[s][Math.floor(p / PAGE)] * pageBytes) / 4 + (p % PAGE) * width;
          memory.set(past.values[p], values / 4 + row);
          memory.set(past.logits[p], logits / 4 + row);
        }
      });
      const lists = [numbers.flat(), tokens.map(t => (t.sequence ? numbers[0].length : 0)), tokens.map(t => t.position)];
      const inputs = [image.f32(memory), ...lists.map(l => image.i32(l)), image.f32(...offsets)];
      const stride = 4 * c.size + 16;
      const out = image.space(tokens.length * stride, 0x77);
      const expected = tokens.map((token, t): Expected => {
        const all = Array.from({ length: c.size }, (_, i) => entry(token, i));
        return { what: `token ${t}`, at: out + t * stride, values: all.map(e => e.value), bounds: all.map(e => e.bound) };
      });
      const args = [...inputs, out, tokens.length, stride, pageBytes, values, logits];
      return { grid: (c.size / 8) * tokens.length, args, expected };
    },
  };
}

export function turnBackCase(heads: number, headDim: number, turned: number): KernelCase {
  const random = new Random(83);
  const [x, half] = [table(random, 3, heads * headDim), turned / 2];
  const angles = x.rows.map((_, t) => Array.from({ length: half }, (_, i) => (t + 1) * 0.7 ** i));
  const tables = angles.map(row => [...row.map(Math.cos), ...row.map(Math.sin)].map(Math.fround));
  return {
    name: `turn back ${turned} of ${headDim}, ${heads} heads`,
    kernel: turnBack(heads, headDim, turned),
    bytes: 24 * heads * headDim,
    operations: 9 * heads * turned,
    lay: image => {
      const stride = 4 * heads * headDim + 32;
      const out = image.space(x.rows.length * stride, 0x77);
      const expected = x.rows.flatMap((row, t) =>
        Array.from({ length: heads }, (_, head): Expected => {
          const own = row.slice(head * headDim, (head + 1) * headDim);
          const values = own.slice(turned);
          const bounds = values.map(() => 0);
          for (let i = 0; i < half; i++) {
            const [a, b, cos, sin] = [own[i], own[half + i], tables[t][i], tables[t][half + i]];
            values.push(a * cos + b * sin, b * cos - a * sin);
            bounds.push(2 * U * (Math.abs(a * cos) + Math.abs(b * sin)), 2 * U * (Math.abs(b * cos) + Math.abs(a * sin)));
          }
          return { what: `token ${t} head ${head}`, at: out + t * stride + 4 * head * headDim, values, bounds };
        }),
      );
      return { grid: x.rows.length, args: [x.put(image), image.f32(...tables), out, x.stride, stride], expected };
    },
  };
}

/** Sums of whole words, eight side by side, one row a unit. */
export function readCase(units: number): KernelCase {
  return {
    name: `read ${units} x ${READ_UNIT} bytes`,
    kernel: readMemory(),
    bytes: units * READ_UNIT,
    operations: (units * READ_UNIT) / 4,
    lay: image => {
      const words = new Int32Array(new Random(84).bytes(units * READ_UNIT).buffer);
      const [x, sums] = [image.put(words), image.space(32 * units)];
      const all = new Int32Array(8 * units);
      words.forEach((word, i) => {
        all[8 * Math.floor((4 * i) / READ_UNIT) + (i % 8)] += word;
      });
      const check = (memory: Uint8Array): void => expect([...wordsAt(memory, sums, all.length)]).toEqual([...all]);
      return { grid: units, args: [x, sums], expected: [], scratch: [{ at: sums, bytes: 32 * units }], check };
    },
  };
}

export const compressCases: readonly KernelCase[] = [
  writeRowsCase(32),
  writeRowsCase(96),
  compressCase({ ratio: 4, size: 16, overlap: true }),
  compressCase({ ratio: 4, size: 8, overlap: false }),
  compressCase({ ratio: 33, size: 8, overlap: false }),
  turnBackCase(2, 16, 8),
  turnBackCase(1, 12, 4),
  readCase(2),
];
