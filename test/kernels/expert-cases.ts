/** Cases of the kernels around experts: the choice, the lists that follow from it, rows gathered and summed, products with one of several matrices. */
import { expect } from "vitest";
import { weightFormats } from "../../src/formats/index.ts";
import { activationBytes, type Form } from "../../src/formats/packed.ts";
import { headMatmul, type MatmulSchedule, routedMatmul, rowsPerUnit } from "../../src/kernels/matmul.ts";
import { combine, gather, type Routing, route, routeScratch, sortByExpert, weighByExpert } from "../../src/kernels/route.ts";
import { wordsAt } from "../fixtures/machines.ts";
import { packRows, paddedTo } from "../fixtures/packing.ts";
import { Random } from "../fixtures/random.ts";
import { type Expected, type KernelCase, U } from "./case.ts";
import { written } from "./row-cases.ts";
import { dot, type Table, table } from "./table.ts";

const sum = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0);
const softmax = (x: readonly number[]): number[] => {
  const top = Math.max(...x);
  const powers = x.map(v => Math.exp(v - top));
  return powers.map(p => p / sum(powers));
};
const gatings: Readonly<Record<Routing["gating"], (x: readonly number[]) => number[]>> = {
  softmax,
  sigmoid: x => x.map(v => 1 / (1 + Math.exp(-v))),
  sqrt_softplus: x => x.map(v => Math.sqrt(Math.log1p(Math.exp(v)))),
  selected: x => [...x],
};

/** Numbers of experts, best first, whose groups are among the best by the sum of their two best. */
function ranked(scores: readonly number[], { groups, groupsUsed }: Routing): number[] {
  const size = scores.length / groups;
  const worth = Array.from({ length: groups }, (_, g) => {
    const [first, second = 0] = scores.slice(g * size, (g + 1) * size).sort((a, b) => b - a);
    return { g, worth: first + second };
  });
  const kept = new Set(
    worth
      .sort((a, b) => b.worth - a.worth)
      .slice(0, groupsUsed)
      .map(w => w.g),
  );
  const all = scores.map((_, e) => e).filter(e => kept.has(Math.floor(e / size)));
  return all.sort((a, b) => scores[b] - scores[a]);
}

/** Bound: exp is off by 4 U, and its argument's rounding moves it by U times the argument (below 8); sums and quotients add some: 64 U in all. */
export function routeCase(r: Routing): KernelCase {
  const random = new Random(91);
  const logits = table(random, 5, 32 * Math.ceil(r.experts / 32));
  const [bias, scale] = [random.floats(r.experts), 2.5];
  const ids = [3, 0, 5, 1, 2];
  const named = Array.from({ length: 6 * r.used }, (_, i) => (i === 0 ? -1 : i === 1 ? 99 : (5 * i) % r.experts));
  const results = logits.rows.map((row, t) => {
    const p = gatings[r.gating](row.slice(0, r.experts));
    const best = r.table
      ? named.slice(ids[t] * r.used, (ids[t] + 1) * r.used).map(e => Math.min(Math.max(e, 0), r.experts - 1))
      : ranked(
          p.map((v, e) => v + (r.bias ? bias[e] : 0)),
          r,
        ).slice(0, r.used);
    const chosen = best.map(e => Math.floor(e / r.neighbours));
    const own = chosen.map(e => p[e]);
    const weights = r.gating === "selected" ? softmax(own) : own.map(w => (r.normalise ? w / Math.max(sum(own), 2 ** -14) : w));
    return { chosen, weights: weights.map(w => w * scale) };
  });
  return {
    name: `route ${JSON.stringify(r)}`,
    kernel: route(r),
    bytes: 4 * results.length * r.experts,
    operations: 20 * results.length * r.experts,
    lay: image => {
      const inputs = [logits.put(image), ...(r.bias ? [image.f32(bias)] : []), ...(r.table ? [image.f32(named), image.i32(ids)] : [])];
      const lanes = image.i32(Array.from({ length: 32 }, (_, i) => i));
      const bytes = 4 * r.used * results.length;
      const [chosen, weights] = [image.space(bytes, 0x77), image.space(bytes, 0x77)];
      const scratch = { at: image.space(routeScratch(r) * results.length), bytes: routeScratch(r) * results.length };
      const values = results.flatMap(x => x.weights);
      const bounds = values.map(v => 64 * U * Math.abs(v));
      const check = (memory: Uint8Array): void =>
        expect([...wordsAt(memory, chosen, r.used * results.length)]).toEqual(results.flatMap(x => x.chosen));
      return {
        grid: results.length,
        args: [...inputs, lanes, chosen, weights, scratch.at, logits.stride, scale],
        expected: [{ what: "weights", at: weights, values, bounds }],
        scratch: [scratch, { at: chosen, bytes }],
        check,
      };
    },
  };
}

/** The lists that a choice makes, by sorting. */
function sorted(chosen: readonly number[], experts: number) {
  const entries = chosen.map((_, i) => i).sort((a, b) => chosen[a] - chosen[b] || a - b);
  const starts = Array.from({ length: experts + 1 }, (_, e) => chosen.filter(c => c < e).length);
  const used = [...new Set(chosen)].sort((a, b) => a - b);
  const places = chosen.map((_, i) => entries.indexOf(i));
  return { starts, active: [used.length, ...used], entries, places };
}

const choices = [4, 1, 0, 4, 4, 1, 6, 0, 4, 6];

export function sortCase(experts: number): KernelCase {
  const truth = sorted(choices, experts);
  return {
    name: `sort by ${experts} experts`,
    kernel: sortByExpert(experts),
    bytes: 12 * choices.length,
    operations: 8 * choices.length,
    lay: image => {
      const lists = Object.values({ ...truth, active: Array.from({ length: experts + 1 }, () => 0) }).map(list => ({
        at: image.space(4 * list.length, 0x77),
        bytes: 4 * list.length,
      }));
      const check = (memory: Uint8Array): void => {
        for (const [i, list] of Object.values(truth).entries()) expect([...wordsAt(memory, lists[i].at, list.length)]).toEqual(list);
      };
      return { grid: 1, args: [image.i32(choices), ...lists.map(l => l.at), choices.length], expected: [], scratch: lists, check };
    },
  };
}

export function weighCase(): KernelCase {
  const random = new Random(92);
  const [weights, factors] = [random.floats(choices.length), random.floats(7)];
  return {
    name: "weights by expert",
    kernel: weighByExpert(),
    bytes: 12 * choices.length,
    operations: choices.length,
    lay: image => {
      const at = image.f32(weights);
      const values = choices.map((e, i) => weights[i] * factors[e]);
      const bounds = values.map(v => U * Math.abs(v));
      const args = [at, image.i32(choices), image.f32(factors)];
      return { grid: choices.length, args, expected: [{ what: "weights", at, values, bounds }] };
    },
  };
}

const USED = 2;

export function gatherCase(form: Form, weighted: boolean): KernelCase {
  const random = new Random(93);
  const columns = 64;
  const x = table(random, choices.length / USED, columns);
  const weights = random.floats(choices.length);
  const { entries } = sorted(choices, 7);
  return {
    name: `gather rows ${form}${weighted ? ", weighted" : ""}`,
    kernel: gather(USED, form, weighted),
    bytes: entries.length * (4 * columns + activationBytes(form, columns)),
    operations: entries.length * columns,
    lay: image => {
      const stride = activationBytes(form, columns);
      const out = image.space(stride * entries.length, 0x77);
      const rows = entries.map(e => {
        const values = Float64Array.from(x.rows[Math.floor(e / USED)], v => v * (weighted ? weights[e] : 1));
        return { values, bounds: values.map(v => (weighted ? U * Math.abs(v) : 0)) };
      });
      const inputs = [x.put(image), image.i32(entries), ...(weighted ? [image.f32(weights)] : [])];
      return { grid: entries.length, args: [...inputs, out, columns / 32, x.stride, stride], ...written(form, out, rows) };
    },
  };
}

export function combineCase(weighted: boolean, add: boolean): KernelCase {
  const random = new Random(94);
  const [columns, scale] = [64, 0.75];
  const y = table(random, choices.length, columns);
  const to = table(random, choices.length / USED, columns);
  const weights = random.floats(choices.length);
  const { places } = sorted(choices, 7);
  return {
    name: `combine${weighted ? ", weighted" : ""}${add ? ", added" : ""}`,
    kernel: combine(USED, weighted, add),
    bytes: 4 * columns * (choices.length + to.rows.length),
    operations: 2 * columns * choices.length,
    lay: image => {
      const at = to.put(image);
      const expected = to.rows.map((row, t): Expected => {
        const own = Array.from({ length: USED }, (_, j) => USED * t + j);
        const factors = own.map(e => scale * (weighted ? weights[e] : 1));
        const sums = row.map((before, i) => dot([add ? before : 0, ...own.map(e => y.rows[places[e]][i])], [1, ...factors]));
        const bounds = sums.map(s => (USED + 4) * U * s.size);
        return { what: `token ${t}`, at: at + t * to.stride, values: sums.map(s => s.sum), bounds };
      });
      const inputs = [y.put(image), image.i32(places), ...(weighted ? [image.f32(weights)] : [])];
      return { grid: columns / 32, args: [...inputs, at, to.rows.length, y.stride, to.stride, scale], expected };
    },
  };
}

/** Matrices of f32, one after the other, each padded by itself; and their products with a row. */
function matrices(random: Random, count: number, outputs: number, inputs: number) {
  const format = weightFormats.get("F32")!;
  const all = Array.from({ length: count }, () => random.floats(outputs * inputs));
  const product = (m: number, x: readonly number[]) =>
    Array.from({ length: outputs }, (_, r) => dot(all[m].subarray(r * inputs, (r + 1) * inputs), x));
  const bytes = all.flatMap(m => [...packRows(format, new Uint8Array(m.buffer), outputs, inputs).bytes]);
  return { packed: format.packed, bytes: Uint8Array.from(bytes), product };
}

/** Rows of x as products take them, without padding between them. */
const dense = (t: Table): readonly number[] => t.rows.flat();

export function routedCase(schedule: MatmulSchedule, biased: boolean): KernelCase {
  const random = new Random(95);
  const [inputs, outputs, experts] = [64, 24, 7];
  const { packed, bytes, product } = matrices(random, experts, outputs, inputs);
  const x = table(random, choices.length, inputs);
  const padded = paddedTo(outputs);
  const bias = table(random, experts, padded).rows;
  const { starts, active, entries } = sorted(choices, experts);
  const stride = activationBytes("f32", inputs);
  return {
    name: `product with experts' matrices ${JSON.stringify(schedule)}${biased ? ", bias" : ""}`,
    kernel: routedMatmul(packed, schedule, stride, biased),
    bytes: 4 * inputs * (outputs * (active.length - 1) + choices.length),
    operations: 2 * inputs * outputs * choices.length,
    lay: image => {
      const [w, from] = [image.put(bytes), image.f32(dense(x))];
      const yStride = 4 * padded + 32;
      const y = image.space(yStride * choices.length, 0x77);
      const expected = entries.map((e, place): Expected => {
        const sums = product(choices[e], x.rows[place]);
        const own = bias[choices[e]];
        const values = Array.from({ length: padded }, (_, r) => (sums[r]?.sum ?? 0) + (biased ? own[r] : 0));
        const bounds = values.map((_, r) => (inputs + 2) * U * ((sums[r]?.size ?? 0) + (biased ? Math.abs(own[r]) : 0)));
        return { what: `row ${place}`, at: y + place * yStride, values, bounds };
      });
      const lists = [image.i32(starts), image.i32(active)];
      const more = biased ? [image.f32(...bias)] : [];
      const args = [w, from, y, ...lists, inputs / packed.inputs, padded / 8, yStride, ...more];
      return { grid: padded / rowsPerUnit(schedule), args, expected };
    },
  };
}

export function headProductCase(schedule: MatmulSchedule): KernelCase {
  const random = new Random(96);
  const [inputs, outputs, heads, tokens] = [32, 32, 3, 5];
  const { packed, bytes, product } = matrices(random, heads, outputs, inputs);
  const x = table(random, tokens, heads * inputs);
  const stride = activationBytes("f32", heads * inputs);
  return {
    name: `product with heads' matrices ${JSON.stringify(schedule)}`,
    kernel: headMatmul(packed, schedule, stride),
    bytes: 4 * heads * inputs * (outputs + tokens),
    operations: 2 * inputs * outputs * heads * tokens,
    lay: image => {
      const [w, from] = [image.put(bytes), image.f32(dense(x))];
      const yStride = 4 * heads * outputs + 32;
      const y = image.space(yStride * tokens, 0x77);
      const expected = x.rows.map((row, t): Expected => {
        const sums = Array.from({ length: heads }, (_, h) => product(h, row.slice(h * inputs, (h + 1) * inputs))).flat();
        const bounds = sums.map(s => (inputs + 2) * U * s.size);
        return { what: `token ${t}`, at: y + t * yStride, values: sums.map(s => s.sum), bounds };
      });
      const args = [w, from, y, inputs / packed.inputs, outputs / 8, activationBytes("f32", inputs), tokens, yStride];
      return { grid: (heads * outputs) / rowsPerUnit(schedule), args, expected };
    },
  };
}

const routing: Routing = {
  ...{ experts: 12, neighbours: 1, used: 3, gating: "softmax" },
  ...{ bias: false, normalise: false, groups: 1, groupsUsed: 1 },
};

export const expertCases: readonly KernelCase[] = [
  routeCase(routing),
  routeCase({ ...routing, experts: 40, normalise: true }),
  routeCase({ ...routing, gating: "sigmoid", bias: true, normalise: true, groups: 3, groupsUsed: 2 }),
  routeCase({ ...routing, gating: "sqrt_softplus", bias: true }),
  routeCase({ ...routing, gating: "sqrt_softplus", normalise: true, table: true }),
  routeCase({ ...routing, gating: "selected" }),
  routeCase({ ...routing, neighbours: 2 }),
  sortCase(7),
  weighCase(),
  gatherCase("f32", false),
  gatherCase("q8", false),
  gatherCase("f32", true),
  combineCase(false, false),
  combineCase(true, false),
  combineCase(true, true),
  routedCase({ tokens: 2, groups: 1 }, false),
  routedCase({ tokens: 1, groups: 2 }, true),
  headProductCase({ tokens: 4, groups: 1 }),
  headProductCase({ tokens: 1, groups: 2 }),
];
