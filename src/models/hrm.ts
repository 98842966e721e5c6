/**
 * HRM-Text: a low and a high stack of layers over two streams. In every high cycle the low stack runs several times on the sum of both and replaces
 * the low stream, then the high stack does the same to the high one, which logits come from. Each run has keys and values of its own; `block_count`
 * counts runs of layers, the weights are those of two stacks. Norms have no weights. Source: transformers `HrmTextModel`, llama.cpp `hrm-text.cpp`.
 */
import { LatheError } from "../errors.ts";
import { arch } from "../nn/arch.ts";
import { attention } from "../nn/attention.ts";
import { inTurn, residual } from "../nn/block.ts";
import { config, decoder, normOf, rotary } from "../nn/decoder.ts";
import { addScaled, copyTo } from "../nn/elementwise.ts";
import { ffn } from "../nn/ffn.ts";
import { combined } from "../nn/recurrent.ts";
import type { Step } from "../nn/step.ts";
import type { Tensor } from "../nn/tensor.ts";

export const hrm = arch(["hrm_text"], source => {
  const c = config(source);
  const size = source.size("hrm.layers_per_stack", { max: c.layers });
  const [high, low] = ["hrm.h_cycles", "hrm.l_cycles"].map(key => source.size(key, { max: c.layers }));
  if (c.layers !== size * high * (low + 1)) {
    const message = `${c.layers} blocks are not ${high} cycles of ${low + 1} stacks of ${size} layers; the file is damaged.`;
    throw new LatheError("model.wrong-shape", message, { layers: c.layers, size, high, low });
  }
  const rope = rotary(source, c, { pairs: "halves" });
  const norm = normOf(source, c, undefined);
  const start = source.vector("hrm.z_l_init", c.dim);
  let lower: Tensor | undefined;
  const layer = (_: string, i: number) => {
    const [run, own] = [Math.floor(i / size), i % size];
    const isHigh = run % (low + 1) === low;
    const at = `blk.${own + (isHigh ? size : 0)}`;
    const block = inTurn(residual(norm, attention(source, at, { ...c, rope })), residual(norm, ffn(source, at, c)));
    const [first, last] = [own === 0 && i > 0, own === size - 1 && i < c.layers - 1];
    return (step: Step, upper: Tensor): void => {
      const [z, other] = isHigh ? [upper, lower!] : [lower!, upper];
      if (first) addScaled(step, other, z);
      block(step, z);
      if (last) copyTo(step, norm(step, z).form("f32"), z);
    };
  };
  const prepare = (step: Step, x: Tensor): void => {
    lower = combined(step, "plus", [x, start], (a, b) => a.add(b)); // what the first run of the low stack begins with
  };
  return decoder(source, c, { embeddingScale: source.positive("embedding_scale", 1), norm, prepare, layer });
});
