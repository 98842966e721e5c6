/** `load` and `inspect` in Node: read the header on the caller's thread, then start the engine's thread with everything it needs. */
import { resolve } from "node:path";
import { bind, memoryNeeded } from "../engine/bind.ts";
import { LatheError } from "../errors.ts";
import { closeGguf, type Gguf } from "../files/gguf.ts";
import { isFolder } from "../files/hf/open.node.ts";
import { openModel } from "../files/open.node.ts";
import { parseAddress } from "../files/store/address.ts";
import type { Network } from "../nn/arch.ts";
import type { Source } from "../nn/source.ts";
import { availableMemory, defaultThreads } from "../runtime/platform.node.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { EngineClient } from "./engine-client.ts";
import { startAhead, startEngine } from "./engine-start.node.ts";
import type { Model } from "./model.ts";
import { type InspectOptions, type LoadOptions, parseBytes, resolveInspect, resolveLoad } from "./options.ts";

const DEFAULT_CONTEXT = 4096;
const DEFAULT_ENCODER_CONTEXT = 512;
/** Rows of logits that one step may give. */
const MAX_WANTED = 32;

export const textOf = (gguf: Gguf, key: string, fallback: string): string => {
  const value = gguf.metadata.get(key);
  return typeof value === "string" ? value : fallback;
};

interface Bound {
  readonly gguf: Gguf;
  readonly architecture: string;
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly source: Source;
  readonly network: Network;
}

/** What networks are built from. The tokenizer's lists stay on this thread. */
export const ofNetwork = (gguf: Gguf): Map<string, unknown> =>
  new Map([...gguf.metadata].filter(([key, v]) => typeof v !== "object" || !key.startsWith("tokenizer.")));

function bound(gguf: Gguf, kept?: LoadOptions["kv"]): Bound {
  const architecture = textOf(gguf, "general.architecture", "");
  const metadata = ofNetwork(gguf);
  return { gguf, architecture, metadata, ...bind({ architecture, metadata, tensors: gguf.tensors, kept }) };
}

/** Every token that a text can become must have its row. */
function checkVocabulary(tokens: number, rows: number): void {
  if (tokens <= rows) return;
  const message = `The model's vocabulary has ${tokens} tokens and its embedding only ${rows} rows; the file is damaged.`;
  throw new LatheError("tokenizer.malformed", message, { tokens, rows });
}

/** Encoders compute a whole context in one step, so theirs is short unless asked for. */
const contextOf = (network: Network, wished: number | undefined): number =>
  wished ?? Math.min(network.trainedContext, network.bidirectional ? DEFAULT_ENCODER_CONTEXT : DEFAULT_CONTEXT);

const beyondTraining = ({ trainedContext }: Network, context: number): string[] =>
  context > trainedContext
    ? [`The model was trained on texts of at most ${trainedContext} tokens; what it writes beyond them may make no sense.`]
    : [];

/**
 * Loads a model. Weights are read and packed on all threads. `name` is the path of a GGUF file or of a model folder of Hugging Face layout, or
 * names a model of the store: `hf:org/repo:Q4_K_M`, or the URL that it was pulled from.
 * @throws LatheError file.*, gguf.*, safetensors.*, folder.*, model.*, tokenizer.*, memory.insufficient, option.*, target.unavailable, store.*, and with `pull` remote.*;
 * the signal's reason when aborted.
 */
export async function load(name: string, options: LoadOptions = {}): Promise<Model> {
  const o = resolveLoad(options);
  o.signal?.throwIfAborted();
  startAhead(); // it loads its code while the header is read here
  const template = o.chatTemplate === undefined ? undefined : (await import("../text/chat.ts")).chosenTemplate(o.chatTemplate);
  const syntax = o.toolSyntax === undefined ? undefined : (await import("../text/tools/syntaxes.ts")).chosenSyntax(o.toolSyntax);
  const path = await pathOf(name, o);
  const gguf = await openModel(path);
  const client = new EngineClient(startEngine());
  try {
    const { architecture, metadata, network } = bound(gguf, o.kv);
    o.onProgress?.({ stage: "header", done: 1, total: 1 });
    const context = contextOf(network, o.context);
    const fileBytes = gguf.parts.reduce((sum, p) => sum + p.size, 0);
    const maxTokens = network.bidirectional || network.reader ? Math.max(o.batchTokens, context) : o.batchTokens;
    const spec = {
      architecture,
      metadata,
      tensors: gguf.tensors,
      parts: gguf.parts.map(p => p.name),
      folder: isFolder(path) ? path : undefined,
      target: o.target,
      numerics: o.numerics,
      kept: o.kv,
      threads: o.threads ?? defaultThreads(),
      memory: parseBytes(o.memory ?? availableMemory())!,
      cache: o.cacheDir === undefined ? undefined : { dir: resolve(o.cacheDir), bytes: parseBytes(o.cacheDisk)! },
      plan: {
        context,
        cacheTokens: o.cacheTokens ?? 4 * context,
        maxTokens,
        maxWanted: network.output.kind === "embedding" ? maxTokens : Math.min(MAX_WANTED, maxTokens),
      },
    } as const;
    const loading = client.load(spec, (done, total) => o.onProgress?.({ stage: "pack", done, total }), o.signal);
    const [tokenizer, info, model] = await Promise.all([tokenizerOf(gguf, network), loading, import("./model.ts")]);
    o.onProgress?.({ stage: "ready", done: 1, total: 1 });
    const warnings = [...info.warnings, ...beyondTraining(network, context)];
    const title = textOf(gguf, "general.name", path.split(/[\\/]/).at(-1)!);
    return new model.Model({ ...info, warnings, path, architecture, name: title, fileBytes }, tokenizer, gguf.metadata, client, {
      template,
      syntax,
    });
  } catch (e) {
    await client.close();
    throw e;
  } finally {
    await closeGguf(gguf);
  }
}

/** The file that a name means; what is needed for names of stored models is loaded for them. */
async function pathOf(name: string, o: LoadOptions): Promise<string> {
  const address = parseAddress(name);
  if (address.kind === "file") return address.path;
  const { locate } = await import("../files/store/pull.node.ts");
  const pulled = ({ done, total }: { done: number; total: number }): void => o.onProgress?.({ stage: "pull", done, total });
  return locate(name, { pull: o.pull, signal: o.signal, onProgress: pulled });
}

/** The tokenizer, whose code this thread loads while the engine packs and compiles. */
async function tokenizerOf(gguf: Gguf, network: Network): Promise<Tokenizer> {
  const { tokenizerFromMetadata } = await import("../text/tokenizer.ts");
  const tokenizer = tokenizerFromMetadata(gguf.metadata);
  checkVocabulary(tokenizer.size, network.vocabulary);
  return tokenizer;
}

/** What a model's header tells. */
export interface Inspection {
  readonly path: string;
  readonly name: string;
  readonly architecture: string;
  readonly supported: boolean;
  /** Why it is not. */
  readonly reason?: { readonly code: string; readonly message: string };
  /** Number of weights. */
  readonly parameters: number;
  readonly fileBytes: number;
  /** Tensors and bytes of each type. */
  readonly types: Readonly<Record<string, { readonly tensors: number; readonly bytes: number }>>;
  /** Numbers of the architecture, by name (layers, dim, heads ...). */
  readonly shape: Readonly<Record<string, number | string>>;
  /** Tokens. */
  readonly trainedContext?: number;
  /** Number of tokens. */
  readonly vocabulary?: number;
  /** Its kind, as the file names it. */
  readonly tokenizer: string;
  /** Whether the file brings one. */
  readonly chatTemplate: boolean;
  /** Bytes that are needed where the longest text has `context` tokens. */
  readonly memory?: {
    readonly context: number;
    readonly weights: number;
    readonly cache: number;
    readonly work: number;
    readonly total: number;
  };
  /** The packed copy beside the file, if there is one; one that is not fresh is not used. */
  readonly packedCopy?: { readonly path: string; readonly bytes: number; readonly fresh: boolean };
  /** Bytes that this machine has free, whether the model fits into them, and both in words. */
  readonly machine: { readonly available: number; readonly fits?: boolean; readonly verdict: string };
}

/**
 * What a model file is and whether it would run here; reads the header only. Unsupported models are described, not refused. `name` is a path, a
 * model of the store, or one that is not stored: of that the header alone is fetched. A model folder of Hugging Face layout is described as the
 * file that it would be converted to.
 * @throws LatheError file.*, gguf.*, safetensors.*, folder.*, option.*, store.*, and where it is not stored remote.*.
 */
export async function inspect(name: string, options: InspectOptions = {}): Promise<Inspection> {
  const { context, ...where } = resolveInspect(options);
  const { openNamedModel } = await import("../files/store/named.node.ts");
  const folder = isFolder(name);
  const gguf = await openNamedModel(name, where);
  try {
    return await describe(gguf, folder ? name : (gguf.parts.find(p => p.name === name) ?? gguf.parts[0]).name, context);
  } finally {
    await closeGguf(gguf);
  }
}

/** What a model that does not fit says; other errors are thrown on. */
function refused(e: unknown): string {
  if (e instanceof LatheError && e.code === "memory.insufficient") return e.message;
  throw e;
}

async function describe(gguf: Gguf, path: string, wished: number | undefined): Promise<Inspection> {
  const [{ copyOf }, { arenaFor }] = await Promise.all([import("../engine/packed-copy.node.ts"), import("../engine/room.node.ts")]);
  const types: Record<string, { tensors: number; bytes: number }> = {};
  let parameters = 0;
  for (const t of gguf.tensors.values()) {
    const row = (types[t.type.name] ??= { tensors: 0, bytes: 0 });
    row.tensors++;
    row.bytes += t.bytes;
    parameters += t.shape.reduce((a, b) => a * b, 1);
  }
  const available = availableMemory();
  const common = {
    path,
    name: textOf(gguf, "general.name", path.split(/[\\/]/).at(-1)!),
    architecture: textOf(gguf, "general.architecture", ""),
    parameters,
    fileBytes: gguf.parts.reduce((sum, p) => sum + p.size, 0),
    types,
    tokenizer: textOf(gguf, "tokenizer.ggml.model", "none"),
    chatTemplate: gguf.metadata.has("tokenizer.chat_template"),
    packedCopy: copyOf(gguf.parts.map(p => p.name)),
  };
  try {
    const { source, network } = bound(gguf);
    const context = contextOf(network, wished);
    const need = memoryNeeded(source, network, context);
    const total = need.weights + need.cache + need.work;
    const refusal = await arenaFor({ target: "auto", memory: available }, need, "It").then(() => undefined, refused);
    const verdict = refusal ? `does not fit into this machine's free memory: ${refusal}` : "runs on this machine";
    return {
      ...common,
      supported: true,
      shape: network.describe,
      trainedContext: network.trainedContext,
      vocabulary: network.vocabulary,
      memory: { context, ...need, total },
      machine: { available, fits: refusal === undefined, verdict },
    };
  } catch (e) {
    if (!(e instanceof LatheError)) throw e;
    return {
      ...common,
      supported: false,
      reason: { code: e.code, message: e.message },
      shape: {},
      machine: { available, verdict: e.message },
    };
  }
}
