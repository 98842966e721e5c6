/**
 * Cases of the kernels with a state. Nine rows of a step belong to three sequences: one begins from the empty state in two segments and goes on in
 * place, one forks off between them, one is alone. So every row's truth is what the reference gives after the rows before it.
 */
import {
  causalConvolution,
  gatedDeltaHead,
  linearAttentionHead,
  mamba2Head,
  type Row,
  rwkv6Head,
  rwkv7Head,
  selectiveScan,
} from "../../reference/recurrent.ts";
import { type ConvShape, conv, convState, convUnits, shift } from "../../src/kernels/conv.ts";
import {
  type LinearStateShape,
  linearState,
  linearStateKernel,
  linearStateName,
  linearStateRows,
  linearStateUnits,
} from "../../src/kernels/linear-state.ts";
import { type GroupNormShape, groupNorm, mapRows } from "../../src/kernels/rows.ts";
import { type ScanShape, scan, scanState, scanUnits } from "../../src/kernels/scan.ts";
import type { Image } from "../fixtures/machines.ts";
import { Random } from "../fixtures/random.ts";
import { type Expected, type KernelCase, type Laid, U } from "./case.ts";

const ROWS = 9;
const SLOTS = 6;
/** [rows, slot before, slot after]: the second and third begin where the first ends; the fourth goes on after the second, in place. */
const segments: readonly (readonly [readonly number[], number, number])[] = [
  [[4, 0, 7], 0, 3],
  [[2, 8], 3, 5],
  [[1, 3], 3, 1],
  [[5], 5, 5],
  [[6], 0, 2],
];
/** The sequences that these segments make, and the rows of each whose results are compared. */
const sequences = [[4, 0, 7, 2, 8, 5], [4, 0, 7, 1, 3], [6]];

/** Rows of activations with padding between them. */
class Rows {
  readonly values: number[][];
  readonly stride: number;

  constructor(columns: number, fill: () => number) {
    this.values = Array.from({ length: ROWS }, () => Array.from({ length: columns }, () => Math.fround(fill())));
    this.stride = 4 * (columns + 4);
  }
  put = (image: Image): number => image.f32(...this.values.map(row => [...row, 7, 7, 7, 7]));
  /** Columns of the rows of a sequence. */
  of = (sequence: readonly number[], from = 0, to?: number): Row[] => sequence.map(r => this.values[r].slice(from, to));
}

interface StateCase {
  readonly name: string;
  readonly kernel: KernelCase["kernel"];
  readonly grid: number;
  readonly stateBytes: number;
  readonly columns: number;
  readonly operations: number;
  /** Operands before the segments' slots (the result comes last), and the strides after them. */
  readonly operands: (image: Image, out: number, stride: number) => { before: readonly number[]; after: readonly number[] };
  /** Results of a sequence of rows. */
  readonly truth: (sequence: readonly number[]) => readonly Row[];
}

/**
 * Bound: each result is a sum of products that passed a dozen roundings a token; 64 U of the largest result covers six tokens, and is far below
 * what a wrong term would move.
 */
function stateCase(c: StateCase): KernelCase {
  const lay = (image: Image): Laid => {
    const stride = 4 * (c.columns + 4);
    const out = image.space(ROWS * stride, 0x77);
    const order = image.i32(segments.flatMap(([rows]) => [...rows]));
    const firsts = segments.map((_, i) => segments.slice(0, i).reduce((n, [rows]) => n + rows.length, 0));
    const table = image.i32(segments.flatMap(([rows, from, to], i) => [firsts[i], rows.length, from, to]));
    const states = image.space(SLOTS * c.stateBytes);
    const { before, after } = c.operands(image, out, stride);
    const results = new Map(sequences.flatMap(rows => c.truth(rows).map((values, i) => [rows[i], values] as const)));
    const scale = Math.max(...[...results.values()].flat().map(Math.abs));
    const expected = [...results].map(
      ([row, values]): Expected => ({
        what: `row ${row}`,
        at: out + row * stride,
        values: [...values],
        bounds: values.map(() => 64 * U * (1 + scale)),
      }),
    );
    const args = [...before, order, table, states, segments.length, c.stateBytes, ...after];
    return { grid: c.grid, args, expected, scratch: [{ at: states, bytes: SLOTS * c.stateBytes }] };
  };
  return { name: c.name, kernel: c.kernel, bytes: ROWS * 4 * c.columns, operations: c.operations, lay };
}

const silu = (x: number): number => x / (1 + Math.exp(-x));

export const convCase = (c: ConvShape): KernelCase => {
  const random = new Random(61);
  const x = new Rows(c.channels, random.normal);
  const filter = Array.from({ length: c.channels }, () => Array.from(random.floats(c.kernel, 0.5)));
  const bias = c.bias ? Array.from(random.floats(c.channels)) : undefined;
  return stateCase({
    name: `conv of ${c.kernel} over ${c.channels}${c.bias ? ", bias" : ""}${c.silu ? ", SiLU" : ""}`,
    kernel: conv(c),
    grid: convUnits(c.channels),
    stateBytes: convState(c),
    columns: c.channels,
    operations: 2 * ROWS * c.channels * c.kernel,
    operands: (image, out, stride) => {
      const weights = image.f32(
        Array.from({ length: c.kernel * c.channels }, (_, i) => filter[i % c.channels][Math.floor(i / c.channels)]),
      );
      return { before: [x.put(image), weights, ...(bias ? [image.f32(bias)] : []), out], after: [x.stride, stride] };
    },
    truth: rows => causalConvolution(x.of(rows), filter, bias).map(row => (c.silu ? row.map(silu) : row)),
  });
};

export const shiftCase = (channels: number): KernelCase => {
  const x = new Rows(channels, new Random(62).normal);
  return stateCase({
    name: `shift of ${channels}`,
    kernel: shift(channels),
    grid: convUnits(channels),
    stateBytes: 4 * channels,
    columns: channels,
    operations: 0,
    operands: (image, out, stride) => ({ before: [x.put(image), out], after: [x.stride, stride] }),
    truth: rows => x.of(rows).map((_, i) => (i ? x.of(rows)[i - 1] : new Array<number>(channels).fill(0))),
  });
};

export const scanCase = (c: ScanShape): KernelCase => {
  const random = new Random(63);
  const x = new Rows(c.channels, random.normal);
  const dt = new Rows(c.channels, random.unit);
  const [b, cs] = [new Rows(c.states, random.normal), new Rows(c.states, random.normal)];
  const a = Array.from({ length: c.channels }, () => Array.from({ length: c.states }, () => Math.fround(-3 * random.unit())));
  return stateCase({
    name: `scan of ${c.channels} x ${c.states}`,
    kernel: scan(c),
    grid: scanUnits(c),
    stateBytes: scanState(c),
    columns: c.channels,
    operations: 20 * ROWS * c.channels * c.states,
    operands: (image, out, stride) => {
      const decays = image.f32(Array.from({ length: c.states * c.channels }, (_, i) => a[i % c.channels][Math.floor(i / c.channels)]));
      const inputs = [x, dt, b, cs];
      return { before: [...inputs.map(r => r.put(image)), decays, out], after: [...inputs.map(r => r.stride), stride] };
    },
    truth: rows => selectiveScan(x.of(rows), dt.of(rows), a, b.of(rows), cs.of(rows)),
  });
};

/** Rows of inputs by their names; decays in (0, 1), away and back as in RWKV-7: a direction of length 1, and the same times a rate. */
function stateInputs(c: LinearStateShape): Map<string, Rows> {
  const random = new Random(64);
  const small = (): number => random.normal() * c.keyDim ** -0.5;
  const keys = c.keyHeads * c.keyDim;
  const rows = new Map([
    ["q", new Rows(c.shared === "qk" ? keys : c.heads * c.keyDim, small)],
    ["k", new Rows(keys, small)],
    ["v", new Rows((c.shared === "kv" ? c.keyHeads : c.heads) * c.valueDim, random.normal)],
    ["decay", new Rows(c.decay === "head" ? c.heads : c.heads * c.keyDim, () => 0.3 + 0.7 * random.unit())],
    ["rate", new Rows(c.heads, random.unit)],
    ["bonus", new Rows(c.heads * c.keyDim, random.normal)],
    ["away", new Rows(c.heads * c.keyDim, small)],
    ["back", new Rows(c.heads * c.keyDim, small)],
  ]);
  return rows;
}

/** The result of one head over a sequence, by its rule. */
function headTruth(c: LinearStateShape, inputs: Map<string, Rows>, rows: readonly number[], head: number): number[][] {
  const keyHead = c.cycle ? head % c.keyHeads : Math.floor(head / (c.heads / c.keyHeads));
  const [queryHead, valueHead] = c.shared === "qk" ? [keyHead, head] : [head, keyHead];
  const part = (name: string, h: number, size: number): Row[] => inputs.get(name)!.of(rows, h * size, (h + 1) * size);
  const [q, k, v] = [part("q", queryHead, c.keyDim), part("k", keyHead, c.keyDim), part("v", valueHead, c.valueDim)];
  const decay = part("decay", head, c.decay === "head" ? 1 : c.keyDim);
  const rate = part("rate", head, 1).map(([r]) => r);
  if (c.rule === "delta") return gatedDeltaHead(q, k, v, decay, rate);
  if (c.rule === "blend") {
    const rest = k.map((row, t) => row.map((x, n) => x * (1 - decay[t][n])));
    return linearAttentionHead(q, rest, v, decay);
  }
  if (c.rule === "bonus") return rwkv6Head(q, k, v, decay, inputs.get("bonus")!.values[0].slice(head * c.keyDim, (head + 1) * c.keyDim));
  if (c.rule === "replace") return rwkv7Head(q, k, v, decay, part("away", head, c.keyDim), part("back", head, c.keyDim));
  if (!c.rate) return linearAttentionHead(q, k, v, decay);
  // Mamba-2 says the decay as exp(dt a): with a = -1 the step is -ln(decay), and the value is scaled so that its rate is `rate`.
  const dt = decay.map(([d]) => -Math.log(d));
  return mamba2Head(
    v.map((row, t) => row.map(x => (x * rate[t]) / dt[t])),
    dt,
    -1,
    k,
    q,
  );
}

export const linearStateCase = (c: LinearStateShape): KernelCase => {
  const inputs = stateInputs(c);
  const names = linearStateRows(c);
  return stateCase({
    name: linearStateName(c),
    kernel: linearStateKernel(c),
    grid: linearStateUnits(c),
    stateBytes: linearState(c),
    columns: c.heads * c.valueDim,
    operations: 4 * ROWS * c.heads * c.keyDim * c.valueDim,
    operands: (image, out, stride) => ({
      before: [...names.map(n => inputs.get(n)!.put(image)), out],
      after: [...names.map(n => (n === "bonus" ? 0 : inputs.get(n)!.stride)), stride],
    }),
    truth: rows => {
      const heads = Array.from({ length: c.heads }, (_, h) => headTruth(c, inputs, rows, h));
      return rows.map((_, i) => heads.flatMap(result => result[i]));
    },
  });
};

const mean = (x: Row): number => x.reduce((a, b) => a + b, 0) / x.length;
const norms: Readonly<Record<GroupNormShape["kind"], (x: Row, eps: number) => number[]>> = {
  rms: (x, eps) => x.map(v => v / Math.sqrt(mean(x.map(u => u * u)) + eps)),
  layer: (x, eps) =>
    norms.rms(
      x.map(v => v - mean(x)),
      eps,
    ),
  l2: (x, eps) => x.map(v => v / Math.max(Math.hypot(...x), eps)),
  sum: x => x.map(() => mean(x) * x.length),
};

export const groupNormCase = (c: GroupNormShape, groups: number): KernelCase => {
  const random = new Random(65);
  const columns = groups * c.width;
  const rows = new Rows(columns, random.normal);
  const [weight, bias] = [random.floats(columns), random.floats(columns)];
  const eps = 1e-3;
  return {
    name: `group norm ${c.kind} of ${groups} x ${c.width}${c.weight ? ", weight" : ""}${c.bias ? ", bias" : ""}`,
    kernel: groupNorm(c),
    bytes: ROWS * columns * 8,
    operations: ROWS * columns * 6,
    lay: image => {
      const [x, out] = [rows.put(image), image.space(ROWS * rows.stride, 0x77)];
      const vectors = [...(c.weight ? [image.f32(weight)] : []), ...(c.bias ? [image.f32(bias)] : [])];
      const expected = rows.values.map((row, r): Expected => {
        const values = Array.from({ length: groups }, (_, g) => norms[c.kind](row.slice(g * c.width, (g + 1) * c.width), Math.fround(eps)))
          .flat()
          .map((v, i) => v * (c.weight ? weight[i] : 1) + (c.bias ? bias[i] : 0));
        const size = values.map((_, i) => 1 + Math.abs(c.weight ? weight[i] : 1) * (c.kind === "sum" ? c.width : 4));
        return { what: `row ${r}`, at: out + r * rows.stride, values, bounds: size.map(s => 16 * U * s) };
      });
      return { grid: ROWS * groups, args: [x, ...vectors, out, groups, rows.stride, rows.stride, Math.fround(eps)], expected };
    },
  };
};

/** a b + v, a and b rows with strides of their own. */
export const mapCase = (columns: number): KernelCase => {
  const random = new Random(66);
  const [a, b] = [new Rows(columns, random.normal), new Rows(columns + 32, random.normal)];
  const v = random.floats(columns);
  return {
    name: `map of ${columns}`,
    kernel: mapRows("product_plus", "f32", ["rows", "rows", "vector"], (x, y, z) => x.mul(y).add(z)),
    bytes: ROWS * columns * 12,
    operations: ROWS * columns * 2,
    lay: image => {
      const stride = 4 * columns;
      const [x, y, z, out] = [a.put(image), b.put(image), image.f32(v), image.space(ROWS * stride, 0x77)];
      const expected = a.values.map((row, r): Expected => {
        const values = row.map((value, i) => value * b.values[r][i] + v[i]);
        const bounds = values.map((_, i) => 2 * U * (Math.abs(row[i] * b.values[r][i]) + Math.abs(v[i])));
        return { what: `row ${r}`, at: out + r * stride, values, bounds };
      });
      return { grid: columns / 32, args: [x, y, z, out, ROWS, a.stride, b.stride, stride], expected };
    },
  };
};

const state = { heads: 2, keyHeads: 2, keyDim: 8, valueDim: 8, shared: "qk", rule: "add", decay: "head", rate: false } as const;

export const recurrentCases: readonly KernelCase[] = [
  convCase({ channels: 32, kernel: 4, bias: true, silu: true }),
  convCase({ channels: 24, kernel: 3, bias: false, silu: false }),
  shiftCase(64),
  scanCase({ channels: 16, states: 8 }),
  scanCase({ channels: 8, states: 5 }),
  linearStateCase({ ...state, rate: true, heads: 4, valueDim: 16 }), // Mamba-2
  linearStateCase({ ...state, rule: "blend", shared: "kv", heads: 4, decay: "key", keyDim: 16 }), // gated linear attention
  linearStateCase({ ...state, keyDim: 6 }),
  linearStateCase({ ...state, rule: "bonus", decay: "key", valueDim: 32 }),
  linearStateCase({ ...state, rule: "delta", rate: true, heads: 4, keyHeads: 2, valueDim: 64 }),
  linearStateCase({ ...state, rule: "delta", rate: true, heads: 4, keyHeads: 2, cycle: true }),
  linearStateCase({ ...state, rule: "delta", rate: true, decay: "key", valueDim: 4 }),
  linearStateCase({ ...state, rule: "replace", decay: "key", valueDim: 16 }),
  groupNormCase({ kind: "rms", width: 16, weight: true, bias: false }, 2),
  groupNormCase({ kind: "layer", width: 32, weight: true, bias: true }, 3),
  groupNormCase({ kind: "l2", width: 8, weight: false, bias: false }, 4),
  groupNormCase({ kind: "sum", width: 64, weight: false, bias: false }, 1),
  groupNormCase({ kind: "rms", width: 4, weight: false, bias: false }, 1),
  mapCase(64),
];
