/**
 * A model folder as the contents of a GGUF file: metadata and tensors named, shaped and valued as GGUF has them, nothing of it in memory.
 * Owns the course of conversion and the choice of the stored types; what differs between models is said in `families/`.
 */
import { LatheError } from "../../errors.ts";
import { type GgmlType, rowBytes } from "../../formats/types.ts";
import { quoted } from "../gguf-values.ts";
import type { GgufContent, GgufInput, GgufTensor } from "../gguf-write.ts";
import { type Config, member, parseObject, unsupported } from "./config.ts";
import { familyOf } from "./families/index.ts";
import type { Family, Site } from "./family.ts";
import type { FloatType } from "./floats.ts";
import type { Folder } from "./folder.ts";
import { layersOf, typed } from "./keys.ts";
import { cast, dataOf, elements, hasFloats, joined, type LazyTensor } from "./lazy.ts";
import { type Place, placeOf } from "./names.ts";
import { tokenizerOf } from "./tokenizer.ts";
import { computeType, schemeOf, weightsOf } from "./weights.ts";

export interface ConvertOptions {
  /**
   * How matrices are stored: as a float type, or "keep" (default): floats as they are, quantised matrices in a type that holds the same
   * values, else in the type that the model computes with.
   */
  readonly type?: "keep" | "f32" | "f16" | "bf16";
  /** The pre-tokenizer's name, where it cannot be told from the tokenizer. */
  readonly pre?: string;
  /** What the model is called. */
  readonly name?: string;
}

export interface Conversion {
  readonly architecture: string;
  readonly content: GgufContent;
  /** The same tensors, by name, row-major. */
  readonly tensors: ReadonlyMap<string, LazyTensor>;
  /** How the folder is quantised. */
  readonly scheme: string | undefined;
  /** Tensors of parts that a GGUF language model leaves out: vision and audio, prediction of further tokens. */
  readonly leftOut: readonly string[];
}

/** Parts of multimodal models that are not their language model. */
const otherParts =
  /^(model\.)?(visual|vision_tower|vision_model|multi_modal_projector|mm_projector|audio_tower|audio_model|embed_vision|embed_audio|image_newline|vision_embed_tokens|connector)\b/;

/**
 * Plans the conversion of a folder. Reads headers, configuration, tokenizer, and the scales of quantised matrices; the data of tensors is
 * read when the content is written, while the folder must be open.
 *
 * Throws `model.unsupported-arch`, `model.unsupported-type`, `model.missing-tensor`, `folder.malformed`, `tokenizer.*`, `file.not-found`.
 */
export async function convertFolder(folder: Folder, options: ConvertOptions = {}): Promise<Conversion> {
  const { config } = folder;
  const family = familyOf(config);
  const architecture = typeof family.to === "string" ? family.to : family.to(config);
  const { tensors, leftOut } = await convertTensors(folder, options.type);
  const stored = [...tensors].map(
    ([name, tensor]): GgufTensor => ({ name, type: tensor.type, shape: [...tensor.shape].reverse(), data: dataOf(tensor) }),
  );
  const metadata: (readonly [string, GgufInput])[] = [
    ["general.architecture", architecture],
    ["general.type", "model"],
    ["general.name", options.name ?? nameOf(folder)],
    ["general.file_type", fileType(stored)],
    ["general.quantization_version", 2],
  ];
  const own = new Map<string, GgufInput>();
  for (const keys of family.keys) for (const [key, value] of keys(config)) own.set(`${architecture}.${key}`, value);
  const pooling = await poolingOf(folder);
  if (pooling !== undefined) own.set(`${architecture}.pooling_type`, pooling);
  const rows = tensors.get("token_embd.weight")?.shape[0];
  if (rows === undefined) throw missing("token_embd.weight");
  metadata.push(...own, ...(await tokenizerOf(folder, rows, options.pre)));
  return { architecture, content: { metadata, tensors: stored }, tensors, scheme: schemeOf(config)?.method, leftOut };
}

/** The tensors alone, as `convertFolder` has them, and in the same order. Throws what it throws, but for the tokenizer. */
export async function convertTensors(
  folder: Folder,
  type: NonNullable<ConvertOptions["type"]> = "keep",
): Promise<Pick<Conversion, "tensors" | "leftOut">> {
  const leftOut: string[] = [];
  const tensors = await tensorsOf(folder, familyOf(folder.config), leftOut);
  const wanted = type === "keep" ? undefined : floatTypes[type];
  return { tensors: new Map([...tensors].map(([name, tensor]) => [name, writable(name, tensor, wanted)])), leftOut };
}

const floatTypes: Readonly<Record<string, FloatType>> = { f32: "F32", f16: "F16", bf16: "BF16" };

const missing = (tensor: string): LatheError =>
  new LatheError("model.missing-tensor", `The folder has no tensor that becomes ${quoted(tensor)}; download the model again.`, { tensor });

function nameOf({ name, config }: Folder): string {
  const given = config.string("_name_or_path | name_or_path", "");
  return (given || name).split(/[\\/]/).filter(Boolean).at(-1) ?? "model";
}

/** All tensors by their GGUF names, in an order that does not depend on the files: blocks one after the other, the output last. */
async function tensorsOf(folder: Folder, family: Family, leftOut: string[]): Promise<Map<string, LazyTensor>> {
  const { config } = folder;
  const table = new Map(Object.entries(family.names));
  const layers = layersOf(config);
  const places = new Map<string, Place>();
  const tied = config.boolean("tie_word_embeddings", false);
  const unwanted = (name: string): boolean => {
    if (family.unused?.test(name)) return true;
    if (config.multimodal && otherParts.test(name)) return leftOut.push(name) > 0;
    const place = placeOf(name.replace(/(_blocks|_scales)$/, ""), table);
    // Blocks behind the last one predict further tokens.
    if ((place?.block ?? 0) >= layers || blockBeyond(name, layers)) return leftOut.push(name) > 0;
    return tied && place?.stem === "output";
  };
  const weights = await weightsOf(folder, unwanted);
  for (const name of weights.keys()) {
    const place = placeOf(name, table);
    if (!place)
      throw unsupported(`The tensor ${quoted(name)} has no place in the architecture "${String(family.from[0])}"`, { tensor: name });
    places.set(name, place);
  }
  const stacks = stacked(weights, places, computeType(config));
  const out = new Map<string, LazyTensor>();
  const add = (name: string, tensor: LazyTensor): void => {
    if (out.has(name)) throw unsupported(`Two tensors of the folder become ${quoted(name)}`, { tensor: name });
    out.set(name, tensor);
  };
  for (const { place, tensor } of stacks) repaired(place, tensor, family, config, add);
  for (const [name, tensor] of Object.entries(family.made?.(config) ?? {})) add(name, tensor);
  return new Map([...out].sort(([a], [b]) => orderOf(a) - orderOf(b) || (a < b ? -1 : 1)));
}

function blockBeyond(name: string, layers: number): boolean {
  const found = /(?:^|\.)layers\.(\d{1,6})\./.exec(name);
  return found !== null && Number(found[1]) >= layers;
}

const orderOf = (name: string): number => {
  const found = /^blk\.(\d+)\./.exec(name);
  return found ? Number(found[1]) : name.startsWith("output") ? Number.MAX_VALUE : -1;
};

interface Placed {
  readonly place: Place;
  readonly tensor: LazyTensor;
}

/** Puts parts that belong into one tensor together. All must be there, of one shape; of several types, they become floats. */
function stacked(weights: ReadonlyMap<string, LazyTensor>, places: ReadonlyMap<string, Place>, float: FloatType): Placed[] {
  const out: Placed[] = [];
  const stacks = new Map<string, { place: Place; parts: LazyTensor[] }>();
  for (const [name, tensor] of weights) {
    const place = places.get(name) as Place;
    if (place.part === undefined) out.push({ place, tensor });
    else {
      const stack = stacks.get(place.name) ?? { place, parts: [] };
      stack.parts[place.part] = tensor;
      stacks.set(place.name, stack);
    }
  }
  for (const { place, parts } of stacks.values()) {
    const [first] = parts;
    for (let i = 0; i < parts.length; i++) {
      if (!parts[i]) throw missing(`${place.name} (part ${i} of ${parts.length})`);
      if (String(parts[i].shape) !== String(first.shape)) {
        const message = `The parts of the tensor ${quoted(place.name)} have different shapes; download the model again.`;
        throw new LatheError("model.wrong-shape", message, { tensor: place.name, part: i, shape: parts[i].shape, expected: first.shape });
      }
    }
    const alike = parts.every(part => part.type === first.type);
    const shape = place.end === "scale" ? [parts.length] : [parts.length, ...first.shape];
    out.push({ place, tensor: joined(alike ? parts : parts.map(part => cast(part, float, place.name)), shape) });
  }
  return out;
}

function repaired(place: Place, tensor: LazyTensor, family: Family, config: Config, add: (name: string, tensor: LazyTensor) => void): void {
  const site: Site = { config, end: place.end, block: place.block };
  const result = Object.hasOwn(family.repairs ?? {}, place.stem) ? family.repairs?.[place.stem](tensor, site) : tensor;
  if (result === undefined) return;
  const front = place.block === undefined ? "" : `blk.${place.block}.`;
  if (isTensor(result)) add(place.name, result);
  else for (const [stem, part] of Object.entries(result)) add(`${front}${stem}${place.end && `.${place.end}`}`, part);
}

const isTensor = (result: LazyTensor | Readonly<Record<string, LazyTensor>>): result is LazyTensor => typeof result.read === "function";

/** Tensors that are few values and matter much: GGUF files have them as F32. */
const precise =
  /(_norm(_\d)?\.weight|\.bias|\.scale|ffn_gate_inp(_shexp)?\.weight|ssm_conv1d\.weight|shortconv\.conv\.weight|position_embd\.weight|token_types\.weight)$/;

/** The tensor as the file has it. */
function writable(name: string, tensor: LazyTensor, wanted: FloatType | undefined): LazyTensor {
  if (!hasFloats(tensor)) {
    const message = `The tensor ${quoted(name)} consists of numbers of type ${tensor.type.name}, which are no weights; use another version of this model.`;
    throw new LatheError("model.unsupported-type", message, { tensor: name, type: tensor.type.name });
  }
  const single = tensor.shape.length < 2 || precise.test(name);
  const keep = tensor.type.name === "F64" ? "F32" : undefined;
  const float = single ? "F32" : (wanted ?? keep);
  return float === undefined ? tensor : cast(tensor, float, name);
}

/** `general.file_type` by the type that has the most bytes. */
const fileTypes: Readonly<Record<string, number>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q8_0: 7,
  Q5_0: 8,
  BF16: 32,
  TQ2_0: 37,
  MXFP4: 38,
  NVFP4: 39,
};

function fileType(tensors: readonly GgufTensor[]): number {
  const bytes = new Map<GgmlType, number>();
  for (const { type, shape } of tensors) bytes.set(type, (bytes.get(type) ?? 0) + rowBytes(type, elements(shape)));
  const [most] = [...bytes].sort(([, a], [, b]) => b - a)[0] ?? [];
  return fileTypes[most?.name ?? "F32"] ?? 0;
}

/** How sentence-transformers pools: 1 mean, 2 first token, 3 last token. */
async function poolingOf(folder: Folder): Promise<number | undefined> {
  const file = "1_Pooling/config.json";
  const text = await folder.text(file);
  if (text === undefined) return undefined;
  const modes = parseObject(text, file);
  const found = (["mean_tokens", "cls_token", "lasttoken"] as const).findIndex(mode => member(modes, `pooling_mode_${mode}`) === true);
  if (found >= 0) return typed("u32", found + 1).value as number;
  throw unsupported("The folder asks for a way of pooling that GGUF does not know", { file });
}
