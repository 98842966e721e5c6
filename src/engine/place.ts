/**
 * Modules: keys and values that were computed at the beginning of a sequence, put at another place of another one. Values do not know their
 * place; keys are turned by the angle between both, which is what computing them there would give, but for rounding. Owns the copying, and the
 * reasons why a model's keys cannot be moved.
 */
import { fromHalf, MOST_HALF, toHalf } from "../formats/encode/floats.ts";
import { headBytes, keptBytes, PAGE } from "../kernels/attend.ts";
import type { Sequence } from "../kv/pages.ts";
import type { Network } from "../nn/arch.ts";
import type { HeadLayout, Rotation } from "../nn/step.ts";
import type { Arena } from "../runtime/arena.ts";
import type { Plan } from "./plan.ts";

/** Why modules of this model cannot be moved; undefined where they can. */
export function hindrance(network: Network, plan: Plan): string | undefined {
  const { heads, tied } = plan.step;
  if (network.output.kind !== "logits" || network.bidirectional) return "it gives embeddings and no text";
  if (plan.stateCapacity > 0) return "its recurrent layers read a text from its beginning";
  if (network.longestContext !== undefined) return "its positions are learned, so a part belongs to the place where it was read";
  if (tied.size > 0 || plan.scalars.size > 0) return `its attention depends on where a part stands (${[...tied, "temperature"][0]})`;
  const known = heads.reduce((sum, h) => sum + h.kvHeads * headBytes(h.headDim, h.valueDim, plan.step.kept), 0);
  if (known !== plan.step.pageBytes) return "its pages hold more than keys and values";
  return undefined;
}

/** Cosines and sines of the angles between two places. */
function angles({ frequencies }: Rotation, distance: number): { cos: Float64Array; sin: Float64Array } {
  const turned = frequencies.map(f => f * distance);
  return { cos: turned.map(Math.cos), sin: turned.map(Math.sin) };
}

/** So many tokens that lie together in a page on both sides. */
interface Stretch {
  readonly from: { readonly page: number; readonly place: number };
  readonly to: { readonly page: number; readonly place: number };
  readonly count: number;
}

function* stretches(source: Sequence, target: Sequence, start: number, count: number): Generator<Stretch> {
  const at = (s: Sequence, position: number) => ({ page: s.pages[Math.floor(position / PAGE)], place: position % PAGE });
  for (let t = 0, n = 0; t < count; t += n) {
    const [from, to] = [at(source, t), at(target, start + t)];
    n = Math.min(count - t, PAGE - from.place, PAGE - to.place);
    yield { from, to, count: n };
  }
}

/** All pages as the numbers that they keep. */
interface Numbers {
  readonly cells: Float32Array | Uint16Array;
  readonly read: (i: number) => number;
  readonly write: (i: number, x: number) => void;
}

function numbersOf({ pages, kept }: Plan["step"], arena: Arena): Numbers {
  if (kept === "f32") {
    const cells = arena.f32(pages.address, pages.bytes / 4);
    return { cells, read: i => cells[i], write: (i, x) => void (cells[i] = x) };
  }
  const bytes = arena.bytes(pages.address, pages.bytes);
  const cells = new Uint16Array(bytes.buffer, bytes.byteOffset, pages.bytes / 2);
  const clamp = (x: number): number => Math.max(-MOST_HALF, Math.min(MOST_HALF, x));
  return { cells, read: i => fromHalf(cells[i]), write: (i, x) => void (cells[i] = toHalf(clamp(x))) };
}

/** Copies `count` keys of one head, turned. `from` and `to`: index of the first dimension's value of the first token. */
function moveKeys(
  { cells, read, write }: Numbers,
  from: number,
  to: number,
  count: number,
  h: HeadLayout,
  turn: ReturnType<typeof angles>,
): void {
  const half = h.ropeDim / 2;
  for (let i = 0; i < half; i++) {
    const [cos, sin] = [turn.cos[i], turn.sin[i]];
    const [a, b] = [PAGE * i, PAGE * (i + half)];
    for (let t = 0; t < count; t++) {
      const [x, y] = [read(from + a + t), read(from + b + t)];
      write(to + a + t, x * cos - y * sin);
      write(to + b + t, x * sin + y * cos);
    }
  }
  for (let d = h.ropeDim; d < h.headDim; d++) cells.copyWithin(to + PAGE * d, from + PAGE * d, from + PAGE * d + count);
}

/**
 * Puts the first `count` tokens of `source`, which stands at position 0, where the last `count` tokens of `target` are to stand. Both sequences
 * own their pages; nothing else is touched.
 */
export function moveTokens({ step }: Plan, arena: Arena, source: Sequence, target: Sequence, count: number): void {
  const numbers = numbersOf(step, arena);
  const start = target.length - count;
  const turns = step.heads.map(h => (h.rotation ? angles(h.rotation, start) : { cos: new Float64Array(0), sin: new Float64Array(0) }));
  for (const { from, to, count: n } of stretches(source, target, start, count)) {
    step.heads.forEach((h, layer) => {
      const size = headBytes(h.headDim, h.valueDim, step.kept);
      for (let head = 0; head < h.kvHeads; head++) {
        const inPage = h.cache + head * size;
        const [a, b] = [from, to].map(({ page }) => (page * step.pageBytes + inPage) / keptBytes(step.kept));
        moveKeys(numbers, a + from.place, b + to.place, n, h, turns[layer]);
        const values = a + PAGE * h.headDim + from.place * h.valueDim;
        numbers.cells.copyWithin(b + PAGE * h.headDim + to.place * h.valueDim, values, values + n * h.valueDim);
      }
    });
  }
}
