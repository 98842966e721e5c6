/**
 * The flags that several commands share. Their names are those of the library's options in kebab case, so their values pass through as they
 * are and the library alone decides what is valid; here texts only become numbers.
 */
import { type Command, Option } from "commander";
import type { GenerateOptions, LoadOptions } from "../api/options.ts";
import { LatheError } from "../errors.ts";
import { readText } from "./input.ts";

export interface CommonFlags {
  quiet?: boolean;
  debug?: boolean;
  json?: boolean;
}
export type LoadFlags = Pick<LoadOptions, (typeof loadKeys)[number]>;
export type SamplingFlags = Pick<GenerateOptions, (typeof samplingKeys)[number]>;

const loadKeys = [
  "context",
  "threads",
  "memory",
  "target",
  "numerics",
  "kv",
  "batchTokens",
  "chatTemplate",
  "toolSyntax",
  "cacheDir",
  "cacheDisk",
  "pull",
] as const;
const samplingKeys = [
  "temperature",
  "topK",
  "topP",
  "minP",
  "repeatPenalty",
  "frequencyPenalty",
  "presencePenalty",
  "penaltyWindow",
  "seed",
  "stop",
  "maxTokens",
  "special",
  "schema",
  "grammar",
  "regex",
  "choices",
] as const;

function invalid(flag: string, accepts: string, value: string): LatheError {
  return new LatheError("option.invalid", `${flag} must be ${accepts}; it is ${JSON.stringify(value)}.`, { flag, value });
}

/** A number; its limits are the library's business. */
function number(flag: string): (text: string) => number {
  return text => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isFinite(value)) throw invalid(flag, "a number", text);
    return value;
  };
}

/** An integer within limits, for what the library does not see. */
export function integer(flag: string, from: number, to = 2 ** 30): (text: string) => number {
  return text => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isInteger(value) || value < from || value > to)
      throw invalid(flag, `an integer from ${from}${to < 2 ** 30 ? ` to ${to}` : ""}`, text);
    return value;
  };
}

const add = (command: Command, flags: string, text: string): Command =>
  command.addOption(new Option(flags, text).argParser(number(flags.split(" ")[0])));

export function samplingOptions(command: Command): Command {
  command.optionsGroup("Choosing tokens:");
  add(command, "--temperature <n>", "how much chance decides; 0: always the likeliest token (default: 0.8)");
  add(command, "--top-k <n>", "choose among the k likeliest tokens; 0: all (default: 40)");
  add(command, "--top-p <n>", "choose among the likeliest that add up to p; 1: all (default: 0.95)");
  add(command, "--min-p <n>", "leave out tokens below p times the likeliest; 0: none (default: 0.05)");
  add(command, "--repeat-penalty <n>", "divide the logits of recent tokens by n (default: 1, off)");
  add(command, "--frequency-penalty <n>", "lower recent tokens by n for each occurrence (default: 0, off)");
  add(command, "--presence-penalty <n>", "lower recent tokens by n once (default: 0, off)");
  add(command, "--penalty-window <n>", "how many tokens are recent; -1: all (default: 64)");
  add(command, "--seed <n>", "make the choices repeatable (default: drawn at random)");
  add(command, "--max-tokens <n>", "longest answer (default: to the end of the context)");
  return command
    .option("--stop <text>", "end the answer before this text; may be given several times", (text: string, all: string[] = []) => [
      ...all,
      text,
    ])
    .option("--special", "let the prompt spell control tokens such as <|im_end|>");
}

/** What the answer must be like. Files are read by `readConstraints`. */
export function constraintOptions(command: Command): Command {
  return command
    .optionsGroup("What the answer must be like:")
    .option("--schema <file>", "JSON that is valid by the JSON Schema in this file")
    .option("--grammar <file>", "a text of the GBNF grammar in this file")
    .option("--regex <expression>", "a text that matches as a whole")
    .option("--choices <a,b,c>", "one of these texts", (text: string) => text.split(","));
}

/** Puts the contents of the files in place of their paths. */
export async function readConstraints<F extends Pick<SamplingFlags, "schema" | "grammar">>(flags: F): Promise<F> {
  const read = (path: unknown): Promise<string> | undefined => (path === undefined ? undefined : readText(String(path)));
  const [schema, grammar] = await Promise.all([read(flags.schema), read(flags.grammar)]);
  return { ...flags, ...(schema === undefined ? {} : { schema }), ...(grammar === undefined ? {} : { grammar }) };
}

/** What a model may be. */
export const MODEL = "a GGUF file, a model folder, or a stored model by its name";
/** And where none needs to be named. */
export const MODEL_OR_BUNDLED = `${MODEL} such as hf:org/repo:Q4_K_M (default: the bundled model)`;

/** `context`: what the command does when it is not given; false where the command decides it alone. */
export function loadOptions(command: Command, context: string | false = "what the model was trained for, at most 4096"): Command {
  command.optionsGroup("Loading:");
  if (context) add(command, "--context <n>", `tokens that the model can see (default: ${context})`);
  add(command, "--threads <n>", "threads that compute (default: the cores of this machine, at most 16)");
  command.option("--memory <size>", "most memory to use, such as 6GiB (default: what this machine has free)");
  command.addOption(
    new Option("--target <name>", "what kernels are compiled to").choices(["auto", "native", "wasm", "interp"]).default("auto"),
  );
  command.addOption(new Option("--numerics <name>", "strict: the same bits on every target").choices(["fast", "strict"]).default("fast"));
  command.addOption(
    new Option("--kv <format>", "how keys and values are kept (auto: f16, but f32 for very small models)")
      .choices(["auto", "f16", "f32"])
      .default("auto"),
  );
  add(command, "--batch-tokens <n>", "tokens of a prompt that are computed together (default: 64)");
  command.option("--cache-dir <folder>", "keep computed prompts there, beyond memory and this run");
  command.option("--cache-disk <size>", "most bytes of that folder (default: 8GiB)");
  return command.option("--pull", "download a model that is named by hf:... or a URL and not stored yet");
}

/** More of loading, for commands that put texts into a conversation. */
export const templateOptions = (command: Command): Command =>
  command.option("--chat-template <name>", "a chat template by its short name, such as chatml or llama3, instead of the file's");

/** And for those that read what the model answers in it. */
export const conversationOptions = (command: Command): Command =>
  templateOptions(command).option(
    "--tool-syntax <name>",
    "how the model writes tool calls, such as hermes or mistral (default: as its template shows)",
  );

export function commonOptions(command: Command): Command {
  return command
    .optionsGroup("Output:")
    .option("--quiet", "no progress and no remarks on stderr")
    .option("--debug", "show where an error comes from");
}

export const jsonOption = (command: Command, text: string): Command => command.optionsGroup("Output:").option("--json", text);

export const examples = (command: Command, ...lines: string[]): Command =>
  command.addHelpText("after", `\nExamples:\n${lines.map(l => `  $ ${l}`).join("\n")}`);

function picked<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.filter(k => from[k] !== undefined).map(k => [k, from[k]])) as Pick<T, K>;
}
export const loadFlags = (flags: LoadFlags): LoadFlags => picked(flags, loadKeys);
export const samplingFlags = (flags: SamplingFlags): SamplingFlags => picked(flags, samplingKeys);
