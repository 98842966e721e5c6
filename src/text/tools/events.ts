/**
 * What is heard of an answer, and the way there: text and reasoning with the white space between them put right, calls as they begin, grow and
 * end. A call that turns out to be none is told as the text that it was.
 */

/** A call as the model wrote it. */
export interface SpokenCall {
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export type Spoken =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  /** A call begins; `index` counts the calls of the answer from 0. `id`: where the model gave one. */
  | { readonly type: "call-start"; readonly index: number; readonly name: string; readonly id?: string }
  /** More of the JSON text of its arguments. */
  | { readonly type: "call-delta"; readonly index: number; readonly text: string }
  /** It is complete; `json` is all of its arguments' text. */
  | ({ readonly type: "tool-call"; readonly index: number; readonly id?: string; readonly json: string } & SpokenCall)
  /** It had begun and is none. Its text, as the model wrote it, is told next. */
  | { readonly type: "call-broken"; readonly index: number };

/** A tool that may be called, as far as reading calls needs it. */
export interface KnownTool {
  readonly name: string;
  /** JSON Schema of its arguments. */
  readonly parameters?: unknown;
}

export const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === "object" && v !== null && !Array.isArray(v);

/** The value of a JSON text; undefined where it is none. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What came before decides what white space means. */
type Last = "nothing" | "text" | "reasoning" | "call";

/**
 * Gathers events. White space before the first words is held until they come and goes where a call comes instead; around reasoning and behind
 * calls it belongs to the marks.
 */
export class Telling {
  #parts: Spoken[] = [];
  #last: Last = "nothing";
  #space = "";
  #calls = 0;
  #open: { name: string; id?: string; json: string } | undefined;

  /** No words have been told: an answer without marks may still be all calls. */
  get untouched(): boolean {
    return this.#last !== "text";
  }

  /** Calls that were told whole. */
  completed = 0;
  /** What is read now are thoughts. */
  thinking = false;

  text(text: string): void {
    if (text === "") return;
    if (this.#last !== "text") {
      this.#space += text;
      const words = this.#space.trimStart();
      if (words === "") return;
      text = this.#last === "reasoning" ? words : this.#space;
      this.#space = "";
      this.#last = "text";
    }
    this.#add("text", text);
  }

  reasoning(text: string): void {
    if (this.#last !== "reasoning") this.#space = "";
    const whole = this.#space + text;
    const end = whole.trimEnd();
    this.#space = whole.slice(end.length);
    const told = this.#last === "reasoning" ? end : end.trimStart();
    if (told === "") return;
    this.#last = "reasoning";
    this.#add("reasoning", told);
  }

  /** Thoughts begin. */
  thinks(): void {
    this.thinking = true;
  }

  /** The thoughts are over; white space at their end was none of them. */
  reasoned(): void {
    this.#space = "";
    this.#last = "reasoning";
    this.thinking = false;
  }

  begin(name: string, id?: string): void {
    this.#open = { name, json: "", ...(id !== undefined && { id }) };
    this.#parts.push({ type: "call-start", index: this.#calls, name, ...(id !== undefined && { id }) });
  }

  /** More of the arguments' JSON text. */
  add(json: string): void {
    if (json === "" || !this.#open) return;
    this.#open.json += json;
    const last = this.#parts.at(-1);
    if (last?.type === "call-delta") this.#parts[this.#parts.length - 1] = { ...last, text: last.text + json };
    else this.#parts.push({ type: "call-delta", index: this.#calls, text: json });
  }

  /** The call is over; false where its arguments are no JSON object. */
  end(): boolean {
    const call = this.#open;
    const given = call && parsedJson(call.json);
    if (!call || !isRecord(given)) return false;
    this.#parts.push({ type: "tool-call", index: this.#calls++, ...call, arguments: given });
    this.#open = undefined;
    this.#space = "";
    this.#last = "call";
    this.completed++;
    return true;
  }

  /** What was read since the last call is none. */
  broken(raw: string): void {
    if (this.#open) this.#parts.push({ type: "call-broken", index: this.#calls++ });
    this.#open = undefined;
    this.text(raw);
  }

  /** Whether a call has begun that is not over. */
  get inCall(): boolean {
    return this.#open !== undefined;
  }

  /** The answer is over. */
  close(): void {
    if (this.#last === "nothing") this.#add("text", this.#space);
    this.#space = "";
  }

  /** The events since the last time. */
  taken(): Spoken[] {
    const parts = this.#parts;
    this.#parts = [];
    return parts;
  }

  #add(type: "text" | "reasoning", text: string): void {
    if (text === "") return;
    const last = this.#parts.at(-1);
    if (last?.type === type) this.#parts[this.#parts.length - 1] = { type, text: last.text + text };
    else this.#parts.push({ type, text });
  }
}
