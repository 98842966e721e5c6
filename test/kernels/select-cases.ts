/** Cases of the kernels that choose keys: index scores over pages, the choice among equal and unequal scores, and heads made shorter. */
import { headBeginnings } from "../../src/kernels/heads.ts";
import { type Choice, choiceEntries, choose, type IndexShape, indexScores } from "../../src/kernels/select.ts";
import type { Image } from "../fixtures/machines.ts";
import { Random } from "../fixtures/random.ts";
import { type Expected, type KernelCase, U } from "./case.ts";

const PAGE = 32;
const exact = (what: string, at: number, values: ArrayLike<number>): Expected => ({
  what,
  at,
  values,
  bounds: new Float64Array(values.length),
});

/** The numbers of the blocks that are seen, by sorting: the last ones, then by score, the first among equals. */
function chosenBlocks(scores: readonly number[], { block, top, local, ended }: Choice): Set<number> {
  const n = ended ? Math.floor(scores.length / block) : Math.ceil(scores.length / block);
  const best = Array.from({ length: n }, (_, b) =>
    ended ? scores[(b + 1) * block - 1] : Math.max(...scores.slice(b * block, (b + 1) * block)),
  );
  const order = best.map((_, b) => b).sort((a, b) => Number(b >= n - local) - Number(a >= n - local) || best[b] - best[a] || a - b);
  return new Set(order.slice(0, Math.max(top, local)));
}

export function chooseCase(c: Choice, positions: readonly number[], ties: boolean): KernelCase {
  const context = 32 * Math.ceil((Math.max(...positions) + 1) / 32);
  const rows = positions.length * c.sets;
  const entries = choiceEntries(context, c.block);
  return {
    name: `choose ${JSON.stringify(c)}${ties ? " with ties" : ""}`,
    kernel: choose(c),
    bytes: 8 * rows * context,
    operations: 64 * rows * context,
    lay: (image: Image) => {
      const random = new Random(17);
      const values = Array.from({ length: rows }, () => Array.from(random.floats(context), v => (ties ? Math.round(2 * v) : v)));
      const x = image.f32(...values);
      const scratch = image.space(4 * entries * rows);
      const expected = values.map((row, r): Expected => {
        const end = positions[Math.floor(r / c.sets)] + 1;
        const chosen = chosenBlocks(row.slice(0, end), c);
        const seen = (i: number): boolean => chosen.has(Math.floor(i / c.block)) && (!c.ended || i % c.block === c.block - 1);
        const marks = Array.from({ length: end }, (_, i) => (seen(i) ? 0 : Math.fround(-1e30)));
        return exact(`row ${r}`, x + 4 * context * r, marks);
      });
      return {
        grid: rows,
        args: [image.i32(positions), x, scratch, 4 * context, 4 * entries],
        expected,
        scratch: [{ at: scratch, bytes: 4 * entries * rows }],
      };
    },
  };
}

/** One sequence of `length` tokens whose pages lie in reverse; the last two tokens ask. */
export function indexCase(h: IndexShape, length: number): KernelCase {
  const [pages, queries] = [Math.ceil(length / PAGE), h.sets * h.heads];
  const positions = [length - 2, length - 1];
  const stride = 4 * PAGE * pages;
  return {
    name: `index scores ${JSON.stringify(h)}`,
    kernel: indexScores(h),
    bytes: 4 * length * h.headDim,
    operations: 4 * length * queries * h.headDim,
    lay: (image: Image) => {
      const random = new Random(23);
      const keys = Array.from({ length: pages }, () => random.floats(PAGE * h.headDim)); // [dimension][token]
      const q = positions.map(() => random.floats(queries * h.headDim));
      const weights = positions.map(() => random.floats(queries));
      const out = image.space(stride * h.sets * positions.length);
      const expected = positions.flatMap((position, t) =>
        Array.from({ length: h.sets }, (_, set): Expected => {
          const values = new Float64Array(position + 1);
          const bounds = new Float64Array(position + 1);
          for (let p = 0; p <= position; p++) {
            for (let head = set * h.heads; head < (set + 1) * h.heads; head++) {
              let [dot, size] = [0, 0];
              for (let d = 0; d < h.headDim; d++) {
                const product = q[t][head * h.headDim + d] * keys[Math.floor(p / PAGE)][d * PAGE + (p % PAGE)];
                dot += product;
                size += Math.abs(product);
              }
              const w = h.weighted ? weights[t][head] : 1;
              values[p] += w * (h.weighted ? Math.max(dot, 0) : dot);
              bounds[p] += Math.abs(w) * size * (h.headDim + h.heads + 3) * U;
            }
          }
          return { what: `token ${t}, set ${set}`, at: out + stride * (t * h.sets + set), values, bounds };
        }),
      );
      const pool = image.f32(...keys.toReversed());
      const inputs = [image.f32(...q), pool, image.i32(keys.map((_, i) => pages - 1 - i)), image.i32([0, 0]), image.i32(positions)];
      const own = h.weighted ? [image.f32(...weights)] : [];
      const strides = [4 * queries * h.headDim, ...(h.weighted ? [4 * queries] : []), stride, 4 * PAGE * h.headDim, 0];
      return {
        grid: h.sets * positions.length,
        args: [...inputs, ...own, out, positions.length, ...strides],
        expected,
        scratch: [{ at: out, bytes: stride * h.sets * positions.length }],
      };
    },
  };
}

export function beginningsCase(heads: number, headDim: number, size: number): KernelCase {
  return {
    name: `the first ${size} of ${headDim} values of ${heads} heads`,
    kernel: headBeginnings(heads, headDim, size),
    bytes: 8 * heads * size,
    operations: 0,
    lay: (image: Image) => {
      const values = Array.from(new Random(29).floats(2 * heads * headDim));
      const out = image.space(8 * heads * size);
      const kept = values.filter((_, i) => i % headDim < size);
      return { grid: 2, args: [image.f32(values), out, 4 * heads * headDim, 4 * heads * size], expected: [exact("rows", out, kept)] };
    },
  };
}

export const selectCases: readonly KernelCase[] = [
  chooseCase({ sets: 1, block: 1, top: 5, local: 0 }, [0, 3, 4, 5, 40, 63], false),
  chooseCase({ sets: 1, block: 1, top: 9, local: 0 }, [7, 8, 9, 50, 95], true),
  chooseCase({ sets: 2, block: 4, top: 3, local: 1 }, [0, 2, 11, 12, 13, 47], false),
  chooseCase({ sets: 2, block: 4, top: 4, local: 2 }, [15, 16, 33, 60], true),
  chooseCase({ sets: 1, block: 3, top: 1, local: 1 }, [1, 20], false),
  chooseCase({ sets: 1, block: 4, top: 3, local: 0, ended: true }, [0, 2, 3, 10, 15, 47, 62], false),
  chooseCase({ sets: 1, block: 4, top: 2, local: 0, ended: true }, [3, 33, 63], true),
  indexCase({ sets: 1, heads: 4, headDim: 16, weighted: true }, 70),
  indexCase({ sets: 2, heads: 1, headDim: 8, weighted: false }, 33),
  beginningsCase(4, 32, 12),
  beginningsCase(3, 32, 5),
];
