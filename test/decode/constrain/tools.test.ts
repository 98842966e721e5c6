/** Tools as agents that write code give them: all compile, and what is written under them is valid. And schemas whose answers once led into dead ends. */
import { describe, expect, it } from "vitest";
import { HeldCall } from "../../../src/api/held-call.ts";
import { Automaton } from "../../../src/decode/constrain/automaton.ts";
import type { Compiled } from "../../../src/decode/constrain/constraint.ts";
import { compileSchema } from "../../../src/decode/constrain/schema/compile.ts";
import { generating } from "../../../src/decode/constrain/schema/context.ts";
import { compileSource } from "../../../src/decode/constrain/source.ts";
import type { CallsForm } from "../../../src/text/tools/call-forms.ts";
import { Random } from "../../fixtures/random.ts";
import { walk } from "../../fuzz/walk.ts";
import { isValid } from "./validator.ts";

const draft7 = { $schema: "http://json-schema.org/draft-07/schema#" };
const text = (description: string, more: object = {}): object => ({ type: "string", description, ...more });
const closed = (properties: object, required: readonly string[] = Object.keys(properties)): object => ({
  ...draft7,
  type: "object",
  properties,
  required,
  additionalProperties: false,
});

const tools: Readonly<Record<string, object>> = {
  shell: closed(
    {
      command: text("What to run", { minLength: 1 }),
      timeout: { type: "number", exclusiveMinimum: 0, maximum: 600_000, default: 120_000 },
      background: { type: "boolean", default: false },
    },
    ["command"],
  ),
  read: closed(
    { path: text("Absolute", { pattern: "^/" }), offset: { type: "integer", minimum: 0 }, limit: { type: "integer", exclusiveMinimum: 0 } },
    ["path"],
  ),
  edit: closed({ path: text("File"), old: text("Exact text"), new: text("Instead"), all: { type: "boolean", default: false } }, [
    "path",
    "old",
    "new",
  ]),
  edits: closed({ path: text("File"), edits: { type: "array", minItems: 1, items: closed({ old: text("Exact"), new: text("Instead") }) } }),
  find: closed({ glob: text("Pattern", { pattern: "\\S" }), root: { anyOf: [text("Folder"), { type: "null" }], default: null } }, ["glob"]),
  grep: closed(
    {
      pattern: text("Expression"),
      mode: { type: "string", enum: ["content", "files", "count"] },
      "-A": { type: "number" },
      "-i": { type: "boolean" },
      type: text("Kind of file", { pattern: "^(?!\\.)[a-z]+$" }),
    },
    ["pattern"],
  ),
  todo: closed({
    todos: {
      type: "array",
      maxItems: 50,
      items: closed(
        { content: text("What", { minLength: 1 }), status: { enum: ["pending", "active", "done"] }, priority: { const: "high" } },
        ["content", "status"],
      ),
    },
  }),
  fetch: closed(
    {
      url: text("Address", { format: "uri" }),
      method: { type: "string", enum: ["GET", "POST"], default: "GET" },
      headers: { type: "object", propertyNames: { pattern: "^[A-Za-z-]+$" }, additionalProperties: { type: "string" } },
      body: {},
    },
    ["url"],
  ),
  ask: closed(
    {
      questions: {
        type: "array",
        minItems: 1,
        maxItems: 4,
        items: closed({
          header: text("Short", { maxLength: 12 }),
          options: { type: "array", minItems: 2, maxItems: 4, items: closed({ label: text("Shown"), preview: text("More") }, ["label"]) },
          multiple: { type: "boolean", default: false },
        }),
      },
      answers: { type: "object", additionalProperties: {} },
    },
    ["questions"],
  ),
  agent: {
    type: "object",
    properties: { prompt: text("Task"), model: { type: "string", nullable: true, enum: ["small", "large", null] } },
    required: ["prompt"],
    additionalProperties: {},
  },
  notebook: closed(
    {
      cell: text("Id", { format: "cell-id" }),
      source: { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] },
      kind: { enum: ["code", "markdown"] },
    },
    ["source"],
  ),
  plan: {
    ...draft7,
    type: "object",
    properties: { steps: { type: "array", items: { $ref: "#/definitions/step" } } },
    required: ["steps"],
    definitions: {
      step: {
        type: "object",
        properties: { title: text("What"), parts: { type: "array", maxItems: 2, items: { $ref: "#/definitions/step" } } },
        required: ["title"],
        additionalProperties: false,
      },
    },
  },
  search: closed(
    {
      query: text("Words", { minLength: 2, "x-order": 1 }),
      domains: { type: "array", items: text("Host", { format: "hostname" }) },
      labels: { type: "array", uniqueItems: true, items: { enum: ["bug", "docs", "test"] } },
    },
    ["query"],
  ),
  screen: {
    ...draft7,
    oneOf: [
      closed({ action: { const: "click" }, x: { type: "integer", minimum: 0 }, y: { type: "integer", minimum: 0 } }),
      closed({ action: { const: "type" }, text: text("Keys", { pattern: "^\\p{L}+$" }) }),
      closed({ action: { const: "wait" } }),
    ],
  },
  nothing: { type: "object", properties: {} },
  anything: {},
};

/** A call as a JSON text. */
const form: CallsForm = { begin: "", end: "", call: { keys: ["name", "arguments"] } };

/** What `walks` random walks write, none of which gets stuck; walks that go on for long count as none. */
function written({ grammar, root }: Compiled, walks: number): unknown[] {
  const automaton = new Automaton(grammar);
  const start = automaton.start(root);
  const random = new Random(1);
  const all = Array.from({ length: walks }, () => walk(automaton, start, random, 5000));
  return all.filter(w => w.complete).map(w => JSON.parse(Buffer.from(w.text).toString("utf8")));
}

/** Descriptions that the validator does not know, and OpenAPI's null. */
function judged(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(judged);
  if (typeof value !== "object" || value === null) return value;
  const { nullable, type, ...rest } = value as { nullable?: boolean; type?: unknown };
  const own = nullable ? [type, "null"] : type;
  return Object.fromEntries(Object.entries({ ...rest, ...(own === undefined ? {} : { type: own }) }).map(([k, v]) => [k, judged(v)]));
}

describe("tools of agents", () => {
  it.each(Object.keys(tools))("%s", name => {
    const parameters = tools[name];
    const { source } = new HeldCall([{ type: "function", function: { name, parameters } }], form);
    const calls = written(compileSource(source), 12);
    expect(calls.length).toBeGreaterThan(6);
    for (const call of calls as { arguments: never }[])
      expect({ call, valid: isValid(judged(parameters) as never, call.arguments) }).toEqual({ call, valid: true });
  });
});

const list = ["e0", "e1", "e2", "e3"];
const stuck: readonly (readonly [string, object])[] = [
  [
    "contains that only the first place can fulfil",
    { prefixItems: [{ type: ["integer", "null"] }], items: { type: "boolean" }, contains: { type: "integer" }, maxItems: 3 },
  ],
  ["contains in the last place", { type: "array", items: { enum: [1, "a"] }, maxItems: 2, contains: { type: "integer" } }],
  [
    "several contains with bounds",
    {
      type: "array",
      items: { enum: [1, 2, "a"] },
      maxItems: 4,
      contains: { type: "integer" },
      minContains: 2,
      maxContains: 3,
      allOf: [{ contains: { const: "a" } }, { contains: { const: 2 }, maxContains: 1 }],
    },
  ],
  [
    "different items out of lists by place",
    {
      type: "array",
      prefixItems: [{ enum: ["a", "b"] }, { enum: ["b"] }],
      items: { enum: ["a", "c"] },
      uniqueItems: true,
      minItems: 4 - 1,
    },
  ],
  [
    "different items, one of them wanted",
    { type: "array", items: { enum: ["a", "b", "c"] }, uniqueItems: true, contains: { const: "c" }, maxItems: 2 },
  ],
  [
    "a property that must be none of some",
    {
      oneOf: [
        { type: "object", properties: { a: { type: "null" }, zz: { type: "boolean" } }, maxProperties: 1 },
        { type: "object", properties: { a: { type: "string" } }, additionalProperties: false },
      ],
    },
  ],
  [
    "a name beside texts",
    {
      oneOf: [
        { type: "object", properties: { a: {}, name: { type: "string" } }, additionalProperties: false },
        { type: "object", properties: {}, additionalProperties: { type: "string" } },
      ],
    },
  ],
  [
    "texts that are none of a list, of a length",
    { type: "string", not: { enum: list }, maxLength: 2, allOf: [{ minLength: 2 }, { pattern: "^e\\d$" }] },
  ],
];

describe("no dead ends", () => {
  it.each(stuck)("%s", (_, schema) => {
    for (const order of ["declared", "any"] as const) {
      const values = written(compileSchema(schema, { ...generating, order }), 150);
      expect(values.length).toBeGreaterThan(100);
      for (const value of values) expect({ value, valid: isValid(schema as never, value as never) }).toEqual({ value, valid: true });
    }
  });

  it("lengths that contradict each other beside a list: there is no value", () => {
    const schema = {
      type: "string",
      not: { enum: Array.from({ length: 800 }, (_, i) => `e${i}`) },
      allOf: [{ minLength: 4_294_967_295 }, { maxLength: 65 }],
    };
    expect(() => compileSchema(schema)).toThrow(/No value is valid/);
  });
});
