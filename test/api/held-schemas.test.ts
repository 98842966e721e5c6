/**
 * Calls held to a family's own form under schemas at random. What is chosen at random within the constraint is heard by the family's parser, however it
 * is cut, as one call whose arguments are valid; and values that are valid, written as the family does by a writer that knows nothing of src/, are
 * let through and heard as exactly these values.
 */
import { describe, expect, it } from "vitest";
import { HeldCall } from "../../src/api/held-call.ts";
import type { ToolSpec } from "../../src/api/tools.ts";
import { type Constraint, Recogniser } from "../../src/decode/constrain/constraint.ts";
import { type ConstraintSource, Constraints, compileSource } from "../../src/decode/constrain/source.ts";
import { LatheError } from "../../src/errors.ts";
import { openingOf } from "../../src/text/tools/call-forms.ts";
import { type ToolSyntax, toolSyntaxes } from "../../src/text/tools/syntaxes.ts";
import { randomSchema } from "../decode/constrain/random-schemas.ts";
import { isValid } from "../decode/constrain/validator.ts";
import { Random } from "../fixtures/random.ts";
import { manner, spoken, told, whole } from "../text/tools/spoken.ts";

type Value = null | boolean | number | string | Value[] | { [key: string]: Value };

const pieces = '｜ ▁ <|"|> <escape> True False None true false null </ < é 😀 \\u0041 \\n \\" \n ", ": ", null] } ) ]'.split(" ");
const vocabulary = [...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)), ...pieces, "\n", "</parameter>", "</arg_value>"];
const bytes = vocabulary.map(t => new TextEncoder().encode(t));
const constraints = new Constraints({ size: bytes.length, bytes: id => bytes[id], ends: [] });
const closing = vocabulary.map((t, id) => ({ t, id })).filter(({ t }) => /^[\s"<)}\]]/.test(t));
const closes = new Set(closing.map(c => c.id));

/** Chooses among what may come, rather what closes; undefined where it goes on for too long. */
function write(constraint: Constraint, random: Random): string | undefined {
  let text = "";
  for (let n = 0; n < 400 && !constraint.done; n++) {
    const mask = constraint.mask();
    const allowed = vocabulary.map((_, id) => id).filter(id => (mask[id >> 5] >>> (id & 31)) & 1);
    if (allowed.length === 0) throw new Error(`nothing may follow ${text}`);
    const preferred = allowed.filter(id => closes.has(id));
    const id = random.pick(preferred.length && random.below(2) ? preferred : allowed);
    if (constraint.accept(id) !== "text") throw new Error("an allowed token was refused");
    text += vocabulary[id];
  }
  return constraint.done ? text : undefined;
}

/** A tool that takes an object; some of them any more properties. */
function randomTool(random: Random): ToolSpec {
  const { below, pick } = random;
  const own = Object.fromEntries(["a", "name", "x_y"].filter(() => below(3) > 0).map(name => [name, randomSchema(random, 2)]));
  const odd = below(5) === 0 ? { [pick(["x y", 'q"', "é"])]: randomSchema(random, 0) } : {};
  const properties = { ...own, ...odd };
  const parameters = {
    type: "object",
    properties,
    required: Object.keys(own).filter(() => below(2)),
    ...(below(4) ? { additionalProperties: false } : {}),
  };
  return { type: "function", function: { name: pick(["f", "do_it"]), parameters } };
}

function cut(text: string, random: Random): string[] {
  const out: string[] = [];
  for (let at = 0; at < text.length; ) out.push(text.slice(at, (at += 1 + random.below(9))));
  return out;
}

const heard = ({ name }: ToolSyntax, texts: readonly string[], spec: ToolSpec): object[] => {
  const options = { ...manner(name), tools: [spec.function] };
  return told(texts.length === 1 ? whole(texts[0], options) : spoken(texts, options));
};

/** The source, unless the form cannot write what the schema asks for. */
function heldBy(syntax: ToolSyntax, spec: ToolSpec): ConstraintSource | undefined {
  const form = syntax.forced!;
  const { source } = new HeldCall([spec], form, { begun: openingOf(form).length });
  try {
    compileSource(source);
    return source;
  } catch (e) {
    if (e instanceof LatheError && e.code === "schema.unsatisfiable") return undefined;
    throw e;
  }
}

const held = toolSyntaxes.filter(({ forced }) => forced && !("keys" in forced.call || "keyed" in forced.call));

it("are those of all families that write calls in a form of their own", () => {
  const literals = ["gemma-4", "functiongemma", "lfm2", "olmo-3", "gemma-3"];
  const elements = ["deepseek-3.2", "minimax", "seed", "glm", "qwen-coder"];
  const named = ["harmony", "functionary-3.2", "kimi", "deepseek", "deepseek-3", "functionary-3.1", "mistral-11"];
  expect(held.map(s => s.name).sort()).toEqual([...literals, ...elements, ...named].sort());
});

describe.each(held.map(s => [s.name, s] as const))("calls of %s", (_, syntax) => {
  it("chosen at random are heard as valid calls, however they are cut", () => {
    let calls = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const random = new Random(seed);
      const spec = randomTool(random);
      const source = heldBy(syntax, spec);
      const rest = source && write(constraints.begin(source), random);
      if (rest === undefined) continue;
      const text = openingOf(syntax.forced!) + rest;
      const events = heard(syntax, [text], spec);
      expect([text, events]).toMatchObject([text, [{ call: spec.function.name, arguments: expect.anything() }]]);
      const given = (events[0] as { arguments: Value }).arguments;
      expect([text, spec, isValid(spec.function.parameters as never, given)]).toEqual([text, spec, true]);
      expect(heard(syntax, cut(text, random), spec)).toEqual(events);
      calls++;
    }
    expect(calls).toBeGreaterThan(5);
  });
});

/** How values are written: strings, names of properties, and what stands behind commas and colons; undefined: cannot be. */
interface Hand {
  readonly words: Readonly<Record<string, string>>;
  readonly text: (t: string) => string | undefined;
  readonly key: (t: string) => string | undefined;
  readonly blank: string;
}

function byHand(value: Value, hand: Hand): string | undefined {
  if (typeof value === "string") return hand.text(value);
  if (value === null || typeof value === "boolean") return hand.words[String(value)];
  if (typeof value === "number") return JSON.stringify(value);
  const list = Array.isArray(value);
  const parts = list ? value.map(v => byHand(v, hand)) : members(value, hand, `:${hand.blank}`, hand.key);
  if (parts === undefined || parts.includes(undefined)) return undefined;
  const inner = parts.join(`,${hand.blank}`);
  return list ? `[${inner}]` : `{${inner}}`;
}

function members(value: { [key: string]: Value }, hand: Hand, is: string, key: Hand["key"]): (string | undefined)[] {
  return Object.entries(value).map(([name, own]) => {
    const [k, v] = [key(name), byHand(own, hand)];
    return k === undefined || v === undefined ? undefined : `${k}${is}${v}`;
  });
}

const bare = (t: string): string | undefined => (/^[a-z_]\w*$/i.test(t) ? t : undefined);
/** A text of Python or JSON: what must be escaped is, by its letter or its number. */
const inQuotes = (t: string): string =>
  `"${t
    .replace(/["\\]/g, "\\$&")
    .replace(/\n/g, "\\n")
    .replace(/\p{Cc}/gu, c => `\\u00${c.charCodeAt(0).toString(16).padStart(2, "0")}`)}"`;
const between = (mark: string) => (t: string) => (t.includes(mark) ? undefined : mark + t + mark);
const json = { true: "true", false: "false", null: "null" };
const python = { words: { true: "True", false: "False", null: "None" }, text: inQuotes, key: inQuotes, blank: " " };
const hands: Readonly<Record<string, { hand: Hand; marks: readonly [string, string, string, string] }>> = {
  "gemma-4": {
    hand: { words: json, text: between('<|"|>'), key: bare, blank: "" },
    marks: ["<|tool_call>call:", "{", ":", "}<tool_call|>"],
  },
  functiongemma: {
    hand: { words: json, text: between("<escape>"), key: between("<escape>"), blank: "" },
    marks: ["<start_function_call>call:", "{", ":", "}<end_function_call>"],
  },
  lfm2: { hand: python, marks: ["<|tool_call_start|>[", "(", "=", ")]<|tool_call_end|>"] },
  "olmo-3": { hand: { ...python, words: json }, marks: ["<function_calls>", "(", "=", ")\n</function_calls>"] },
  "gemma-3": { hand: python, marks: ["```tool_code\n", "(", "=", ")\n```"] },
};

/** Numbers of more digits than models are let write. */
const tooLong = (value: Value): boolean =>
  typeof value === "number"
    ? /\d[\d.]{15}/.test(JSON.stringify(value))
    : typeof value === "object" && value !== null && Object.values(value).some(tooLong);

describe.each(Object.entries(hands))("values in %s", (name, { hand, marks: [open, named, is, close] }) => {
  const syntax = held.find(s => s.name === name)!;
  it("are let through, and heard as they are", () => {
    let written = 0;
    for (let seed = 1; seed <= 18; seed++) {
      const random = new Random(seed);
      const spec = randomTool(random);
      const parameters = spec.function.parameters;
      let constraint: Constraint;
      try {
        constraint = constraints.begin({
          kind: "schema",
          text: JSON.stringify(parameters),
          style: { order: "declared", whitespace: "none" },
        });
      } catch {
        continue;
      }
      const text = write(constraint, random);
      const given = text && (JSON.parse(text) as { [key: string]: Value });
      if (!given || tooLong(given)) continue;
      const spelled = Object.keys((parameters as { properties: object }).properties);
      // Where arguments are spelled, no others come.
      if (spelled.length && Object.keys(given).some(k => !spelled.includes(k))) continue;
      const own = members(given, hand, is, bare);
      const source = heldBy(syntax, spec);
      const call = `${spec.function.name}${named}${own.join(`,${hand.blank}`)}${close}`;
      if (own.includes(undefined)) continue; // with names or texts that this form cannot write
      expect([call, source && new Recogniser(compileSource(source)).accepts(call)]).toEqual([call, true]);
      expect(heard(syntax, cut(open + call, random), spec)).toEqual([{ call: spec.function.name, arguments: given }]);
      written++;
    }
    expect(written).toBeGreaterThan(5);
  });
});
