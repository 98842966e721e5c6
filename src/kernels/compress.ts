/**
 * Entries that stand for whole blocks of tokens: means over a block, weighted number by number by a softmax over its tokens. What they are made of
 * is kept for every token in the pages, so that blocks may be begun in one step and ended in another; an entry lies where its block's last token does.
 */
import type { Kernel } from "../ir/node.ts";
import { each, fold, kernel, konst, type Val, when } from "../ir/trace.ts";
import { chunkAt } from "./activations.ts";
import { PAGE } from "./attend.ts";
import { exp } from "./math.ts";

type Int = Val<"i32", 1>;
type Part = Val<"f32", 8>;

/** Bytes of a page for rows of so many columns. */
export const rowBytes = (columns: number): number => 4 * PAGE * columns;

/** Writes rows into the tokens' places. Slots: x, page ids, places, pages; tokens, stride, bytes of a page, offset in it. Grid: chunks of 32 columns. */
export const writeRows = (columns: number): Kernel =>
  kernel(`write_rows_${columns}`, s => {
    const [x, ids, places, pages] = [s.in("x"), s.in("ids"), s.in("places"), s.out("pages")];
    const [tokens, stride, pageBytes, layer] = [s.size("tokens"), s.size("stride"), s.size("pageBytes"), s.size("layer")];
    return chunk =>
      each(0, tokens, t => {
        const page = ids.load("i32", 1, t.mul(4)).mul(pageBytes).add(layer);
        const place = places.load("i32", 1, t.mul(4)).mul(4 * columns);
        pages.store(page.add(place).add(chunk.mul(128)), chunkAt(x, t.mul(stride), chunk));
      });
  });

export interface Compression {
  /** Tokens of a block. */
  readonly ratio: number;
  /** Columns of an entry: a multiple of 8. */
  readonly size: number;
  /** The block before takes part, with the first half of its tokens' columns; a block's own tokens with the second. */
  readonly overlap: boolean;
}

/**
 * The entry of each token that ends a block; 0 for others. Slots: pages, table, starts, positions, offsets (added to the weights' logits, a row for
 * each place of a block), out; tokens, stride, bytes of a page, offsets of the values and of the logits in it. Grid: eights of columns x tokens.
 */
export const compress = ({ ratio, size, overlap }: Compression): Kernel =>
  kernel(`compress_${ratio}_${size}${overlap ? "_overlap" : ""}`, s => {
    const [pages, table, starts, positions] = [s.in("pages"), s.in("table"), s.in("starts"), s.in("positions")];
    const [offsets, out, tokens, stride] = [s.in("offsets"), s.out("out"), s.size("tokens"), s.size("stride")];
    const [pageBytes, values, logits] = [s.size("pageBytes"), s.size("values"), s.size("logits")];
    const [width, span] = overlap ? [2 * size, 2 * ratio] : [size, ratio];
    return unit => {
      const part = unit.quotient(tokens.max(1));
      const token = unit.sub(part.mul(tokens));
      const position = positions.load("i32", 1, token.mul(4));
      const start = starts.load("i32", 1, token.mul(4));
      const to = token.mul(stride).add(part.mul(32));
      out.store(to, konst("f32", 8, 0));
      const last = position.add(1);
      when(last.sub(last.quotient(ratio).mul(ratio)).eq(0), () => {
        const first = last.sub(span);
        const skipped = first.neg().max(0);
        const row = (i: Int): { value: () => Part; logit: Part } => {
          const r = i.add(skipped);
          const p = first.add(r).max(0);
          const own: Int = overlap ? r.lt(ratio).select(r, r.sub(ratio)) : r;
          const half: Int = overlap ? r.lt(ratio).select(konst("i32", 1, 0), konst("i32", 1, 4 * size)) : konst("i32", 1, 0);
          const column = part.mul(32).add(half);
          const id = table.load("i32", 1, start.add(p.shr(5)).mul(4));
          const at = id
            .mul(pageBytes)
            .add(p.and(PAGE - 1).mul(4 * width))
            .add(column);
          const logit = pages.load("f32", 8, at.add(logits)).add(offsets.load("f32", 8, own.mul(4 * width).add(column)));
          return { value: () => pages.load("f32", 8, at.add(values)), logit };
        };
        const count = konst("i32", 1, span).sub(skipped);
        const [most] = fold(count, [konst("f32", 8, -1e30)], (i, [m]) => [m.max(row(i).logit)]);
        const [sum, weights] = fold(count, [konst("f32", 8, 0), konst("f32", 8, 0)], (i, [sum, weights]) => {
          const { value, logit } = row(i);
          const weight = exp(logit.sub(most));
          return [value().mulAdd(weight, sum), weights.add(weight)];
        });
        out.store(to, sum.div(weights));
      });
    };
  });

/**
 * Turns the first `turned` values of every head back, by the angles of its token, and puts them behind the others, neighbours side by side. Slots: x,
 * table, out; strides in bytes. Grid: tokens.
 */
export const turnBack = (heads: number, headDim: number, turned: number): Kernel =>
  kernel(`turn_back_${heads}_${headDim}_${turned}`, s => {
    const [x, table, out, xStride, outStride] = [s.in("x"), s.in("table"), s.out("out"), s.size("xStride"), s.size("outStride")];
    return t =>
      each(0, heads, head => {
        const [from, to] = [xStride, outStride].map(stride => t.mul(stride).add(head.mul(4 * headDim)));
        const half = turned / 2;
        const rest = headDim - turned;
        each(0, rest, i => out.store(to.add(i.mul(4)), x.load("f32", 1, from.add(i.add(turned).mul(4)))));
        each(0, half, i => {
          const angle = t.mul(4 * turned).add(i.mul(4));
          const [cos, sin] = [table.load("f32", 1, angle), table.load("f32", 1, angle.add(4 * half))];
          const [a, b] = [x.load("f32", 1, from.add(i.mul(4))), x.load("f32", 1, from.add(i.add(half).mul(4)))];
          const place = to.add(4 * rest).add(i.mul(8));
          out.store(place, a.mul(cos).add(b.mul(sin)));
          out.store(place.add(4), b.mul(cos).sub(a.mul(sin)));
        });
      });
  });
