/**
 * Cases of what attention does beyond the plain causal one: windows, both directions, limits, sinks, biases by distance, chosen keys, entries. One
 * sequence on shuffled pages whose unused places hold not-a-number.
 */
import { type AttendOptions, attend, attendScratch, type HeadShape, headBytes, PAGE } from "../../src/kernels/attend.ts";
import type { Image } from "../fixtures/machines.ts";
import { Random } from "../fixtures/random.ts";
import { type Expected, type KernelCase, U } from "./case.ts";
import { dot, type Table, table } from "./table.ts";

const h: HeadShape = { headDim: 8, ropeDim: 0 };
const [KV_HEADS, GROUP, LENGTH, WINDOW, CAP, ORIGIN] = [2, 2, 2 * PAGE + 9, 20, 3, 5];
const HEADS = KV_HEADS * GROUP;
const OUT = Math.fround(-1e30);
const scale = Math.fround(h.headDim ** -0.5);
const pages = [2, 0, 3];
const positions = [0, 31, 50, LENGTH - 1];

/** Random numbers of one case. */
function numbers() {
  const random = new Random(44);
  const columns = KV_HEADS * h.headDim;
  const past = () => table(random, LENGTH, columns);
  /** Rows of the tokens' own: 0 or a small number where a key counts, never at the first place alone. */
  const marks = (rows: number) => table(random, rows, PAGE * pages.length, () => (random.below(3) ? random.normal() : OUT));
  return {
    q: table(random, positions.length, HEADS * h.headDim),
    sets: [
      { keys: past(), values: past() },
      { keys: past(), values: past() },
    ],
    sinks: random.floats(HEADS),
    slopes: random.floats(HEADS, 0.1).map(Math.abs),
    relative: table(random, HEADS, 2 * LENGTH + PAGE),
    chosen: { 1: marks(positions.length), 2: marks(positions.length * KV_HEADS) } as Readonly<Record<number, Table>>,
    entryRows: marks(positions.length),
  };
}
type Numbers = ReturnType<typeof numbers>;

/** Whether the token at position `t` sees the key at `p`. */
function sees(o: AttendOptions, t: number, p: number): boolean {
  if (!o.bidirectional && p > t) return false;
  if (o.window === "sliding") return t - p < WINDOW;
  if (o.window === "symmetric") return Math.abs(t - p) <= WINDOW / 2;
  if (o.window === "chunked") return Math.floor((t + ORIGIN) / WINDOW) === Math.floor((p + ORIGIN) / WINDOW);
  return true;
}

/** The softmax over everything that a head of a token sees, in float64; bounds as in attend-cases.ts, with tanh's and the added numbers' errors. */
function headTruth(n: Numbers, o: AttendOptions, token: number, head: number): Pick<Expected, "values" | "bounds"> {
  const t = positions[token];
  const kv = Math.floor(head / GROUP);
  const own = (rows: Table, p: number): readonly number[] => rows.rows[p].slice(kv * h.headDim, (kv + 1) * h.headDim);
  const query = n.q.rows[token].slice(head * h.headDim, (head + 1) * h.headDim);
  const seen: { score: number; size: number; value: readonly number[] }[] = [];
  const add = (set: Numbers["sets"][number], p: number, of: (s: number) => number): void => {
    const { sum, size } = dot(own(set.keys, p), query);
    const score = of(scale * sum);
    seen.push({ score, size: scale * size + Math.abs(score), value: own(set.values, p) });
  };
  for (let p = 0; p < LENGTH; p++) {
    const mark = o.selected ? n.chosen[o.selected].rows[o.selected > 1 ? token * KV_HEADS + kv : token][p] : 0;
    if (sees(o, t, p) && mark !== OUT) {
      add(n.sets[0], p, s => {
        const limited = o.softcap ? CAP * Math.tanh(s / CAP) : s;
        const alibi = o.alibi ? -n.slopes[head] * Math.abs(p - t) : 0;
        return limited + alibi + mark + (o.relative ? n.relative.rows[head][p - t + LENGTH] : 0);
      });
    }
    const entry = n.entryRows.rows[token][p];
    if (o.entries && p <= t && entry !== OUT) add(n.sets[1], p, s => s + entry);
  }
  const sink = o.sinks ? n.sinks[head] : Number.NEGATIVE_INFINITY;
  const top = Math.max(sink, ...seen.map(s => s.score));
  const weights = seen.map(s => Math.exp(s.score - top));
  const total = weights.reduce((a, b) => a + b, Math.exp(sink - top));
  const worst = Math.max(...seen.map(s => s.size));
  const relative = (2 * (h.headDim + 12) * worst + 3 * seen.length + 32) * U;
  const at = (f: (v: number) => number, i: number): number => seen.reduce((sum, s, k) => sum + (weights[k] / total) * f(s.value[i]), 0);
  const values = query.map((_, i) => at(v => v, i));
  return { values, bounds: values.map((_, i) => relative * at(Math.abs, i) + 1e-36) };
}

/** Pages of both sets, one after the other in each. */
function fill(n: Numbers): Float32Array {
  const headFloats = headBytes(h.headDim) / 4;
  const memory = new Float32Array(4 * 2 * KV_HEADS * headFloats).fill(Number.NaN);
  n.sets.forEach(({ keys, values }, set) => {
    for (let p = 0; p < LENGTH; p++) {
      for (let c = 0; c < KV_HEADS * h.headDim; c++) {
        const [kv, d, place] = [Math.floor(c / h.headDim), c % h.headDim, p % PAGE];
        const base = ((2 * pages[Math.floor(p / PAGE)] + set) * KV_HEADS + kv) * headFloats;
        memory[base + d * PAGE + place] = keys.rows[p][c];
        memory[base + (PAGE + place) * h.headDim + d] = values.rows[p][c];
      }
    }
  });
  return memory;
}

/** The arguments that the options ask for, in their order. */
function optionArgs(image: Image, n: Numbers, o: AttendOptions, layerBytes: number): number[] {
  const every = (v: number): number => image.i32(positions.map(() => v));
  return [
    ...(o.bidirectional ? [every(LENGTH)] : []),
    ...(o.window === "chunked" ? [every(ORIGIN)] : []),
    ...(o.window ? [WINDOW] : []),
    ...(o.softcap ? [CAP, Math.fround(1 / CAP)] : []),
    ...(o.sinks ? [image.f32(n.sinks)] : []),
    ...(o.alibi ? [image.f32(n.slopes)] : []),
    ...(o.selected ? [n.chosen[o.selected].put(image), n.chosen[o.selected].stride] : []),
    ...(o.entries ? [n.entryRows.put(image), n.entryRows.stride, layerBytes] : []),
    ...(o.relative ? [n.relative.put(image), n.relative.stride, LENGTH] : []),
  ];
}

export function attendOptionsCase(o: AttendOptions): KernelCase {
  const n = numbers();
  const { parts = 1 } = o;
  const group = GROUP / parts;
  const blocks = KV_HEADS * parts;
  return {
    name: `attend with ${JSON.stringify(o)}`,
    kernel: attend(h, group, o),
    bytes: 8 * positions.length * KV_HEADS * h.headDim,
    operations: 4 * positions.length * HEADS * h.headDim,
    lay: image => {
      const layerBytes = KV_HEADS * headBytes(h.headDim);
      const lists = [pages, positions.map(() => 0), positions, Array.from({ length: PAGE }, (_, i) => i)];
      const inputs = [n.q.put(image), image.f32(fill(n)), ...lists.map(l => image.i32(l))];
      const bytes = attendScratch(group) * blocks * positions.length;
      const scratch = { at: image.space(bytes), bytes };
      const stride = 4 * HEADS * h.headDim + 16;
      const out = image.space(stride * positions.length, 0x77);
      const expected = positions.flatMap((_, t) =>
        Array.from({ length: HEADS }, (_, head): Expected => {
          const at = out + t * stride + 4 * head * h.headDim;
          return { what: `token ${t} head ${head}`, at, ...headTruth(n, o, t, head) };
        }),
      );
      const sizes = [positions.length, n.q.stride, stride, 2 * layerBytes, 0, scale];
      const args = [...inputs, scratch.at, out, ...sizes, ...optionArgs(image, n, o, layerBytes)];
      return { grid: blocks * positions.length, args, expected, scratch: [scratch] };
    },
  };
}

export const attendOptionCases: readonly KernelCase[] = (
  [
    { entries: true },
    { entries: true, window: "sliding", sinks: true },
    { window: "sliding" },
    { window: "chunked" },
    { bidirectional: true },
    { bidirectional: true, window: "symmetric" },
    { softcap: true },
    { sinks: true, parts: 2 },
    { alibi: true },
    { relative: true },
    { selected: 1 },
    { selected: 2 },
  ] satisfies AttendOptions[]
).map(attendOptionsCase);
