/**
 * The pre-tokenizers by the name that a GGUF file gives them (`tokenizer.ggml.pre`): scanners or regular expressions, each of which runs
 * over every piece that the one before it left, and what the name says about the vocabulary. A new name is one line here or in patterns.ts.
 */
import { LatheError } from "../../errors.ts";
import { Regex } from "../regex/regex.ts";
import { deepseek3 } from "./deepseek3.ts";
import { gpt2 } from "./gpt2.ts";
import { gpt4o } from "./gpt4o.ts";
import { llama3 } from "./llama3.ts";
import { patterns } from "./patterns.ts";
import { eastAsian, numbers, punctuation, threeDigits } from "./runs.ts";
import type { Scanner } from "./scanner.ts";
import { regexFinder, type Step, scanning, splitting } from "./steps.ts";

export interface PreTokenizer {
  /** Hand-written scanners; empty where there are patterns. */
  readonly scanners: readonly Scanner[];
  readonly patterns: readonly string[];
  /** A piece that is in the vocabulary as a whole is not merged from its bytes. */
  readonly ignoreMerges: boolean;
  /** A BOS token is put before a text unless the file says otherwise. */
  readonly addBos: boolean;
}

const plain = (...scanners: Scanner[]): PreTokenizer => ({ scanners, patterns: [], ignoreMerges: false, addBos: false });
const whole = (...scanners: Scanner[]): PreTokenizer => ({ scanners, patterns: [], ignoreMerges: true, addBos: true });

const wholePieces = ["minicpm5", "youtu", "granite-embed-multi-97m"];
const beginning = ["chameleon"];
const patterned = (sources: readonly string[], name: string): PreTokenizer => ({
  scanners: [],
  patterns: sources,
  ignoreMerges: wholePieces.includes(name),
  addBos: beginning.includes(name),
});

const families: readonly (readonly [PreTokenizer, string])[] = [
  [plain(gpt2), "gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert exaone4 mpt olmo jais trillion"],
  [plain(gpt2), "granite-docling jina-v1-en jina-v2-code roberta-bpe"],
  [plain(numbers(1), gpt2), "starcoder refact codeshell exaone minerva-7b mellum2 command-r smollm"],
  [whole(llama3(3)), "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano"],
  [plain(llama3(3)), "dbrx smaug-bpe glm4 chatglm-bpe"],
  [plain(llama3(1)), "qwen2 stablelm2 deepseek-r1-qwen kormo f2llmv2 hunyuan solar-open grok-2 megrez"],
  [plain(llama3(1, true)), "qwen35"],
  [plain(gpt4o(3, true)), "gpt-4o llama4 kanana2 talkie minimax-m2"],
  [whole(gpt4o(1, false)), "tekken"],
  [plain(numbers(3), eastAsian, deepseek3), "deepseek-v3 hunyuan-dense joyai-llm"],
  [plain(punctuation("$+<=>^~|`"), gpt2, threeDigits), "falcon"],
  [plain(punctuation("$+<=>^~|"), gpt2, numbers(Infinity), threeDigits), "default"],
];

const byName: ReadonlyMap<string, PreTokenizer> = new Map([
  ...families.flatMap(([split, names]) => names.split(" ").map(name => [name, split] as const)),
  ...patterns.flatMap(([sources, names]) => names.split(" ").map(name => [name, patterned(sources, name)] as const)),
]);

/** The steps of a pre-tokenizer, made anew: an expression keeps notes while it runs. */
export const stepsOf = ({ scanners, patterns: sources }: PreTokenizer): Step[] => [
  ...scanners.map(scanning),
  ...sources.map(source => splitting(regexFinder(new Regex(source)), "isolated")),
];

/** The names that `preTokenizer` knows. */
export const preTokenizerNames: readonly string[] = [...byName.keys()];

/** The pre-tokenizer of that name. Throws `tokenizer.unsupported` for a name that is not in the table. */
export function preTokenizer(name: string): PreTokenizer {
  const found = byName.get(name);
  if (found) return found;
  const short = name.slice(0, 80);
  const message = `The pre-tokenizer "${short}" is not supported by this version; convert the model with a known one.`;
  throw new LatheError("tokenizer.unsupported", message, { name: short });
}
