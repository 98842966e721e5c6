/**
 * Llama 1 to 3.x and everything of that shape (Mistral, TinyLlama, SmolLM2, Yi ...): pre-RMSNorm, grouped-query attention with rotary
 * positions in neighbouring pairs, SwiGLU, tied or untied output. ARCHITECTURES 3.1.
 */
import { arch } from "../nn/arch.ts";
import { attention } from "../nn/attention.ts";
import { config, decoder, preNorm, rotary } from "../nn/decoder.ts";
import { ffn } from "../nn/ffn.ts";

export const llama = arch(["llama"], source => {
  const c = config(source);
  const scale = source.number("attention.scale", 0) || undefined;
  const rope = rotary(source, c, { pairs: "neighbours" });
  return decoder(source, c, {
    layer: at => preNorm(source, c, at, { attention: attention(source, at, { ...c, rope, scale }), ffn: ffn(source, at, c) }),
  });
});
