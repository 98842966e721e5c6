/** What a model file declares: the names it answers to, its key-value geometry, and its graph. */
import type { Step, Tensor } from "./layers.ts";
import type { Source } from "./source.ts";

export interface Network {
  /** Entries of the vocabulary: columns of the logits that count. */
  readonly vocabulary: number;
  /** Tokens for which the model was trained. */
  readonly trainedContext: number;
  /** Bytes that one page of keys and values takes, all layers together. */
  readonly pageBytes: number;
  /** Tensors of frequency factors that the engine reads before tracing, by name. */
  readonly describe: Readonly<Record<string, number | string>>;
  /** Records the graph of a step; gives the logits of the wanted rows. */
  readonly graph: (step: Step, values: (tensor: string) => Float32Array) => Tensor;
  /** Small tensors whose values the graph needs while it is traced. */
  readonly constants: readonly string[];
}

export interface Architecture {
  /** Values of `general.architecture`. */
  readonly names: readonly string[];
  readonly build: (source: Source) => Network;
}

export const arch = (names: readonly string[], build: (source: Source) => Network): Architecture => ({ names, build });
