/**
 * Answers that are messages to somebody: each has a header that says whom it is for, and what follows is thoughts, words or the arguments of a
 * call. Harmony (gpt-oss; TOKENIZERS 11.2) names channels and recipients between marks, Functionary a recipient on a line.
 */
import { type Body, ended, isName } from "./calls.ts";
import type { Reading } from "./scanner.ts";

/** Reads a whole answer, from where the prompt ended. */
export type AnswerReader = (body: Body) => Reading<void>;

/** What a message's text is. */
type Kind = { readonly is: "text" | "reasoning" } | { readonly is: "call"; readonly name: string };

/** Reads the arguments of a call up to the end of its message; what is none is text. */
function* callMessage(body: Body, name: string, ends: readonly string[]): Reading<string | undefined> {
  const { scanner, telling } = body;
  yield* scanner.space();
  let whole = false;
  if ((yield* scanner.peek()) === "{") {
    telling.begin(name);
    whole = (yield* scanner.json(t => telling.add(t))) && ended(body);
  }
  if (!whole) telling.broken(scanner.raw);
  scanner.release();
  return yield* scanner.until(ends, t => telling.text(t));
}

function* message(body: Body, kind: Kind, ends: readonly string[]): Reading<string | undefined> {
  const { scanner, telling } = body;
  if (kind.is === "call") return yield* callMessage(body, kind.name, ends);
  scanner.release();
  if (kind.is === "reasoning") telling.thinks();
  const end = yield* scanner.until(ends, t => (kind.is === "text" ? telling.text(t) : telling.reasoning(t)));
  if (kind.is === "reasoning") telling.reasoned();
  return end;
}

const START = "<|start|>";
const CHANNEL = "<|channel|>";
const MESSAGE = "<|message|>";
const CONSTRAIN = "<|constrain|>";
const ends = ["<|end|>", "<|call|>", "<|return|>", START, CHANNEL];
export const harmonyMarks = [...new Set([...ends, MESSAGE, CONSTRAIN])];

function harmonyKind(header: string): Kind {
  const [, channel = ""] = /<\|channel\|>\s*(\w*)/.exec(header) ?? [];
  const [, recipient] = /\bto=([^\s<]+)/.exec(header) ?? [];
  const name = recipient?.replace(/^functions\./, "");
  const own = name === recipient && ["assistant", "user", "all", "python", "browser"].includes(name?.split(".")[0] ?? "");
  if (name && !own) return { is: "call", name };
  return { is: channel === "analysis" ? "reasoning" : "text" };
}

/** Longest header that is waited for. */
const LONGEST = 300;

export function* harmony(body: Body): Reading<void> {
  const { scanner, telling } = body;
  for (let begun = ""; ; ) {
    scanner.hold(begun);
    if ((yield* scanner.peek()) === "") break;
    const header = yield* scanner.before([MESSAGE], LONGEST);
    let end: string | undefined;
    if (header === undefined) end = yield* scanner.until(ends, t => telling.text(t));
    else {
      yield* scanner.starts([MESSAGE]);
      end = yield* message(body, harmonyKind(begun + header), ends);
    }
    if (end === undefined) break;
    begun = end === CHANNEL ? CHANNEL : "";
    if (end !== START && end !== CHANNEL) yield* scanner.starts([START]);
  }
}

/** Functionary 3.2: `>>>all` and a line break before words, `>>>name` before the arguments of a call. The prompt ends with the first `>>>`. */
export const RECIPIENT = ">>>";

export function* functionary(body: Body): Reading<void> {
  const { scanner, telling } = body;
  yield* scanner.starts([RECIPIENT]);
  for (let first = true; ; first = false) {
    scanner.hold(first ? "" : RECIPIENT);
    if ((yield* scanner.peek()) === "") break;
    const name = (yield* scanner.before(["\n"]))?.trim();
    if (name !== undefined) yield* scanner.starts(["\n"]);
    let kind: Kind = { is: "text" };
    if (name !== undefined && name !== "all" && isName(body, name)) kind = { is: "call", name };
    else if (name !== "all") telling.text(scanner.raw);
    if (!(yield* message(body, kind, [RECIPIENT]))) break;
  }
}
