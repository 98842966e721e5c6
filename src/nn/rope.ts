/** Angles of rotary position embeddings and the row order that turns neighbouring pairs into split halves (ARCHITECTURES 1.2). */
import { LatheError } from "../errors.ts";
import type { Source } from "./source.ts";
import type { Rotation, Step } from "./step.ts";

/** How a model's positions are stretched beyond the context that it was first trained for. */
export type RopeScaling =
  | { readonly kind: "none" }
  | { readonly kind: "linear"; readonly factor: number }
  /** YaRN (Peng 2023): only pairs that turn seldom are slowed, between `fast` and `slow` full turns over the original context. */
  | {
      readonly kind: "yarn";
      readonly factor: number;
      readonly originalContext: number;
      readonly fast?: number;
      readonly slow?: number;
      /** Of cosines and sines; absent: 1 + 0.1 ln(factor). */
      readonly magnitude?: number;
    };

export interface RopeOptions {
  /** Values of a head that are rotated. */
  readonly dim: number;
  readonly base: number;
  readonly scaling: RopeScaling;
  /** Frequencies are divided by these, one a pair (tensors rope_freqs, rope_factors_*). */
  readonly factors?: Float32Array;
  /** Cosines and sines are multiplied by it besides. */
  readonly magnitude?: number;
}

const unusable = (why: string): LatheError =>
  new LatheError("gguf.malformed", `The model's rotary positions cannot be computed: ${why}; the file is damaged.`);

/** frequency[i] = base^(-2i / dim) / factor[i], slowed by the scaling. */
function rotation({ dim, base, scaling, factors, magnitude = 1 }: RopeOptions): Rotation {
  const plain = Float64Array.from({ length: dim / 2 }, (_, i) => base ** ((-2 * i) / dim) / (factors?.[i] ?? 1));
  if (!(base > 0) || !plain.every(f => f >= 0 && Number.isFinite(f))) throw unusable("its base or its factors are not above 0");
  if (scaling.kind === "none") return { frequencies: plain, magnitude };
  const { factor } = scaling;
  if (scaling.kind === "linear") return { frequencies: plain.map(f => f / factor), magnitude };
  const { originalContext, fast = 32, slow = 1 } = scaling;
  if (base === 1) throw unusable("a base of 1 cannot be stretched");
  const pairOf = (turns: number): number => (dim * Math.log(originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const first = Math.max(0, Math.floor(pairOf(fast)));
  const last = Math.min(dim - 1, Math.ceil(pairOf(slow)));
  const slowed = (i: number): number => Math.min(1, Math.max(0, (i - first) / Math.max(0.001, last - first)));
  const own = scaling.magnitude ?? 1 + 0.1 * Math.log(factor);
  return { frequencies: plain.map((f, i) => f * (1 - slowed(i)) + (f / factor) * slowed(i)), magnitude: magnitude * own };
}

/** 1 + 0.1 m ln(factor) where the metadata asks for YaRN; else 1. */
export function yarnMagnitude(source: Source, m = 1): number {
  const factor = source.text("rope.scaling.type", "none") === "yarn" ? source.orNone("rope.scaling.factor", 1) || 1 : 1;
  return 1 + 0.1 * m * Math.log(factor);
}

/** The scaling that the metadata asks for, YaRN with a magnitude of the family's own; "model.unsupported-arch" for one that is not known. */
export function ropeScaling(source: Source, magnitude?: number): RopeScaling {
  const factor = source.orNone("rope.scaling.factor", 0) || source.orNone("rope.scale_linear", 0) || 1;
  const kind = source.text("rope.scaling.type", "linear");
  if (kind === "none" || kind === "longrope" || factor === 1) return { kind: "none" };
  if (kind === "linear") return { kind, factor };
  const originalContext = source.positive("rope.scaling.original_context_length", source.positive("context_length"));
  const [fast, slow] = [source.positive("rope.scaling.yarn_beta_fast", 32), source.positive("rope.scaling.yarn_beta_slow", 1)];
  if (kind === "yarn") return { kind, factor, originalContext, magnitude, fast, slow };
  const message = `RoPE scaling "${kind}" is not supported by this version, which runs none, linear, yarn and longrope; use another model.`;
  throw new LatheError("model.unsupported-arch", message, { scaling: kind });
}

/** Factors for short and for long contexts belong together, and to longrope. */
function requireBoth(source: Source, stretched: boolean): void {
  const names = ["rope_factors_short.weight", "rope_factors_long.weight"];
  if (stretched || names.some(source.has)) names.forEach(n => void source.need(n));
}

/** Rotary positions as a model file asks for them. */
export interface Rope {
  readonly dim: number;
  /** Which values of a head turn together: 2i and 2i + 1, or i and i + dim / 2. */
  readonly pairs: Pairs;
  /** The angles; the same object throughout one trace. */
  readonly rotation: (step: Step) => Rotation;
}
export type Pairs = "neighbours" | "halves";

export interface RopeChoices {
  readonly pairs: Pairs;
  readonly dim: number;
  /** Default: rope.freq_base. */
  readonly base?: number;
  /** Default: what the metadata says. */
  readonly scaling?: RopeScaling;
  /** Of cosines and sines where they are stretched by YaRN. Default: 1 + 0.1 ln(factor). */
  readonly yarnMagnitude?: number;
  /**
   * The metadata's rope.dimension_sections give pairs to four streams of positions: one stretch after the other, or the first three in turn. Text has
   * its position in the first three; in the fourth it stands at 0, so that pairs of that stream are not turned.
   */
  readonly sections?: "stretches" | "turns";
  /** Whether the tensors rope_freqs and rope_factors_* are for this rotation. Default: yes. */
  readonly factors?: boolean;
}

/** Which pairs text does not turn. */
function standing(source: Source, { sections: kind }: RopeChoices): (pair: number) => boolean {
  const sizes = kind ? source.list("rope.dimension_sections") : [];
  const all = sizes.reduce((a, b) => a + b, 0);
  const [t = 0, h = 0, w = 0] = sizes;
  if (!all) return () => false;
  if (kind === "stretches") return pair => pair % all >= t + h + w;
  return pair => {
    const at = pair % all;
    return at >= 3 * [t, h, w][at % 3];
  };
}

/**
 * The rotation that metadata and tensors describe: base, scaling, frequency factors (Llama 3: rope_freqs; longrope: rope_factors_short within the
 * original context and rope_factors_long for longer ones).
 */
export function rope(source: Source, o: RopeChoices): Rope {
  const { pairs, dim } = o;
  const base = o.base ?? source.positive("rope.freq_base", 10000);
  const scaling = o.scaling ?? ropeScaling(source, o.yarnMagnitude);
  const magnitude = source.positive("rope.scaling.attn_factor", 1);
  const bind = (name: string): string | undefined =>
    o.factors !== false && source.has(`${name}.weight`)
      ? source.constant(`${name}.weight`, Math.max(dim / 2, source.elements(`${name}.weight`)))
      : undefined;
  const stretched = source.text("rope.scaling.type", "none") === "longrope";
  if (o.factors !== false) requireBoth(source, stretched);
  const [freqs, short, long] = ["rope_freqs", "rope_factors_short", "rope_factors_long"].map(bind);
  const originalContext = short || long ? source.positive("rope.scaling.original_context_length") : 0;
  const stands = standing(source, o);
  let made: { readonly step: Step; readonly rotation: Rotation } | undefined;
  return {
    dim,
    pairs,
    rotation: step => {
      if (made?.step !== step) {
        const name = freqs ?? (step.context > originalContext ? long : short);
        const factors = name === undefined ? undefined : step.values(name);
        const all = rotation({ dim, base, scaling, magnitude, factors });
        made = { step, rotation: { ...all, frequencies: all.frequencies.map((f, pair) => (stands(pair) ? 0 : f)) } };
      }
      return made.rotation;
    },
  };
}

/**
 * For heads whose pairs are neighbours (2i, 2i + 1): the order of a head's rows that puts all first members in front. Applied to the rows of
 * the query and key weights at load; scores are sums over a head, so they do not change, and kernels only know split halves.
 */
export function splitPairs(headDim: number, dim: number): readonly number[] {
  return Array.from({ length: headDim }, (_, i) => (i >= dim ? i : i < dim / 2 ? 2 * i : 2 * (i - dim / 2) + 1));
}
