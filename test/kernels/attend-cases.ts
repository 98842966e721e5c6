/** Cases of the kernels around attention: rotation, writing of keys and values into pages, attention over pages. */
import { expect } from "vitest";
import { fromHalf, toHalf } from "../../src/formats/encode/floats.ts";
import { attend, attendScratch, type HeadShape, headBytes, narrowAttend, PAGE, rope, writeKv } from "../../src/kernels/attend.ts";
import type { Image } from "../fixtures/machines.ts";
import { Random } from "../fixtures/random.ts";
import { type Expected, type KernelCase, type Laid, U } from "./case.ts";

/** Cosines, then sines, of one token. */
const tableOf = (pairs: number, position: number): Float32Array =>
  Float32Array.from({ length: 2 * pairs }, (_, i) => {
    const angle = position * 100 ** (-(i % pairs) / pairs);
    return i < pairs ? Math.cos(angle) : Math.sin(angle);
  });

/** A head turned in pairs (i, i + half) by the table's own cosines and sines; each result has two products and one sum. */
function turned(x: Float32Array, table: Float32Array, { headDim, ropeDim }: HeadShape): Pick<Expected, "values" | "bounds"> {
  const half = ropeDim / 2;
  const values = Float64Array.from(x);
  const bounds = new Float64Array(headDim);
  for (let i = 0; i < half; i++) {
    const [a, b, cos, sin] = [x[i], x[i + half], table[i], table[half + i]];
    values[i] = a * cos - b * sin;
    values[i + half] = a * sin + b * cos;
    bounds[i] = 2 * U * (Math.abs(a * cos) + Math.abs(b * sin));
    bounds[i + half] = 2 * U * (Math.abs(a * sin) + Math.abs(b * cos));
  }
  return { values, bounds };
}

const together = (rows: readonly Float32Array[]): Float32Array => Float32Array.from(rows.flatMap(r => [...r]));

export const ropeCase = (h: HeadShape, heads: number): KernelCase => {
  const random = new Random(41);
  const positions = [0, 1, 77];
  const rows = positions.map(() => random.floats(heads * h.headDim + 8)); // 8 values of padding between rows
  const tables = positions.map(p => tableOf(h.ropeDim / 2, p));
  return {
    name: `rope of ${h.ropeDim} in ${h.headDim}, ${heads} heads`,
    kernel: rope(h),
    bytes: positions.length * heads * h.ropeDim * 8,
    operations: positions.length * heads * h.ropeDim * 3,
    lay: image => {
      const [x, table] = [image.f32(together(rows)), image.f32(together(tables))];
      const stride = 4 * (heads * h.headDim + 8);
      const expected = rows.flatMap((row, t) =>
        Array.from({ length: heads }, (_, head): Expected => {
          const own = row.subarray(head * h.headDim, (head + 1) * h.headDim);
          return { what: `token ${t} head ${head}`, at: x + t * stride + 4 * head * h.headDim, ...turned(own, tables[t], h) };
        }),
      );
      return { grid: heads, args: [x, table, positions.length, stride], expected };
    },
  };
};

/** Tokens whose keys and values are written: rows of `kvHeads` heads, and the places that they go to. `row` makes a row of so many numbers. */
function written(h: HeadShape, kvHeads: number, ids: readonly number[], places: readonly number[], row: (columns: number) => Float32Array) {
  const columns = kvHeads * h.headDim;
  const [keys, values] = [0, 1].map(() => ids.map(() => row(columns)));
  const tables = ids.map((_, t) => tableOf(h.ropeDim / 2, 5 * t));
  const own = (x: Float32Array, head: number) => x.subarray(head * h.headDim, (head + 1) * h.headDim);
  const tokens = ids.flatMap((id, t) =>
    Array.from({ length: kvHeads }, (_, head) => {
      const key = turned(own(keys[t], head), tables[t], h);
      return { what: `token ${t}, head ${head}`, id, place: places[t], head, key, value: own(values[t], head) };
    }),
  );
  return {
    kernel: writeKv(h),
    bytes: ids.length * columns * (h.kept === "f16" ? 12 : 16),
    operations: ids.length * kvHeads * h.ropeDim * 3,
    tokens,
    /** Pages of `pageBytes` of which the layer at `layerAt` is written. */
    lay: (image: Image, count: number, pageBytes: number, layerAt: number) => {
      const at = [keys, values, tables].map(x => image.f32(together(x)));
      const lists = [image.i32(ids), image.i32(places)];
      const pages = image.space(count * pageBytes, 0x55);
      return { pages, grid: kvHeads, args: [...at, ...lists, pages, ids.length, 4 * columns, 4 * columns, pageBytes, layerAt] };
    },
  };
}

/** Two layers, of which the second is written; pages out of order; everything else in them must stay. */
export const writeKvCase = (h: HeadShape, kvHeads: number): KernelCase => {
  const random = new Random(42);
  const { lay, tokens, ...about } = written(h, kvHeads, [2, 0, 0, 2], [31, 0, 17, 30], columns => random.floats(columns));
  const layerBytes = kvHeads * headBytes(h.headDim);
  return {
    ...about,
    name: `write keys and values, ${h.ropeDim} in ${h.headDim}, ${kvHeads} heads`,
    lay: image => {
      const { pages, ...laid } = lay(image, 3, 2 * layerBytes, layerBytes);
      const expected = tokens.flatMap(({ what, id, place, head, key, value }) => {
        const base = pages + (2 * id + 1) * layerBytes + head * headBytes(h.headDim);
        const scattered = Array.from({ length: h.headDim }, (_, d): Expected => {
          const bounds = [key.bounds[d]];
          return { what: `key of ${what}, ${d}`, at: base + 4 * (d * PAGE + place), values: [key.values[d]], bounds };
        });
        const valueAt = base + 4 * h.headDim * (PAGE + place);
        return [...scattered, { what: `value of ${what}`, at: valueAt, values: value, bounds: new Float64Array(h.headDim) }];
      });
      return { ...laid, expected };
    },
  };
};

/** As `writeKvCase`, in f16: each number is the half next to the true one, and everything else stays. */
export const writeHalvesCase = (h: HeadShape, kvHeads: number): KernelCase => {
  const [random, size] = [new Random(45), headBytes(h.headDim, h.headDim, "f16") / 2];
  const extremes = [1e-9, 3e-6, -7e-5, 0, 65504, 65519, 1e6, -3e38];
  // Magnitudes from below the least half to beyond the greatest.
  const row = (columns: number) => random.floats(columns).map((x, i) => (i < extremes.length ? extremes[i] : x * 2 ** ((i % 40) - 28)));
  const { lay, tokens, ...about } = written({ ...h, kept: "f16" }, kvHeads, [1, 0, 1], [31, 0, 2], row);
  return {
    ...about,
    name: `write keys and values as f16, ${h.ropeDim} in ${h.headDim}, ${kvHeads} heads`,
    lay: image => {
      const bytes = 2 * kvHeads * size * 2;
      const { pages, ...laid } = lay(image, 2, kvHeads * size * 2, 0);
      const check = (memory: Uint8Array): void => {
        const got = new Uint16Array(memory.slice(pages, pages + bytes).buffer);
        const seen = new Set<number>();
        const expectHalf = (i: number, value: number, bound: number, what: string): void => {
          seen.add(i);
          const [low, high] = [value - bound, value + bound].map(x => fromHalf(toHalf(Math.max(-65504, Math.min(65504, x)))));
          expect(fromHalf(got[i]), what).toBeGreaterThanOrEqual(low);
          expect(fromHalf(got[i]), what).toBeLessThanOrEqual(high);
        };
        for (const { what, id, place, head, key, value } of tokens) {
          const base = (id * kvHeads + head) * size;
          value.forEach((x, d) => {
            expectHalf(base + d * PAGE + place, key.values[d], key.bounds[d], `key of ${what}, ${d}`);
            expectHalf(base + (PAGE + place) * h.headDim + d, x, 0, `value of ${what}, ${d}`);
          });
        }
        expect(got.filter((x, i) => !seen.has(i) && x !== 0x5555)).toEqual(new Uint16Array(0));
      };
      return { ...laid, expected: [], scratch: [{ at: pages, bytes }], check };
    },
  };
};

interface Past {
  /** [position] -> [kvHeads * headDim]. */
  readonly keys: readonly Float32Array[];
  readonly values: readonly Float32Array[];
  /** Page numbers, in order. */
  readonly pages: readonly number[];
}

/**
 * Softmax attention of one query head, in float64. Bounds: a score is off by headDim + 4 roundings of its terms; a weight moves by twice the
 * worst of that, by the 4 U of exp, and by one rounding of every addition on the way (positions, two a page, 8 in all).
 */
function attended(
  q: Float32Array,
  keys: readonly Float32Array[],
  values: readonly Float32Array[],
  scale: number,
): Pick<Expected, "values" | "bounds"> {
  const terms = keys.map(k => k.map((x, i) => x * q[i]));
  const scores = keys.map(k => scale * k.reduce((sum, x, i) => sum + x * q[i], 0));
  const size = Math.max(...terms.map(t => scale * t.reduce((sum, x) => sum + Math.abs(x), 0)));
  const top = Math.max(...scores);
  const weights = scores.map(s => Math.exp(s - top));
  const total = weights.reduce((a, b) => a + b, 0);
  const relative = (2 * (q.length + 4) * size + keys.length + (2 * keys.length) / PAGE + 16) * U;
  const out = new Float64Array(q.length);
  const bounds = new Float64Array(q.length);
  values.forEach((v, t) => {
    for (let i = 0; i < q.length; i++) {
      out[i] += (weights[t] / total) * v[i];
      bounds[i] += relative * (weights[t] / total) * Math.abs(v[i]) + 1e-36;
    }
  });
  return { values: out, bounds };
}

/** Three sequences of different lengths on shuffled pages, whose unused places hold not-a-number; tokens in the middle see their past only. */
export const attendCase = (h: HeadShape, kvHeads: number, group: number, keySize = 1, schedule = narrowAttend): KernelCase => {
  const random = new Random(43);
  const halves = h.kept === "f16";
  const columns = kvHeads * h.headDim;
  const lengths = [1, 40, 70];
  const numbers = [4, 0, 2, 6, 1, 5]; // page 3 belongs to nobody
  const pasts = lengths.map((n, s): Past => {
    const first = lengths.slice(0, s).reduce((sum, l) => sum + Math.ceil(l / PAGE), 0);
    const row = (size: number) =>
      Array.from({ length: n }, () => random.floats(columns, size).map(x => (halves ? fromHalf(toHalf(x)) : x)));
    return { keys: row(keySize), values: row(1), pages: numbers.slice(first, first + Math.ceil(n / PAGE)) };
  });
  const tokens = [
    { sequence: 0, position: 0 },
    { sequence: 2, position: 69 },
    { sequence: 1, position: 31 },
    { sequence: 1, position: 32 },
    { sequence: 2, position: 63 },
  ];
  const width = kvHeads * group * h.headDim;
  const queries = tokens.map(() => random.floats(width));
  const seen = tokens.reduce((sum, t) => sum + t.position + 1, 0);
  return {
    name: `attend, ${kvHeads} x ${group} heads of ${h.headDim}${keySize === 1 ? "" : `, keys of size ${keySize}`}, ${schedule.lanes} lanes${halves ? ", f16" : ""}`,
    kernel: attend(h, group, {}, schedule),
    bytes: seen * columns * (halves ? 4 : 8),
    operations: seen * width * 4,
    large: group * h.headDim > 256,
    lay: (image: Image): Laid => {
      const layerBytes = kvHeads * headBytes(h.headDim, h.headDim, h.kept);
      const filled = fillPages(pasts, h.headDim, kvHeads, 7);
      const pages = image.put(halves ? Uint16Array.from(filled, toHalf) : filled);
      const table = image.i32(numbers);
      const starts = image.i32(tokens.map(t => lengths.slice(0, t.sequence).reduce((sum, l) => sum + Math.ceil(l / PAGE), 0)));
      const positions = image.i32(tokens.map(t => t.position));
      const lanes = image.i32(Array.from({ length: PAGE }, (_, i) => i));
      const q = image.f32(together(queries));
      const scratch = {
        at: image.space(attendScratch(group) * kvHeads * tokens.length),
        bytes: attendScratch(group) * kvHeads * tokens.length,
      };
      const out = image.space(4 * width * tokens.length, 0xff);
      const scale = Math.fround(h.headDim ** -0.5);
      const expected = tokens.flatMap((token, t) =>
        Array.from({ length: kvHeads * group }, (_, head): Expected => {
          const kv = Math.floor(head / group) * h.headDim;
          const past = (rows: readonly Float32Array[]) => rows.slice(0, token.position + 1).map(r => r.subarray(kv, kv + h.headDim));
          const { keys, values } = pasts[token.sequence];
          const own = queries[t].subarray(head * h.headDim, (head + 1) * h.headDim);
          return {
            what: `token ${t} head ${head}`,
            at: out + 4 * (t * width + head * h.headDim),
            ...attended(own, past(keys), past(values), scale),
          };
        }),
      );
      const args = [q, pages, table, starts, positions, lanes, scratch.at, out, tokens.length, 4 * width, 4 * width, layerBytes, 0, scale];
      return { grid: kvHeads * tokens.length, args, expected, scratch: [scratch] };
    },
  };
};

/** Pages as the kernels lay them: per head keys [dimension][place], then values [place][dimension]; not-a-number where nothing was written. */
function fillPages(pasts: readonly Past[], headDim: number, kvHeads: number, count: number): Float32Array {
  const headFloats = headBytes(headDim) / 4;
  const pages = new Float32Array(count * kvHeads * headFloats).fill(Number.NaN);
  for (const { keys, values, pages: ids } of pasts) {
    keys.forEach((key, position) => {
      const place = position % PAGE;
      for (let head = 0; head < kvHeads; head++) {
        const base = (ids[Math.floor(position / PAGE)] * kvHeads + head) * headFloats;
        for (let d = 0; d < headDim; d++) {
          pages[base + d * PAGE + place] = key[head * headDim + d];
          pages[base + headDim * PAGE + place * headDim + d] = values[position][head * headDim + d];
        }
      }
    });
  }
  return pages;
}
