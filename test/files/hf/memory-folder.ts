/** Model folders in memory: files by name, opened as the real ones are. */
import { LatheError } from "../../../src/errors.ts";
import { byteChars } from "../../../src/files/byte-alphabet.ts";
import { readGguf } from "../../../src/files/gguf.ts";
import { ggufBytes } from "../../../src/files/gguf-write.ts";
import { type Conversion, type ConvertOptions, convertFolder } from "../../../src/files/hf/convert.ts";
import { type Folder, openFolder } from "../../../src/files/hf/folder.ts";
import { type SafetensorsEntry, safetensorsBytes } from "../../../src/files/safetensors-write.ts";
import { bytesSource } from "../../../src/files/source.ts";

export type Files = Readonly<Record<string, string | Uint8Array | object>>;

const bytesOf = (content: string | Uint8Array | object): Uint8Array =>
  content instanceof Uint8Array ? content : new TextEncoder().encode(typeof content === "string" ? content : JSON.stringify(content));

/** Objects are written as JSON. */
export function memoryFolder(files: Files): Promise<Folder> {
  return openFolder("folder", async name => {
    if (Object.hasOwn(files, name)) return bytesSource(bytesOf(files[name]), name);
    throw new LatheError("file.not-found", `There is no file "${name}"; check the path.`, { path: name });
  });
}

/** A tokenizer with as many tokens as a test needs. */
export function plainTokenizer(size: number): object {
  const vocab = Object.fromEntries(Array.from({ length: size }, (_, id) => [`t${id}`, id]));
  return { added_tokens: [], pre_tokenizer: { type: "ByteLevel" }, model: { type: "BPE", vocab, merges: [] } };
}

/** A tokenizer that knows all bytes, and as many words that no text has. */
export function byteTokenizer(size: number): object {
  const texts = Array.from({ length: size }, (_, id) => byteChars[id] ?? `${id}`);
  return {
    added_tokens: [],
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false },
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab: Object.fromEntries(texts.map((text, id) => [text, id])), merges: [] },
  };
}

/** Tensors and configuration as the files of a folder. */
export async function modelFiles(config: object, tensors: readonly SafetensorsEntry[], vocabulary: number): Promise<Files> {
  return { "config.json": config, "model.safetensors": await safetensorsBytes({ tensors }), "tokenizer.json": plainTokenizer(vocabulary) };
}

export interface Converted {
  readonly conversion: Conversion;
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly types: ReadonlyMap<string, string>;
  /** Type, shape (fastest dimension first) and bytes of a tensor of the written file. */
  tensor(name: string): { type: string; shape: readonly number[]; bytes: Uint8Array };
  readonly names: readonly string[];
}

/** Converts a folder and reads the file that came out. */
export async function converted(files: Files, options: ConvertOptions = {}): Promise<Converted> {
  const folder = await memoryFolder(files);
  const conversion = await convertFolder(folder, options);
  const file = await ggufBytes(conversion.content);
  const gguf = await readGguf(bytesSource(file));
  return {
    conversion,
    metadata: gguf.metadata,
    types: gguf.valueTypes,
    names: [...gguf.tensors.keys()],
    tensor: name => {
      const tensor = gguf.tensors.get(name);
      if (!tensor) throw new Error(`no tensor ${name} among ${[...gguf.tensors.keys()].join(", ")}`);
      return { type: tensor.type.name, shape: tensor.shape, bytes: file.slice(tensor.offset, tensor.offset + tensor.bytes) };
    },
  };
}
