/**
 * Calls written as elements: a name, then each argument between tags of its own, as bare text whose type the tool's schema knows. Long texts are told
 * while they come.
 */
import { type Body, type BodyReader, ended, isName } from "./calls.ts";
import type { Reading } from "./scanner.ts";
import { jsonOf, typesOf } from "./typed.ts";

export interface TaggedForm {
  /** Before a call's name; absent where the opening mark is. */
  readonly call?: string;
  /** Ends the name. Of several the first that comes; only this one of them is read. */
  readonly named?: string;
  readonly close: string;
  /** Before an argument's name, behind it, and behind its value. */
  readonly argument: readonly [open: string, named: string, close: string];
  /** Between an argument's name and its value, where a tag stands there. */
  readonly value?: string;
  /** A line break behind the opening tag and before the closing one is not part of the value. */
  readonly lines?: boolean;
}

/** What an attribute says besides the name: `name="P" string="true"` without its beginning and end. */
const ATTRIBUTE = /^(.*?)" string="(true|false)$/s;

/** A text argument, told while it comes. */
function* textValue({ scanner, telling }: Body, form: TaggedForm): Reading<boolean> {
  let held = "";
  let first = form.lines ?? false;
  const give = (text: string): void => {
    if (text === "") return;
    let own = held + text;
    if (first && own.startsWith("\n")) own = own.slice(1);
    first = false;
    held = form.lines && own.endsWith("\n") ? "\n" : "";
    telling.add(JSON.stringify(own.slice(0, own.length - held.length)).slice(1, -1));
  };
  telling.add('"');
  const closed = yield* scanner.until([form.argument[2]], give);
  telling.add('"');
  return closed !== undefined;
}

function* argument(body: Body, form: TaggedForm, tool: string): Reading<boolean> {
  const { scanner, telling, tools } = body;
  const [, named, close] = form.argument;
  const told = yield* scanner.before([named]);
  if (told === undefined || !(yield* scanner.starts([named]))) return false;
  const [, own = told.trim(), isText] = ATTRIBUTE.exec(told) ?? [];
  if (form.value !== undefined) {
    yield* scanner.space();
    if (!(yield* scanner.starts([form.value]))) return false;
  }
  telling.add(`${JSON.stringify(own)}:`);
  const types = isText === undefined ? typesOf(tools.get(tool), own) : isText === "true" ? new Set(["string"]) : undefined;
  if (types?.size === 1 && types.has("string")) return yield* textValue(body, form);
  let text = "";
  const closed = yield* scanner.until([close], t => void (text += t));
  const bare = form.lines ? text.replace(/^\n/, "").replace(/\n$/, "") : text;
  if (closed) telling.add(jsonOf(bare, types));
  return closed !== undefined;
}

/** The arguments of a call whose name was read. `ends`: what may also end it. */
export function* taggedArguments(body: Body, form: TaggedForm, name: string, ends: readonly string[] = []): Reading<boolean> {
  const { scanner, telling } = body;
  const [open] = form.argument;
  if (!isName(body, name)) return false;
  telling.begin(name);
  telling.add("{");
  for (let n = 0; ; n++) {
    yield* scanner.space();
    const mark = yield* scanner.starts([open, form.close, ...ends]);
    if (mark !== open) {
      telling.add("}");
      return mark !== undefined && ended(body);
    }
    if (n > 0) telling.add(",");
    if (!(yield* argument(body, form, name))) return false;
  }
}

/** One call behind the mark that begins it. */
function* taggedCall(body: Body, form: TaggedForm, ends: readonly string[]): Reading<boolean> {
  const { scanner } = body;
  const name = yield* scanner.before(form.named ? [form.named] : [form.argument[0], ...ends]);
  if (name === undefined) return false;
  if (form.named) yield* scanner.starts([form.named]);
  return yield* taggedArguments(body, form, name.trim(), ends);
}

/** Calls of that form, one after the other, until one of `close`. */
export const taggedCalls = (form: TaggedForm, close: readonly string[]): BodyReader =>
  function* (body) {
    const { scanner, telling } = body;
    const before = telling.completed;
    for (;;) {
      yield* scanner.space();
      if (form.call !== undefined && !(yield* scanner.starts([form.call]))) break;
      if (!(yield* taggedCall(body, form, close))) return false;
      if (form.call === undefined) return true;
    }
    if ((yield* scanner.starts(close)) && telling.completed > before) scanner.hold();
    return telling.completed > before;
  };
