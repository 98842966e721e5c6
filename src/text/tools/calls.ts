/**
 * Bodies of calls whose arguments are JSON: an object with a name and arguments in it, a list of such, or a name, a mark and the arguments. What
 * readers of bodies share is here as well.
 */
import { isRecord, type KnownTool, parsedJson, type Telling } from "./events.ts";
import type { Reading, Scanner } from "./scanner.ts";

/** What a reader of a body works with. */
export interface Body {
  readonly scanner: Scanner;
  readonly telling: Telling;
  readonly tools: ReadonlyMap<string, KnownTool>;
  /** Where nothing marks a call, only known names make one, and nothing but a call's keys may come before it is one. */
  readonly strict: boolean;
  /** The mark that was read before; empty where none was. */
  readonly mark: string;
}

/** Reads what follows the opening mark: all calls, and the marks that end them. False where something is there that belongs to none. */
export type BodyReader = (body: Body) => Reading<boolean>;

const NAME = /^[\w.:/$-]{1,200}$/;

/** Whether a call of that name may begin here. */
export const isName = ({ strict, tools }: Body, name: string): boolean => (strict ? tools.has(name) : NAME.test(name));

/** The call is over: what is read from here on belongs to the next. */
export function ended({ scanner, telling }: Body): boolean {
  const whole = telling.end();
  if (whole) scanner.hold();
  return whole;
}

/** What objects may call their parts. */
const nameKeys = ["name", "tool_name", "function"];
const argumentKeys = ["arguments", "parameters", "args"];
/** Also seen in calls, and of no matter. */
const otherKeys = ["type", "id", "tool_call_id", "call_id", "index"];

/** A call on its way: objects may say its name after its arguments, and wrap both once more. */
interface Spelling {
  name?: string;
  /** Arguments that came before the name, or as a text. */
  args?: string;
  /** Which keys are names of tools themselves: `{"f": {...}}`. */
  readonly keyed: boolean;
}

function* string(scanner: Scanner): Reading<string | undefined> {
  if ((yield* scanner.peek()) !== '"') return undefined;
  let json = "";
  const whole = yield* scanner.json(t => void (json += t));
  return whole ? (parsedJson(json) as string) : undefined;
}

function* argumentsOf(body: Body, call: Spelling): Reading<boolean> {
  const { scanner, telling } = body;
  if ((yield* scanner.peek()) === "{" && call.name !== undefined && !telling.inCall) {
    telling.begin(call.name);
    return yield* scanner.json(t => telling.add(t));
  }
  let text = "";
  const whole = yield* scanner.json(t => void (text += t));
  call.args = text;
  return whole;
}

function* member(body: Body, call: Spelling, key: string): Reading<boolean> {
  const { scanner } = body;
  if (call.keyed && call.name === undefined && isName(body, key)) {
    call.name = key;
    return yield* argumentsOf(body, call);
  }
  if (key === "function" && (yield* scanner.peek()) === "{") return yield* members(body, call);
  if (nameKeys.includes(key) && call.name === undefined) {
    call.name = yield* string(scanner);
    return call.name !== undefined && isName(body, call.name);
  }
  if (argumentKeys.includes(key) && call.args === undefined) return yield* argumentsOf(body, call);
  if (body.strict && !otherKeys.includes(key)) return false;
  return yield* scanner.json(() => {});
}

/** Reads an object and keeps what it says of the call. */
function* members(body: Body, call: Spelling): Reading<boolean> {
  const { scanner } = body;
  if (!(yield* scanner.starts(["{"]))) return false;
  for (;;) {
    yield* scanner.space();
    const key = yield* string(scanner);
    if (key === undefined) return false;
    yield* scanner.space();
    if (!(yield* scanner.starts([":"]))) return false;
    yield* scanner.space();
    if (!(yield* member(body, call, key))) return false;
    yield* scanner.space();
    const next = yield* scanner.starts([",", "}"]);
    if (next !== ",") return next === "}";
  }
}

/** The text of arguments that were given as a value: as they are, or JSON inside a text. */
function unwrapped(args: string | undefined): string {
  const value = args === undefined ? {} : parsedJson(args);
  if (value === null || value === "") return "{}";
  return typeof value === "string" ? value.trim() : (args ?? "{}");
}

/** One object that is a call. */
function* objectCall(body: Body, keyed: boolean): Reading<boolean> {
  const { telling } = body;
  const call: Spelling = { keyed };
  if (!(yield* members(body, call)) || call.name === undefined) return false;
  if (!telling.inCall) {
    const json = unwrapped(call.args);
    if (!isRecord(parsedJson(json))) return false;
    telling.begin(call.name);
    telling.add(json);
  }
  return ended(body);
}

/** Calls as JSON objects, by themselves or in lists, with or without signs between them. */
export const jsonCalls = (keyed = false): BodyReader =>
  function* (body) {
    const { scanner, telling } = body;
    const before = telling.completed;
    let lists = 0;
    for (;;) {
      yield* scanner.space();
      const next = yield* scanner.peek();
      if (next === "{") {
        if (!(yield* objectCall(body, keyed))) return false;
      } else if (next === "[" && lists === 0) {
        yield* scanner.starts(["["]);
        lists++;
      } else if (telling.completed > before && (yield* scanner.starts([",", ";", "]"]))) {
        if (next === "]" && --lists < 0) return false;
      } else return telling.completed > before && lists === 0;
    }
  };

/** How a name is told from the arguments behind it. */
export interface NamedForm {
  /** Marks before the name, one for each call; none where the opening mark is one. */
  readonly begin?: readonly string[];
  /** What ends the name; a brace is left for the arguments. */
  readonly after: readonly string[];
  /** Behind the arguments. */
  readonly close?: readonly string[];
  /** What the name is, of what stands before the mark; by default that is all. */
  readonly name?: (text: string) => { readonly name: string; readonly id?: string };
}

/** One call: a name, a mark, and the arguments as a JSON object. */
function* namedCall(body: Body, form: NamedForm): Reading<boolean> {
  const { scanner } = body;
  const text = yield* scanner.before(form.after);
  if (text === undefined) return false;
  const called = form.name?.(text.trim()) ?? { name: text.trim() };
  let { name, id } = called as { name: string; id?: string };
  let mark = yield* scanner.starts(form.after.filter(m => m !== "{"));
  if (mark === "[CALL_ID]") {
    id = (yield* scanner.before(["[ARGS]"]))?.trim();
    mark = yield* scanner.starts(["[ARGS]"]);
    if (!mark) return false;
  }
  if (name === "function" && mark === DEEPSEEK_NAME) name = ((yield* scanner.before(["\n", "{"])) ?? "").trim();
  return yield* namedArguments(body, { name, id }, form.close);
}

/** The arguments of a call whose name was read: a JSON object, in a fence or not, and a mark behind it. */
export function* namedArguments(body: Body, { name, id }: { name: string; id?: string }, close: readonly string[] = []): Reading<boolean> {
  const { scanner, telling } = body;
  if (!isName(body, name)) return false;
  yield* scanner.space();
  const fenced = (yield* scanner.starts([FENCE])) !== undefined;
  if (fenced) yield* scanner.space();
  if ((yield* scanner.peek()) !== "{") return false;
  telling.begin(name, id);
  if (!(yield* scanner.json(t => telling.add(t))) || !ended(body)) return false;
  yield* scanner.space();
  if (fenced && (yield* scanner.starts(["```"]))) yield* scanner.space();
  if (close.length && (yield* scanner.starts(close))) scanner.hold();
  return true;
}

const FENCE = "```json";
/** DeepSeek's mark behind the kind of a call, or behind its name. */
const DEEPSEEK_NAME = "<｜tool▁sep｜>";

/** Calls of that form, one after the other, until `close`. */
export const namedCalls = (form: NamedForm, close: readonly string[] = []): BodyReader =>
  function* (body) {
    const { scanner, telling } = body;
    const before = telling.completed;
    do {
      yield* scanner.space();
      if (form.begin && !(yield* scanner.starts(form.begin))) break;
      if (!(yield* namedCall(body, form))) return false;
    } while (form.begin);
    yield* scanner.space();
    if (close.length && (yield* scanner.starts(close)) && telling.completed > before) scanner.hold();
    return telling.completed > before;
  };

/** The same, and then one of the marks, which may be missing. */
export const closed = (reader: BodyReader, close: readonly string[]): BodyReader =>
  function* (body) {
    if (!(yield* reader(body))) return false;
    yield* body.scanner.space();
    if (yield* body.scanner.starts(close)) body.scanner.hold();
    return true;
  };
