/**
 * From messages to the text that a model expects: finds the chat template of a model file, fits the messages to what the template can take,
 * and renders. The result is in segments that say which text may become control tokens; turning it into tokens is the tokenizer's task.
 * The template language is `jinja/`.
 */
import { LatheError } from "../errors.ts";
import { builtinTemplates } from "./jinja/builtin.ts";
import { parseTemplate, type Rendered, type Segment, type Template, trusted } from "./jinja/template.ts";

export { type Segment, trusted } from "./jinja/template.ts";

/** A record and, where it is written out, any other key as well; an interface with those keys fits too. */
type Open<T> = T | (T & { readonly [key: string]: unknown });

/** One part of a message that is not plain text alone. */
export type ChatPart = Open<{
  readonly type: string;
  readonly text?: string;
}>;

export interface ChatToolCall {
  readonly id?: string;
  readonly type?: string;
  readonly function: {
    readonly name: string;
    /** JSON text, as in the OpenAI protocol, or the value itself. */
    readonly arguments: string | Readonly<Record<string, unknown>>;
  };
}

/** A message of a chat, in the shape of the OpenAI protocol; unknown keys reach the template. */
export type ChatMessage = Open<{
  readonly role: string;
  readonly content?: string | readonly ChatPart[] | null;
  readonly name?: string;
  readonly tool_calls?: readonly ChatToolCall[];
  readonly tool_call_id?: string;
  /** What the model thought before an answer; the template decides how much of it to show again. */
  readonly reasoning_content?: string;
}>;

export interface RenderChatOptions {
  /** Ends the text where the assistant's answer begins; true by default. */
  readonly addGenerationPrompt?: boolean;
  /** Lets the model go on with the last message, which must be the assistant's: the text ends where its content ends. */
  readonly continueLast?: boolean;
  /** The text of the tokens that begin and end a sequence. */
  readonly bosText?: string;
  readonly eosText?: string;
  /** Tools in the shape of the OpenAI protocol. */
  readonly tools?: readonly unknown[];
  /** What the template sees as the present, in local time. */
  readonly now?: Date;
  /** More variables for the template, such as `enable_thinking`; their strings count as user text unless wrapped by `trusted`. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** The chat templates of one model. */
export interface ChatTemplate {
  readonly main: Template;
  /** Templates for special cases by name, such as `tool_use`. */
  readonly variants: ReadonlyMap<string, Template>;
}

const KEY = "tokenizer.chat_template";

/** A template from its source, or from the short name of a built-in one (`chatml`, `llama3`, ...). */
export function chatTemplate(source: string): ChatTemplate {
  return { main: parseTemplate(builtinTemplates.get(source.trim()) ?? source), variants: new Map() };
}

/** A template that a person chose, by its short name or as a text. A name that is none would be a template without messages, so it is refused. */
export function chosenTemplate(chosen: string): ChatTemplate {
  const names = chatTemplateNames();
  if (names.includes(chosen.trim()) || /\{[{%]/.test(chosen)) return chatTemplate(chosen);
  const message = `There is no chat template ${JSON.stringify(chosen.slice(0, 40))}; give a short name such as chatml, llama3 or gemma, or a template's text.`;
  throw new LatheError("option.invalid", message, { option: "chatTemplate", names });
}

/** The short names that `chatTemplate` and model files may use. */
export const chatTemplateNames = (): readonly string[] => [...builtinTemplates.keys()];

/** The chat templates in the metadata of a GGUF file. Fails with `template.missing` where there is none. */
export function chatTemplateFromMetadata(metadata: ReadonlyMap<string, unknown>): ChatTemplate {
  const variants = new Map<string, Template>();
  for (const [key, source] of metadata) {
    if (key.startsWith(`${KEY}.`) && typeof source === "string") variants.set(key.slice(KEY.length + 1), lazily(source));
  }
  const source = metadata.get(KEY);
  if (typeof source === "string" && source.trim() !== "") return { ...chatTemplate(source), variants };
  const main = variants.get("default") ?? variants.get("tool_use");
  if (main !== undefined) return { main, variants };
  throw new LatheError("template.missing", "The model has no chat template; give the prompt as plain text.", {
    key: KEY,
  });
}

/** Parses a variant when it is first used, so that a broken one harms nobody who does not use it. */
function lazily(source: string): Template {
  let parsed: Template | undefined;
  return {
    source,
    render(context, options) {
      parsed ??= chatTemplate(source).main;
      return parsed.render(context, options);
    },
  };
}

/**
 * Renders a chat. The template, the names of known roles and the BOS and EOS texts are trusted; whatever users, tools and models wrote is
 * not. Fails with `template.failed` where the template refuses the messages, and with `prompt.empty` where there are none.
 */
export function renderChat(template: ChatTemplate, messages: readonly ChatMessage[], options: RenderChatOptions = {}): readonly Segment[] {
  if (messages.length === 0) throw new LatheError("prompt.empty", "The chat has no messages. Give at least one.");
  const withTools = options.tools !== undefined && options.tools.length > 0;
  const chosen = (withTools ? template.variants.get("tool_use") : undefined) ?? template.main;
  const fitted = fitMessages(chosen, messages);
  const { noTools } = abilitiesOf(chosen);
  const prompt = (options.addGenerationPrompt ?? true) && !options.continueLast;
  const rendered = chosen.render(
    {
      messages: fitted,
      tools: withTools ? options.tools : noTools,
      documents: noTools,
      add_generation_prompt: prompt,
      bos_token: trusted(options.bosText ?? ""),
      eos_token: trusted(options.eosText ?? ""),
      ...options.extra,
    },
    { now: options.now },
  );
  return options.continueLast ? cutAfterLast(rendered, messages) : rendered.segments;
}

/** The text up to the end of the last message's content. */
function cutAfterLast({ text, segments }: Rendered, messages: readonly ChatMessage[]): readonly Segment[] {
  const last = messages[messages.length - 1];
  const content = textOf(last.content).trim();
  const at = text.lastIndexOf(content);
  if (last.role !== "assistant" || at < 0) {
    throw new LatheError(
      "template.failed",
      "The last message cannot be continued: it is not the assistant's, or the template changes it.",
      {
        role: last.role,
      },
    );
  }
  let left = at + content.length;
  return segments.flatMap(segment => {
    const piece = { text: segment.text.slice(0, Math.max(0, left)), trusted: segment.trusted };
    left -= segment.text.length;
    return piece.text === "" ? [] : [piece];
  });
}

// ---- what a template can take ----

/** What a template does with the different shapes that messages come in, found out by rendering small chats. */
interface Abilities {
  /** Shows the content of a message that is a string. */
  readonly texts: boolean;
  /** Shows the text parts of a message that is a list of parts. */
  readonly parts: boolean;
  /** Shows system messages. */
  readonly system: boolean;
  /** Shows the arguments of a tool call when they are an object. */
  readonly objects: boolean;
  /** What `tools` must be where there are none: most templates expect None, some loop over it and need it absent. */
  readonly noTools: null | undefined;
}

const NEEDLE = "zqxNeedle";
const known = new WeakMap<Template, Abilities>();

function abilitiesOf(template: Template): Abilities {
  let found = known.get(template);
  if (found === undefined) known.set(template, (found = probe(template)));
  return found;
}

function probe(template: Template): Abilities {
  const user = (content: unknown) => ({ role: trusted("user"), content });
  const inParts = (text: string) => [{ type: "text", text }];
  const plain = [user("x")];
  const noTools = tryRender(template, plain, null) === undefined && tryRender(template, plain, undefined) !== undefined ? undefined : null;
  // Shown as it is, and not as a string inside a printed list or dict.
  const shows = (...messages: unknown[]): boolean => {
    const text = tryRender(template, messages, noTools) ?? "";
    return text.includes(NEEDLE) && !text.includes(`'${NEEDLE}'`);
  };
  const parts = shows(user(inParts(NEEDLE)));
  const texts = shows(user(NEEDLE)) || !parts;
  const wrap = (text: string): unknown => (texts ? text : inParts(text));
  const calls = (args: unknown) => [
    user(wrap("x")),
    {
      role: trusted("assistant"),
      content: wrap(""),
      tool_calls: [{ id: "zqx000000", type: "function", function: { name: "f", arguments: args } }],
    },
  ];
  const system = shows({ role: trusted("system"), content: wrap(NEEDLE) }, user(wrap("x")));
  return {
    texts,
    parts,
    noTools,
    // Where even a plain chat fails, nothing is known, and the messages stay as they are.
    system: system || tryRender(template, [user(wrap("x"))], noTools) === undefined,
    objects: shows(...calls({ a: NEEDLE })) || !shows(...calls(`{"a": "${NEEDLE}"}`)),
  };
}

/** The chats of the probe are small, and there are many of them: real templates take less than a tenth of these steps for one. */
const PROBE_STEPS = 20_000;

/** The rendered text, or undefined where the template refuses. */
function tryRender(template: Template, messages: readonly unknown[], tools: null | undefined): string | undefined {
  const context = { messages, tools, documents: tools, add_generation_prompt: false, bos_token: "", eos_token: "" };
  try {
    return template.render(context, { maxSteps: PROBE_STEPS }).text;
  } catch (error) {
    if (error instanceof LatheError) return undefined;
    throw error;
  }
}

/** Roles whose names may be part of a control token, as in `<|user|>`; any other role's name is user text. */
const ROLES = new Set(["system", "developer", "user", "assistant", "tool", "function", "ipython", "model", "observation", "environment"]);

type Fitted = Record<string, unknown>;

function fitMessages(template: Template, messages: readonly ChatMessage[]): Fitted[] {
  const abilities = abilitiesOf(template);
  const renamed = messages.map(message => fitRole(template, message));
  const merged = abilities.system ? renamed : mergeSystem(renamed);
  return merged.map(message => ({
    ...message,
    role: ROLES.has(message.role) ? trusted(message.role) : message.role,
    content: fitContent(message.content, abilities),
    ...(message.tool_calls && { tool_calls: message.tool_calls.map(call => fitCall(call, abilities)) }),
  }));
}

/** The newer name of the system role is known to few templates. */
function fitRole(template: Template, message: ChatMessage): ChatMessage {
  return message.role === "developer" && !template.source.includes("developer") ? { ...message, role: "system" } : message;
}

/** Puts system texts before the text of the next user message, for templates that have no place for them. */
function mergeSystem(messages: readonly ChatMessage[]): ChatMessage[] {
  const out: ChatMessage[] = [];
  let waiting: string[] = [];
  for (const message of messages) {
    if (message.role === "system") waiting.push(textOf(message.content));
    else if (message.role === "user" && waiting.length > 0) {
      out.push({ ...message, content: [...waiting, textOf(message.content)].join("\n\n") });
      waiting = [];
    } else out.push(message);
  }
  return waiting.length > 0 ? [...out, { role: "user", content: waiting.join("\n\n") }] : out;
}

function fitContent(content: ChatMessage["content"], { texts, parts }: Abilities): unknown {
  if (content === null || content === undefined) return texts ? "" : [];
  if (typeof content === "string") return texts ? content : [{ type: "text", text: content }];
  // Nothing else of a part: a template may write control tokens for a picture where it finds a key of that name, and nobody could see it.
  return parts ? content.map(part => ({ type: "text", text: textOfPart(part) })) : content.map(textOfPart).join("");
}

/** The text of a message's content. */
function textOf(content: ChatMessage["content"]): string {
  if (content === null || content === undefined || typeof content === "string") return content ?? "";
  return content.map(textOfPart).join("");
}

/** Other parts have no text; they must not be dropped in silence, nor stand in the text as a place where nothing is. */
function textOfPart(part: ChatPart): string {
  if (typeof part.text === "string") return part.text;
  throw new LatheError("option.invalid", `A chat takes text only, not a part of type '${part.type}'.`, { type: part.type });
}

/** Arguments as an object where the template can show one, otherwise as JSON text. */
function fitCall(call: ChatToolCall, { objects }: Abilities): unknown {
  const given = call.function.arguments;
  const value = objects ? parsedObject(given) : typeof given === "string" ? given : JSON.stringify(given);
  return { ...call, function: { ...call.function, arguments: value } };
}

function parsedObject(text: string | Readonly<Record<string, unknown>>): unknown {
  if (typeof text !== "string") return text;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : text;
  } catch {
    return text;
  }
}
