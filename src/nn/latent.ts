/**
 * Mixtures of experts that work in a narrower space: what they get is projected down and what they give up again, while the router and the
 * shared experts see the token as it is (ARCHITECTURES 3.5, 3.8).
 */

import { addScaled } from "./elementwise.ts";
import { ffn } from "./ffn.ts";
import { type Branch, branch, linear } from "./linear.ts";
import { experts, type MoeOptions, moe, router } from "./moe.ts";
import { rmsNorm } from "./norm.ts";
import type { Source } from "./source.ts";
import { input } from "./tensor.ts";

export interface LatentMoeOptions extends MoeOptions {
  /** Width of the narrower space; 0: there is none. */
  readonly latent: number;
  /** Beginning of the projections' names, which go on with _down and _up, and of the norm's before _up. */
  readonly names: string;
  readonly eps?: number;
}

export function latentMoe(source: Source, at: string, o: LatentMoeOptions): Branch {
  const { dim, latent, names, activation, gating } = o;
  if (!latent || !source.has(`${at}.${names}_down.weight`)) return moe(source, at, o);
  const choose = router(source, at, o);
  const [down, up] = [linear(source, `${at}.${names}_down`, dim, latent), linear(source, `${at}.${names}_up`, latent, dim)];
  const routed = experts(source, at, { ...o, dim: latent, experts: source.size("expert_count") });
  const norm = source.has(`${at}.${names}_norm.weight`) ? rmsNorm(source, `${at}.${names}_norm`, latent, o.eps ?? 0) : undefined;
  const hidden = source.rowsOf(`${at}.ffn_up_shexp.weight`);
  const shared = hidden ? ffn(source, at, { dim, hidden, activation, gating, suffix: "_shexp" }) : undefined;
  return branch((step, x) => {
    const inner = routed(step, choose(step, x), input(step, down(step, x)));
    const y = up(step, norm ? norm(step, inner) : input(step, inner));
    if (shared) addScaled(step, shared(step, x), y);
    return y;
  });
}
