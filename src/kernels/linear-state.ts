/**
 * Attention whose past is one matrix a head instead of a list of keys and values: S [key][value], decayed and added to by every token. One
 * kernel for Mamba-2, gated linear and lightning attention, RWKV-6 and 7, gated delta net and KDA, which differ in what decays, how the new
 * value is corrected by what S already answers, and when S is read. Tokens go one after the other whatever the batch, values of a head side by
 * side in lanes, keys in order: a token's result is the same alone and in a crowd. State: [unit][key][lanes] f32.
 */
import type { Kernel } from "../ir/node.ts";
import { type Bytes, each, fold, kernel, konst, type Val } from "../ir/trace.ts";
import { eachSegment, lanesOf, segmentSlots } from "./segments.ts";

type Int = Val<"i32", 1>;
type Lanes = Val<"f32", number>;

/** What a token does to S, before it is read with q: o = sum over n of q[n] S[n]. */
export type StateRule =
  /** S[n] = decay S[n] + k[n] rate v. */
  | "add"
  /** S[n] = decay S[n] + (1 - decay) k[n] v. */
  | "blend"
  /** As "add" with rate 1, but o reads the S of before, and the new value with a weight of its own: + q[n] bonus[n] k[n] v (RWKV-6). */
  | "bonus"
  /** S[n] = decay S[n]; d = rate (v - sum over n of k[n] S[n]); S[n] += k[n] d (gated delta net). */
  | "delta"
  /** u = sum over n of away[n] S[n]; S[n] = decay S[n] + u back[n] + k[n] v (RWKV-7). */
  | "replace";

export interface LinearStateShape {
  readonly heads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  /** k heads: `heads` or a divisor of it. Head h reads floor(h / (heads / keyHeads)), or h mod keyHeads where `cycle` is set. */
  readonly keyHeads: number;
  readonly cycle?: boolean;
  /** What is shared like k: q ("qk") or v ("kv"). The other has `heads` heads. */
  readonly shared: "qk" | "kv";
  readonly rule: StateRule;
  /** Whether S decays by one number a head, or by one for each key. */
  readonly decay: "head" | "key";
  /** Whether a head has a rate (rules "add" and "delta"). */
  readonly rate: boolean;
}

export const linearState = (c: LinearStateShape): number => 4 * c.heads * c.keyDim * c.valueDim;
/** Grid of `linearStateKernel`. */
export const linearStateUnits = (c: LinearStateShape): number => c.heads * (c.valueDim / lanesOf(c.valueDim));

/** Further rows of inputs, by rule; each has a value for every key of every head. */
const extras: Readonly<Record<StateRule, readonly string[]>> = {
  add: [],
  blend: [],
  bonus: ["bonus"],
  delta: [],
  replace: ["away", "back"],
};
/** Names of the operands that are rows of activations, in slot order. */
export const linearStateRows = (c: LinearStateShape): readonly string[] => [
  ...["q", "k", "v", "decay"],
  ...(c.rate ? ["rate"] : []),
  ...extras[c.rule],
];

/** One token as a unit sees it: scalars of key n, and the unit's values. */
interface Token {
  readonly key: (operand: string, n: Int) => Lanes;
  readonly value: Lanes;
  readonly rate: Lanes | undefined;
  readonly decay: (n: Int) => Lanes;
}

/** What happens at key n: S[n] as it was, and the sum so far, to which it adds. */
type Turn = (n: Int, old: Lanes, sum: Lanes) => Lanes;

/** Keys of one turn of the loops: short loops cost more than their work. */
const UNROLL = 4;

/** Sum over keys of term(n, S[n]), in the order of the keys. */
function overKeys(keys: number, states: Bytes, before: Int, lanes: number, turn: Turn): Lanes {
  const step = keys % UNROLL === 0 ? UNROLL : 1;
  const [sum] = fold(keys / step, [konst("f32", lanes, 0) as Lanes], (m, [acc]) => {
    let result = acc;
    for (let j = 0; j < step; j++) {
      const n = m.mul(step).add(j);
      result = turn(n, states.load("f32", lanes, before.add(n.mul(4 * lanes))), result);
    }
    return [result];
  });
  return sum;
}

/** The rule's turns over the keys; gives what q reads. `store` puts the new S[n] in its place. */
function apply(rule: StateRule, t: Token, over: (turn: Turn) => Lanes, store: (n: Int, s: Lanes) => void) {
  const read = (next: (n: Int, old: Lanes) => Lanes): Lanes =>
    over((n, old, sum) => {
      const s = next(n, old);
      store(n, s);
      return s.mulAdd(t.key("q", n), sum);
    });
  if (rule === "add") {
    const added = t.rate ? t.value.mul(t.rate) : t.value;
    return read((n, old) => added.mulAdd(t.key("k", n), old.mul(t.decay(n))));
  }
  if (rule === "blend")
    return read((n, old) => {
      const [key, decay] = [t.key("k", n), t.decay(n)];
      return t.value.mulAdd(key.sub(key.mul(decay)), old.mul(decay));
    });
  if (rule === "bonus")
    return over((n, old, sum) => {
      const added = t.value.mul(t.key("k", n));
      store(n, old.mulAdd(t.decay(n), added));
      return added.mulAdd(t.key("bonus", n), old).mulAdd(t.key("q", n), sum);
    });
  if (rule === "delta") {
    const answer = over((n, old, sum) => old.mul(t.decay(n)).mulAdd(t.key("k", n), sum));
    const missing = t.value.sub(answer);
    const added = t.rate ? missing.mul(t.rate) : missing;
    return read((n, old) => added.mulAdd(t.key("k", n), old.mul(t.decay(n))));
  }
  const taken = over((n, old, sum) => old.mulAdd(t.key("away", n), sum));
  return read((n, old) => t.value.mulAdd(t.key("k", n), taken.mulAdd(t.key("back", n), old.mul(t.decay(n)))));
}

export const linearStateName = (c: LinearStateShape): string =>
  `linear_state_${c.rule}_${c.heads}h${c.keyHeads}${c.cycle ? "c" : ""}${c.shared}_${c.keyDim}x${c.valueDim}_${c.decay}${c.rate ? "r" : ""}`;

/**
 * Slots: the rows of linearStateRows (decay: a number a head, or a key of a head; bonus is one row for all tokens, stride 0), out, then those of
 * segmentSlots; bytes between rows of each, then of out. Grid: linearStateUnits.
 */
export function linearStateKernel(c: LinearStateShape): Kernel {
  const lanes = lanesOf(c.valueDim);
  const parts = c.valueDim / lanes;
  return kernel(linearStateName(c), s => {
    const names = linearStateRows(c);
    const rows = new Map(names.map(name => [name, s.in(name)] as const));
    const out = s.out("out");
    const segments = segmentSlots(s);
    const strides = new Map(names.map(name => [name, s.size(`${name}Stride`)] as const));
    const outStride = s.size("outStride");
    return unit => {
      const head = unit.quotient(parts);
      const part = unit.sub(head.mul(parts)).mul(4 * lanes);
      const heads = headsOf(c, head);
      eachSegment(segments, unit.mul(4 * lanes * c.keyDim), seg => {
        each(0, seg.count, i => {
          const row = seg.row(i);
          const before = seg.before(i);
          /** Lanes of an operand's row from value `index` on, or one value in every lane. */
          const load = (name: string, index: Int, width: number): Lanes => {
            const from = row.mul(strides.get(name)!).add(index.mul(4));
            return rows.get(name)!.load("f32", width, from).repeat(lanes);
          };
          const key = (name: string, n: Int): Lanes => load(name, (heads[name] ?? head).mul(c.keyDim).add(n), 1);
          const token: Token = {
            key,
            value: load("v", heads.v.mul(c.valueDim).add(unit.sub(head.mul(parts)).mul(lanes)), lanes),
            rate: c.rate ? load("rate", head, 1) : undefined,
            decay: n => (c.decay === "head" ? load("decay", head, 1) : key("decay", n)),
          };
          const over = (turn: Turn): Lanes => overKeys(c.keyDim, segments.states, before, lanes, turn);
          const result = apply(c.rule, token, over, (n, v) => segments.states.store(seg.to.add(n.mul(4 * lanes)), v));
          const at = row.mul(outStride).add(head.mul(4 * c.valueDim));
          out.store(at.add(part), result);
        });
      });
    };
  });
}

/** Which head of q, k and v belongs to a head of S. */
function headsOf(c: LinearStateShape, head: Int): Readonly<Record<string, Int>> {
  const group = head.quotient(c.cycle ? c.keyHeads : c.heads / c.keyHeads);
  const k = c.cycle ? head.sub(group.mul(c.keyHeads)) : group;
  return { q: c.shared === "qk" ? k : head, k, v: c.shared === "kv" ? k : head };
}
