/**
 * Calls that must be made by models whose families write them as elements or as a program's literals: held to the family's own syntax, whatever the
 * model would say; what the parser hears in the stream, however it is cut, is one call whose arguments are valid by the tool's schema.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HeldCall } from "../../src/api/held-call.ts";
import { load } from "../../src/api/load.node.ts";
import type { Model } from "../../src/api/model.ts";
import { Speech } from "../../src/api/speech.ts";
import { type ToolSpec, tool } from "../../src/api/tools.ts";
import { Recogniser } from "../../src/decode/constrain/constraint.ts";
import { Constraints, compileSource } from "../../src/decode/constrain/source.ts";
import { openingOf } from "../../src/text/tools/call-forms.ts";
import { chosenSyntax } from "../../src/text/tools/syntaxes.ts";
import { isValid } from "../decode/constrain/validator.ts";
import { caught } from "../files/caught.ts";
import { stories } from "../fixtures/models.ts";
import { Random } from "../fixtures/random.ts";
import { manner, spoken, told, whole } from "../text/tools/spoken.ts";

const written = {
  "qwen-coder":
    "<tool_call>\n<function=book>\n<parameter=city>\nOslo\n</parameter>\n<parameter=nights>\n3\n</parameter>\n</function>\n</tool_call>",
  glm: "<tool_call>book\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n<arg_key>nights</arg_key>\n<arg_value>3</arg_value>\n</tool_call>",
  minimax:
    '<minimax:tool_call>\n<invoke name="book">\n<parameter name="city">Oslo</parameter>\n<parameter name="nights">3</parameter>\n</invoke>\n</minimax:tool_call>',
  seed: "<seed:tool_call>\n<function=book>\n<parameter=city>Oslo</parameter>\n<parameter=nights>3</parameter>\n</function>\n</seed:tool_call>",
  "deepseek-3.2":
    '<｜DSML｜function_calls>\n<｜DSML｜invoke name="book">\n<｜DSML｜parameter name="city" string="true">Oslo</｜DSML｜parameter>\n<｜DSML｜parameter name="nights" string="false">3</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
  "gemma-4": '<|tool_call>call:book{city:<|"|>Oslo<|"|>,nights:3}<tool_call|>',
  functiongemma: "<start_function_call>call:book{city:<escape>Oslo<escape>,nights:3}<end_function_call>",
  lfm2: '<|tool_call_start|>[book(city="Oslo", nights=3)]<|tool_call_end|>',
  "olmo-3": '<function_calls>book(city="Oslo", nights=3)\n</function_calls>',
  "gemma-3": '```tool_code\nbook(city="Oslo", nights=3)\n```',
} as const;
const syntaxes = Object.keys(written) as (keyof typeof written)[];

const book = {
  type: "object",
  properties: {
    city: { type: "string", pattern: "^[A-Z]", maxLength: 12 },
    nights: { type: "integer", minimum: 1, maximum: 14 },
    board: { enum: ["none", "half", "full"] },
    names: { type: "array", items: { type: "string", maxLength: 4 }, maxItems: 2 },
    note: { type: "string" },
    pets: { type: "boolean" },
  },
  required: ["city", "nights"],
};
const specOf = (name: string, parameters: object): ToolSpec => ({ type: "function", function: { name, parameters } });
const specs = [specOf("book", book), specOf("now", { type: "object", properties: {} })];

function heldBy(name: string, wanted: readonly ToolSpec[] = specs) {
  const form = chosenSyntax(name).forced!;
  const opening = openingOf(form);
  return { opening, source: new HeldCall(wanted, form, { begun: opening.length }).source };
}

describe.each(syntaxes)("%s", name => {
  const { opening, source } = heldBy(name);
  const recogniser = new Recogniser(compileSource(source));
  const accepts = (text: string): boolean => text.startsWith(opening) && recogniser.accepts(text.slice(opening.length));

  it("takes a call as the family writes it", () => {
    expect(accepts(written[name])).toBe(true);
    expect(told(whole(written[name], { ...manner(name), tools: [{ name: "book", parameters: book }] }))).toEqual([
      { call: "book", arguments: { city: "Oslo", nights: 3 } },
    ]);
  });

  it("refuses what the schema refuses, and names that it does not spell", () => {
    const wrong = [
      ["Oslo", "oslo"],
      ["Oslo", "Osloooooooooo"],
      [/3(?=\D*$)/, "15"],
      [/3(?=\D*$)/, "three"],
      ["nights", "days"],
      [/book/, "took"],
    ] as const;
    for (const [from, to] of wrong) {
      const text = written[name].replace(from, to);
      expect(text).not.toBe(written[name]);
      expect(accepts(text)).toBe(false);
    }
  });

  it("is heard as one valid call, whatever is written within it", () => {
    const random = new Random(7);
    const vocabulary = [
      ...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)),
      "\n",
      "é",
      "｜",
      "</",
      "<",
      "\n<",
      "</p",
      "arg_value>",
      "eter>",
      '<|"|>',
      "<escape>",
      "None",
    ];
    const bytes = vocabulary.map(t => new TextEncoder().encode(t));
    const constraints = new Constraints({ size: bytes.length, bytes: id => bytes[id], ends: [] });
    let calls = 0;
    for (let n = 0; n < 8; n++) {
      const constraint = constraints.begin(source);
      let text = opening;
      for (let length = 0; !constraint.done && length < 600; length++) {
        const mask = constraint.mask();
        const allowed = vocabulary.map((_, id) => id).filter(id => (mask[id >> 5] >>> (id & 31)) & 1);
        // Marks are rare among all characters, so they are preferred, and texts come to an end.
        const marks = allowed.filter(id => /[<>/\n)}\]"]/.test(vocabulary[id]));
        const id = marks.length && random.below(3) === 0 ? marks[random.below(marks.length)] : allowed[random.below(allowed.length)];
        expect(constraint.accept(id)).toBe("text");
        text += vocabulary[id];
      }
      if (!constraint.done) continue;
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) pieces.push(text.slice(at, (at += 1 + random.below(9))));
      const options = { ...manner(name), tools: specs.map(s => s.function) };
      const heard = told(whole(text, options)) as { call: string; arguments: object }[];
      expect(heard).toHaveLength(1);
      expect(["book", "now"]).toContain(heard[0].call);
      if (heard[0].call === "book") expect([text, isValid(book, heard[0].arguments as never)]).toEqual([text, true]);
      expect(told(spoken(pieces, options))).toEqual(heard);
      calls++;
    }
    expect(calls).toBeGreaterThan(2);
  });
});

describe("what cannot be written", () => {
  const asking = (argument: object, name = "x"): ToolSpec =>
    specOf("f", { type: "object", properties: { [name]: argument }, required: [name], additionalProperties: false });
  const inside = (argument: object, name = "x"): ToolSpec => asking(asking(argument, name).function.parameters);
  const quoted = { const: 'a "b" \\ c/d' };

  it.each([
    ["gemma-4", { const: 'a<|"|>b' }],
    ["functiongemma", { enum: ["<escape>"] }],
    ["gemma-4", { const: "\ud800" }],
    ["qwen-coder", { const: "</parameter>" }],
    ["glm", { const: "a</arg_value>b" }],
  ] as readonly (readonly [keyof typeof written, { const?: string; enum?: string[] }])[])(
    "of texts in %s is refused, wherever it stands",
    async (name, argument) => {
      for (const spec of [asking(argument), inside(argument)]) {
        await caught("schema.unsatisfiable", async () => compileSource(heldBy(name, [spec]).source));
      }
      const one = { enum: [argument.const ?? argument.enum, "free"].flat() };
      const { opening, source } = heldBy(name, [asking(one)]);
      expect(new Recogniser(compileSource(source)).accepts(written[name].slice(opening.length))).toBe(false);
    },
  );

  it.each([
    ["gemma-4", "x y"],
    ["gemma-4", "é"],
  ])("of names in %s is refused: %s", async (name, odd) => {
    for (const spec of [asking({}, odd), inside({}, odd)])
      await caught("schema.unsatisfiable", async () => compileSource(heldBy(name, [spec]).source));
  });

  it("is less where names are quoted", async () => {
    for (const name of ["functiongemma", "lfm2", "olmo-3", "gemma-3"]) {
      await caught("schema.unsatisfiable", async () => compileSource(heldBy(name, [asking({}, "x y")]).source));
      expect(() => compileSource(heldBy(name, [inside({}, "x y")]).source)).not.toThrow();
    }
  });

  it("is no text where there are escapes", () => {
    const accepts = (name: string, rest: string): boolean =>
      new Recogniser(compileSource(heldBy(name, [inside(quoted)]).source)).accepts(rest);
    expect(accepts("gemma-4", 'f{x:{x:<|"|>a "b" \\ c/d<|"|>}}<tool_call|>')).toBe(true);
    for (const [name, close] of [
      ["gemma-3", ")\n```"],
      ["olmo-3", ")\n</function_calls>"],
      ["lfm2", ")]<|tool_call_end|>"],
    ] as const) {
      expect(accepts(name, `f(x={"x": "a \\"b\\" \\\\ c/d"}${close}`)).toBe(true);
      expect(accepts(name, `f(x={"x": "a \\"b\\" \\\\ c\\/d"}${close}`)).toBe(false);
    }
  });
});

it("words are the family's own", () => {
  const spec = specOf("f", { type: "object", properties: { x: { type: ["boolean", "null"] } }, required: ["x"] });
  for (const [name, yes, no] of [
    ["gemma-3", "f(x=True)", "f(x=true)"],
    ["lfm2", "f(x=None)", "f(x=null)"],
    ["olmo-3", "f(x=null)", "f(x=None)"],
    ["gemma-4", "f{x:false}", "f{x:False}"],
  ]) {
    const { end, close = "" } = chosenSyntax(name).forced!;
    const recogniser = new Recogniser(compileSource(heldBy(name, [spec]).source));
    expect([name, recogniser.accepts(yes + end + close), recogniser.accepts(no + end + close)]).toEqual([name, true, false]);
  }
});

describe("an element that may be a text or something else", () => {
  const few = { anyOf: [{ type: "string" }, { type: "integer", maximum: 5 }, { type: "null" }] };
  const text = (x: string): string => `f>\n<parameter=x>\n${x}\n</parameter>\n</function>\n</tool_call>`;
  const holds = (argument: object) => {
    const spec = specOf("f", { type: "object", properties: { x: argument }, required: ["x"] });
    const { opening, source } = heldBy("qwen-coder", [spec]);
    const recogniser = new Recogniser(compileSource(source));
    return (x: string) => {
      if (!recogniser.accepts(text(x))) return undefined;
      const [one] = told(whole(opening + text(x), { ...manner("qwen-coder"), tools: [spec.function] }));
      return (one as { arguments: { x: unknown } }).arguments.x;
    };
  };

  it("is written so that it is read as what it is", () => {
    const held = holds(few);
    expect(["4", " 100", "None", "null", "7 days", "true", "[1]", "1.5e1"].map(held)).toEqual([
      ...[4, undefined, undefined, null, "7 days", "true", "[1]", undefined],
    ]);
  });

  it("is never taken for what a schema without types does not allow", () => {
    const held = holds({ minLength: 2, maxLength: 20 });
    expect(["b", "12", '"ab"', "null", "a1", "constructor"].map(held)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      "a1",
      "constructor",
    ]);
  });

  it("is refused where all that it may be would be read as something else", async () => {
    await caught("schema.unsatisfiable", async () => holds({ anyOf: [{ const: "12" }, { type: "integer", minimum: 20, maximum: 19 }] }));
  });
});

describe("names of tools that a family cannot write", () => {
  it.each([
    ["gemma-3", "2nd"],
    ["lfm2", "a:b"],
    ["olmo-3", "search.call"],
    ["functionary-3.2", "all"],
  ])("of %s make the call plain JSON: %s", (name, odd) => {
    const host = {
      context: 512,
      template: "",
      syntax: chosenSyntax(name),
      mark: () => undefined,
      render: () => ({ ids: [1], ending: "" }),
    };
    const odds = [specOf(odd, { type: "object" })];
    expect(new Speech(host, { specs: odds, forced: odds }).held!.source).toMatchObject({ form: chosenSyntax("json").forced });
    expect(new Speech(host, { specs, forced: specs }).held!.source).toMatchObject({ form: { call: chosenSyntax(name).forced!.call } });
  });
});

describe.each(["qwen-coder", "gemma-4", "gemma-3", "functionary-3.1"])("a model of %s", syntax => {
  const city = tool({
    name: "book",
    input: { ...book, required: ["city", "board"], properties: { city: { enum: ["Oslo", "Rome"] }, board: book.properties.board } },
  });
  const now = tool({ name: "now", input: { type: "object", properties: {}, additionalProperties: false } });
  let model: Model;
  beforeAll(async () => {
    model = await load(stories, { threads: 2, context: 512, chatTemplate: "chatml", toolSyntax: syntax });
  }, 60_000);
  afterAll(() => model.close());

  it.each([1, 2])("that must call does so in its family's syntax, at most %i times", async maxCalls => {
    for (const toolChoice of ["required", { name: "book" }] as const) {
      using talk = model.conversation({ tools: [city, now], maxRounds: 0, seed: 4, maxTokens: 150 * maxCalls });
      const kinds: string[] = [];
      const run = talk.send("Book a room.", { toolChoice, maxCalls });
      for await (const part of run) kinds.push(part.type);
      const { calls = [], finish, text } = await run;
      expect([finish, text.trim()]).toEqual(["tools", ""]);
      expect(calls.length).toBeGreaterThan(0);
      expect(calls.length).toBeLessThanOrEqual(maxCalls);
      for (const { name, arguments: given } of calls) {
        if (toolChoice === "required" && name === "now") expect(given).toEqual({});
        else {
          expect(["Oslo", "Rome"]).toContain(given["city"]);
          expect(["none", "half", "full"]).toContain(given["board"]);
        }
      }
      expect(kinds.indexOf("tool-call-start")).toBeLessThan(kinds.indexOf("tool-call-delta"));
    }
  });

  it("is told where a tool cannot be called in its syntax", async () => {
    if (syntax === "functionary-3.1") return; // JSON can write any name
    const impossible = tool({ name: "odd", input: { type: "object", properties: { "a>b": { type: "string" } }, required: ["a>b"] } });
    using talk = model.conversation({ tools: [impossible] });
    await caught("schema.unsatisfiable", async () => void (await talk.send("x", { toolChoice: "required" })));
  });
});
