/** Feed-forward branches: with a gate (apart, or fused in front of `up`) or without, as the file's tensors say. */
import { type ActivationName, activate, activations, type Gating, gated, gatings } from "./elementwise.ts";
import { type Branch, endingIn, linear } from "./linear.ts";
import type { Norm } from "./norm.ts";
import type { Source } from "./source.ts";
import { view } from "./tensor.ts";

export interface FfnOptions {
  readonly dim: number;
  readonly hidden: number;
  /** Of the gate, or of everything where there is none. Default: silu. */
  readonly activation?: ActivationName;
  /** Without a gate the file is incomplete. Default: with silu. */
  readonly gated?: boolean;
  /** Another way to gate than activation(gate) * up. */
  readonly gating?: Gating;
  /** End of the tensors' names, such as `_shexp`. */
  readonly suffix?: string;
  /** Applied before the projection down. */
  readonly subNorm?: Norm;
}

/** down(gating(gate x, up x)), or down(activation(up x)). */
export function ffn(source: Source, at: string, o: FfnOptions): Branch {
  const {
    dim,
    hidden,
    activation = "silu",
    gating = gatings[activation],
    gated: needsGate = activation === "silu",
    suffix = "",
    subNorm,
  } = o;
  const name = (part: string): string => `${at}.ffn_${part}${suffix}`;
  const down = linear(source, name("down"), hidden, dim);
  const normed: typeof endingIn = (out, make) =>
    endingIn(out, (step, x) => (subNorm ? subNorm(step, make(step, x).form("f32")) : make(step, x)));
  if (source.has(`${name("gate")}.weight`)) {
    const [gate, up] = [linear(source, name("gate"), dim, hidden), linear(source, name("up"), dim, hidden)];
    return normed(down, (step, x) => gated(step, gating, gate(step, x), up(step, x)));
  }
  if (source.rowsOf(`${name("up")}.weight`) === 2 * hidden) {
    const both = linear(source, name("up"), dim, 2 * hidden);
    return normed(down, (step, x) => {
      const h = both(step, x);
      return gated(step, gating, view(h, 0, hidden), view(h, hidden, hidden));
    });
  }
  if (needsGate) source.need(`${name("gate")}.weight`);
  const up = linear(source, name("up"), dim, hidden);
  return normed(down, (step, x) => activate(step, activations[activation], up(step, x)));
}
