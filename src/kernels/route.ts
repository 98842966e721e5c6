/**
 * Which experts a token goes to, and the lists that follow from it: for each expert the tokens it gets, side by side, so that products with
 * expert matrices go over rows that lie together. A token's choice, its weights and the order of its sums depend on the token alone.
 */
import type { Form } from "../formats/packed.ts";
import type { Kernel } from "../ir/node.ts";
import { type Bytes, each, fold, kernel, konst, type Val, when } from "../ir/trace.ts";
import { type Chunk, chunkAt, sink } from "./activations.ts";
import { exp, sigmoid, softplus } from "./math.ts";

type Int = Val<"i32", 1>;
type Scalar = Val<"f32", 1>;

/** What the router's logits become; "selected": they stay, and the softmax is over the chosen experts only. */
export type RouterGating = "softmax" | "sigmoid" | "sqrt_softplus" | "selected";

export interface Routing {
  readonly experts: number;
  /** So many neighbouring experts stand for one that the token goes to, with the probability at that one's number; 1: each for itself. */
  readonly neighbours: number;
  /** Experts that a token goes to. */
  readonly used: number;
  readonly gating: RouterGating;
  /** A bias for each expert, for the choice only. */
  readonly bias: boolean;
  /** Experts come from a table by the token's id. */
  readonly table?: boolean;
  /** The weights of the chosen experts are divided by their sum. */
  readonly normalise: boolean;
  /** Experts are in so many groups, of which the best ones take part; 1: all. */
  readonly groups: number;
  readonly groupsUsed: number;
}

/** Below every score, and below what has been taken out. */
const [OUT, BOTTOM] = [-1e30, -3e30];
/** The smallest sum that weights are divided by. */
const LEAST_SUM = 6.103515625e-5;

const padded = (experts: number): number => 32 * Math.ceil(experts / 32);
/** Bytes of scratch of a token: probabilities, scores, scores of groups. */
export const routeScratch = (r: Routing): number => 4 * (2 * padded(r.experts) + 2 * padded(r.groups));

interface Unit {
  readonly r: Routing;
  readonly scratch: Bytes;
  readonly probabilities: Int;
  readonly scores: Int;
  readonly groups: Int;
}

const at = (base: Int, i: Int): Int => base.add(i.mul(4));

/** Index of the greatest of `count` numbers, the first among equals. */
function greatest(list: Bytes, base: Int, count: number): Int {
  const start = [konst("f32", 1, BOTTOM), konst("i32", 1, 0)] as const;
  const [, index] = fold(count, start, (i, [best, where]) => {
    const v: Scalar = list.load("f32", 1, at(base, i));
    const better = best.lt(v);
    return [better.select(v, best), better.select(i, where)];
  });
  return index;
}

/** Probabilities of all experts; the places behind the last become 0. */
function probabilities(u: Unit, logits: Bytes, row: Int, lanes: Val<"i32", 32>): void {
  const { r, scratch } = u;
  const chunks = padded(r.experts) / 32;
  const inside = (c: Int): Val<"i32", 32> => lanes.lt(konst("i32", 1, r.experts).sub(c.mul(32)).repeat(32));
  const write = (c: Int, v: Chunk): void => scratch.store(u.probabilities.add(c.mul(128)), inside(c).select(v, konst("f32", 32, 0)));
  if (r.gating !== "softmax") {
    const f = { sigmoid, sqrt_softplus: (x: Chunk) => softplus(x).sqrt(), selected: (x: Chunk) => x }[r.gating];
    each(0, chunks, c => write(c, f(chunkAt(logits, row, c))));
    return;
  }
  const [most] = fold(chunks, [konst("f32", 32, OUT)], (c, [m]) => [
    m.max(inside(c).select(chunkAt(logits, row, c), konst("f32", 32, OUT))),
  ]);
  const top = most.greatest().repeat(32) as Chunk;
  const [sums] = fold(chunks, [konst("f32", 32, 0)], (c, [sum]) => {
    const e = inside(c).select(exp(chunkAt(logits, row, c).sub(top)), konst("f32", 32, 0));
    scratch.store(u.probabilities.add(c.mul(128)), e);
    return [sum.add(e)];
  });
  const inverse = konst("f32", 1, 1).div(sums.sum()).repeat(32) as Chunk;
  each(0, chunks, c => {
    const place = u.probabilities.add(c.mul(128));
    scratch.store(place, scratch.load("f32", 32, place).mul(inverse));
  });
}

/** Takes the experts of all but the best groups out of the choice. A group is as good as its two best experts. */
function limitGroups({ r, scratch, scores, groups }: Unit): void {
  const size = r.experts / r.groups;
  const kept = groups.add(4 * padded(r.groups));
  each(0, r.groups, g => {
    const own = scores.add(g.mul(4 * size));
    const start = [konst("f32", 1, BOTTOM), konst("f32", 1, BOTTOM)] as const;
    const [first, second] = fold(size, start, (i, [a, b]) => {
      const v: Scalar = scratch.load("f32", 1, at(own, i));
      return [a.max(v), b.max(a.min(v))];
    });
    scratch.store(at(groups, g), size > 1 ? first.add(second) : first);
    scratch.store(at(kept, g), konst("i32", 1, 0));
  });
  each(0, r.groupsUsed, () => {
    const best = greatest(scratch, groups, r.groups);
    scratch.store(at(groups, best), konst("f32", 1, BOTTOM));
    scratch.store(at(kept, best), konst("i32", 1, 1));
  });
  each(0, r.groups, g => {
    when(scratch.load("i32", 1, at(kept, g)).eq(0), () => {
      each(0, size, i => scratch.store(at(scores.add(g.mul(4 * size)), i), konst("f32", 1, OUT)));
    });
  });
}

/** Weights of the chosen experts, in the order of the choice. */
function weigh(r: Routing, weights: Bytes, own: Int, scale: Scalar): void {
  const place = (j: Int): Int => at(own, j);
  const read = (j: Int): Scalar => weights.load("f32", 1, place(j));
  const sum = (): Scalar => fold(r.used, [konst("f32", 1, 0)], (j, [s]) => [s.add(read(j))])[0];
  if (r.gating === "selected") {
    const [top] = fold(r.used, [konst("f32", 1, BOTTOM)], (j, [m]) => [m.max(read(j))]);
    each(0, r.used, j => weights.store(place(j), exp(read(j).sub(top).repeat(4)).slice(0, 1)));
  }
  const divisor = r.gating === "selected" ? sum() : r.normalise ? sum().max(LEAST_SUM) : undefined;
  each(0, r.used, j => weights.store(place(j), (divisor ? read(j).div(divisor) : read(j)).mul(scale)));
}

/**
 * Slots: logits, for a bias bias, with a table the table (`used` numbers an id) and ids, lanes (the numbers 0 .. 31), chosen (i32, `used` a token), weights (f32 alike), scratch; bytes between rows of
 * logits; what weights are multiplied by. Grid: tokens.
 */
export function route(r: Routing): Kernel {
  const name = `route_${r.gating}_${r.used}_of_${r.experts}${r.bias ? "_bias" : ""}${r.table ? "_table" : ""}${r.normalise ? "_norm" : ""}_g${r.groupsUsed}of${r.groups}_n${r.neighbours}`;
  return kernel(name, s => {
    const logits = s.in("logits");
    const bias = r.bias ? s.in("bias") : undefined;
    const table = r.table ? { numbers: s.in("table"), ids: s.in("ids") } : undefined;
    const [lanes, chosen, weights, scratch] = [s.in("lanes"), s.out("chosen"), s.out("weights"), s.out("scratch")];
    const [stride, scale] = [s.size("stride"), s.scalar("scale")];
    return token => {
      const own = token.mul(routeScratch(r));
      const wide = 4 * padded(r.experts);
      const u: Unit = { r, scratch, probabilities: own, scores: own.add(wide), groups: own.add(2 * wide) };
      probabilities(u, logits, token.mul(stride), lanes.load("i32", 32, 0));
      each(0, r.experts, i => {
        const p: Scalar = scratch.load("f32", 1, at(u.probabilities, i));
        scratch.store(at(u.scores, i), bias ? p.add(bias.load("f32", 1, i.mul(4))) : p);
      });
      if (r.groups > 1) limitGroups(u);
      each(0, r.used, j => {
        const row = table?.ids.load("i32", 1, token.mul(4)).mul(r.used).add(j);
        const named = table && row && table.numbers.load("f32", 1, row.mul(4)).to("i32");
        const best: Int = named ? named.max(0).min(r.experts - 1) : greatest(scratch, u.scores, r.experts);
        const place = token.mul(r.used).add(j).mul(4);
        const target = r.neighbours > 1 ? best.quotient(r.neighbours) : best;
        chosen.store(place, target);
        weights.store(place, scratch.load("f32", 1, at(u.probabilities, target)));
        scratch.store(at(u.scores, best), konst("f32", 1, 2 * OUT));
      });
      weigh(r, weights, token.mul(4 * r.used), scale);
    };
  });
}

/**
 * Sorts (token, expert) entries by expert, tokens in order. Slots: chosen (i32 an entry); starts (i32 [experts + 1]: where each expert's
 * entries begin), active (i32 [1 + experts]: how many experts have entries, then which), entries (the entry at each sorted place), places (the
 * sorted place of each entry); entries in all. Grid: 1.
 */
export const sortByExpert = (experts: number): Kernel =>
  kernel(`sort_by_expert_${experts}`, s => {
    const [chosen, starts, active, entries, places] = [s.in("chosen"), s.out("starts"), s.out("active"), s.out("entries"), s.out("places")];
    const count = s.size("count");
    const read = (from: Bytes, i: Int): Int => from.load("i32", 1, i.mul(4));
    return () => {
      each(0, experts + 1, e => starts.store(e.mul(4), konst("i32", 1, 0)));
      // How many each expert has, in its own place; then sums of those before it.
      each(0, count, i => {
        const e = read(chosen, i);
        starts.store(e.mul(4), read(starts, e).add(1));
      });
      const none = konst("i32", 1, 0);
      const [, used] = fold(experts, [none, none], (e, [before, n]) => {
        const own = read(starts, e);
        starts.store(e.mul(4), before);
        active.store(n.add(1).mul(4), e);
        return [before.add(own), n.add(own.min(1))];
      });
      active.store(0, used);
      each(0, count, i => {
        const e = read(chosen, i);
        const place = read(starts, e);
        entries.store(place.mul(4), i);
        places.store(i.mul(4), place);
        starts.store(e.mul(4), place.add(1));
      });
      // Every start has moved to its end, which is the next one's start.
      each(0, experts, k => {
        const e = konst("i32", 1, experts).sub(k);
        starts.store(e.mul(4), read(starts, e.sub(1)));
      });
      starts.store(0, none);
    };
  });

/** Slots: weights (f32 an entry), chosen (i32 alike), factors (f32 an expert). Grid: entries. */
export const weighByExpert = (): Kernel =>
  kernel("weigh_by_expert", s => {
    const [weights, chosen, factors] = [s.out("weights"), s.in("chosen"), s.in("factors")];
    return entry => {
      const place = entry.mul(4);
      const factor: Scalar = factors.load("f32", 1, chosen.load("i32", 1, place).mul(4));
      weights.store(place, weights.load("f32", 1, place).mul(factor));
    };
  });

/**
 * Rows in sorted order, in the form that the experts multiply with. Slots: x, entries, with `weighted` weights (f32 an entry), out; chunks of 32
 * columns, strides in bytes. Grid: entries.
 */
export const gather = (used: number, form: Form, weighted: boolean): Kernel =>
  kernel(`gather_${used}_${form}${weighted ? "_weighted" : ""}`, s => {
    const [x, entries] = [s.in("x"), s.in("entries")];
    const weights = weighted ? s.in("weights") : undefined;
    const [out, chunks, xStride, outStride] = [s.out("out"), s.size("chunks", 1 << 20), s.size("xStride"), s.size("outStride")];
    return place => {
      const entry = entries.load("i32", 1, place.mul(4));
      const row = entry.quotient(used).mul(xStride);
      const weight = weights?.load("f32", 1, entry.mul(4)).repeat(32) as Chunk | undefined;
      each(0, chunks, c => {
        const v = chunkAt(x, row, c);
        sink(form, out, place.mul(outStride), c, weight ? v.mul(weight) : v);
      });
    };
  });

/**
 * A token's sum over its experts, in the order of its choice: to = (or +=) scale * sum of weight * y. Slots: y (sorted rows), places, with
 * `weighted` weights, to; tokens, strides in bytes; scale. Grid: chunks of 32 columns.
 */
export const combine = (used: number, weighted: boolean, add: boolean): Kernel =>
  kernel(`combine_${used}${weighted ? "_weighted" : ""}${add ? "_add" : ""}`, s => {
    const [y, places] = [s.in("y"), s.in("places")];
    const weights = weighted ? s.in("weights") : undefined;
    const [to, tokens, yStride, toStride, scale] = [
      s.out("to"),
      s.size("tokens"),
      s.size("yStride"),
      s.size("toStride"),
      s.scalar("scale"),
    ];
    return chunk =>
      each(0, tokens, t => {
        const [sum] = fold(used, [konst("f32", 32, 0)], (j, [before]) => {
          const entry = t.mul(used).add(j).mul(4);
          const v = chunkAt(y, places.load("i32", 1, entry).mul(yStride), chunk);
          return [weights ? v.mulAdd(weights.load("f32", 1, entry).repeat(32), before) : before.add(v)];
        });
        const place = t.mul(toStride).add(chunk.mul(128));
        const scaled = sum.mul(scale.repeat(32)) as Chunk;
        to.store(place, add ? (to.load("f32", 32, place) as Chunk).add(scaled) : scaled);
      });
  });
