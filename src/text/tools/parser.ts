/**
 * Takes an answer apart while it is streamed: text, reasoning, tool calls. The same parts come out however the text was cut, and no
 * character is looked at twice; what looks like a call and is none comes back as the text that it was.
 */
import { THINK, type ToolSyntax } from "./syntaxes.ts";

/** A call as the model wrote it. */
export interface SpokenCall {
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export type Spoken =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  | ({ readonly type: "tool-call" } & SpokenCall);

export interface ParserOptions {
  /** Calls are looked for in this syntax; absent: in none. */
  readonly syntax?: ToolSyntax;
  /** Names of the tools that may be called; another name is no call where the syntax has no marks. */
  readonly tools?: readonly string[];
  /** The prompt ended inside the model's thoughts. */
  readonly thinking?: boolean;
}

type Mode = "text" | "reasoning" | "call" | "bare";

/** What a spelled-out call may name its parts. */
const nameKeys = ["name", "tool_name"];
const argumentKeys = ["arguments", "parameters"];

const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === "object" && v !== null && !Array.isArray(v);

function callOf(value: unknown): SpokenCall | undefined {
  if (!isRecord(value)) return undefined;
  const inner = isRecord(value.function) ? value.function : value;
  const name = nameKeys.map(k => inner[k]).find(v => typeof v === "string");
  const found = argumentKeys.map(k => inner[k]).find(v => v !== undefined);
  const given = typeof found === "string" ? parsed(found) : (found ?? {});
  return name !== undefined && name !== "" && isRecord(given) ? { name: name as string, arguments: given } : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The calls of a JSON text; undefined where it is anything else. */
function callsOf(text: string): SpokenCall[] | undefined {
  const value = parsed(text);
  const calls = (Array.isArray(value) ? value : [value]).map(callOf);
  return calls.length > 0 && calls.every(c => c !== undefined) ? (calls as SpokenCall[]) : undefined;
}

export class AnswerParser {
  readonly #options: ParserOptions;
  /** Finds the first mark that ends a stretch of text. */
  readonly #opening: RegExp;
  #mode: Mode;
  /** Text that is not given out yet: the possible beginning of a mark, or what stands inside a call. */
  #held = "";
  /** Inside a call: up to here `held` was read, and whether that is inside a JSON string. */
  #read = 0;
  #inString = false;
  /** Nothing but white space has come: an answer without marks may still be all calls. */
  #untouched = true;

  constructor(options: ParserOptions) {
    this.#options = options;
    const marks = [THINK.open, options.syntax?.open].filter(m => m !== undefined);
    this.#opening = new RegExp(marks.map(m => m.replace(/[[\]|]/g, "\\$&")).join("|"));
    this.#mode = options.thinking ? "reasoning" : "text";
  }

  /** The parts that this stretch of the answer completes. */
  push(text: string): Spoken[] {
    this.#held += text;
    const out: Spoken[] = [];
    while (this.#advance(out)) {
      // goes on with what is held
    }
    return merged(out);
  }

  /** The rest, when the answer has ended. */
  end(): Spoken[] {
    const [held, mode] = [this.#held, this.#mode];
    this.#held = "";
    if (mode === "reasoning" || mode === "text") return held === "" ? [] : [{ type: mode, text: held }];
    const { syntax, tools = [] } = this.#options;
    const open = mode === "call" ? syntax!.open! : "";
    const whole = mode === "bare" || syntax?.close === undefined;
    const calls = whole ? callsOf(held) : undefined;
    const known = mode === "call" || calls?.every(c => tools.includes(c.name));
    return calls && known ? calls.map(c => ({ type: "tool-call", ...c })) : [{ type: "text", text: open + held }];
  }

  /** One step of what `mode` does; false when more text is needed. */
  #advance(out: Spoken[]): boolean {
    switch (this.#mode) {
      case "text":
        return this.#text(out);
      case "reasoning":
        return this.#until(THINK.close, "reasoning", out, "text");
      case "call":
        return this.#call(out);
      case "bare":
        return false;
    }
  }

  #text(out: Spoken[]): boolean {
    const { syntax } = this.#options;
    if (this.#untouched && syntax && syntax.open === undefined) {
      const begun = this.#held.trimStart();
      if (begun === "") return false;
      if (begun[0] === "{" || begun[0] === "[") {
        this.#mode = "bare";
        return true;
      }
    }
    const found = this.#opening.exec(this.#held);
    if (found) {
      const [mark] = found;
      this.#give("text", found.index, out);
      this.#enter(mark === THINK.open ? "reasoning" : "call", mark.length);
      return true;
    }
    const open = syntax?.open;
    const hold = Math.max(tail(this.#held, THINK.open), open === undefined ? 0 : tail(this.#held, open));
    this.#give("text", this.#held.length - hold, out);
    return false;
  }

  /** Gives out all before `mark` and goes over to `next` behind it. */
  #until(mark: string, type: "reasoning", out: Spoken[], next: Mode): boolean {
    const at = this.#held.indexOf(mark);
    if (at < 0) {
      this.#give(type, this.#held.length - tail(this.#held, mark), out);
      return false;
    }
    this.#give(type, at, out);
    this.#enter(next, mark.length);
    return true;
  }

  /** Looks for the end of a call outside of JSON strings, in which it may be spelled. */
  #call(out: Spoken[]): boolean {
    const { open, close } = this.#options.syntax!;
    if (close === undefined) return false;
    const held = this.#held;
    for (; this.#read < held.length; this.#read++) {
      const c = held[this.#read];
      if (this.#inString && c === "\\") {
        if (this.#read + 1 === held.length) return false;
        this.#read++;
      } else if (c === '"') this.#inString = !this.#inString;
      else if (!this.#inString && c === close[0]) {
        if (held.startsWith(close, this.#read)) break;
        if (close.startsWith(held.slice(this.#read))) return false;
      }
    }
    if (this.#read === held.length) return false;
    const body = held.slice(0, this.#read);
    const calls = callsOf(body);
    if (calls) out.push(...calls.map(c => ({ type: "tool-call", ...c }) as const));
    else out.push({ type: "text", text: open + body + close });
    this.#enter("text", this.#read + close.length);
    return true;
  }

  #enter(mode: Mode, skip: number): void {
    this.#held = this.#held.slice(skip);
    this.#mode = mode;
    this.#read = 0;
    this.#inString = false;
    if (mode === "call") this.#untouched = false;
  }

  #give(type: "text" | "reasoning", length: number, out: Spoken[]): void {
    if (length === 0) return;
    const text = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    if (type === "text" && text.trim() !== "") this.#untouched = false;
    out.push({ type, text });
  }
}

/** Length of the longest end of `text` that begins `mark` without being all of it. */
function tail(text: string, mark: string): number {
  for (let n = Math.min(text.length, mark.length - 1); n > 0; n--) if (text.endsWith(mark.slice(0, n))) return n;
  return 0;
}

/** Neighbouring stretches of one type as one. */
function merged(parts: readonly Spoken[]): Spoken[] {
  const out: Spoken[] = [];
  for (const part of parts) {
    const last = out.at(-1);
    if (last && last.type !== "tool-call" && part.type === last.type)
      out[out.length - 1] = { type: last.type, text: last.text + part.text };
    else out.push(part);
  }
  return out;
}
