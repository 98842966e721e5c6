/**
 * Tokenizers by the path or the name of whatever has one: models, model folders, and the tokenizer files of a folder by themselves. Owns which
 * file is of which kind.
 */
import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { LatheError } from "../errors.ts";
import { closeGguf } from "../files/gguf.ts";
import { isFolder } from "../files/hf/open.node.ts";
import { isTekken } from "../files/hf/tekken.ts";
import { openFileSync } from "../files/source.node.ts";
import { openNamedModel } from "../files/store/named.node.ts";
import { parseJson } from "./sources/config.ts";
import { knownRanks } from "./sources/tiktoken.ts";
import {
  type Tokenizer,
  tokenizerFromJson,
  tokenizerFromMetadata,
  tokenizerFromModel,
  tokenizerFromTekken,
  tokenizerFromTiktoken,
} from "./tokenizer.ts";

/** Larger than any tokenizer file. */
const MOST = 2 ** 28;

/** Looked for in this order in folders that have no model. */
const names = ["tokenizer.json", "tekken.json", "tokenizer.model"];

/**
 * The tokenizer of a model (of which the header is read), of a model folder, or of a tokenizer file: `tokenizer.json`, `tekken.json`,
 * `tokenizer.model`, and the rank files of tiktoken whose patterns are known. A `tokenizer_config.json` beside such a file counts.
 * @throws LatheError tokenizer.*, and what opening a model throws
 */
export async function openTokenizer(name: string): Promise<Tokenizer> {
  if (/\.(json|model|tiktoken)$/i.test(name) && statSync(name, { throwIfNoEntry: false })?.isFile()) return fromFile(name);
  if (isFolder(name) && !existsSync(join(name, "config.json"))) {
    const own = names.map(file => join(name, file)).find(path => existsSync(path));
    if (own !== undefined) return fromFile(own);
  }
  const model = await openNamedModel(name);
  await closeGguf(model);
  return tokenizerFromMetadata(model.metadata);
}

function bytesOf(path: string): Uint8Array {
  const source = openFileSync(path);
  try {
    if (source.size <= MOST) return source.readSync(0, source.size);
    throw new LatheError("tokenizer.malformed", `"${path}" has ${source.size} bytes, more than any tokenizer file; give another file.`, {
      path,
    });
  } finally {
    void source.close();
  }
}

function fromFile(path: string): Tokenizer {
  const bytes = bytesOf(path);
  const beside = join(dirname(path), "tokenizer_config.json");
  const config = (): string | undefined => (existsSync(beside) ? textOf(bytesOf(beside)) : undefined);
  if (/\.json$/i.test(path)) {
    const json = Object.fromEntries(parseJson(textOf(bytes), path));
    return isTekken(json) ? tokenizerFromTekken(json) : tokenizerFromJson(json, config());
  }
  // Llama 3's tokenizer.model is a rank file too.
  if (!/^[A-Za-z0-9+/]+=* \d+\r?\n/.test(textOf(bytes.subarray(0, 2048)))) return tokenizerFromModel(bytes, config());
  const text = textOf(bytes);
  const { pattern, special } = knownRanks(text);
  return tokenizerFromTiktoken(text, pattern, special);
}

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
