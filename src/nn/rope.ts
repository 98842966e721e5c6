/** Angles of rotary position embeddings and the row order that turns neighbouring pairs into split halves (ARCHITECTURES 1.2). */
import { LatheError } from "../errors.ts";
import type { Rotation } from "./layers.ts";
import type { Source } from "./source.ts";

/** How a model's positions are stretched beyond the context that it was first trained for. */
export type RopeScaling =
  | { readonly kind: "none" }
  | { readonly kind: "linear"; readonly factor: number }
  /** YaRN (Peng 2023): only pairs that turn seldom are slowed. */
  | { readonly kind: "yarn"; readonly factor: number; readonly originalContext: number };

export interface RopeOptions {
  /** Values of a head that are rotated. */
  readonly dim: number;
  readonly base: number;
  readonly scaling: RopeScaling;
  /** Frequencies are divided by these, one a pair (tensor rope_freqs). */
  readonly factors?: Float32Array;
}

/** Full turns over the original context at which YaRN begins and ends to slow a pair. */
const [FAST, SLOW] = [32, 1];

/** frequency[i] = base^(-2i / dim) / factor[i], slowed by the scaling. */
export function rotation({ dim, base, scaling, factors }: RopeOptions): Rotation {
  const plain = Float64Array.from({ length: dim / 2 }, (_, i) => base ** ((-2 * i) / dim) / (factors?.[i] ?? 1));
  if (scaling.kind === "none") return { frequencies: plain, magnitude: 1 };
  const { factor } = scaling;
  if (scaling.kind === "linear") return { frequencies: plain.map(f => f / factor), magnitude: 1 };
  const pairOf = (turns: number): number => (dim * Math.log(scaling.originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const first = Math.max(0, Math.floor(pairOf(FAST)));
  const last = Math.min(dim - 1, Math.ceil(pairOf(SLOW)));
  const slowed = (i: number): number => Math.min(1, Math.max(0, (i - first) / Math.max(0.001, last - first)));
  return { frequencies: plain.map((f, i) => f * (1 - slowed(i)) + (f / factor) * slowed(i)), magnitude: 1 + 0.1 * Math.log(factor) };
}

/** The scaling that the metadata asks for; "model.unsupported-arch" for one that is not known. */
export function ropeScaling(source: Source): RopeScaling {
  const factor = source.number("rope.scaling.factor", 0) || source.number("rope.scale_linear", 0) || 1;
  const kind = source.text("rope.scaling.type", "linear");
  if (kind === "none" || factor === 1) return { kind: "none" };
  if (kind === "linear") return { kind, factor };
  const originalContext = source.number("rope.scaling.original_context_length", source.number("context_length"));
  if (kind === "yarn") return { kind, factor, originalContext };
  const message = `RoPE scaling "${kind}" is not supported by this version, which runs none, linear and yarn; use another model.`;
  throw new LatheError("model.unsupported-arch", message, { scaling: kind });
}

/**
 * For heads whose pairs are neighbours (2i, 2i + 1): the order of a head's rows that puts all first members in front. Applied to the rows of
 * the query and key weights at load; scores are sums over a head, so they do not change, and kernels only know split halves.
 */
export function splitPairs(headDim: number, dim: number): readonly number[] {
  return Array.from({ length: headDim }, (_, i) => (i >= dim ? i : i < dim / 2 ? 2 * i : 2 * (i - dim / 2) + 1));
}
