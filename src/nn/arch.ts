/** What a model file declares: the names it answers to, its key-value geometry, and its graph. */
import type { Kept } from "../kernels/attend.ts";
import type { Output } from "./output.ts";
import type { Source } from "./source.ts";
import type { Step } from "./step.ts";
import type { Tensor } from "./tensor.ts";

export interface Network {
  /** Entries of the vocabulary. */
  readonly vocabulary: number;
  /** What a wanted row is, and how many numbers it has. */
  readonly output: Output;
  readonly columns: number;
  /** Tokens for which the model was trained. */
  readonly trainedContext: number;
  /** The longest sequence that the weights allow; absent: any. */
  readonly longestContext?: number;
  /** Tokens see what comes after them too: a step must hold a sequence from its first token to its last. */
  readonly bidirectional?: boolean;
  /** Bytes that one page of keys and values takes, all layers together. */
  readonly pageBytes: number;
  /** How it keeps keys and values. */
  readonly kept: Kept;
  readonly describe: Readonly<Record<string, number | string>>;
  /** Reads a text before the model answers it: the token that answers begin with, and the graph of a step that reads. */
  readonly reader?: { readonly start: number; readonly graph: (step: Step) => void };
  /** Records the graph of a step; gives the output of the wanted rows. */
  readonly graph: (step: Step) => Tensor;
  /** Small tensors whose values the graph needs while it is traced. */
  readonly constants: readonly string[];
}

export interface Architecture {
  /** Values of `general.architecture`. */
  readonly names: readonly string[];
  readonly build: (source: Source) => Network;
}

export const arch = (names: readonly string[], build: (source: Source) => Network): Architecture => ({ names, build });
