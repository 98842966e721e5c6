/**
 * A model folder of Hugging Face layout: `config.json`, safetensors files with or without an index, tokenizer files. Owns which files there
 * are and that index and files agree. What is in them is the business of the others here; how names become bytes is the opener's.
 */
import { LatheError } from "../../errors.ts";
import { quoted } from "../gguf-values.ts";
import { parseIndex, readSafetensors, type Safetensors } from "../safetensors.ts";
import type { ByteSource } from "../source.ts";
import { Config, parseObject } from "./config.ts";
import type { StoredTensor } from "./lazy.ts";

/** Opens a file of the folder by its plain name. Throws `file.not-found` where there is none. */
export type OpenInFolder = (name: string) => Promise<ByteSource>;

/** Larger text files than any model has (the largest vocabularies are near 40 MiB). */
const maxText = 2 ** 28;

export class Folder {
  /** What to call it in messages. */
  readonly name: string;
  readonly config: Config;
  /** Of all files together, by name. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  private readonly open: OpenInFolder;
  /** Those that hold the weights. */
  readonly files: readonly ByteSource[];

  /** Use `openFolder`. */
  constructor(name: string, config: Config, files: readonly ByteSource[], tensors: ReadonlyMap<string, StoredTensor>, open: OpenInFolder) {
    this.name = name;
    this.config = config;
    this.files = files;
    this.tensors = tensors;
    this.open = open;
  }

  /** A text file; undefined where there is none. */
  text(file: string): Promise<string | undefined> {
    return optional(() => readText(this.open, file));
  }

  bytes(file: string): Promise<Uint8Array | undefined> {
    return optional(() => readAll(this.open, file));
  }

  async close(): Promise<void> {
    await Promise.all(this.files.map(file => file.close()));
  }
}

async function optional<T>(action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (cause) {
    if (cause instanceof LatheError && cause.code === "file.not-found") return undefined;
    throw cause;
  }
}

async function readAll(open: OpenInFolder, file: string): Promise<Uint8Array> {
  const source = await open(file);
  try {
    if (source.size <= maxText) return await source.read(0, source.size);
    const message = `"${source.name}" has ${source.size} bytes, more than any such file of a model; download it again.`;
    throw new LatheError("folder.malformed", message, { file: source.name, size: source.size });
  } finally {
    await source.close();
  }
}

async function readText(open: OpenInFolder, file: string): Promise<string> {
  const bytes = await readAll(open, file);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new LatheError("folder.malformed", `"${file}" is not UTF-8 text; download it again.`, { file }, { cause });
  }
}

/**
 * Opens a folder: reads `config.json` and the headers of all safetensors files, which stay open until `close`. Throws `file.not-found` where
 * the folder has no `config.json` or lacks a file of weights, `folder.malformed`, `safetensors.*`, and what `open` throws.
 */
export async function openFolder(name: string, open: OpenInFolder): Promise<Folder> {
  const text = await optional(() => readText(open, "config.json"));
  if (text === undefined) throw noModel(name);
  const config = new Config(parseObject(text, "config.json"), "config.json");
  const files: Safetensors[] = [];
  try {
    const tensors = new Map<string, StoredTensor>();
    const single = await optional(() => open("model.safetensors"));
    const index = single ? undefined : await optional(() => readText(open, "model.safetensors.index.json"));
    if (!single && index === undefined) throw noWeights(name);
    const wanted = index === undefined ? undefined : parseIndex(index, "model.safetensors.index.json");
    const names = wanted ? [...new Set(wanted.values())].sort() : ["model.safetensors"];
    for (const file of names) {
      const source = single ?? (await open(file));
      const opened = await readSafetensors(source).catch(async cause => {
        await source.close();
        throw cause;
      });
      files.push(opened);
      // A tensor that the index places elsewhere, or does not know, is no part of the model.
      for (const tensor of opened.tensors.values()) {
        if (!wanted || wanted.get(tensor.name) === file) tensors.set(tensor.name, { ...tensor, source });
      }
    }
    const missing = wanted && [...wanted.keys()].find(tensor => !tensors.has(tensor));
    if (missing !== undefined) throw notInFile(missing, wanted?.get(missing) ?? "");
    return new Folder(
      name,
      config,
      files.map(({ source }) => source),
      tensors,
      open,
    );
  } catch (cause) {
    await Promise.allSettled(files.map(({ source }) => source.close()));
    throw cause;
  }
}

function noModel(folder: string): LatheError {
  const message = `"${folder}" is no model folder, because it has no config.json; name a GGUF file or a folder of Hugging Face's layout.`;
  return new LatheError("file.not-found", message, { folder });
}

function noWeights(folder: string): LatheError {
  const message = `"${folder}" has neither model.safetensors nor model.safetensors.index.json; download the model in safetensors format.`;
  return new LatheError("file.not-found", message, { folder });
}

function notInFile(tensor: string, file: string): LatheError {
  const message = `The index says that the tensor ${quoted(tensor)} is in "${file}", but it is not; download the model again.`;
  return new LatheError("safetensors.malformed", message, { tensor, file });
}
