/** What Gemma 3n and 4 have in common besides attention: an embedding of the token for every layer, which gates a small branch there. */
import { addScaled, gated, gatings, scaleBy } from "../nn/elementwise.ts";
import { embedding } from "../nn/embedding.ts";
import { linear } from "../nn/linear.ts";
import { headNorm } from "../nn/norm.ts";
import type { Source } from "../nn/source.ts";
import type { Step } from "../nn/step.ts";
import { type Input, input, type Tensor, view } from "../nn/tensor.ts";

export interface LayerEmbeddings {
  /** Makes all layers' embeddings from the scaled token embeddings; run once a step. */
  readonly prepare: (step: Step, x: Tensor) => void;
  /** proj(gelu(inp_gate x) * the layer's embedding); undefined where the model has none. */
  readonly gate: (at: string, layer: number) => ((step: Step, x: Input) => Tensor) | undefined;
}

/** (norm(per_layer_model_proj x / sqrt(dim)) + per_layer_token_embd * sqrt(width)) / sqrt(2). */
export function layerEmbeddings(
  source: Source,
  c: { readonly dim: number; readonly layers: number; readonly eps: number },
  usualWidth = 0,
): LayerEmbeddings {
  const width = source.size("embedding_length_per_layer_input", { or: usualWidth, min: 0 });
  if (!width) return { prepare: () => {}, gate: () => undefined };
  const tokens = embedding(source, "per_layer_token_embd", width * c.layers);
  const project = linear(source, "per_layer_model_proj", c.dim, width * c.layers, { scale: c.dim ** -0.5 });
  const norm = headNorm(source, "per_layer_proj_norm", { kind: "rms", eps: c.eps, heads: c.layers, headDim: width });
  let all: Tensor | undefined;
  return {
    prepare: (step, x) => {
      all = project(step, input(step, x));
      norm?.(step, all);
      addScaled(step, tokens(step), all, Math.sqrt(width));
      scaleBy(step, all, Math.SQRT1_2);
    },
    gate: (at, layer) => {
      const gate = linear(source, `${at}.inp_gate`, c.dim, width);
      const out = linear(source, `${at}.proj`, width, c.dim);
      return (step, x) => out(step, gated(step, gatings.gelu, gate(step, x), view(all!, layer * width, width)));
    },
  };
}
