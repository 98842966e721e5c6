/**
 * The tokenizer files of a folder as `tokenizer.*` metadata: which kind of tokenizer it is, special ids, flags, chat templates. The
 * vocabularies themselves are converted in `vocabulary.ts`.
 *
 * Source: huggingface/tokenizers and transformers `tokenization_utils_base.py` (the files), ggml `docs/gguf.md` (the keys).
 */
import { LatheError } from "../../errors.ts";
import type { GgufInput } from "../gguf-write.ts";
import { isObject, type JsonObject, member, parseObject } from "./config.ts";
import type { Folder } from "./folder.ts";
import { typed } from "./keys.ts";
import { patternName, preTokenizerName } from "./pre.ts";
import { type Pieces, parseSentencePiece } from "./sentencepiece.ts";
import { parseTekken, type Tekken } from "./tekken.ts";
import {
  addedOf,
  addTokens,
  byteLevel,
  malformed,
  markWords,
  mergedPieces,
  ranked,
  storedPieces,
  Tokens,
  unigram,
  wordPiece,
} from "./vocabulary.ts";

type Pair = readonly [key: string, value: GgufInput];

interface Files {
  /** tokenizer.json */
  readonly json: JsonObject | undefined;
  /** tokenizer_config.json; empty where there is none. */
  readonly config: JsonObject;
  /** tokenizer.model */
  readonly pieces: Pieces | undefined;
  readonly generation: JsonObject;
  /** tekken.json, read only where there is neither of the others. */
  readonly tekken: Tekken | undefined;
  readonly folder: Folder;
}

/**
 * Metadata of the tokenizer for an embedding of `rows` rows. `pre` overrides the name of the pre-tokenizer. Throws `tokenizer.unsupported`,
 * `tokenizer.malformed`, `folder.malformed`, and `file.not-found` where the folder has no tokenizer.
 */
export async function tokenizerOf(folder: Folder, rows: number, pre: string | undefined): Promise<Pair[]> {
  const object = async (file: string): Promise<JsonObject | undefined> => {
    const text = await folder.text(file);
    return text === undefined ? undefined : parseObject(text, file);
  };
  const model = await folder.bytes("tokenizer.model");
  const json = await object("tokenizer.json");
  const tekken = json || model ? undefined : await object("tekken.json");
  const files: Files = {
    json,
    tekken: tekken && parseTekken(tekken),
    config: (await object("tokenizer_config.json")) ?? {},
    pieces: model && parseSentencePiece(model, "tokenizer.model"),
    generation: (await object("generation_config.json")) ?? {},
    folder,
  };
  const tokens = new Tokens(rows);
  const kind = kindOf(files);
  const own = kinds[kind](tokens, files, pre);
  const lists: Pair[] = [
    ["tokenizer.ggml.tokens", { of: "string", items: tokens.texts }],
    ["tokenizer.ggml.token_type", { of: "i32", items: tokens.types }],
  ];
  return [...own, ...lists, ...specials(tokens, files, kind), ...(await templates(files))];
}

type Kind = "tekken" | "byteLevel" | "pieces" | "wordPiece" | "unigram";

function kindOf({ json, pieces, tekken, folder }: Files): Kind {
  if (!json) {
    if (tekken) return "tekken";
    if (pieces) return pieces.model === 1 ? "unigram" : "pieces";
    const message = `"${folder.name}" has neither tokenizer.json nor tokenizer.model nor tekken.json; download them with the model.`;
    throw new LatheError("file.not-found", message, { folder: folder.name });
  }
  const type = member(json, "model.type") ?? (member(json, "model.merges") ? "BPE" : undefined);
  if (type === "WordPiece") return "wordPiece";
  if (type === "Unigram") return "unigram";
  if (type === "BPE")
    return steps(json, "pre_tokenizer")
      .concat(steps(json, "decoder"))
      .some(s => s["type"] === "ByteLevel")
      ? "byteLevel"
      : "pieces";
  const message = `Tokenizers of the kind "${String(type)}" cannot be converted by this version; use a GGUF file of this model.`;
  throw new LatheError("tokenizer.unsupported", message, { type: String(type) });
}

/** All steps of a part of tokenizer.json, with those inside sequences. */
function steps(json: unknown, part: string): JsonObject[] {
  const step = member(json, part);
  if (!isObject(step)) return [];
  const inner = ["pretokenizers", "normalizers", "decoders", "processors"].flatMap(list => member(step, list) ?? []);
  return [step, ...inner.filter(isObject)];
}

/** Whether a space is put in front of texts: by a normalizer or by the splitting into words. */
function spacePrefix({ json, config, pieces }: Files): boolean {
  const asked = member(config, "add_prefix_space");
  if (typeof asked === "boolean") return asked;
  if (!json) return pieces?.addPrefix ?? true;
  const metaspace = steps(json, "pre_tokenizer").find(s => s["type"] === "Metaspace");
  if (metaspace)
    return (member(metaspace, "prepend_scheme") ?? (member(metaspace, "add_prefix_space") === false ? "never" : "always")) !== "never";
  return steps(json, "normalizer").some(s => s["type"] === "Prepend");
}

function decodedCharsmap(json: unknown): Uint8Array<ArrayBuffer> {
  const step = steps(json, "normalizer").find(s => s["type"] === "Precompiled");
  const text = member(step, "precompiled_charsmap");
  if (typeof text !== "string") return new Uint8Array();
  try {
    return Uint8Array.from(atob(text), char => char.charCodeAt(0));
  } catch {
    throw malformed("its precompiled_charsmap is not base64");
  }
}

/** What is written for each kind, and what fills the tokens. */
const kinds: Readonly<Record<Kind, (tokens: Tokens, files: Files, pre: string | undefined) => Pair[]>> = {
  byteLevel: (tokens, { json }, pre) => {
    const pairs = byteLevel(tokens, member(json, "model"));
    addTokens(tokens, addedOf(json));
    return [...pairs, ["tokenizer.ggml.pre", pre ?? preTokenizerName(json)]];
  },
  tekken: (tokens, files, pre) => {
    const tekken = files.tekken as Tekken;
    const begins: Pair[] = typeof member(files.config, "add_bos_token") === "boolean" ? [] : [["tokenizer.ggml.add_bos_token", true]];
    return [...ranked(tokens, tekken), ["tokenizer.ggml.pre", pre ?? patternName(tekken.pattern)], ...begins];
  },
  pieces: (tokens, files, pre) => {
    if (files.pieces) storedPieces(tokens, files.pieces);
    else mergedPieces(tokens, member(files.json, "model"));
    addTokens(tokens, files.json ? addedOf(files.json) : configured(files.config));
    return [
      ["tokenizer.ggml.model", "llama"],
      ["tokenizer.ggml.pre", pre ?? "default"],
      ["tokenizer.ggml.scores", { of: "f32", items: tokens.scores }],
      ["tokenizer.ggml.add_space_prefix", spacePrefix(files)],
    ];
  },
  wordPiece: (tokens, { json, folder }) => {
    wordPiece(tokens, member(json, "model"));
    addTokens(tokens, addedOf(json));
    markWords(tokens);
    const normalizer = steps(json, "normalizer").find(s => s["type"] === "BertNormalizer");
    const switches = (["lowercase", "strip_accents"] as const).flatMap((name): Pair[] => {
      const value = member(normalizer, name);
      return typeof value === "boolean" ? [[`tokenizer.ggml.normalizer.${name}`, value]] : [];
    });
    return [["tokenizer.ggml.model", "bert"], ...switches, ...segments(folder)];
  },
  unigram: (tokens, files) => {
    if (files.json) unigram(tokens, member(files.json, "model"));
    else if (files.pieces) storedPieces(tokens, files.pieces);
    addTokens(tokens, files.json ? addedOf(files.json) : configured(files.config));
    const charsmap = files.json ? decodedCharsmap(files.json) : Uint8Array.from(files.pieces?.charsmap ?? []);
    const removes = [...steps(files.json, "normalizer"), ...steps(files.json, "pre_tokenizer")].some(
      s => s["type"] === "WhitespaceSplit" || (s["type"] === "Replace" && member(s, "pattern.Regex") === " {2,}"),
    );
    return [
      ["tokenizer.ggml.model", "t5"],
      ["tokenizer.ggml.pre", "default"],
      ["tokenizer.ggml.scores", { of: "f32", items: tokens.scores }],
      ["tokenizer.ggml.add_space_prefix", spacePrefix(files)],
      ["tokenizer.ggml.remove_extra_whitespaces", files.json ? removes : (files.pieces?.removeSpaces ?? true)],
      ...(charsmap.length > 0 ? ([["tokenizer.ggml.precompiled_charsmap", { of: "u8", items: charsmap }]] as const) : []),
      ...segments(files.folder),
    ];
  },
};

const segments = ({ config }: Folder): Pair[] =>
  config.has("type_vocab_size") ? [["tokenizer.ggml.token_type_count", typed("u32", config.size("type_vocab_size"))]] : [];

/** Added tokens of tokenizer_config.json, by their ids. */
function configured(config: JsonObject): [unknown, unknown][] {
  const tokens = member(config, "added_tokens_decoder");
  return isObject(tokens) ? Object.entries(tokens).map(([id, token]) => [Number(id), token]) : [];
}

/** Special tokens of tekken files, which have no other names. */
const tekkenNames: Readonly<Record<string, string>> = { bos: "<s>", eos: "</s>", unk: "<unk>", pad: "<pad>" };

/** Names in Hugging Face's files and in GGUF. */
const specialNames = [
  ["bos", "bos"],
  ["eos", "eos"],
  ["unk", "unknown"],
  ["sep", "seperator"],
  ["pad", "padding"],
  ["cls", "cls"],
  ["mask", "mask"],
] as const;

function specials(tokens: Tokens, { json, config, generation, folder }: Files, kind: Kind): Pair[] {
  const ids = new Map<string, number>();
  for (const [name, key] of specialNames) {
    const token = member(config, `${name}_token`);
    const text = isObject(token) ? member(token, "content") : (token ?? (kind === "tekken" ? tekkenNames[name] : undefined));
    const id = typeof text === "string" ? tokens.id(text) : folder.config.find(`${name}_token_id`);
    if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id < tokens.texts.length) ids.set(key, id);
  }
  // A model may end its answers with several tokens, of which one is the end of sequence.
  const stops = [member(generation, "eos_token_id") ?? folder.config.find("eos_token_id")].flat();
  const ends = stops.filter(id => typeof id === "number" && Number.isInteger(id) && id >= 0 && id < tokens.texts.length) as number[];
  if (!ids.has("eos") && ends.length > 0) ids.set("eos", ends[0]);
  const [eot, eom] = ends.filter(id => id !== ids.get("eos"));
  if (eot !== undefined) ids.set("eot", eot);
  if (eom !== undefined) ids.set("eom", eom);
  const pairs = [...ids].map(([key, id]): Pair => [`tokenizer.ggml.${key}_token_id`, typed("u32", id)]);
  return kind === "wordPiece" ? pairs : [...pairs, ...around(json, config, tokens, ids)];
}

/** Whether texts begin with the first token and end with the last: as the configuration says, else as tokenizer.json does it. */
function around(json: unknown, config: JsonObject, tokens: Tokens, ids: ReadonlyMap<string, number>): Pair[] {
  const processors = steps(json, "post_processor");
  const template = member(
    processors.find(s => s["type"] === "TemplateProcessing"),
    "single",
  );
  const places = Array.isArray(template) ? template.map(part => member(part, "SpecialToken.id")) : undefined;
  const wraps = processors.some(s => s["type"] === "RobertaProcessing" || s["type"] === "BertProcessing");
  const begins = (place: unknown, key: string): boolean | undefined => {
    if (wraps) return true;
    return places && typeof place === "string" ? tokens.id(place) === ids.get(key) : places && false;
  };
  const flags = { bos: begins(places?.[0], "bos"), eos: begins(places?.at(-1), "eos") };
  return (["bos", "eos"] as const).flatMap((key): Pair[] => {
    const asked = member(config, `add_${key}_token`);
    const value = typeof asked === "boolean" ? asked : flags[key];
    // A flag without its token would be an error of the file.
    return value === undefined || (value && !ids.has(key)) ? [] : [[`tokenizer.ggml.add_${key}_token`, value]];
  });
}

async function templates({ config, folder }: Files): Promise<Pair[]> {
  const file = (await folder.text("chat_template.jinja")) ?? (await jsonTemplate(folder));
  if (file !== undefined) return [["tokenizer.chat_template", file]];
  const given = member(config, "chat_template");
  if (typeof given === "string") return [["tokenizer.chat_template", given]];
  if (!Array.isArray(given)) return [];
  const named = new Map<string, string>();
  for (const entry of given) {
    const [name, template] = [member(entry, "name"), member(entry, "template")];
    if (typeof name !== "string" || typeof template !== "string") throw malformed("a chat template has no name or no text");
    named.set(name, template);
  }
  const others = [...named.keys()].filter(name => name !== "default");
  return [
    ...[...named].map(([name, template]): Pair => [`tokenizer.chat_template${name === "default" ? "" : `.${name}`}`, template]),
    ...(others.length > 0 ? ([["tokenizer.chat_templates", { of: "string", items: others }]] as const) : []),
  ];
}

async function jsonTemplate(folder: Folder): Promise<string | undefined> {
  const text = await folder.text("chat_template.json");
  const template = text === undefined ? undefined : member(parseObject(text, "chat_template.json"), "chat_template");
  return typeof template === "string" ? template : undefined;
}
