/**
 * LFM2: short convolutions with gates before and after in most layers, grouped-query attention with normed queries and keys in the others
 * (ARCHITECTURES 1.6, 3.8). The last norm goes by the name of the embeddings'.
 */
import { arch } from "../nn/arch.ts";
import { attention } from "../nn/attention.ts";
import { decoder, headSizes, mixedConfig, preNorm, recurrentLayers, rotary } from "../nn/decoder.ts";
import { type Branch, endingIn, linear } from "../nn/linear.ts";
import { expertHidden, moeOrFfn } from "../nn/moe.ts";
import { rmsNorm } from "../nn/norm.ts";
import { combine, combined, convolution } from "../nn/recurrent.ts";
import type { Source } from "../nn/source.ts";
import { view } from "../nn/tensor.ts";

/** out(c conv(b x)), with b, c and x from one projection. */
function shortConvolution(source: Source, at: string, dim: number): Branch {
  const enter = linear(source, `${at}.shortconv.in_proj`, dim, 3 * dim);
  const kernel = source.size("shortconv.l_cache", { min: 2, max: 16 });
  const conv = convolution(source, `${at}.shortconv.conv`, dim, { kernel });
  return endingIn(linear(source, `${at}.shortconv.out_proj`, dim, dim), (step, given) => {
    const all = enter(step, given);
    const [b, c, x] = [0, 1, 2].map(i => view(all, i * dim, dim));
    return combine(
      step,
      "times",
      [
        c,
        conv(
          step,
          combined(step, "times", [b, x], (t, u) => t.mul(u)),
        ),
      ],
      (t, u) => t.mul(u),
    );
  });
}

export const lfm2 = arch(["lfm2", "lfm2moe"], source => {
  const recurrent = recurrentLayers(source);
  const c = mixedConfig(source, "rms", recurrent.indexOf(false));
  const rope = rotary(source, c, { pairs: "halves" });
  const mixer = (at: string, i: number): Branch =>
    recurrent[i]
      ? shortConvolution(source, at, c.dim)
      : attention(source, at, { ...c, ...headSizes(source, c.dim, i), rope, window, qkNorm: { eps: c.eps } });
  const size = source.architecture === "lfm2" ? source.size("attention.sliding_window", { or: 0, min: 0 }) : 0;
  const window = size ? ({ kind: "sliding", size } as const) : undefined;
  const hidden = expertHidden(source);
  const feedForward = (at: string): Branch => moeOrFfn(source, at, { dim: c.dim, hidden, denseHidden: c.hidden, scores: "sigmoid" });
  return decoder(source, c, {
    layer: (at, i) => preNorm(source, c, at, { attention: mixer(at, i), ffn: feedForward(at) }),
    norm: rmsNorm(source, source.has("token_embd_norm.weight") ? "token_embd_norm" : "output_norm", c.dim, c.eps),
  });
});
