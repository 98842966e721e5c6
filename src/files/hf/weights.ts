/**
 * The weights of a folder by the names that the model's code gives them, whatever way they are stored: a quantised matrix that consists of
 * several tensors appears as one `<layer>.weight`. Owns the choice of the scheme; each scheme is a file in `quant/`.
 */
import { LatheError } from "../../errors.ts";
import { quoted } from "../gguf-values.ts";
import { type Config, isObject } from "./config.ts";
import type { FloatType } from "./floats.ts";
import type { Folder } from "./folder.ts";
import { type LazyTensor, type StoredTensor, stored } from "./lazy.ts";
import { schemes } from "./quant/index.ts";
import type { Parts, Scheme } from "./quant/scheme.ts";

/** The type that the model computes with. */
export function computeType(config: Config): FloatType {
  const name = config.string("dtype | torch_dtype", "bfloat16").replace(/^torch\./, "");
  return name === "float16" ? "F16" : name === "float32" ? "F32" : "BF16";
}

/** How the checkpoint is quantised; undefined where it is not. Throws `model.unsupported-type`. */
export function schemeOf(config: Config): Scheme | undefined {
  const quantisation = config.find("quantization_config");
  if (quantisation === undefined) return undefined;
  const method = isObject(quantisation) ? config.string("quantization_config.quant_method", "none") : "none";
  const scheme = schemes.find(s => s.method === method);
  if (scheme) return scheme;
  const known = schemes.map(s => s.method).join(", ");
  const message = `The model is quantised by the method ${quoted(method)}, which is not read; use one of ${known}, or the model before quantisation.`;
  throw new LatheError("model.unsupported-type", message, { method, known });
}

/** Which tensors a network may have that are of no use: values that are computed, left by older versions of model code. */
const derived =
  /(rotary_emb\.inv_freq|rotary_emb\.cos_cached|rotary_emb\.sin_cached|position_ids|\.masked_bias|\.attn\.bias|\.attention\.bias)$/;

/**
 * All weights, in the order of the files. Quantised matrices are looked at (their scales are read), because their values decide which type
 * holds them. Tensors that `unwanted` names are left out. Throws `folder.malformed`, `model.unsupported-type`, and what reading throws.
 */
export async function weightsOf(folder: Folder, unwanted: (name: string) => boolean): Promise<Map<string, LazyTensor>> {
  const { config, tensors } = folder;
  const scheme = schemeOf(config);
  const inexact = computeType(config);
  const found = new Map<string, LazyTensor>();
  for (const tensor of tensors.values()) {
    const { name } = tensor;
    if (derived.test(name) || unwanted(name)) continue;
    const main = scheme?.main.find(end => name.endsWith(end));
    if (main === undefined && scheme?.others.some(end => name.endsWith(end))) continue;
    const layer = name.slice(0, name.length - (main?.length ?? 0));
    const made = main === undefined ? undefined : await scheme?.make(partsOf(layer, main, config, inexact, tensors));
    if (!made) found.set(name, plain(tensor));
    else for (const [end, made_] of Object.entries(made)) found.set(layer + end, made_);
  }
  return found;
}

function plain(tensor: StoredTensor): LazyTensor {
  const found = stored(tensor);
  if (found) return found;
  const { name, dtype } = tensor;
  const message = `The tensor ${quoted(name)} has type ${dtype}, for which GGUF has no place; use another version of this model.`;
  throw new LatheError("model.unsupported-type", message, { tensor: name, type: dtype });
}

function partsOf(layer: string, main: string, config: Config, inexact: FloatType, tensors: ReadonlyMap<string, StoredTensor>): Parts {
  const wrong = (why: string): LatheError => {
    const message = `The quantised matrix ${quoted(layer)} cannot be read, because ${why}; download the model again.`;
    return new LatheError("folder.malformed", message, { layer });
  };
  const unsupported = (why: string): LatheError => {
    const message = `The quantised matrix ${quoted(layer)} cannot be converted, because ${why}; use another version of this model.`;
    return new LatheError("model.unsupported-type", message, { layer });
  };
  const find = (end: string): StoredTensor | undefined => tensors.get(layer + end);
  const need = (end: string, dimensions: number): StoredTensor => {
    const tensor = find(end);
    if (!tensor) throw wrong(`its tensor ${quoted(layer + end)} is missing`);
    if (tensor.shape.length === dimensions && tensor.bytes > 0) return tensor;
    throw wrong(`its tensor ${quoted(layer + end)} has the shape [${tensor.shape}]`);
  };
  return { layer, main, config, inexact, find, need, wrong, unsupported };
}
