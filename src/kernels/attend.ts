/**
 * Rotary positions, writing keys and values into pages, and attention over pages. A page holds PAGE tokens of every layer and key-value head:
 * keys as [dimension][token] and values as [token][dimension], f32. Attention goes page by page with a running maximum and sum (online
 * softmax), always in the same order, so a token's result does not depend on what else is in the batch (DESIGN idea 4).
 */
import type { Kernel } from "../ir/node.ts";
import { type Bytes, each, fold, kernel, konst, type Val } from "../ir/trace.ts";
import { exp } from "./math.ts";

type Int = Val<"i32", 1>;

/** Tokens of a page. */
export const PAGE = 32;

export interface HeadShape {
  /** Values of a head: a multiple of 8. */
  readonly headDim: number;
  /** The first values of a head, which are rotated in pairs (i, i + ropeDim / 2). A multiple of 8. */
  readonly ropeDim: number;
}

/** Bytes of one page of one layer and one key-value head. */
export const headBytes = (headDim: number): number => 2 * headDim * PAGE * 4;

const name = (kind: string, h: HeadShape, ...more: (string | number)[]): string =>
  [kind, `d${h.headDim}`, `r${h.ropeDim}`, ...more].join("_");

/** Turns pairs (i, i + half) of the head that begins at byte `at`; `emit` gets each stretch of four turned or untouched values. */
function turned(x: Bytes, at: Int, table: Bytes, tableAt: Int, h: HeadShape, emit: (first: number, value: Val<"f32", 4>) => void): void {
  const half = h.ropeDim / 2;
  for (let i = 0; i < half; i += 4) {
    const [a, b] = [x.load("f32", 4, at.add(4 * i)), x.load("f32", 4, at.add(4 * (i + half)))];
    const [cos, sin] = [table.load("f32", 4, tableAt.add(4 * i)), table.load("f32", 4, tableAt.add(4 * (half + i)))];
    emit(i, a.mul(cos).sub(b.mul(sin)));
    emit(i + half, a.mul(sin).add(b.mul(cos)));
  }
  for (let i = h.ropeDim; i < h.headDim; i += 4) emit(i, x.load("f32", 4, at.add(4 * i)));
}

/**
 * Rotates queries in place. Slots: x (rows of heads), table (per token: ropeDim / 2 cosines, then as many sines); tokens, bytes between rows.
 * Grid: heads.
 */
export function rope(h: HeadShape): Kernel {
  return kernel(name("rope", h), s => {
    const [x, table, tokens, stride] = [s.out("x"), s.in("table"), s.size("tokens"), s.size("stride")];
    return head =>
      each(0, tokens, t => {
        const at = t.mul(stride).add(head.mul(4 * h.headDim));
        turned(x, at, table, t.mul(4 * h.ropeDim), h, (i, v) => x.store(at.add(4 * i), v));
      });
  });
}

/**
 * Rotates keys and writes keys and values of new tokens into their pages. Slots: k, v, table, page ids and places in the page (i32 a token),
 * pages; tokens, bytes between rows, bytes of a page, byte offset of the layer in a page. Grid: key-value heads.
 */
export function writeKv(h: HeadShape): Kernel {
  return kernel(name("write_kv", h), s => {
    const [k, v, table, ids, places, pages] = [s.in("k"), s.in("v"), s.in("table"), s.in("ids"), s.in("places"), s.out("pages")];
    const [tokens, stride, pageBytes, layer] = [s.size("tokens"), s.size("stride"), s.size("pageBytes"), s.size("layer")];
    return head =>
      each(0, tokens, t => {
        const from = t.mul(stride).add(head.mul(4 * h.headDim));
        const place = places.load("i32", 1, t.mul(4));
        const page = ids
          .load("i32", 1, t.mul(4))
          .mul(pageBytes)
          .add(layer)
          .add(head.mul(headBytes(h.headDim)));
        const key = page.add(place.mul(4));
        turned(k, from, table, t.mul(4 * h.ropeDim), h, (i, x) => {
          for (let lane = 0; lane < 4; lane++) pages.store(key.add(4 * PAGE * (i + lane)), x.slice(lane, 1));
        });
        const value = page.add(4 * PAGE * h.headDim).add(place.mul(4 * h.headDim));
        for (let i = 0; i < h.headDim; i += 4) pages.store(value.add(4 * i), v.load("f32", 4, from.add(4 * i)));
      });
  });
}

/** Bytes of scratch of one grid unit of `attend`. */
export const attendScratch = (group: number): number => 4 * PAGE * group;

interface Unit {
  readonly h: HeadShape;
  /** Query heads that share the key-value head. */
  readonly group: number;
  readonly q: Bytes;
  readonly qAt: Int;
  readonly pages: Bytes;
  readonly scratch: Bytes;
  readonly own: Int;
  readonly out: Bytes;
  readonly outAt: Int;
}

const heads = (u: Unit): number[] => Array.from({ length: u.group }, (_, g) => g);

/** Scratch = q . k of a page's tokens, for each head of the group. */
function scores(u: Unit, keys: Int): void {
  for (let first = 0; first < PAGE; first += 8) {
    const zero = heads(u).map(() => konst("f32", 8, 0));
    const dots = fold(u.h.headDim, zero, (d, acc) => {
      const k = u.pages.load("f32", 8, keys.add(d.mul(4 * PAGE)).add(4 * first));
      return acc.map((a, g) => k.mulAdd(u.q.load("f32", 1, u.qAt.add(d.mul(4)).add(4 * g * u.h.headDim)).repeat(8), a));
    });
    dots.forEach((x, g) => {
      u.scratch.store(u.own.add(4 * (g * PAGE + first)), x);
    });
  }
}

/** out = out * correction + sum of weight * value over the page's tokens. */
function addValues(u: Unit, values: Int, valid: Int, corrections: readonly Val<"f32", 4>[]): void {
  for (let d = 0; d < u.h.headDim; d += 8) {
    const at = heads(u).map(g => u.outAt.add(4 * (g * u.h.headDim + d)));
    const before = at.map((a, g) => u.out.load("f32", 8, a).mul(corrections[g].repeat(8)));
    const after = fold(valid, before, (t, acc) => {
      const v = u.pages.load("f32", 8, values.add(t.mul(4 * u.h.headDim)).add(4 * d));
      return acc.map((a, g) => v.mulAdd(u.scratch.load("f32", 1, u.own.add(t.mul(4)).add(4 * g * PAGE)).repeat(8), a));
    });
    after.forEach((x, g) => {
      u.out.store(at[g], x);
    });
  }
}

/** One page: scores, softmax weights against the running maximum, weighted values. State: maxima, then sums, one per head. */
function page(
  u: Unit,
  keys: Int,
  valid: Int,
  lanes: Val<"i32", 32>,
  scale: Val<"f32", 1>,
  state: readonly Val<"f32", 1>[],
): Val<"f32", 1>[] {
  scores(u, keys);
  const visible = lanes.lt(valid.repeat(32));
  const none = konst("f32", 32, -1e30);
  const corrections: Val<"f32", 4>[] = [];
  const next = [...state];
  for (const g of heads(u)) {
    const at = u.own.add(4 * g * PAGE);
    const raw = u.scratch.load("f32", PAGE, at).mul(scale.repeat(32)) as Val<"f32", 32>;
    const masked = visible.select(raw, none);
    const max = masked.greatest().max(state[g]);
    const weights = visible.select(exp(masked.sub(max.repeat(32))), konst("f32", 32, 0));
    const correction = exp(state[g].sub(max).repeat(4));
    u.scratch.store(at, weights);
    next[g] = max;
    next[u.group + g] = state[u.group + g].mul(correction.slice(0, 1)).add(weights.sum());
    corrections.push(correction);
  }
  addValues(u, keys.add(4 * PAGE * u.h.headDim), valid, corrections);
  return next;
}

/**
 * Causal attention. Slots: q (rotated), pages, table (page ids of every sequence), starts (i32 a token: index of its sequence in the table),
 * positions (i32 a token), lanes (the numbers 0 .. 31), scratch, out; tokens, bytes between rows, bytes
 * of a page, byte offset of the layer; scale. Grid: key-value heads x tokens, heads outermost.
 */
export function attend(h: HeadShape, group: number): Kernel {
  return kernel(name("attend", h, `x${group}`), s => {
    const [q, pages, table, starts, positions, lanes] = [
      s.in("q"),
      s.in("pages"),
      s.in("table"),
      s.in("starts"),
      s.in("positions"),
      s.in("lanes"),
    ];
    const [scratch, out] = [s.out("scratch"), s.out("out")];
    const [tokens, stride, pageBytes, layer] = [s.size("tokens"), s.size("stride"), s.size("pageBytes"), s.size("layer")];
    const scale = s.scalar("scale");
    return unit => {
      const head = unit.quotient(tokens.max(1));
      const token = unit.sub(head.mul(tokens));
      const position = positions.load("i32", 1, token.mul(4));
      const start = starts.load("i32", 1, token.mul(4));
      const at = token.mul(stride).add(head.mul(4 * group * h.headDim));
      const u: Unit = { h, group, q, qAt: at, pages, scratch, own: unit.mul(attendScratch(group)), out, outAt: at };
      for (let d = 0; d < group * h.headDim; d += 4) out.store(at.add(4 * d), konst("f32", 4, 0));
      const initial = heads(u).map(() => konst("f32", 1, -1e30));
      const zero = konst("f32", 1, 0);
      const numbers = lanes.load("i32", 32, 0);
      const state = fold(position.shr(5).add(1), [...initial, ...initial.map(() => zero)], (p, carried) => {
        const id = table.load("i32", 1, start.add(p).mul(4));
        const keys = id
          .mul(pageBytes)
          .add(layer)
          .add(head.mul(headBytes(h.headDim)));
        return page(u, keys, position.add(1).sub(p.mul(PAGE)).min(PAGE), numbers, scale, carried);
      });
      for (const g of heads(u)) {
        const inverse = konst("f32", 1, 1)
          .div(state[group + g])
          .repeat(4) as Val<"f32", 4>;
        for (let d = 0; d < h.headDim; d += 4) {
          const place = at.add(4 * (g * h.headDim + d));
          out.store(place, out.load("f32", 4, place).mul(inverse));
        }
      }
    };
  });
}
