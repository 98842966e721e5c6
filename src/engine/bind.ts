/** From a file's metadata and tensors to the network that they are, and what that will need in memory; no weight is read. */
import { LatheError } from "../errors.ts";
import { type Kept, PAGE } from "../kernels/attend.ts";
import { requireCompanions } from "../models/companions.ts";
import { architectures } from "../models/index.ts";
import { unsupported } from "../models/unsupported.ts";
import type { Network } from "../nn/arch.ts";
import { packedBytes, Source, type TensorRecord } from "../nn/source.ts";
import { pagesFor } from "./plan.ts";
import { LEAST_STATES, stateBytes } from "./states.ts";

const WORK_ESTIMATE = 48 << 20;

export interface Bindable {
  readonly architecture: string;
  /** Metadata without the tokenizer's lists. */
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly tensors: ReadonlyMap<string, TensorRecord>;
  /** How keys and values are kept; default auto. */
  readonly kept?: Kept | "auto";
}

/** From so many bytes of keys and values a token on, in f32, `auto` keeps them as f16: smaller models gain nothing from it. */
const WORTH_HALVING = 16 << 10;

/** Throws "model.unsupported-arch" where no file in models/ answers to the name. */
export function bind(spec: Bindable): { source: Source; network: Network } {
  const found = architectures.get(spec.architecture);
  if (!found) {
    const known = [...architectures.keys()].join(", ");
    const why = unsupported.get(spec.architecture);
    const message = why
      ? `A file of the architecture "${spec.architecture}" is ${why}.`
      : `The architecture "${spec.architecture}" is not supported by this version, which runs ${architectures.size} others; use another model or a newer Lathe.`;
    throw new LatheError("model.unsupported-arch", message, { architecture: spec.architecture, known });
  }
  const build = (kept: Kept) => {
    const source = new Source(spec.architecture, spec.metadata, spec.tensors, kept);
    return { source, network: found.build(source) };
  };
  const { kept = "auto" } = spec;
  const plain = build(kept === "auto" ? "f32" : kept);
  const { source, network } = kept === "auto" && plain.network.pageBytes >= WORTH_HALVING * PAGE ? build("f16") : plain;
  requireCompanions(source);
  const { unused } = source;
  if (unused.length) {
    const some = unused.slice(0, 3).join(", ") + (unused.length > 3 ? ` and ${unused.length - 3} more` : "");
    const message = `The model has tensors that this version does not use (${some}), so its answers would be wrong; use another model or a newer Lathe.`;
    throw new LatheError("model.unsupported-arch", message, { architecture: spec.architecture, unused });
  }
  return { source, network };
}

/** Bytes of memory. */
export interface Need {
  readonly weights: number;
  /** Keys, values and states. */
  readonly cache: number;
  /** Room for activations and tables, estimated. */
  readonly work: number;
}

/** What a model needs in memory for one text of `context` tokens. */
export function memoryNeeded(source: Source, network: Network, context: number): Need {
  const weights = source.weights.reduce((sum, w) => sum + packedBytes(w), 0) + source.vectors.reduce((sum, v) => sum + 4 * v.length, 0);
  return { weights, cache: pagesFor(context) * network.pageBytes + LEAST_STATES * stateBytes(source.states), work: WORK_ESTIMATE };
}
