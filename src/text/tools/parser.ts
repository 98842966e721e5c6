/**
 * Takes an answer apart while it comes: text, thoughts, tool calls. The same events come out however the text was cut, nothing is lost, and nothing
 * fails: what looks like a call and is none comes back as the text that it was. Which marks mean something is the model's manner; the readers of
 * calls stand in files of their own.
 */
import type { Body, BodyReader } from "./calls.ts";
import { type KnownTool, type Spoken, Telling } from "./events.ts";
import type { Manner, Thoughts } from "./manner.ts";
import { type Reading, Scanner } from "./scanner.ts";

export interface ParserOptions extends Manner {
  /** Tools that may be called; a call of another is none where nothing marks it. Their schemas give bare texts their types. */
  readonly tools?: readonly KnownTool[];
  /** The prompt ended inside of these thoughts. */
  readonly thinking?: Thoughts;
  /** Marks that are tokens of their own, by what they are written as (marks.ts): a text that spells one is text. */
  readonly codes?: ReadonlyMap<string, string>;
  /** What the prompt made the answer begin with, marks as they are written; it is read first. */
  readonly begun?: string;
}

export class AnswerParser {
  readonly #scanner: Scanner;
  readonly #telling = new Telling();
  readonly #reading: Reading<void>;

  constructor(options: ParserOptions) {
    const { tools = [], codes = new Map<string, string>(), begun = "" } = options;
    this.#scanner = new Scanner(codes);
    const known = new Map(tools.map(t => [t.name, t]));
    const body: Body = { scanner: this.#scanner, telling: this.#telling, tools: known, strict: false, mark: "" };
    this.#reading = answer(body, options);
    this.#scanner.push(begun);
  }

  /** Whether what was read last is inside of thoughts. */
  get thinking(): boolean {
    return this.#telling.thinking;
  }

  /** The events that this stretch of the answer completes. */
  push(text: string): Spoken[] {
    this.#scanner.push(text);
    this.#reading.next();
    return this.#telling.taken();
  }

  /** The rest, when the answer has ended. */
  end(): Spoken[] {
    this.#scanner.finish();
    while (!this.#reading.next().done) {
      // a reader that finds the end goes on
    }
    this.#telling.close();
    return this.#telling.taken();
  }
}

function* thinks({ scanner, telling }: Body, { close, label }: Thoughts): Reading<void> {
  telling.thinks();
  if (label !== undefined) {
    yield* scanner.space();
    yield* scanner.starts([label]);
  }
  yield* scanner.until([close], t => telling.reasoning(t));
  telling.reasoned();
}

function* answer(body: Body, { syntax, thoughts, silent, thinking }: ParserOptions): Reading<void> {
  const { scanner, telling } = body;
  if (thinking) yield* thinks(body, thinking);
  if (syntax?.whole) return yield* syntax.whole(body);
  const opens = syntax?.open ?? [];
  const marks = [...thoughts.map(t => t.open), ...opens, ...silent];
  for (;;) {
    const mark = (yield* first(body, syntax?.bare, marks)) ?? (yield* scanner.until(marks, t => telling.text(t)));
    if (mark === undefined) return;
    const own = thoughts.find(t => t.open === mark);
    if (own) yield* thinks(body, own);
    else if (opens.includes(mark)) yield* calls({ ...body, mark }, syntax!.body!);
  }
}

/** Calls behind a mark. */
function* calls(body: Body, read: BodyReader): Reading<void> {
  const { scanner, telling } = body;
  scanner.hold(body.mark);
  const whole = yield* read(body);
  const { raw } = scanner;
  scanner.release();
  if (!whole || raw.trim() === "") telling.broken(raw);
}

/** Where no words have come: calls without a mark, unless a mark is next, which is read. */
function* first(body: Body, read: BodyReader | undefined, marks: readonly string[]): Reading<string | undefined> {
  const { scanner, telling } = body;
  if (!read || !telling.untouched) return undefined;
  telling.text(yield* scanner.space());
  const mark = yield* scanner.starts(marks);
  if (mark !== undefined) return mark;
  const next = yield* scanner.peek();
  if (next !== "{" && next !== "[") return undefined;
  scanner.hold();
  const whole = yield* read({ ...body, strict: true });
  const { raw } = scanner;
  scanner.release();
  if (!whole || raw.trim() === "") telling.broken(raw);
  return undefined;
}
