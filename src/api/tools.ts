/** Tools: what a caller's program can do for the model. A tool is its name, what it takes, and what runs; calls and their results are plain data. */
import { Recogniser } from "../decode/constrain/constraint.ts";
import { compileSchema } from "../decode/constrain/schema/compile.ts";
import { reading } from "../decode/constrain/schema/context.ts";
import { LatheError } from "../errors.ts";
import { type JsonSchema, jsonSchemaOf, type StandardSchema, type ValueOf, validated } from "./standard.ts";

/** What a running tool is given beside its input. */
export interface ToolContext {
  /** Aborted when the run is cancelled. */
  readonly signal: AbortSignal;
  /** The call's id. */
  readonly id: string;
}

/** Something that the caller's program can do for the model. */
export interface Tool<S = unknown> {
  /** 1 to 64 letters, digits, underscores, dashes and dots. */
  readonly name: string;
  /** What it does and when to use it, for the model. */
  readonly description?: string;
  /** What it takes: a Standard Schema, or a JSON Schema of an object. */
  readonly input: S;
  /** Runs it; the result is told to the model as text, or as JSON. Absent: the caller runs it and sends the result. */
  readonly run?: (input: ValueOf<S>, context: ToolContext) => unknown;
}
// biome-ignore lint/suspicious/noExplicitAny: tools of different inputs are kept in one list
export type AnyTool = Tool<any>;

/** A call that the model asks for. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** Whether tools may be called, must be, or which one must be. */
export type ToolChoice = "auto" | "none" | "required" | { readonly name: string };

const MOST_TOOLS = 128;

/**
 * A tool, checked; its types follow from `input`.
 * @throws LatheError option.invalid for a name that models cannot write; schema.* for an input that is no schema.
 */
export function tool<const S extends StandardSchema | JsonSchema>(given: Tool<S>): Tool<S> {
  prepared(given);
  return given;
}

/** The shape in which chat templates take tools. */
export interface ToolSpec {
  readonly type: "function";
  readonly function: { readonly name: string; readonly description?: string; readonly parameters: object };
}

interface Prepared {
  readonly spec: ToolSpec;
  /** Decides whether a JSON text is valid input; undefined where the schema says more than can be enforced. */
  readonly recogniser: Recogniser | undefined;
}

const known = new WeakMap<AnyTool, Prepared>();

function prepared(given: AnyTool): Prepared {
  const before = known.get(given);
  if (before) return before;
  const named = typeof given === "object" && given !== null && typeof given.name === "string" && /^[a-zA-Z0-9_.-]{1,64}$/.test(given.name);
  if (!named) throw new LatheError("option.invalid", "A tool needs a name of 1 to 64 letters, digits, _, - or dots.", { option: "tools" });
  const runs = given.run === undefined || typeof given.run === "function";
  const says = given.description === undefined || typeof given.description === "string";
  if (!runs || !says)
    throw new LatheError("option.invalid", `The tool ${given.name} needs a function as run and a text as description.`, {
      option: "tools",
    });
  const schema = parsed(jsonSchemaOf(given.input), given.name);
  const spec = { type: "function", function: { name: given.name, description: given.description, parameters: schema } } as const;
  const made = { spec, recogniser: recogniserOf(schema) };
  known.set(given, made);
  return made;
}

function parsed(schema: JsonSchema, name: string): object {
  const value: unknown = typeof schema === "string" ? JSON.parse(schema) : schema;
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new LatheError("option.invalid", `The tool ${name} needs the schema of an object as its input.`, { option: "tools", name });
}

function recogniserOf(schema: object): Recogniser | undefined {
  try {
    return new Recogniser(compileSchema(schema, reading));
  } catch (e) {
    if (e instanceof LatheError && /\.(unsupported|limit)$/.test(e.code)) return undefined;
    throw e;
  }
}

/** Checks a list of tools. @throws LatheError option.invalid. */
export function toolSpecs(tools: readonly AnyTool[]): ToolSpec[] {
  if (!Array.isArray(tools) || tools.length > MOST_TOOLS)
    throw new LatheError("option.invalid", `The tools must be a list of at most ${MOST_TOOLS}.`, { option: "tools" });
  const specs = tools.map(t => prepared(t).spec);
  const names = specs.map(s => s.function.name);
  const twice = names.find((n, i) => names.indexOf(n) !== i);
  if (twice !== undefined)
    throw new LatheError("option.invalid", `Two tools are called ${twice}; give each its own name.`, { option: "tools", name: twice });
  return specs;
}

/** The tools of which one must be called. @throws LatheError option.invalid where there are none. */
export function forcedSpecs(specs: readonly ToolSpec[], choice: ToolChoice): readonly ToolSpec[] {
  const wanted = typeof choice === "object" ? specs.filter(s => s.function.name === choice.name) : specs;
  if (wanted.length) return wanted;
  const what =
    typeof choice === "object" ? `a tool ${JSON.stringify(choice.name)}, which is not among the tools` : "a call, and there are no tools";
  throw new LatheError("option.invalid", `The tool choice asks for ${what}.`, { option: "toolChoice" });
}

/** What a tool said, as the model is told it. */
export interface ToolOutcome {
  readonly result?: unknown;
  /** Why there is no result. */
  readonly error?: string;
}

/** Runs a call. Wrong arguments and what the tool throws are told to the model; only an abort is thrown. */
export async function runTool(given: AnyTool, call: ToolCall, signal: AbortSignal): Promise<ToolOutcome> {
  signal.throwIfAborted();
  const { recogniser } = prepared(given);
  if (recogniser && !recogniser.accepts(JSON.stringify(call.arguments)))
    return { error: "The arguments do not fit the tool's input schema." };
  try {
    const input = await validated(given.input, call.arguments);
    if ("refused" in input) return { error: `The arguments are refused: ${input.refused}` };
    const result = await given.run!(input.value, { signal, id: call.id });
    outcomeText({ result }); // what cannot be told is the tool's error
    return { result };
  } catch (e) {
    signal.throwIfAborted();
    return { error: e instanceof Error ? e.message : String(e) };
  }
}

/** A result as the text of a message. */
export function outcomeText({ result, error }: ToolOutcome): string {
  if (error !== undefined) return JSON.stringify({ error });
  return typeof result === "string" ? result : (JSON.stringify(result) ?? "null");
}
