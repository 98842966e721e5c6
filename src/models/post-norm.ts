/** Families that norm what a branch gives, alone or besides what it gets: OLMo 2 and 3, EXAONE 4, GLM 4, PLaMo 3. ARCHITECTURES 3.6 to 3.8. */
import { arch } from "../nn/arch.ts";
import { attention } from "../nn/attention.ts";
import { config, decoder, postNorm, rotary, windowedLayers } from "../nn/decoder.ts";
import { ffn } from "../nn/ffn.ts";

/** OLMo 2: queries and keys are normed over all heads together. OLMo 3: windows on three of four layers; YaRN on the others only. */
export const olmo2 = arch(["olmo2"], source => {
  const c = config(source);
  const far = rotary(source, c, { pairs: "halves" });
  const near = rotary(source, c, { pairs: "halves", scaling: { kind: "none" } });
  const size = source.size("attention.sliding_window", { or: 0, min: 0 });
  const windowed = windowedLayers(source, size ? 4 : 1);
  return decoder(source, c, {
    layer: (at, i) => {
      const own = size && windowed(i) ? { rope: near, window: { kind: "sliding", size } as const } : { rope: far };
      const attends = attention(source, at, { ...c, ...own, qkNorm: { eps: c.eps, over: "all" } });
      return postNorm(source, c, at, { attention: attends, ffn: ffn(source, at, c) });
    },
  });
});

/** EXAONE 4: the 32B model (64 layers) has windows on three of four layers and no positions on the others. */
export const exaone4 = arch(["exaone4"], source => {
  const c = config(source);
  const rope = rotary(source, c, { pairs: "halves" });
  const large = c.layers === 64;
  const window = { kind: "sliding", size: source.size("attention.sliding_window", { or: 4096 }) } as const;
  const windowed = windowedLayers(source, 4);
  return decoder(source, c, {
    layer: (at, i) => {
      const own = large ? (windowed(i) ? { rope, window } : {}) : { rope };
      const attends = attention(source, at, { ...c, ...own, qkNorm: { eps: c.eps } });
      return postNorm(source, c, at, { attention: attends, ffn: ffn(source, at, c) });
    },
  });
});

/** GLM 4: norms on both sides; with sections of positions (its vision models) values turn half a head apart. */
export const glm4 = arch(["glm4"], source => {
  const c = config(source);
  const sees = source.list("rope.dimension_sections").some(n => n);
  const rope = rotary(source, c, sees ? { pairs: "halves", sections: "stretches" } : { pairs: "neighbours" });
  return decoder(source, c, {
    layer: at => {
      const parts = { attention: attention(source, at, { ...c, rope }), ffn: ffn(source, at, c) };
      return postNorm(source, c, at, parts, { sandwich: true });
    },
  });
});

/** PLaMo 3: norms on both sides, windows, norms of queries and keys. */
export const plamo3 = arch(["plamo3"], source => {
  const c = config(source);
  const far = rotary(source, c, { pairs: "halves" });
  const near = rotary(source, c, {
    pairs: "halves",
    base: source.positive("rope.freq_base_swa", source.positive("rope.freq_base", 10000)),
  });
  const window = { kind: "sliding", size: source.size("attention.sliding_window", { or: 2048 }) } as const;
  const windowed = windowedLayers(source, 8);
  return decoder(source, c, {
    layer: (at, i) => {
      const own = windowed(i) ? { rope: near, window } : { rope: far };
      const parts = { attention: attention(source, at, { ...c, ...own, qkNorm: { eps: c.eps } }), ffn: ffn(source, at, c) };
      return postNorm(source, c, at, parts, { sandwich: true });
    },
  });
});
