/** Kernels over several residual streams that mix with one another by numbers that each token chooses. */
import type { Kernel } from "../ir/node.ts";
import { each, kernel, type Val } from "../ir/trace.ts";
import type { Chunk } from "./activations.ts";

type Scalar = Val<"f32", 1>;

/**
 * Slots of both kernels: `n` streams, read and written; y for `correct`; m (n numbers a row), table (f32); tokens, bytes between rows of the streams (and
 * y), of m. Grid: chunks of 32 columns.
 */
function over(
  name: string,
  n: number,
  more: readonly "y"[],
  f: (x: Chunk[], y: Chunk[], weigh: (row: number) => Scalar) => Chunk[],
): Kernel {
  return kernel(`${name}_${n}`, s => {
    const streams = Array.from({ length: n }, (_, i) => s.out(`x${i}`));
    const others = more.map(o => s.in(o));
    const [m, table] = [s.in("m"), s.in("table")];
    const [tokens, stride, mStride] = [s.size("tokens"), s.size("stride"), s.size("mStride")];
    return chunk =>
      each(0, tokens, t => {
        const at = t.mul(stride).add(chunk.mul(128));
        const chosen = Array.from({ length: n }, (_, k) => m.load("f32", 1, t.mul(mStride).add(4 * k)));
        /** A row of the table times m. */
        const weigh = (row: number): Scalar =>
          chosen.map((v, k) => v.mul(table.load("f32", 1, 4 * (row * n + k)))).reduce((a, b) => a.add(b)) as Scalar;
        const load = (p: (typeof streams)[number] | (typeof others)[number]): Chunk => p.load("f32", 32, at) as Chunk;
        const mixed = f(streams.map(load), others.map(load), weigh);
        mixed.forEach((value, i) => void streams[i].store(at, value));
      });
  });
}

/** x_i += sum over j of c[i][j] x_j, where c[i][j] = table[n i + j] m. */
export const predictStreams = (n: number): Kernel =>
  over("predict_streams", n, [], (x, _, weigh) =>
    x.map((own, i) => x.reduce((sum, other, j) => other.mulAdd(weigh(n * i + j).repeat(32) as Chunk, sum), own)),
  );

/** x_i += (y - x_0) (1 + table[i] m). */
export const correctStreams = (n: number): Kernel =>
  over("correct_streams", n, ["y"], (x, [y], weigh) => {
    const off = y.sub(x[0]);
    return x.map((own, i) => off.mulAdd(weigh(i).add(1).repeat(32) as Chunk, own));
  });
