/** What a way of quantising checkpoints says about itself: which tensors make up a matrix, and how the matrix is made of them. */
import type { LatheError } from "../../../errors.ts";
import type { Config } from "../config.ts";
import type { FloatType } from "../floats.ts";
import type { LazyTensor, StoredTensor } from "../lazy.ts";

export interface Scheme {
  /** What `quantization_config.quant_method` says. */
  readonly method: string;
  /** Ends of names: one of a matrix's tensors has one of these, and what stands before it names the layer. */
  readonly main: readonly string[];
  /** Ends of the names of the matrix's other tensors, and of tensors that are of no use here. */
  readonly others: readonly string[];
  /** Tensors by the ends of their names, such as `.weight`; undefined where the main tensor turns out not to be quantised. */
  readonly make: (parts: Parts) => Promise<Readonly<Record<string, LazyTensor>> | undefined>;
}

/** What a scheme works on. */
export interface Parts {
  /** The name that all of the matrix's tensors begin with. */
  readonly layer: string;
  /** The end of the main tensor's name. */
  readonly main: string;
  readonly config: Config;
  /** What values become that no quantised type holds exactly: the type that the model computes with. */
  readonly inexact: FloatType;
  /** A tensor by the end of its name. */
  find(end: string): StoredTensor | undefined;
  /** The same, required to have that many dimensions: `folder.malformed`. */
  need(end: string, dimensions: number): StoredTensor;
  /** `folder.malformed` about this matrix; `why` is a clause. */
  wrong(why: string): LatheError;
  /** `model.unsupported-type` about this matrix; `why` is a clause. */
  unsupported(why: string): LatheError;
}
