/**
 * Rotary positions, writing keys and values into pages, and attention over pages. A page holds PAGE tokens of every layer and key-value head:
 * keys as [dimension][token] and values as [token][dimension], as f32 or f16. Attention goes page by page with a running maximum and sum
 * (online softmax), always in the same order, so a token's result does not depend on what else is in the batch (docs/architecture.md, "one order of sums").
 */
import type { Kernel } from "../ir/node.ts";
import { type AnyVal, type Bytes, each, fold, kernel, konst, LINE, type Slots, type Val } from "../ir/trace.ts";
import { exp, tanh, toHalf } from "./math.ts";

type Int = Val<"i32", 1>;

/** Tokens of a page. */
export const PAGE = 32;

export interface HeadShape {
  /** Values of a query's or key's head: a multiple of 4. */
  readonly headDim: number;
  /** The first values of a head, which are rotated in pairs (i, i + ropeDim / 2). Even; 0 for none. */
  readonly ropeDim: number;
  /** Values of a value's head, a multiple of 4; absent: headDim. */
  readonly valueDim?: number;
  /** How keys and values lie in pages; absent: f32. */
  readonly kept?: Kept;
}

/** f16 is half as large, and rounds to eleven bits; what is beyond its range becomes its greatest number. */
export type Kept = "f32" | "f16";

const valueDim = (h: HeadShape): number => h.valueDim ?? h.headDim;

/** Bytes of a number in a page. */
export const keptBytes = (kept: Kept = "f32"): number => (kept === "f16" ? 2 : 4);

/** Bytes of one page of one layer and one key-value head. */
export const headBytes = (keyDim: number, valueDim = keyDim, kept?: Kept): number => (keyDim + valueDim) * PAGE * keptBytes(kept);

const bytesOf = (h: HeadShape): number => headBytes(h.headDim, valueDim(h), h.kept);
const keyBytes = (h: HeadShape): number => headBytes(h.headDim, 0, h.kept);

const read = ({ kept }: HeadShape, pages: Bytes, lanes: number, at: Int): AnyVal =>
  kept === "f16" ? pages.load("u16", lanes, at).fromHalf() : pages.load("f32", lanes, at);
/** Lanes of an f32 load as pages keep them: `narrow` is for the lanes that are stored together. */
const rounded = ({ kept }: HeadShape, x: AnyVal): AnyVal => (kept === "f16" ? toHalf(x) : x);
const narrow = ({ kept }: HeadShape, x: AnyVal): AnyVal => (kept === "f16" ? x.saturate("u16") : x);

const name = (kind: string, h: HeadShape, ...more: (string | number)[]): string => {
  const sizes = [`d${h.headDim}`, ...(valueDim(h) === h.headDim ? [] : [`v${valueDim(h)}`]), `r${h.ropeDim}`];
  return [kind, ...sizes, ...(h.kept === "f16" ? ["f16"] : []), ...more].join("_");
};

/** Turns pairs (i, i + half) of the head that begins at byte `at`; `emit` gets each stretch of turned or untouched values. */
function turned(x: Bytes, at: Int, table: Bytes, tableAt: Int, h: HeadShape, emit: (first: number, value: AnyVal) => void): void {
  const half = h.ropeDim / 2;
  const lanes = half % 4 ? 1 : 4;
  for (let i = 0; i < half; i += lanes) {
    const [a, b] = [x.load("f32", lanes, at.add(4 * i)), x.load("f32", lanes, at.add(4 * (i + half)))];
    const [cos, sin] = [table.load("f32", lanes, tableAt.add(4 * i)), table.load("f32", lanes, tableAt.add(4 * (half + i)))];
    emit(i, a.mul(cos).sub(b.mul(sin)));
    emit(i + half, a.mul(sin).add(b.mul(cos)));
  }
  const width = h.ropeDim % 4 ? 1 : 4;
  for (let i = h.ropeDim; i < h.headDim; i += width) emit(i, x.load("f32", width, at.add(4 * i)));
}

/**
 * Rotates heads in place. Slots: x (rows of heads), table (per token: ropeDim / 2 cosines, then as many sines); tokens, bytes between rows.
 * Grid: heads.
 */
export function rope(h: HeadShape): Kernel {
  return kernel(name("rope", { ...h, valueDim: undefined }), s => {
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
 * pages; tokens, bytes between rows of k and of v, bytes of a page, byte offset of the layer in a page. Grid: key-value heads.
 */
export function writeKv(h: HeadShape): Kernel {
  return kernel(name("write_kv", h), s => {
    const [k, v, table, ids, places, pages] = [s.in("k"), s.in("v"), s.in("table"), s.in("ids"), s.in("places"), s.out("pages")];
    const [tokens, kStride, vStride] = [s.size("tokens"), s.size("kStride"), s.size("vStride")];
    const [pageBytes, layer] = [s.size("pageBytes"), s.size("layer")];
    const [values, size] = [valueDim(h), keptBytes(h.kept)];
    return head =>
      each(0, tokens, t => {
        const place = places.load("i32", 1, t.mul(4));
        const page = ids
          .load("i32", 1, t.mul(4))
          .mul(pageBytes)
          .add(layer)
          .add(head.mul(bytesOf(h)));
        const key = page.add(place.mul(size));
        const keyAt = t.mul(kStride).add(head.mul(4 * h.headDim));
        turned(k, keyAt, table, t.mul(4 * h.ropeDim), h, (i, x) => {
          const all = rounded(h, x);
          for (let lane = 0; lane < x.node.lanes; lane++) pages.store(key.add(size * PAGE * (i + lane)), narrow(h, all.slice(lane, 1)));
        });
        const value = page.add(keyBytes(h)).add(place.mul(size * values));
        const valueAt = t.mul(vStride).add(head.mul(4 * values));
        // whole registers, or one by one
        const lanes = h.kept !== "f16" ? 4 : values % 8 ? 1 : 8;
        for (let i = 0; i < values; i += lanes) {
          pages.store(value.add(size * i), narrow(h, rounded(h, v.load("f32", lanes, valueAt.add(4 * i)))));
        }
      });
  });
}

/** Bytes of scratch of one grid unit of `attend`. */
export const attendScratch = (group: number): number => 4 * PAGE * group;

/** Which keys a token sees besides its own past. */
export type Window =
  /** The last `size` positions, its own included. */
  | "sliding"
  /** Positions of the same chunk of `size`. */
  | "chunked"
  /** Positions at most half of `size` away, on both sides. */
  | "symmetric";

/** What an attention does beyond the plain causal one. Sizes and numbers are arguments of the launch. */
export interface AttendOptions {
  /** Tokens see all of their sequence, what comes after them included. */
  readonly bidirectional?: boolean;
  readonly window?: Window;
  /** Scores s become c tanh(s / c). */
  readonly softcap?: boolean;
  /** One logit a head that takes part in the softmax and has no value. */
  readonly sinks?: boolean;
  /** Adds a head's slope * (key position - query position): negative, and on both sides for bidirectional attention. */
  readonly alibi?: boolean;
  /** Adds table[head][key position - query position + middle]. */
  readonly relative?: boolean;
  /** Adds a row of the token's own to its scores: so many rows a token, one for all or one for each key-value head (kernels/select.ts). */
  readonly selected?: number;
  /** A second set of keys and values in the same pages, seen up to the own position; a row of the token's own is added to their scores. */
  readonly entries?: boolean;
  /** Units that the query heads of one key-value head are cut into. */
  readonly parts?: number;
}

/** Numbers that change speed and never results. More lanes and heads share what is loaded, and need registers for their sums. */
export interface AttendSchedule {
  /** Keys of a page, or values of a head, that are summed at a time: 8, 16 or 32. */
  readonly lanes: number;
  /** Query heads that are summed at a time, at most. */
  readonly heads: number;
}
export const narrowAttend: AttendSchedule = { lanes: 8, heads: 96 };

interface Unit {
  readonly h: HeadShape;
  readonly schedule: AttendSchedule;
  /** Query heads of this unit; they share the key-value head. */
  readonly group: number;
  readonly q: Bytes;
  readonly qAt: Int;
  readonly pages: Bytes;
  readonly scratch: Bytes;
  readonly own: Int;
  readonly out: Bytes;
  readonly outAt: Int;
  readonly scale: Val<"f32", 1>;
  /** What becomes of the scaled scores of a head of the group with the page's 32 keys, whose first is at that position. */
  readonly adjust: (raw: Lanes, g: number, first: Int) => Lanes;
}
type Lanes = Val<"f32", 32>;

const heads = (u: Unit): number[] => Array.from({ length: u.group }, (_, g) => g);

/** The heads of the group in parts that are summed together. */
const headParts = (u: Unit): number[][] => {
  const { heads: size } = u.schedule;
  return Array.from({ length: Math.ceil(u.group / size) }, (_, i) => heads(u).slice(i * size, (i + 1) * size));
};

/** Scratch = q . k of a page's tokens, for each head of the group; fetches the page's values meanwhile. */
function scores(u: Unit, keys: Int, values: Int): void {
  const { lanes } = u.schedule;
  const size = keptBytes(u.h.kept);
  for (let first = 0; first < PAGE; first += lanes) {
    for (const part of headParts(u)) {
      const zero: AnyVal[] = part.map(() => konst("f32", lanes, 0));
      const dots = fold(u.h.headDim, zero, (d, acc) => {
        if (first + part[0] === 0) fetchPart(u, values, d, { rows: u.h.headDim, bytes: bytesOf(u.h) - keyBytes(u.h) });
        const k = read(u.h, u.pages, lanes, keys.add(d.mul(size * PAGE)).add(size * first));
        return acc.map((a, i) => k.mulAdd(u.q.load("f32", 1, u.qAt.add(d.mul(4)).add(4 * part[i] * u.h.headDim)).repeat(lanes), a));
      });
      dots.forEach((x, i) => {
        u.scratch.store(u.own.add(4 * (part[i] * PAGE + first)), x);
      });
    }
  }
}

/** Fetches the part of `bytes` bytes at `at` that falls to row `i` of `rows`. */
function fetchPart(u: Unit, at: Int, i: Int, { rows, bytes }: { rows: number; bytes: number }): void {
  const part = LINE * Math.ceil(bytes / rows / LINE);
  u.pages.soon(at.add(i.mul(part)), part);
}

/** out = out * correction + sum of weight * value over the page's tokens; fetches the keys of the page after it meanwhile. */
function addValues(u: Unit, values: Int, { valid, after }: { valid: Int; after: Int }, corrections: readonly Val<"f32", 4>[]): void {
  const [size, number] = [valueDim(u.h), keptBytes(u.h.kept)];
  for (let d = 0, lanes = 0; d < size; d += lanes) {
    lanes = widest(u.schedule.lanes, size - d);
    for (const part of headParts(u)) {
      const at = part.map(g => u.outAt.add(4 * (g * size + d)));
      const before: AnyVal[] = at.map((a, i) => u.out.load("f32", lanes, a).mul(corrections[part[i]].repeat(lanes)));
      const sums = fold(valid, before, (t, acc) => {
        if (d + part[0] === 0) fetchPart(u, after, t, { rows: PAGE, bytes: keyBytes(u.h) });
        const v = read(u.h, u.pages, lanes, values.add(t.mul(number * size)).add(number * d));
        return acc.map((a, i) => v.mulAdd(u.scratch.load("f32", 1, u.own.add(t.mul(4)).add(4 * part[i] * PAGE)).repeat(lanes), a));
      });
      sums.forEach((x, i) => {
        u.out.store(at[i], x);
      });
    }
  }
}

/** The largest power of two up to `lanes` that fits into `left`. */
const widest = (lanes: number, left: number): number => (lanes <= left ? lanes : widest(lanes / 2, left));

/** The keys of a page that count: those before place `end`, and, behind a window, from place `begin` on. */
interface Visible {
  readonly end: Int;
  readonly begin?: Int;
  /** The numbers 0 .. 31. */
  readonly lanes: Val<"i32", 32>;
}

/** Where a page's keys lie, its first position, and where the keys of the page after it lie. */
interface Place {
  readonly keys: Int;
  readonly first: Int;
  readonly after: Int;
}

/** One page: scores, softmax weights against the running maximum, weighted values. State: maxima, then sums, one per head. */
function page(u: Unit, { keys, first, after }: Place, { end, begin, lanes }: Visible, state: readonly Val<"f32", 1>[]): Val<"f32", 1>[] {
  const values = keys.add(keyBytes(u.h));
  scores(u, keys, values);
  const past = lanes.lt(end.repeat(32));
  const visible = begin ? past.and(begin.repeat(32).le(lanes)) : past;
  const none = konst("f32", 32, -1e30);
  const corrections: Val<"f32", 4>[] = [];
  const next = [...state];
  for (const g of heads(u)) {
    const at = u.own.add(4 * g * PAGE);
    const raw = u.scratch.load("f32", PAGE, at).mul(u.scale.repeat(32)) as Lanes;
    const masked = visible.select(u.adjust(raw, g, first), none);
    const max = masked.greatest().max(state[g]);
    const weights = visible.select(exp(masked.sub(max.repeat(32))), konst("f32", 32, 0));
    const correction = exp(state[g].sub(max).repeat(4));
    u.scratch.store(at, weights);
    next[g] = max;
    next[u.group + g] = state[u.group + g].mul(correction.slice(0, 1)).add(weights.sum());
    corrections.push(correction);
  }
  addValues(u, values, { valid: end, after }, corrections);
  return next;
}

/** All pages with keys between positions `begin` and `end`, one after the other; `keysOf` says where a page's keys lie. */
function overPages(
  u: Unit,
  keysOf: (p: Int) => Int,
  { begin, end, lanes }: Visible,
  state: readonly Val<"f32", 1>[],
): readonly Val<"f32", 1>[] {
  const firstPage = begin?.shr(5);
  const lastPage = end.add(PAGE - 1).shr(5);
  return fold(firstPage ? lastPage.sub(firstPage) : lastPage, state, (i, carried) => {
    const p = firstPage ? i.add(firstPage) : i;
    const first = p.mul(PAGE);
    const place = { keys: keysOf(p), first, after: keysOf(p.add(1).min(lastPage.sub(1))) };
    return page(u, place, { end: end.sub(first).min(PAGE), begin: begin?.sub(first), lanes }, carried);
  });
}

/** The further arguments that the options ask for, in this order. */
function optionalSlots(s: Slots, o: AttendOptions) {
  return {
    ends: o.bidirectional ? s.in("ends") : undefined,
    origins: o.window === "chunked" ? s.in("origins") : undefined,
    window: o.window ? s.size("window", 1 << 30) : undefined,
    softcap: o.softcap ? ([s.scalar("softcap"), s.scalar("perSoftcap")] as const) : undefined,
    sinks: o.sinks ? s.in("sinks") : undefined,
    slopes: o.alibi ? s.in("slopes") : undefined,
    selected: o.selected ? { rows: s.in("selected"), bytes: s.size("selectedBytes"), sets: o.selected } : undefined,
    entries: o.entries ? { rows: s.in("entryRows"), bytes: s.size("entryBytes"), layer: s.size("entryLayer") } : undefined,
    relative: o.relative ? { table: s.in("relative"), row: s.size("row"), middle: s.size("middle") } : undefined,
  };
}
type Optional = ReturnType<typeof optionalSlots>;

/** First position that a token sees, and the one after the last. */
function reach(o: AttendOptions, { ends, origins, window }: Optional, token: Int, position: Int): { begin?: Int; end: Int } {
  const last = ends ? ends.load("i32", 1, token.mul(4)) : position.add(1);
  if (!window || !o.window) return { end: last };
  if (o.window === "sliding") return { begin: position.add(1).sub(window).max(0), end: last };
  if (origins) {
    const origin = origins.load("i32", 1, token.mul(4), { min: 0, max: 1 << 30 });
    const chunk = position.add(origin).quotient(window.max(1)).mul(window);
    return { begin: chunk.sub(origin).max(0), end: last };
  }
  return { begin: position.sub(window.shr(1)).max(0), end: last.min(position.add(1).add(window.shr(1))) };
}

/** What softcap and the position's bias make of scaled scores. `firstHead` is the unit's first query head. */
function adjustment(
  { softcap, slopes, relative, selected }: Optional,
  lanes: Val<"i32", 32>,
  { firstHead, kvHead, token, position }: Readonly<Record<"firstHead" | "kvHead" | "token" | "position", Int>>,
): Unit["adjust"] {
  const row = selected && (selected.sets > 1 ? token.mul(selected.sets).add(kvHead) : token).mul(selected.bytes);
  return (raw, g, first) => {
    let x = raw;
    if (softcap) x = tanh(x.mul(softcap[1].repeat(32))).mul(softcap[0].repeat(32)) as Lanes;
    if (slopes) {
      const distance = lanes.add(first.sub(position).repeat(32) as Val<"i32", 32>).to("f32");
      const slope = slopes.load("f32", 1, firstHead.add(g).mul(4)).repeat(32) as Lanes;
      x = x.add(distance.abs().mul(slope.neg()));
    }
    if (selected && row) x = x.add(selected.rows.load("f32", 32, row.add(first.mul(4))));
    if (relative) {
      const at = firstHead.add(g).mul(relative.row).add(first.sub(position).add(relative.middle).mul(4));
      x = x.add(relative.table.load("f32", 32, at));
    }
    return x;
  };
}

/** out *= 1 / sum, for each head. */
function normalise(u: Unit, sums: readonly Val<"f32", 1>[]): void {
  const size = valueDim(u.h);
  for (const g of heads(u)) {
    const inverse = konst("f32", 1, 1).div(sums[g]).repeat(4) as Val<"f32", 4>;
    for (let d = 0; d < size; d += 4) {
      const place = u.outAt.add(4 * (g * size + d));
      u.out.store(place, u.out.load("f32", 4, place).mul(inverse));
    }
  }
}

/**
 * Attention of `group` query heads at a time. Slots: q (rotated), pages, table (page ids of every sequence), starts (i32 a token: index of its
 * sequence in the table), positions (i32 a token), lanes (the numbers 0 .. 31), scratch, out; tokens, bytes between rows of q and of out,
 * bytes of a page, byte offset of the layer; scale; then what the options ask for. Grid: blocks of query heads x tokens, blocks outermost.
 */
export function attend(h: HeadShape, group: number, o: AttendOptions = {}, schedule: AttendSchedule = narrowAttend): Kernel {
  const { parts = 1, ...rest } = o;
  const flags = Object.entries(rest).flatMap(([k, v]) => (v ? [v === true ? k : v] : []));
  return kernel(name("attend", h, `x${group}`, ...(parts > 1 ? [`p${parts}`] : []), ...flags), s => {
    const [q, pages, table, starts, positions] = [s.in("q"), s.in("pages"), s.in("table"), s.in("starts"), s.in("positions")];
    const [lanes, scratch, out] = [s.in("lanes"), s.out("scratch"), s.out("out")];
    const [tokens, qStride, outStride] = [s.size("tokens"), s.size("qStride"), s.size("outStride")];
    const [pageBytes, layer, scale] = [s.size("pageBytes"), s.size("layer"), s.scalar("scale")];
    const optional = optionalSlots(s, o);
    return unit => {
      const block = unit.quotient(tokens.max(1));
      const head = parts > 1 ? block.quotient(parts) : block;
      const token = unit.sub(block.mul(tokens));
      const position = positions.load("i32", 1, token.mul(4));
      const start = starts.load("i32", 1, token.mul(4));
      const numbers = lanes.load("i32", 32, 0);
      const qAt = token.mul(qStride).add(block.mul(4 * group * h.headDim));
      const outAt = token.mul(outStride).add(block.mul(4 * group * valueDim(h)));
      const firstHead = block.mul(group);
      const adjust = adjustment(optional, numbers, { firstHead, kvHead: head, token, position });
      const u: Unit = { h, schedule, group, q, qAt, pages, scratch, own: unit.mul(attendScratch(group)), out, outAt, scale, adjust };
      for (let d = 0; d < group * valueDim(h); d += 4) out.store(outAt.add(4 * d), konst("f32", 4, 0));
      const { sinks } = optional;
      const maxima = heads(u).map(g => sinks?.load("f32", 1, firstHead.add(g).mul(4)) ?? konst("f32", 1, -1e30));
      const sums = heads(u).map(() => konst("f32", 1, sinks ? 1 : 0));
      const { begin, end } = reach(o, optional, token, position);
      const keysOf =
        (first: Int) =>
        (p: Int): Int => {
          const id = table.load("i32", 1, start.add(p).mul(4));
          return id
            .mul(pageBytes)
            .add(first)
            .add(head.mul(bytesOf(h)));
        };
      const past = overPages(u, keysOf(layer), { begin, end, lanes: numbers }, [...maxima, ...sums]);
      const { entries } = optional;
      const mark: Unit["adjust"] = (raw, _, first) =>
        entries ? raw.add(entries.rows.load("f32", 32, token.mul(entries.bytes).add(first.mul(4)))) : raw;
      const all = entries ? overPages({ ...u, adjust: mark }, keysOf(entries.layer), { end, lanes: numbers }, past) : past;
      normalise(u, all.slice(group));
    };
  });
}
