/**
 * Attention that sees only the keys which an indexer chooses: scores of a token's index queries with the index keys in the pages, and the choice of
 * the best ones, or of the best blocks of neighbours. What is chosen depends on the token and its past alone.
 */
import type { Kernel } from "../ir/node.ts";
import { type Bytes, each, fold, kernel, konst, type Val } from "../ir/trace.ts";
import { PAGE } from "./attend.ts";

type Int = Val<"i32", 1>;
type Scalar = Val<"f32", 1>;

export interface IndexShape {
  /** Choices that a token makes: one for all its heads, or one for each key-value head. */
  readonly sets: number;
  /** Index queries of one choice; all choices share the keys. */
  readonly heads: number;
  readonly headDim: number;
  /** A score is the sum over heads of weight * max(q . k, 0); else of q . k. */
  readonly weighted: boolean;
}

/**
 * Slots: q, pages, table, starts, positions, weights (sets * heads values a token; only if weighted), out (rows of scores, `sets` a token); tokens,
 * bytes between rows of q, of weights (only if weighted) and of out, bytes of a page, byte offset of the layer's index keys. Grid: sets x tokens.
 */
export const indexScores = (h: IndexShape): Kernel =>
  kernel(`index_scores_s${h.sets}_h${h.heads}_d${h.headDim}${h.weighted ? "_weighted" : ""}`, s => {
    const [q, pages, table, starts, positions] = [s.in("q"), s.in("pages"), s.in("table"), s.in("starts"), s.in("positions")];
    const weights = h.weighted ? s.in("weights") : undefined;
    const [out, tokens, qStride] = [s.out("out"), s.size("tokens"), s.size("qStride")];
    const weightStride = h.weighted ? s.size("weightStride") : undefined;
    const [outStride, pageBytes, layer] = [s.size("outStride"), s.size("pageBytes"), s.size("layer")];
    return unit => {
      const set = unit.quotient(tokens.max(1));
      const token = unit.sub(set.mul(tokens));
      const start = starts.load("i32", 1, token.mul(4));
      const count = positions.load("i32", 1, token.mul(4)).add(PAGE).shr(5);
      const qAt = token.mul(qStride).add(set.mul(4 * h.heads * h.headDim));
      const row = token.mul(h.sets).add(set).mul(outStride);
      const score = (keys: Int, first: number): Val<"f32", 8> => {
        const [total] = fold(h.heads, [konst("f32", 8, 0)], (head, [sum]) => {
          const own = qAt.add(head.mul(4 * h.headDim));
          const [dot] = fold(h.headDim, [konst("f32", 8, 0)], (d, [acc]) => {
            const k = pages.load("f32", 8, keys.add(d.mul(4 * PAGE)).add(4 * first));
            return [k.mulAdd(q.load("f32", 1, own.add(d.mul(4))).repeat(8), acc)];
          });
          if (!weights || !weightStride) return [sum.add(dot)];
          const w = weights.load("f32", 1, token.mul(weightStride).add(set.mul(h.heads).add(head).mul(4)));
          return [sum.add(dot.max(konst("f32", 8, 0)).mul(w.repeat(8)))];
        });
        return total;
      };
      each(0, count, p => {
        const id = table.load("i32", 1, start.add(p).mul(4));
        const keys = id.mul(pageBytes).add(layer);
        for (let first = 0; first < PAGE; first += 8) out.store(row.add(p.mul(4 * PAGE)).add(4 * first), score(keys, first));
      });
    };
  });

export interface Choice {
  readonly sets: number;
  /** Neighbouring positions that are chosen together, by the best of them; 1: each by itself. */
  readonly block: number;
  /** Blocks that are chosen in all, and how many of them are the last ones, whatever their scores. */
  readonly top: number;
  readonly local: number;
  /** Only blocks that have ended compete, by the score at their last position, and only that position is chosen. */
  readonly ended?: boolean;
}

/** Blocks of a context, padded to whole vectors. */
export const choiceEntries = (context: number, block: number): number => 32 * Math.ceil(Math.ceil(context / block) / 32);

/** Below every score; added to a score it leaves a weight of nothing. */
export const OUT = -1e30;
/** Halvings of the range of scores: afterwards its ends are neighbouring numbers, or as good as that. */
const HALVINGS = 64;

interface Row {
  readonly entries: Bytes;
  readonly at: Int;
  /** Entries, and vectors of 32 of them. */
  readonly count: Int;
  readonly vectors: Int;
}

/** How many entries are above a bound; as f32, which is exact below 2^24. */
function above({ entries, at, vectors }: Row, bound: Scalar): Scalar {
  const [sums] = fold(vectors, [konst("f32", 32, 0)], (i, [sum]) => {
    const more = bound.repeat(32).lt(entries.load("f32", 32, at.add(i.mul(128))));
    return [sum.add(more.select(konst("f32", 32, 1), konst("f32", 32, 0)))];
  });
  return sums.sum();
}

/** Fills the entries with the best score of each block (OUT for the last ones, which do not compete); gives the least and the greatest. */
function gather(row: Row, x: Bytes, xAt: Int, end: Int, { block, local, ended }: Choice): readonly [Scalar, Scalar] {
  each(0, row.vectors, i => row.entries.store(row.at.add(i.mul(128)), konst("f32", 32, OUT)));
  const start = [konst("f32", 1, -OUT), konst("f32", 1, OUT)] as const;
  return fold(row.count.sub(local).max(0), start, (e, [least, most]) => {
    const first = e.mul(block);
    const last: Scalar | undefined = ended ? x.load("f32", 1, xAt.add(first.add(block - 1).mul(4))) : undefined;
    const [best] = last
      ? [last]
      : fold(end.sub(first).min(block), [konst("f32", 1, OUT)], (i, [m]) => [m.max(x.load("f32", 1, xAt.add(first.add(i).mul(4))))]);
    row.entries.store(row.at.add(e.mul(4)), best);
    return [least.min(best), most.max(best)];
  });
}

/**
 * Turns rows of scores into 0 where a key is chosen and OUT where not; among equals the first are chosen. Slots: positions, x, entries; tokens,
 * bytes between rows of x and of entries. Grid: rows.
 */
export const choose = (c: Choice): Kernel =>
  kernel(`choose_s${c.sets}_b${c.block}_t${c.top}_l${c.local}${c.ended ? "_ended" : ""}`, s => {
    const [positions, x, entries] = [s.in("positions"), s.out("x"), s.out("entries")];
    const [xStride, entryStride] = [s.size("xStride"), s.size("entryStride")];
    return unit => {
      const token = unit.quotient(c.sets);
      const end = positions.load("i32", 1, token.mul(4)).add(1);
      const count = (c.ended ? end : end.add(c.block - 1)).quotient(c.block);
      const row: Row = { entries, at: unit.mul(entryStride), count, vectors: count.add(31).shr(5) };
      const xAt = unit.mul(xStride);
      const [least, most] = gather(row, x, xAt, end, c);
      const wanted = konst("f32", 1, Math.max(0, c.top - c.local));
      const below = least.sub(least.abs().max(konst("f32", 1, 1)));
      const [low, high] = fold(HALVINGS, [below, most], (_, [lo, hi]) => {
        const middle: Scalar = lo.add(hi.sub(lo).mul(0.5));
        const enough = wanted.le(above(row, middle));
        return [enough.select(middle, lo), enough.select(hi, middle)];
      });
      const all = count.le(c.top);
      const left = wanted.sub(above(row, high));
      fold(count, [left], (e, [rest]) => {
        const v: Scalar = entries.load("f32", 1, row.at.add(e.mul(4)));
        const equal = low
          .lt(v)
          .and(v.le(high))
          .and(konst("f32", 1, 0).lt(rest));
        const near = count.sub(c.local).le(e);
        const chosen = all.or(near).or(equal).or(high.lt(v));
        const mark = chosen.select(konst("f32", 1, 0), konst("f32", 1, OUT));
        const own = xAt.add(e.mul(4 * c.block));
        each(0, end.sub(e.mul(c.block)).min(c.block), i => {
          const counts = c.ended ? i.eq(c.block - 1).select(mark, konst("f32", 1, OUT)) : mark;
          x.store(own.add(i.mul(4)), counts);
        });
        return [equal.select(rest.sub(konst("f32", 1, 1)), rest)];
      });
      if (c.ended) each(count.mul(c.block), end, p => x.store(xAt.add(p.mul(4)), konst("f32", 1, OUT)));
    };
  });
