/** Cases of the kernels that go over rows number by number, and over heads: each against one function of the operands' rows. */
import type { Kernel } from "../../src/ir/node.ts";
import {
  activate,
  activations,
  addGated,
  addScaled,
  addVector,
  clampTo,
  copyColumns,
  gatherRows,
  multiplyBy,
  scaleRows,
  softcapTo,
} from "../../src/kernels/elementwise.ts";
import { gateHeads, joinHeads } from "../../src/kernels/heads.ts";
import { headNorm } from "../../src/kernels/norm.ts";
import type { Image } from "../fixtures/machines.ts";
import { Random } from "../fixtures/random.ts";
import { type Expected, type KernelCase, U } from "./case.ts";
import { type Table, table } from "./table.ts";

const ROWS = 4;
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

interface RowCase {
  readonly name: string;
  readonly kernel: Kernel;
  readonly grid: number;
  /** Operands, of which `result` is written, and how their places become the arguments. */
  readonly operands: readonly Table[];
  readonly result: number;
  readonly args: (image: Image, at: readonly number[]) => readonly number[];
  /** The result's row t, and how far from it each value may be. */
  readonly row: (t: number) => readonly number[];
  readonly bound: (value: number, t: number, i: number) => number;
}

function rowCase(c: RowCase): KernelCase {
  const columns = c.operands[c.result].rows[0].length;
  return {
    name: c.name,
    kernel: c.kernel,
    bytes: 8 * ROWS * columns,
    operations: ROWS * columns,
    lay: image => {
      const at = c.operands.map(o => o.put(image));
      const expected = Array.from({ length: ROWS }, (_, t): Expected => {
        const values = c.row(t);
        const bounds = values.map((v, i) => c.bound(v, t, i));
        return { what: `row ${t}`, at: at[c.result] + t * c.operands[c.result].stride, values, bounds };
      });
      return { grid: c.grid, args: c.args(image, at), expected };
    },
  };
}

const random = new Random(101);
const COLUMNS = 64;
const CHUNKS = COLUMNS / 32;
const [a, b] = [table(random, ROWS, COLUMNS), table(random, ROWS, COLUMNS)];
const gates = table(random, ROWS, 4);
const [vector, factors] = [random.floats(COLUMNS), random.floats(ROWS)];
const strides = [a.stride, b.stride];
const size = (t: number, i: number): number => Math.abs(a.rows[t][i]) + Math.abs(b.rows[t][i]);
const exact = (): number => 0;
const once = (v: number): number => U * Math.abs(v);

const inPlace = (name: string, kernel: Kernel, parameter: number, of: (x: number) => number, ulps: number): KernelCase =>
  rowCase({
    ...{ name, kernel, grid: CHUNKS, operands: [a], result: 0 },
    args: (_, at) => [...at, ROWS, a.stride, parameter, Math.fround(1 / parameter)],
    row: t => a.rows[t].map(of),
    bound: v => ulps * U * Math.abs(v),
  });

const sums: readonly KernelCase[] = [
  rowCase({
    ...{ name: "add scaled", kernel: addScaled(), grid: CHUNKS, operands: [a, b], result: 0 },
    args: (_, at) => [...at, ROWS, ...strides, 0.75],
    row: t => a.rows[t].map((v, i) => v + 0.75 * b.rows[t][i]),
    bound: (_, t, i) => 2 * U * size(t, i),
  }),
  rowCase({
    ...{ name: "add gated", kernel: addGated(), grid: CHUNKS, operands: [a, b, gates], result: 0 },
    args: (_, at) => [...at, ROWS, ...strides, gates.stride, 0.75],
    row: t => a.rows[t].map((v, i) => v + 0.75 * sigmoid(gates.rows[t][0]) * b.rows[t][i]),
    bound: (_, t, i) => 12 * U * size(t, i),
  }),
  rowCase({
    ...{ name: "add vector", kernel: addVector(), grid: CHUNKS, operands: [a], result: 0 },
    args: (image, at) => [...at, image.f32(vector), ROWS, a.stride],
    row: t => a.rows[t].map((v, i) => v + vector[i]),
    bound: once,
  }),
  rowCase({
    ...{ name: "scale rows", kernel: scaleRows(), grid: CHUNKS, operands: [a], result: 0 },
    args: (image, at) => [...at, image.f32(factors), ROWS, a.stride],
    row: t => a.rows[t].map(v => v * factors[t]),
    bound: once,
  }),
  inPlace("multiply by", multiplyBy(), 0.3, x => x * Math.fround(0.3), 2),
  inPlace("softcap to", softcapTo(), 2, x => 2 * Math.tanh(x / 2), 64),
  inPlace("clamp to", clampTo(), 0.5, x => Math.min(Math.max(x, -0.5), 0.5), 0),
];

const copies: readonly KernelCase[] = [
  rowCase({
    ...{ name: "activate", kernel: activate(activations.relu2, "f32"), grid: ROWS * CHUNKS, operands: [a, b], result: 1 },
    args: (_, at) => [...at, CHUNKS, ...strides],
    row: t => a.rows[t].map(v => Math.max(v, 0) ** 2),
    bound: once,
  }),
  rowCase({
    ...{ name: "gather rows", kernel: gatherRows("f32"), grid: ROWS, operands: [a, b], result: 1 },
    args: (image, [from, to]) => [from, image.i32([2, 0, 3, 2]), to, CHUNKS, ...strides],
    row: t => a.rows[[2, 0, 3, 2][t]],
    bound: exact,
  }),
  rowCase({
    ...{ name: "copy 37 columns", kernel: copyColumns(37), grid: ROWS, operands: [a, b], result: 1 },
    args: (_, at) => [...at, ...strides],
    row: t => a.rows[t].map((v, i) => (i < 37 ? v : 0)),
    bound: exact,
  }),
];

/** [first | second] of 4 heads of 5 + 11 values. */
const joined = (shared: boolean): KernelCase => {
  const [first, second] = [table(random, ROWS, shared ? 5 : 20), table(random, ROWS, 44)];
  return rowCase({
    ...{ name: `join heads${shared ? ", one first part" : ""}`, kernel: joinHeads({ heads: 4, first: 5, second: 11, shared }) },
    ...{ grid: ROWS, operands: [first, second, a], result: 2 },
    args: (_, at) => [...at, first.stride, second.stride, a.stride],
    row: t =>
      [0, 1, 2, 3].flatMap(h => {
        const from = shared ? 0 : 5 * h;
        return [...first.rows[t].slice(from, from + 5), ...second.rows[t].slice(11 * h, 11 * h + 11)];
      }),
    bound: exact,
  });
};

/** Heads of 13 values, which are no whole vectors. The squares' sum has 12 additions at most, half of whose error passes the root. */
const normed = (center: boolean, perHead: boolean): KernelCase => {
  const [heads, headDim, eps] = [3, 13, Math.fround(1e-3)];
  const x = table(random, ROWS, heads * headDim);
  const [weight, bias] = [random.floats(heads * headDim), random.floats(heads * headDim)];
  const place = (i: number): number => (perHead ? i : i % headDim);
  return rowCase({
    name: `norm of heads${center ? ", centred" : ""}${perHead ? ", each its own" : ""}`,
    kernel: headNorm({ center, weight: true, bias: true, perHead }, headDim),
    ...{ grid: heads * ROWS, operands: [x], result: 0 },
    args: (image, at) => [...at, image.f32(weight), image.f32(bias), ROWS, x.stride, Math.fround(1 / headDim), eps],
    row: t =>
      x.rows[t].map((v, i) => {
        const head = x.rows[t].slice(i - (i % headDim), i - (i % headDim) + headDim);
        const mean = center ? head.reduce((s, u) => s + u, 0) / headDim : 0;
        const variance = head.reduce((s, u) => s + (u - mean) ** 2, 0) / headDim;
        return ((v - mean) / Math.sqrt(variance + eps)) * weight[place(i)] + bias[place(i)];
      }),
    bound: (_, __, i) => 32 * U * (4 * Math.abs(weight[place(i)]) + Math.abs(bias[place(i)])),
  });
};

const gatedHeads = rowCase({
  ...{ name: "gate heads", kernel: gateHeads(activations.sigmoid, 4, 16), grid: ROWS, operands: [a, gates], result: 0 },
  args: (_, at) => [...at, a.stride, gates.stride],
  row: t => a.rows[t].map((v, i) => v * sigmoid(gates.rows[t][Math.floor(i / 16)])),
  bound: v => 10 * U * Math.abs(v),
});

export const elementwiseCases: readonly KernelCase[] = [
  ...sums,
  ...copies,
  joined(false),
  joined(true),
  normed(false, false),
  normed(true, true),
  gatedHeads,
];
