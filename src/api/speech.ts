/**
 * How a model is spoken with: which tools its prompt shows and in what way, what of its answer's tokens are marks, how the answer is taken apart, and
 * what holds it to a call where it must make one.
 */
import { LatheError } from "../errors.ts";
import type { ChatMessage } from "../text/chat.ts";
import { beginningsOf } from "../text/tools/beginnings.ts";
import { openingOf } from "../text/tools/call-forms.ts";
import { type Manner, mannerOf, marksOf, openThoughts, type Thoughts } from "../text/tools/manner.ts";
import { coded, codesOf } from "../text/tools/marks.ts";
import { AnswerParser } from "../text/tools/parser.ts";
import { bareSyntax, callMarksOf, type ForcedForm, syntaxOf, type ToolSyntax, taughtSyntax } from "../text/tools/syntaxes.ts";
import { taught } from "../text/tools/teach.ts";
import { HeldCall } from "./held-call.ts";
import type { Marks } from "./session.ts";
import type { ToolSpec } from "./tools.ts";

/** What a conversation needs of the model. */
export interface ChatHost {
  readonly context: number;
  /** Source of the chat template. */
  readonly template: string;
  /** How the model writes calls, where somebody chose it. */
  readonly syntax?: ToolSyntax;
  /** The special token of that text, which plain text never becomes; undefined where there is none. */
  readonly mark: (text: string) => number | undefined;
  /** The prompt's text where it ends, and its ids. `opening`: what the answer is made to begin with. */
  render(
    messages: readonly ChatMessage[],
    tools: readonly ToolSpec[],
    opening: (ending: string) => string,
  ): { readonly ids: readonly number[]; readonly ending: string };
}

export interface SpeechOptions {
  readonly specs: readonly ToolSpec[];
  /** Of which one must be called. */
  readonly forced?: readonly ToolSpec[];
  /** How many calls an answer that must call may make; 1 also ends an answer that may call behind its call. Default 16. */
  readonly maxCalls?: number;
  /** Texts that end the answer: a mark in one of them is text. */
  readonly stops?: readonly string[];
}

/** Calls of one answer that must call, unless somebody says how many. */
export const DEFAULT_CALLS = 16;

/** A prompt, and how its answer is read. */
export interface ChatPrompt {
  readonly ids: readonly number[];
  /** It ends in the middle of thoughts, which end with this. */
  readonly until?: string;
  readonly parser: () => AnswerParser;
}

export class Speech {
  /** Special tokens that are told apart from text, and what stands for them. */
  readonly marks: Marks;
  /** What holds the answer to calls: all of it, or where it makes some. */
  readonly held: HeldCall | undefined;
  /** Stop texts that end the words of the answer. They do not count in thoughts and calls. */
  readonly stops: readonly string[];
  /** Stop texts with a mark in them, which are looked for in all that the model writes. */
  readonly markStops: readonly string[];
  readonly #host: ChatHost;
  readonly #specs: readonly ToolSpec[];
  readonly #manner: Manner;
  readonly #teach: boolean;
  /** What the answer is made to begin with, where it must call. */
  readonly #forced: string | undefined;

  constructor(host: ChatHost, { specs, forced, maxCalls = DEFAULT_CALLS, stops = [] }: SpeechOptions) {
    const own = host.syntax ?? syntaxOf(host.template);
    this.#host = host;
    this.#specs = specs;
    this.#teach = specs.length > 0 && own === undefined;
    const manner = mannerOf(host.template, own ?? taughtSyntax);
    const form = forced && (formOf(manner.syntax!, forced) ?? bareSyntax.forced!);
    const bare = form && "keys" in form.call && openingOf(form) === "";
    const reads = specs.length > 0 || manner.syntax?.whole !== undefined;
    this.#manner = { ...manner, syntax: bare ? bareSyntax : reads ? manner.syntax : undefined };
    const marks = marksOf(this.#manner);
    const marked = (stop: string): boolean => marks.some(m => stop.includes(m));
    this.stops = stops.filter(s => !marked(s));
    this.markStops = stops.filter(marked);
    this.marks = codesOf(marks.filter(m => host.mark(m) !== undefined && !stops.some(s => s.includes(m))));
    if (!form) {
      this.held = specs.length ? this.#free(manner, maxCalls) : undefined;
      return;
    }
    const ids = this.#idsOf(callMarksOf(manner.syntax!));
    const { tools: _, ...calls } = form;
    // The prompt goes as far as a token that nothing can merge with; what comes behind it is the model's own.
    this.#forced = openingOf(form).slice(0, endOfMarks(openingOf(form), Object.keys(ids)));
    this.held = new HeldCall(forced, calls, { most: maxCalls, begun: this.#forced.length, marks: ids });
  }

  #idsOf(marks: readonly string[]): Readonly<Record<string, number>> {
    return Object.fromEntries(marks.flatMap(m => (this.#host.mark(m) === undefined ? [] : [[m, this.#host.mark(m)!]])));
  }

  /** What holds calls that may be made, where the family's form can write all of the tools' names. */
  #free(manner: Manner, maxCalls: number): HeldCall | undefined {
    const { syntax, thoughts } = manner;
    const form = syntax && formOf(syntax, this.#specs);
    if (!form) return undefined;
    const { tools: _, ...calls } = form;
    const names = this.#specs.map(s => s.function.name);
    const gate = {
      ...beginningsOf({ ...manner, syntax }, form, names),
      blind: thoughts.map(t => [t.open, t.close] as const),
      ...(maxCalls === 1 && { stretches: 1 }),
      marks: this.#idsOf(marksOf(manner)),
    };
    const inOne = form.open !== undefined || form.list !== undefined;
    return new HeldCall(this.#specs, calls, { most: inOne ? maxCalls : 1, marks: this.#idsOf(callMarksOf(syntax)), gate });
  }

  /** The prompt of these messages. */
  prompt(messages: readonly ChatMessage[]): ChatPrompt {
    const [shown, tools] = this.#teach ? [taught(messages, this.#specs), []] : [messages, this.#specs];
    const { ids, ending } = this.#host.render(shown, tools, end => this.#opening(end));
    const thinking = openThoughts(this.#manner, ending);
    return { ids, until: thinking?.close, parser: () => this.#parser(ending, thinking) };
  }

  /** A call is not made in the middle of thoughts. */
  #opening(ending: string): string {
    if (this.#forced === undefined) return "";
    const thinking = openThoughts(this.#manner, ending);
    return (thinking ? `${thinking.close}\n\n` : "") + this.#forced;
  }

  #parser(ending: string, thinking: Thoughts | undefined): AnswerParser {
    const tools = this.#specs.map(s => s.function);
    const begun = coded(this.#opening(ending), this.marks);
    return new AnswerParser({ ...this.#manner, tools, thinking, codes: this.marks, begun });
  }
}

/** Where the last of the marks in a text ends; 0 where none is there. */
const endOfMarks = (text: string, marks: readonly string[]): number =>
  marks.reduce((end, m) => Math.max(end, text.includes(m) ? text.lastIndexOf(m) + m.length : 0), 0);

/** The syntax's own form where it can hold these calls. */
function formOf({ forced: form }: ToolSyntax, wanted: readonly ToolSpec[]): ForcedForm | undefined {
  return form && wanted.every(w => form.tools?.test(w.function.name) ?? true) ? form : undefined;
}

/** The tools of a request that are functions. @throws LatheError option.invalid for what is no tool. */
export function specsOf(tools: readonly unknown[]): ToolSpec[] {
  return tools.flatMap(t => {
    const { type, function: f } = (t ?? {}) as ToolSpec;
    if (type === "function" && typeof f?.name === "string") return [t as ToolSpec];
    if (type !== "function") return [];
    throw new LatheError("option.invalid", "A tool of type function needs a function with a name.", { option: "tools" });
  });
}
