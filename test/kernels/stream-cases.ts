/** Cases of the kernels that mix several residual streams: factors, taking, giving, predicting, correcting. */
import { correctStreams, predictStreams } from "../../src/kernels/alternating.ts";
import { factorsOf, giveStreams, type Mixing, scalesOf, streamFactors, takeStreams } from "../../src/kernels/streams.ts";
import { Random } from "../fixtures/random.ts";
import { type Expected, type KernelCase, U } from "./case.ts";
import { dot, table, transposed } from "./table.ts";

const TOKENS = 3;
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const total = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0);

/** Rows divided by their sums. */
const byRows = (m: readonly (readonly number[])[], eps: number): number[][] => m.map(row => row.map(v => v / (total(row) + eps)));
const byColumns = (m: readonly (readonly number[])[], eps: number): number[][] => transposed(byRows(transposed(m), eps));

/** The factors of one token, and how large the numbers are that they come from. */
function factors(
  { streams: n, rounds, most }: Mixing,
  mixes: readonly number[],
  base: ArrayLike<number>,
  scale: ArrayLike<number>,
  eps: number,
) {
  const own = mixes.map((v, i) => v * scale[Math.min(2, Math.floor(i / n))] + base[i]);
  const size = Math.max(...mixes.map((v, i) => Math.abs(v * scale[Math.min(2, Math.floor(i / n))]) + Math.abs(base[i])));
  const taken = own.slice(0, n).map(v => sigmoid(v) + eps);
  if (!rounds) {
    const given = most === undefined ? [] : own.slice(n).map(v => most * sigmoid(v) + eps);
    return { values: [...taken, ...given], size };
  }
  const given = own.slice(n, 2 * n).map(v => 2 * sigmoid(v));
  const rows = Array.from({ length: n }, (_, r) => own.slice(n * (2 + r), n * (3 + r)).map(Math.exp));
  let mix = byColumns(
    byRows(rows, 0).map(row => row.map(v => v + eps)),
    eps,
  );
  for (let i = 1; i < rounds; i++) mix = byColumns(byRows(mix, eps), eps);
  return { values: [...taken, ...given, ...mix.flat()], size };
}

/**
 * Bound: numbers come from one product and one sum; exp is off by 4 U. Dividing rows or columns by their sums never spreads relative errors
 * further (Sinkhorn's steps do not lengthen Hilbert's distance), and adds the roundings of a sum and a division each.
 */
export function factorsCase(m: Mixing): KernelCase {
  const [random, eps] = [new Random(71), Math.fround(1e-3)];
  const n = factorsOf(m);
  const mixes = table(random, TOKENS, n);
  const [base, scale] = [random.floats(n), random.floats(scalesOf(m))];
  return {
    name: `factors of ${m.streams} streams, ${m.rounds} rounds, ${m.most ?? "nothing"} given at most`,
    kernel: streamFactors(m),
    bytes: 8 * TOKENS * n,
    operations: TOKENS * n * (10 + 4 * m.rounds),
    lay: image => {
      const stride = 4 * (n + 2);
      const out = image.space(TOKENS * stride, 0x77);
      const expected = mixes.rows.map((row, t): Expected => {
        const { values, size } = factors(m, row, base, scale, eps);
        const relative = (4 * size + 16 + 2 * m.rounds * (m.streams + 3)) * 2 * U;
        return { what: `token ${t}`, at: out + t * stride, values, bounds: values.map(v => relative * Math.abs(v)) };
      });
      return { grid: TOKENS, args: [mixes.put(image), image.f32(base), image.f32(scale), out, mixes.stride, stride, eps], expected };
    },
  };
}

export function takeCase(streams: number, columns: number): KernelCase {
  const random = new Random(72);
  const [x, f] = [table(random, TOKENS, streams * columns), table(random, TOKENS, factorsOf({ streams, rounds: 1 }))];
  return {
    name: `take of ${streams} streams of ${columns}`,
    kernel: takeStreams(streams, columns),
    bytes: 4 * TOKENS * columns * (streams + 1),
    operations: 2 * TOKENS * columns * streams,
    lay: image => {
      const stride = 4 * (columns + 8);
      const out = image.space(TOKENS * stride, 0x77);
      const expected = x.rows.map((row, t): Expected => {
        const sums = Array.from({ length: columns }, (_, i) =>
          dot(
            f.rows[t].slice(0, streams),
            Array.from({ length: streams }, (_, h) => row[h * columns + i]),
          ),
        );
        const bounds = sums.map(s => (streams + 1) * U * s.size);
        return { what: `token ${t}`, at: out + t * stride, values: sums.map(s => s.sum), bounds };
      });
      return { grid: columns / 32, args: [x.put(image), f.put(image), out, TOKENS, x.stride, f.stride, stride], expected };
    },
  };
}

export function giveCase(streams: number, columns: number, mixed: boolean): KernelCase {
  const random = new Random(73);
  const x = table(random, TOKENS, streams * columns);
  const [y, f] = [table(random, TOKENS, columns), table(random, TOKENS, factorsOf({ streams, rounds: 1 }))];
  return {
    name: `give to ${streams} ${mixed ? "mixed " : ""}streams of ${columns}`,
    kernel: giveStreams(streams, columns, mixed),
    bytes: 4 * TOKENS * columns * (2 * streams + 1),
    operations: 2 * TOKENS * columns * streams * (streams + 1),
    lay: image => {
      const at = x.put(image);
      const expected = x.rows.map((row, t): Expected => {
        const own = f.rows[t];
        const sums = Array.from({ length: streams * columns }, (_, i) => {
          const [to, column] = [Math.floor(i / columns), i % columns];
          const before = Array.from({ length: streams }, (_, from) => row[from * columns + column]);
          const mixing = before.map((_, from) => (mixed ? own[2 * streams + from * streams + to] : Number(from === to)));
          return dot([y.rows[t][column], ...before], [own[streams + to], ...mixing]);
        });
        const bounds = sums.map(s => (streams + 2) * U * s.size);
        return { what: `token ${t}`, at: at + t * x.stride, values: sums.map(s => s.sum), bounds };
      });
      return { grid: columns / 32, args: [at, y.put(image), f.put(image), TOKENS, x.stride, y.stride, f.stride], expected };
    },
  };
}

/** Streams that predict one another, or are corrected by what a branch made of the first. */
export function alternatingCase(kind: "predict" | "correct", n: number, columns: number): KernelCase {
  const random = new Random(74);
  const streams = Array.from({ length: n }, () => table(random, TOKENS, columns));
  const [y, m] = [table(random, TOKENS, columns), table(random, TOKENS, n)];
  const coefficients = table(random, kind === "predict" ? n * n : n, n).rows;
  /** Terms of stream i at a column: what it was, and what is added. */
  const terms = (t: number, i: number, column: number) => {
    const x = streams.map(s => s.rows[t][column]);
    const weigh = (row: number) => dot(coefficients[row], m.rows[t]);
    const [first] = x;
    const added =
      kind === "predict"
        ? x.map((v, j) => ({ weight: weigh(n * i + j), one: 0, v, size: Math.abs(v) }))
        : [{ weight: weigh(i), one: 1, v: y.rows[t][column] - first, size: Math.abs(y.rows[t][column]) + Math.abs(first) }];
    const value = x[i] + total(added.map(a => (a.one + a.weight.sum) * a.v));
    return { value, size: Math.abs(x[i]) + total(added.map(a => (a.one + a.weight.size) * a.size)) };
  };
  return {
    name: `${kind} ${n} streams of ${columns}`,
    kernel: kind === "predict" ? predictStreams(n) : correctStreams(n),
    bytes: 8 * TOKENS * n * columns,
    operations: 2 * TOKENS * n * n * columns,
    lay: image => {
      const at = streams.map(s => s.put(image));
      const expected = at.flatMap((place, i) =>
        streams[i].rows.map((row, t): Expected => {
          const all = row.map((_, column) => terms(t, i, column));
          const bounds = all.map(a => (2 * n + 4) * U * a.size);
          return { what: `stream ${i}, token ${t}`, at: place + t * streams[i].stride, values: all.map(a => a.value), bounds };
        }),
      );
      const others = kind === "correct" ? [y.put(image)] : [];
      const args = [...at, ...others, m.put(image), image.f32(...coefficients), TOKENS, streams[0].stride, m.stride];
      return { grid: columns / 32, args, expected };
    },
  };
}

export const streamCases: readonly KernelCase[] = [
  factorsCase({ streams: 4, rounds: 3 }),
  factorsCase({ streams: 2, rounds: 1 }),
  factorsCase({ streams: 4, rounds: 0 }),
  factorsCase({ streams: 3, rounds: 0, most: 1.5 }),
  takeCase(4, 64),
  takeCase(1, 32),
  giveCase(4, 32, true),
  giveCase(2, 64, true),
  giveCase(3, 64, false),
  alternatingCase("predict", 4, 32),
  alternatingCase("predict", 2, 64),
  alternatingCase("correct", 4, 64),
];
