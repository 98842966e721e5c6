/**
 * Several residual streams in one row, side by side (hyper-connections, Xie 2025): what a branch takes from them, what it gives back to each, and
 * how they mix. The factors depend on the token alone.
 */
import type { Kernel } from "../ir/node.ts";
import { each, fold, kernel, konst, type Val } from "../ir/trace.ts";
import { type Chunk, chunkAt } from "./activations.ts";
import { exp, sigmoid } from "./math.ts";

type Scalar = Val<"f32", 1>;

export interface Mixing {
  readonly streams: number;
  /** Rounds of making the mixing matrix doubly stochastic; 0: streams do not mix. */
  readonly rounds: number;
  /** The greatest factor of giving where streams do not mix; absent there: nothing is given back, and the factors are those of taking alone. */
  readonly most?: number;
}

/** Factors of a token: `streams` of taking, then as many of giving, then a row of the mixing matrix for each stream that is mixed from. */
export const factorsOf = ({ streams, rounds, most }: Mixing): number => streams * (rounds ? 2 + streams : most === undefined ? 1 : 2);
/** Values of the scale beside: one for each kind of factor. */
export const scalesOf = ({ rounds, most }: Mixing): number => (rounds ? 3 : most === undefined ? 1 : 2);

const total = (x: readonly Scalar[]): Scalar => x.reduce((a, b) => a.add(b));

/** Rows, then columns, divided by their sums (Sinkhorn 1964). */
function balanced(n: number, eps: Scalar, rounds: number, given: readonly Scalar[]): readonly Scalar[] {
  const row = (m: readonly Scalar[], i: number): Scalar[] => m.slice(n * Math.floor(i / n), n * Math.floor(i / n) + n);
  const column = (m: readonly Scalar[], i: number): Scalar[] => m.filter((_, k) => k % n === i % n);
  const by = (m: readonly Scalar[], line: typeof row): Scalar[] => {
    const sums = Array.from({ length: n }, (_, k) => total(line(m, line === row ? k * n : k)).add(eps));
    return m.map((v, i) => v.div(sums[line === row ? Math.floor(i / n) : i % n]));
  };
  return fold(rounds - 1, by(given, column), (_, m) => by(by(m, row), column));
}

/** Slots: mixes, base, scale, out; bytes between rows of mixes and of out; eps. Grid: tokens. */
export const streamFactors = (m: Mixing): Kernel =>
  kernel(`stream_factors_${m.streams}_${m.rounds}_${m.most === undefined ? "" : String(m.most).replace(/[^0-9]/g, "_")}`, s => {
    const [mixes, base, scale, out] = [s.in("mixes"), s.in("base"), s.in("scale"), s.out("out")];
    const [stride, outStride, eps] = [s.size("stride"), s.size("outStride"), s.scalar("eps")];
    const n = m.streams;
    return t => {
      const at = t.mul(stride);
      const to = t.mul(outStride);
      const own = (i: number): Scalar => {
        const factor: Scalar = scale.load("f32", 1, 4 * Math.min(2, Math.floor(i / n)));
        return mixes
          .load("f32", 1, at.add(4 * i))
          .mul(factor)
          .add(base.load("f32", 1, 4 * i));
      };
      const gate = (i: number): Scalar => sigmoid(own(i).repeat(4)).slice(0, 1);
      for (let i = 0; i < n; i++) out.store(to.add(4 * i), gate(i).add(eps));
      if (!m.rounds) {
        if (m.most !== undefined) for (let i = n; i < 2 * n; i++) out.store(to.add(4 * i), gate(i).mul(m.most).add(eps));
        return;
      }
      for (let i = n; i < 2 * n; i++) out.store(to.add(4 * i), gate(i).mul(2));
      const rows = Array.from({ length: n }, (_, r) => Array.from({ length: n }, (_, k) => own(n * (2 + r) + k)));
      const shares = rows.flatMap(row => {
        const most = row.reduce((a, b) => a.max(b));
        const powers = row.map(v => exp(v.sub(most).repeat(4)).slice(0, 1));
        const sum = total(powers);
        return powers.map(p => p.div(sum).add(eps));
      });
      balanced(n, eps, m.rounds, shares).forEach((v, i) => {
        out.store(to.add(4 * (2 * n + i)), v);
      });
    };
  });

/** out = the sum of the streams, each times its factor. Slots: x, factors, out; tokens, strides in bytes. Grid: chunks of 32 columns of a stream. */
export const takeStreams = (streams: number, columns: number): Kernel =>
  kernel(`take_streams_${streams}_${columns}`, s => {
    const [x, factors, out] = [s.in("x"), s.in("factors"), s.out("out")];
    const [tokens, xStride, factorStride, outStride] = [s.size("tokens"), s.size("xStride"), s.size("factorStride"), s.size("outStride")];
    return chunk =>
      each(0, tokens, t => {
        let sum: Chunk = konst("f32", 32, 0);
        for (let h = 0; h < streams; h++) {
          const factor = factors.load("f32", 1, t.mul(factorStride).add(4 * h)).repeat(32) as Chunk;
          sum = chunkAt(x, t.mul(xStride).add(4 * h * columns), chunk).mulAdd(factor, sum);
        }
        out.store(t.mul(outStride).add(chunk.mul(128)), sum);
      });
  });

/** Each stream = its giving factor * y + the mix of all streams, or itself where they do not mix. Slots: x, y, factors; tokens, strides in bytes. Grid: chunks of 32 columns of a stream. */
export const giveStreams = (streams: number, columns: number, mixed: boolean): Kernel =>
  kernel(`give_streams_${streams}_${columns}_${mixed}`, s => {
    const [x, y, factors] = [s.out("x"), s.in("y"), s.in("factors")];
    const [tokens, xStride, yStride, factorStride] = [s.size("tokens"), s.size("xStride"), s.size("yStride"), s.size("factorStride")];
    return chunk =>
      each(0, tokens, t => {
        const factor = (i: number): Chunk => factors.load("f32", 1, t.mul(factorStride).add(4 * i)).repeat(32) as Chunk;
        const at = t.mul(xStride).add(chunk.mul(128));
        const before = Array.from({ length: streams }, (_, h) => x.load("f32", 32, at.add(4 * h * columns)) as Chunk);
        const given = chunkAt(y, t.mul(yStride), chunk);
        for (let to = 0; to < streams; to++) {
          if (!mixed) {
            x.store(at.add(4 * to * columns), given.mulAdd(factor(streams + to), before[to]));
            continue;
          }
          let sum = given.mul(factor(streams + to));
          for (let from = 0; from < streams; from++) sum = before[from].mulAdd(factor(streams * (2 + from) + to), sum);
          x.store(at.add(4 * to * columns), sum);
        }
      });
  });
