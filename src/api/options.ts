/** The options of the library's calls: defaults, checks, and the words for what is accepted. Unknown keys are errors everywhere. */

import type { Gate } from "../decode/constrain/gated.ts";
import { schemaText } from "../decode/constrain/schema/text.ts";
import type { ConstraintSource, JsonStyle } from "../decode/constrain/source.ts";
import { numberRule, type OptionRules, resolveOptions } from "../decode/options.ts";
import type { SamplingOptions } from "../decode/sampler.ts";
import { LatheError } from "../errors.ts";
import type { StoreOptions } from "../files/store/pull.node.ts";
import type { Kept } from "../kernels/attend.ts";
import type { Numerics } from "../runtime/compile.ts";
import { type Overflow, overflows } from "./context.ts";
import { HeldCall } from "./held-call.ts";
import { isModule, type PromptModule } from "./module-text.ts";
import { isStandard, jsonSchemaOf } from "./standard.ts";

/** What kernels are compiled to: x86-64 machine code, WebAssembly, nothing (they are interpreted, slowly), or the first that runs. */
export type Target = "auto" | "native" | "wasm" | "interp";

export interface LoadProgress {
  /** `pull` counts bytes of a download, `pack` bytes of weights; `header` and `ready` are done at once (1 of 1). */
  readonly stage: "pull" | "header" | "pack" | "ready";
  readonly done: number;
  readonly total: number;
}

/** Options of `load`. What is out of its range, and what is unknown, is an error. */
export interface LoadOptions {
  /** Tokens that a session can hold. Default: what the model was trained for, at most 4096. */
  readonly context?: number;
  /** Tokens that all sessions together can hold. Default: four contexts, or what memory allows. */
  readonly cacheTokens?: number;
  /** A folder in which computed prompts outlive memory and the program. Default: none, prompts are cached in memory alone. */
  readonly cacheDir?: string;
  /** Most bytes of that folder, as a number or like "8GiB". Default "8GiB". */
  readonly cacheDisk?: number | string;
  /** Threads that compute. Default: the cores of the machine, at most 16. */
  readonly threads?: number;
  /** Most bytes of memory, as a number or like "6GiB". Default: what the machine has free. */
  readonly memory?: number | string;
  /** What kernels are compiled to. Default "auto": the fastest that runs here. */
  readonly target?: Target;
  /**
   * `fast` (default) rounds a product and the sum it goes into together where the machine can; `strict` one after the other, which gives the
   * same bits on every target and is a little slower.
   */
  readonly numerics?: Numerics;
  /**
   * How keys and values are kept: "f16" takes half the memory of "f32" and less time, and rounds to eleven bits. Default "auto": f16, but f32 for
   * models so small (below 16 KiB a token) that it would gain them nothing.
   */
  readonly kv?: Kept | "auto";
  /** Tokens of a prompt that are computed together; more is a little faster, fewer answers a cancel sooner. Results do not change. Default 64. */
  readonly batchTokens?: number;
  /** The chat template, by its short name ("chatml", "llama3" ...) or as Jinja text, instead of the model file's own. */
  readonly chatTemplate?: string;
  /** How the model writes tool calls ("hermes", "mistral" ...), where its chat template does not show it. */
  readonly toolSyntax?: string;
  /** Download a model that is named by `hf:...` or a URL and is not in the store yet. Default false. */
  readonly pull?: boolean;
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
}

/** `S`: what is given as schema, from which the type of the result's value follows. */
export interface GenerateOptions<S = unknown> extends SamplingOptions {
  /** Most tokens of the answer; 0 evaluates the prompt only. Default: to the end of the context. */
  readonly maxTokens?: number;
  /** Texts that end the answer; they are not part of it. */
  readonly stop?: string | readonly string[];
  /** Whether the prompt may spell control tokens such as `<|im_end|>`. Default false: a user's text never becomes a control token. */
  readonly special?: boolean;
  /**
   * Texts in front of the prompt that are computed once, wherever they stand; in a conversation, in front of the first user message. Each sees
   * itself alone, so answers differ from those to one long text (docs/prompt-cache.md).
   */
  readonly modules?: readonly PromptModule[];
  /** Tell this many of the likeliest tokens with each token: 0 .. 20. Default 0. */
  readonly alternatives?: number;
  /**
   * Keep alternatives only until a part has told them: the result then has ids and log-probabilities alone. A token with 20 alternatives takes
   * 1 KiB. Default false.
   */
  readonly forgetTold?: boolean;
  /** Whose request it is: clients share the machine evenly and never each other's cached prompts. Default: one for all. */
  readonly client?: string;
  /** Requests with different salts share no cached prompts. */
  readonly salt?: string;
  /** Requests with a higher number go first: -100 .. 100. Default 0. */
  readonly priority?: number;
  /** Go on when the model says it is done (for measurements). Default false. */
  readonly ignoreEnd?: boolean;
  /**
   * The answer is JSON that is valid by this schema, and ends when the value is complete: a JSON Schema (an object, true, or its JSON text), or a
   * Standard Schema that can say itself as one (zod 4 and others).
   */
  readonly schema?: S;
  /** Under a schema: properties in the order in which it names them, or in any. Default "declared". */
  readonly propertyOrder?: JsonStyle["order"];
  /** Under a schema: white space between JSON's marks. Default "some": a blank, or a line break and up to 20 blanks, where it helps reading. */
  readonly whitespace?: JsonStyle["whitespace"];
  /** The answer is a text of this grammar in GBNF, whose rule `root` is the whole. */
  readonly grammar?: string;
  /** The answer matches this regular expression (ECMAScript) as a whole. */
  readonly regex?: string;
  /** The answer is one of these texts. */
  readonly choices?: readonly string[];
  /**
   * What happens when the prompt does not fit the context beside its answer: `error` refuses it, `shift` drops the oldest, `middle` keeps
   * beginning and end. Dropping leaves room for maxTokens of answer, at most half of the context, by default a quarter. Default "error".
   */
  readonly overflow?: Overflow;
  readonly signal?: AbortSignal;
}

const units: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};

/** Bytes of 1234, "6GiB", "500 MB"; undefined where it is no size. */
export function parseBytes(size: number | string): number | undefined {
  if (typeof size === "number") return Number.isFinite(size) && size > 0 ? size : undefined;
  const found = /^\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*$/.exec(size);
  const unit = found && units[found[2].toUpperCase()];
  return found && unit && Number(found[1]) > 0 ? Number(found[1]) * unit : undefined;
}

const optional = (inner: { accepts: string; check: (v: unknown) => boolean }) => ({
  default: undefined as never,
  accepts: inner.accepts,
  check: inner.check,
});
const count = (from: number, to = 2 ** 30) => optional(numberRule(0, { from, to, integer: true }));
const signal = optional({ accepts: "an AbortSignal", check: v => v instanceof AbortSignal });
const flag = { default: false, accepts: "true or false", check: (v: unknown) => typeof v === "boolean" };
const isRecord = (v: unknown): boolean => typeof v === "object" && v !== null && !Array.isArray(v);
/** Modules of a prompt. */
const MOST_MODULES = 1024;
const isText = (v: unknown): v is string => typeof v === "string";

const size = {
  accepts: 'a size such as 4000000000 or "6GiB"',
  check: (v: unknown) => (isText(v) || typeof v === "number") && parseBytes(v) !== undefined,
};

const loadRules: OptionRules<LoadOptions> = {
  context: count(1),
  cacheTokens: count(1),
  cacheDir: optional({ accepts: "the path of a folder", check: v => isText(v) && v !== "" }),
  cacheDisk: { default: "8GiB", ...size },
  threads: count(1, 256),
  memory: optional(size),
  target: {
    default: "auto",
    accepts: '"auto", "native", "wasm" or "interp"',
    check: v => ["auto", "native", "wasm", "interp"].includes(v as string),
  },
  numerics: { default: "fast", accepts: '"fast" or "strict"', check: v => v === "fast" || v === "strict" },
  kv: { default: "auto", accepts: '"auto", "f16" or "f32"', check: v => ["auto", "f16", "f32"].includes(v as string) },
  batchTokens: numberRule(64, { from: 1, to: 1024, integer: true }),
  chatTemplate: optional({ accepts: "the name of a chat template, or its text", check: v => isText(v) && v.trim() !== "" }),
  toolSyntax: optional({ accepts: "the name of a tool syntax", check: v => isText(v) && v.trim() !== "" }),
  pull: flag,
  onProgress: optional({ accepts: "a function", check: v => typeof v === "function" }),
  signal,
};

type Own = Omit<GenerateOptions, keyof SamplingOptions>;
const generateRules: OptionRules<Own> = {
  maxTokens: count(0),
  stop: { default: [], accepts: "a text or a list of texts", check: v => isText(v) || (Array.isArray(v) && v.every(isText)) },
  special: flag,
  modules: {
    default: [],
    accepts: "a list of objects with a text, and where it has parameters, their values",
    check: v => Array.isArray(v) && v.length <= MOST_MODULES && v.every(isModule),
  },
  alternatives: numberRule(0, { from: 0, to: 20, integer: true }),
  forgetTold: flag,
  client: optional({ accepts: "a text", check: isText }),
  salt: optional({ accepts: "a text", check: isText }),
  priority: numberRule(0, { from: -100, to: 100, integer: true }),
  ignoreEnd: flag,
  schema: optional({
    accepts: "a JSON Schema: an object, true, or its JSON text",
    check: v => v === true || isText(v) || isRecord(v) || isStandard(v),
  }),
  propertyOrder: { default: "declared", accepts: '"declared" or "any"', check: v => v === "declared" || v === "any" },
  whitespace: { default: "some", accepts: '"none", "some" or "any"', check: v => ["none", "some", "any"].includes(v as string) },
  grammar: optional({ accepts: "a text in GBNF", check: isText }),
  regex: optional({ accepts: "a regular expression as text", check: isText }),
  choices: optional({ accepts: "a list of texts", check: v => Array.isArray(v) && v.every(isText) }),
  overflow: { default: "error", accepts: '"error", "shift" or "middle"', check: v => overflows.includes(v as Overflow) },
  signal,
};

export interface ProfileOptions {
  /** Tokens in the past of the steps that are timed. Default 128, or what the context holds. */
  readonly context?: number;
  /** Tokens of a step: 1 for decoding, more for prefill, at most the batch that the model was loaded with. Default 1. */
  readonly tokens?: number;
  /** Whether to measure how fast the threads read memory (256 MiB, where there is room for them). Default false. */
  readonly bandwidth?: boolean;
  /** Steps to average over. Default 16. */
  readonly steps?: number;
  /** Whether to list the kernels' code. Default false. */
  readonly code?: boolean;
}
const profileRules: OptionRules<ProfileOptions> = {
  context: count(1),
  tokens: numberRule(1, { from: 1, to: 1_000_000, integer: true }),
  bandwidth: flag,
  steps: numberRule(16, { from: 1, to: 10_000, integer: true }),
  code: flag,
};

export interface InspectOptions extends StoreOptions {
  /** Tokens to reckon memory for. Default: what the model was trained for, at most 4096. */
  readonly context?: number;
}
const text = optional({ accepts: "a text", check: isText });
const inspectRules: OptionRules<InspectOptions> = {
  context: count(1),
  home: text,
  endpoint: text,
  token: text,
  offline: optional(flag),
  stallMs: count(1),
  retries: count(0),
  backoffMs: count(0),
  signal,
};

export const resolveProfile = (given: ProfileOptions): Required<ProfileOptions> => resolveOptions("profile option", profileRules, given);
/** Checks them; what is absent stays so, because the store has its own defaults. */
export function resolveInspect(given: InspectOptions): InspectOptions {
  resolveOptions("inspect option", inspectRules, given);
  return given;
}
export const resolveLoad = (given: LoadOptions): Required<LoadOptions> => resolveOptions("load option", loadRules, given);

export interface ResolvedGenerate {
  readonly own: Required<Own>;
  /** Checked by the sampler, whose options they are. */
  readonly sampling: SamplingOptions;
  readonly stops: readonly string[];
  readonly constraint: ConstraintSource | undefined;
  /** Where the constraint holds; absent: everywhere. */
  readonly gate: Gate | undefined;
}

/** Splits the flat options into the run's own and the sampler's; both refuse what they do not know. */
export function resolveGenerate(given: GenerateOptions): ResolvedGenerate {
  if (typeof given !== "object" || given === null) {
    throw new LatheError("option.invalid", "The generate options must be an object.", { value: given });
  }
  const entries = Object.entries(given);
  const mine = Object.fromEntries(entries.filter(([k]) => k in generateRules)) as Own;
  const own = resolveOptions("generate option", generateRules, mine);
  const sampling = Object.fromEntries(entries.filter(([k]) => !(k in generateRules))) as SamplingOptions;
  if (own.modules.length && own.overflow !== "error")
    throw new LatheError("option.invalid", "With modules nothing can be dropped from a prompt; leave overflow out.", {
      option: "overflow",
    });
  const stops = isText(own.stop) ? [own.stop] : own.stop;
  const schema: unknown = own.schema;
  return { own, sampling, stops, constraint: constraintOf(own), gate: schema instanceof HeldCall ? schema.gate : undefined };
}

/** The one constraint that the options ask for. */
function constraintOf(own: Required<Own>): ConstraintSource | undefined {
  const given = (["schema", "grammar", "regex", "choices"] as const).filter(name => own[name] !== undefined);
  if (given.length > 1) {
    const message = `The generate options ${given.join(" and ")} exclude each other; give one of them.`;
    throw new LatheError("option.invalid", message, { option: given[0] });
  }
  switch (given[0]) {
    case "schema":
      if ((own.schema as unknown) instanceof HeldCall) return (own.schema as unknown as HeldCall).source;
      return {
        kind: "schema",
        text: schemaText(jsonSchemaOf(own.schema)),
        style: { order: own.propertyOrder, whitespace: own.whitespace },
      };
    case "choices":
      return { kind: "choices", texts: [...own.choices] };
    case undefined:
      return undefined;
    default:
      return { kind: given[0], text: own[given[0]] };
  }
}
