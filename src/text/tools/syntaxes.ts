/**
 * How models write tool calls: one row for each syntax (TOKENIZERS 11.1), known by signs in the chat template that teaches it.
 * A row says which marks begin and end calls and which reader (calls, tagged, literals, channels) takes what stands between them.
 */
import { LatheError } from "../../errors.ts";
import {
  type CallForm,
  type CallJson,
  type CallLiterals,
  type CallsForm,
  markedValues,
  mixedValues,
  pythonValues,
  type ValueForm,
} from "./call-forms.ts";
import { type Body, type BodyReader, closed, jsonCalls, type NamedForm, namedArguments, namedCalls } from "./calls.ts";
import { type AnswerReader, functionary, harmony, harmonyMarks, RECIPIENT } from "./channels.ts";
import { literalCalls, marked, python } from "./literals.ts";
import { type TaggedForm, taggedArguments, taggedCalls } from "./tagged.ts";

export interface ToolSyntax {
  readonly name: string;
  /** A template that has all texts of one of these lists teaches this syntax; none: it is never found, only chosen. */
  readonly signs: readonly (readonly string[])[];
  /** Begins one call or several. Absent: nothing does, and calls come before any other words. */
  readonly open?: readonly string[];
  /** All other marks, for those that are tokens. */
  readonly marks?: readonly string[];
  readonly body?: BodyReader;
  /** Calls may come without marks before any other words, where they name known tools. */
  readonly bare?: BodyReader;
  /** Reads the whole answer, thoughts included, in place of all other readers. */
  readonly whole?: AnswerReader;
  /** How an answer begins that is held to a call; absent where that is not possible in this syntax. */
  readonly forced?: ForcedForm;
}

/** How calls are written that an answer is held to. */
export interface ForcedForm extends CallsForm {
  /** Names of tools that it can write; absent: all. Calls of others are JSON. */
  readonly tools?: RegExp;
}

const object: CallJson = { keys: ["name", "arguments"] };
/** A JSON list of calls, between two marks. */
const list = (open: string, close: string, call: CallForm = object): ForcedForm => ({
  open,
  close,
  begin: "",
  end: "",
  list: "always",
  call,
});
/** JSON without marks: one object, or a list of several. */
const plain = (call: CallJson = object): ForcedForm => ({ begin: "", end: "", list: "several", call });
/** The tool's name and its arguments as JSON, between marks. */
const named = (begin: string, behind: string, end: string, more: Partial<ForcedForm> = {}): ForcedForm => ({
  begin,
  end,
  between: "",
  call: { named: behind },
  ...more,
});

/** Hermes' marks, which other families took over. */
export const CALL = ["<tool_call>", "</tool_call>"] as const;
const lines: TaggedForm = {
  call: "<function=",
  named: ">",
  close: "</function>",
  argument: ["<parameter=", ">", "</parameter>"],
  lines: true,
};
const keys: TaggedForm = { close: CALL[1], argument: ["<arg_key>", "</arg_key>", "</arg_value>"], value: "<arg_value>" };
const invoke = (prefix: string): TaggedForm => ({
  call: `<${prefix}invoke name="`,
  named: '">',
  close: `</${prefix}invoke>`,
  argument: [`<${prefix}parameter name="`, '">', `</${prefix}parameter>`],
});

/** Elements of that form, line breaks where the families' templates write them. `marks`: around each call, or around all of them. */
function element(form: TaggedForm, marks: Partial<ForcedForm>, typed?: readonly [text: string, other: string]): ForcedForm {
  const [before, named, mark] = form.argument;
  const line = form.lines ? "\n" : "";
  const value = `${named}${form.value === undefined ? "" : `\n${form.value}`}${line}`;
  const call = {
    named: `${form.named ?? ""}\n`,
    open: before,
    value: typed ?? ([value, value] as const),
    before: line,
    mark,
    after: "\n",
    close: form.call === undefined ? "" : form.close,
  };
  return { begin: "", end: "", between: "\n", call, ...marks };
}
/** Each between two marks. */
const each = (open: string, form: TaggedForm, close: string): ForcedForm =>
  element(form, form.call === undefined ? { begin: open, end: close } : { begin: `${open}\n${form.call}`, end: `\n${close}` });
/** All between two marks. */
const all = (open: string, form: TaggedForm, close: string, typed?: readonly [string, string]): ForcedForm =>
  element(form, { open: `${open}\n`, begin: form.call, close: `\n${close}` }, typed);

/** Calls as a program would write them. */
const literal = (marks: Partial<ForcedForm>, shape: Omit<CallLiterals, "values">, values: ValueForm): ForcedForm => ({
  begin: "",
  end: "",
  between: "",
  call: { ...shape, values },
  tools: /^[A-Za-z_][\w.$-]*(?<!\.call)$/,
  ...marks,
});
const inParentheses = { named: "(", is: "=", close: ")", whitespace: "some" } as const;
const inBraces = { named: "{", is: ":", close: "}", whitespace: "none" } as const;

/** What stands in `<tool_call>`: several families write different things there, and their models mix them. */
const toolCall: BodyReader = function* (body) {
  const { scanner } = body;
  yield* scanner.space();
  const next = yield* scanner.peek();
  if (next === "<") return yield* taggedCalls(lines, CALL.slice(1))(body);
  if (next !== "{" && next !== "[") return yield* taggedCalls(keys, CALL.slice(1))(body);
  return yield* closed(jsonCalls(), CALL.slice(1))(body);
};

/** `<function=f>` and either a JSON object or elements. */
const functionElement: BodyReader = function* (body) {
  const { scanner } = body;
  const name = yield* scanner.before([">"]);
  if (name === undefined) return false;
  yield* scanner.starts([">"]);
  yield* scanner.space();
  const json = (yield* scanner.peek()) === "{";
  return yield* json ? namedArguments(body, { name }, [lines.close]) : taggedArguments(body, lines, name);
};

/** `<tool_call>`, or `<function=` alone, which models forget to wrap. */
const callOrFunction: BodyReader = body => (body.mark === lines.call ? functionElement : toolCall)(body);

/** Mistral's: a list of objects, or names with arguments. */
const mistral: NamedForm = { after: ["[ARGS]", "[CALL_ID]", "{"] };
const afterToolCalls: BodyReader = function* (body) {
  yield* body.scanner.space();
  const next = yield* body.scanner.peek();
  return yield* (next === "[" || next === "{" ? jsonCalls() : namedCalls(mistral))(body);
};

const kimi: NamedForm = {
  begin: ["<|tool_call_begin|>"],
  after: ["<|tool_call_argument_begin|>"],
  close: ["<|tool_call_end|>"],
  name: id => ({ name: id.replace(/^functions\./, "").replace(/:\d+$/, ""), id }),
};
const deepseek: NamedForm = {
  begin: ["<｜tool▁call▁begin｜>"],
  after: ["<｜tool▁sep｜>"],
  close: ["<｜tool▁call▁end｜>"],
};
const inCalls = {
  open: ["<｜tool▁calls▁begin｜>"],
  marks: [...deepseek.begin!, ...deepseek.after, ...deepseek.close!, "<｜tool▁calls▁end｜>"],
  body: namedCalls(deepseek, ["<｜tool▁calls▁end｜>"]),
};
const aroundCalls = { open: "<｜tool▁calls▁begin｜>", close: "<｜tool▁calls▁end｜>" };

/** JSON or a program's calls, by what they begin with. */
const either =
  (close: readonly string[] = []): BodyReader =>
  body =>
    bracketed(body, close);
function* bracketed(body: Body, close: readonly string[]): ReturnType<BodyReader> {
  const json = (yield* body.scanner.glance()) === "{";
  return yield* (json ? closed(jsonCalls(), close) : literalCalls(python, close))(body);
}

/** What many fine-tunes of small models write, and what is looked for in families that are not known. */
const common = [CALL[0], "<function_call>", "<functioncall>", "<tool_calls>", "<TOOLCALL>", "<function=", "[TOOL_CALLS]"] as const;
const commonEnds = [CALL[1], "</function_call>", "</functioncall>", "</tool_calls>", "</TOOLCALL>"];
const anyCall: BodyReader = function* (body) {
  const { scanner, mark } = body;
  if (mark === lines.call || mark === CALL[0]) return yield* callOrFunction(body);
  yield* scanner.space();
  const next = yield* scanner.peek();
  if (next !== "{" && next !== "[") return yield* (mark === "[TOOL_CALLS]" ? afterToolCalls : toolCall)(body);
  return yield* either(commonEnds)(body);
};

const inTags = (name: string, open: string, close: string, extra: Partial<ToolSyntax> = {}): ToolSyntax => ({
  name,
  signs: [[open, close]],
  open: [open],
  marks: [close],
  body: closed(jsonCalls(), [close]),
  forced: list(open, close),
  ...extra,
});

const afterMark = { open: ["[TOOL_CALLS]"], marks: ["[ARGS]", "[CALL_ID]"], body: afterToolCalls };

/** In the order in which templates are searched for their signs: a syntax whose signs another one's template may show as well comes later. */
export const toolSyntaxes: readonly ToolSyntax[] = [
  {
    name: "harmony",
    signs: [["<|channel|>", "<|message|>"]],
    marks: harmonyMarks,
    whole: harmony,
    // The mark behind a call ends the answer.
    forced: named("<|channel|>commentary to=functions.", " <|constrain|>json<|message|>", "", { between: undefined }),
  },
  {
    name: "functionary-3.2",
    signs: [[">>>all"]],
    whole: functionary,
    forced: named("", "\n", "", { between: RECIPIENT, tools: /^(?!all$)/ }),
  },
  {
    name: "kimi",
    signs: [["<|tool_call_begin|>", "<|tool_call_argument_begin|>"]],
    open: ["<|tool_calls_section_begin|>"],
    marks: [...kimi.begin!, ...kimi.after, ...kimi.close!, "<|tool_calls_section_end|>"],
    body: namedCalls(kimi, ["<|tool_calls_section_end|>"]),
    forced: {
      open: "<|tool_calls_section_begin|>",
      begin: "<|tool_call_begin|>functions.",
      between: "",
      end: "<|tool_call_end|>",
      close: "<|tool_calls_section_end|>",
      call: { counted: ":", named: "<|tool_call_argument_begin|>" },
    },
  },
  {
    name: "deepseek-3.2",
    signs: [["｜DSML｜"]],
    open: ["<｜DSML｜function_calls>", "<｜DSML｜tool_calls>"],
    marks: ["</｜DSML｜function_calls>", "</｜DSML｜tool_calls>", "｜DSML｜"],
    body: taggedCalls(invoke("｜DSML｜"), ["</｜DSML｜function_calls>", "</｜DSML｜tool_calls>"]),
    forced: all("<｜DSML｜function_calls>", invoke("｜DSML｜"), "</｜DSML｜function_calls>", ['" string="true">', '" string="false">']),
  },
  {
    ...inCalls,
    name: "deepseek-3",
    signs: [["<｜tool▁call▁begin｜>", "```json"]],
    forced: named("<｜tool▁call▁begin｜>function<｜tool▁sep｜>", "\n```json\n", "\n```<｜tool▁call▁end｜>", {
      ...aroundCalls,
      between: "\n",
    }),
  },
  {
    ...inCalls,
    name: "deepseek",
    signs: [["<｜tool▁call▁begin｜>"], ["<｜tool▁calls▁begin｜>"]],
    forced: named("<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", aroundCalls),
  },
  {
    name: "minimax",
    signs: [["minimax:tool_call"]],
    open: ["<minimax:tool_call>"],
    marks: ["</minimax:tool_call>"],
    body: taggedCalls(invoke(""), ["</minimax:tool_call>"]),
    forced: all("<minimax:tool_call>", invoke(""), "</minimax:tool_call>"),
  },
  {
    name: "seed",
    signs: [["seed:tool_call"]],
    open: ["<seed:tool_call>"],
    marks: ["</seed:tool_call>"],
    body: taggedCalls(lines, ["</seed:tool_call>"]),
    forced: each("<seed:tool_call>", { ...lines, lines: false }, "</seed:tool_call>"),
  },
  {
    name: "gemma-4",
    signs: [["<|tool_call>", "<tool_call|>"]],
    open: ["<|tool_call>"],
    marks: ["<tool_call|>", '<|"|>'],
    body: literalCalls(marked('<|"|>'), ["<tool_call|>"]),
    forced: literal({ begin: "<|tool_call>call:", end: "<tool_call|>" }, inBraces, markedValues('<|"|>', "bare")),
  },
  {
    name: "functiongemma",
    signs: [["<start_function_call>"]],
    open: ["<start_function_call>"],
    marks: ["<end_function_call>", "<escape>"],
    body: literalCalls(marked("<escape>"), ["<end_function_call>"]),
    forced: literal({ begin: "<start_function_call>call:", end: "<end_function_call>" }, inBraces, markedValues("<escape>", "text")),
  },
  {
    name: "lfm2",
    signs: [["<|tool_call_start|>"], ["<|tool_list_start|>"]],
    open: ["<|tool_call_start|>"],
    marks: ["<|tool_call_end|>"],
    body: either(["<|tool_call_end|>"]),
    forced: literal({ open: "<|tool_call_start|>[", between: ", ", close: "]<|tool_call_end|>" }, inParentheses, pythonValues),
  },
  {
    name: "glm",
    signs: [["<arg_key>"]],
    open: [CALL[0]],
    marks: [CALL[1], ...keys.argument, keys.value!],
    body: toolCall,
    forced: { ...each(CALL[0], keys, CALL[1]), loose: true },
  },
  {
    name: "qwen-coder",
    signs: [["<function=", "<parameter="]],
    open: [CALL[0], lines.call!],
    marks: [CALL[1]],
    body: callOrFunction,
    forced: each(CALL[0], lines, CALL[1]),
  },
  {
    name: "functionary-3.1",
    signs: [["<function="]],
    open: ["<function="],
    body: functionElement,
    forced: named("<function=", ">", "</function>"),
  },
  inTags("command-r", "<|START_ACTION|>", "<|END_ACTION|>", {
    forced: list("<|START_ACTION|>", "<|END_ACTION|>", { keys: ["tool_name", "parameters"], counted: "tool_call_id" }),
  }),
  inTags("apertus", "<|tools_prefix|>", "<|tools_suffix|>", {
    body: closed(jsonCalls(true), ["<|tools_suffix|>"]),
    forced: list("<|tools_prefix|>", "<|tools_suffix|>", { keyed: true }),
  }),
  inTags("nemotron", "<TOOLCALL>", "</TOOLCALL>"),
  inTags("phi-4", "<|tool_call|>", "<|/tool_call|>"),
  { name: "granite-3", signs: [["<|tool_call|>"]], open: ["<|tool_call|>"], body: jsonCalls(), forced: list("<|tool_call|>", "") },
  {
    name: "olmo-3",
    signs: [["<function_calls>"]],
    open: ["<function_calls>"],
    marks: ["</function_calls>"],
    body: literalCalls(python, ["</function_calls>"]),
    forced: literal({ open: "<function_calls>", between: "\n", close: "\n</function_calls>" }, inParentheses, mixedValues),
  },
  {
    name: "hermes",
    signs: [[...CALL]],
    open: [CALL[0]],
    marks: [CALL[1]],
    body: toolCall,
    forced: { begin: `${CALL[0]}\n`, end: `\n${CALL[1]}`, between: "\n", call: object },
  },
  inTags("jamba", "<tool_calls>", "</tool_calls>"),
  {
    name: "firefunction",
    signs: [["<functioncall>"]],
    open: ["<functioncall>"],
    body: jsonCalls(),
    forced: { begin: "<functioncall>", end: "", between: "", call: object },
  },
  { ...afterMark, name: "mistral-11", signs: [["[TOOL_CALLS]", "[ARGS]"]], forced: named("[TOOL_CALLS]", "[ARGS]", "") },
  { ...afterMark, name: "mistral", signs: [["[TOOL_CALLS]"]], forced: list("[TOOL_CALLS]", "") },
  {
    name: "command-r-1",
    signs: [["Action:", "```json"]],
    open: ["Action:```json", "Action: ```json", "Action:\n```json"],
    body: closed(jsonCalls(), ["```"]),
    forced: list("Action:```json\n", "\n```", { keys: ["tool_name", "parameters"] }),
  },
  {
    name: "gemma-3",
    signs: [["```tool_code"]],
    open: ["```tool_code"],
    body: literalCalls(python, ["```"]),
    forced: literal({ open: "```tool_code\n", between: "\n", close: "\n```" }, inParentheses, pythonValues),
  },
  {
    name: "llama",
    signs: [["<|python_tag|>"], ["<|start_header_id|>", '"parameters"'], ["<|header_start|>"]],
    open: ["<|python_tag|>"],
    body: either(),
    bare: either(),
    // Its template knows answers of one call only.
    forced: { begin: "", end: "", call: { keys: ["name", "parameters"] } },
  },
  { name: "json", signs: [], bare: jsonCalls(), forced: plain() },
  { name: "generic", signs: [], open: common, marks: commonEnds, body: anyCall, bare: either(), forced: plain() },
];

const ofName = (name: string): ToolSyntax => toolSyntaxes.find(s => s.name === name)!;

/** Llama 3 and others that answer with nothing but JSON. */
export const bareSyntax: ToolSyntax = ofName("json");

/** What models without a syntax of their own are taught. */
export const taughtSyntax: ToolSyntax = ofName("hermes");

/** Marks that begin, end or divide calls in a syntax. */
export function callMarksOf({ open = [], marks = [] }: ToolSyntax): readonly string[] {
  return [...open, ...marks];
}

/** Marks that begin, end or divide calls, in any syntax: where they are tokens, these are the calls' own. */
export const callMarks: readonly string[] = [...new Set(toolSyntaxes.flatMap(callMarksOf))];

/** The syntax of that name. @throws LatheError option.invalid. */
export function chosenSyntax(name: string): ToolSyntax {
  const found = toolSyntaxes.find(s => s.name === name);
  if (found) return found;
  const message = `There is no tool syntax ${JSON.stringify(name.slice(0, 40))}; there are ${toolSyntaxes.map(s => s.name).join(", ")}.`;
  throw new LatheError("option.invalid", message, { option: "toolSyntax" });
}

/** The syntax of a chat template that shows tools to the model; undefined where it shows none, and the model has to be taught. */
export function syntaxOf(template: string): ToolSyntax | undefined {
  const found = toolSyntaxes.find(s => s.signs.some(signs => signs.every(sign => template.includes(sign))));
  // Harmony is the way of all of the model's answers, tools or not.
  if (found?.whole && found.name === "harmony") return found;
  return /\btools\b/.test(template) ? (found ?? ofName("generic")) : undefined;
}
