/** Each family's own way to write calls and thoughts, as its models write it, however the stream is cut. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { mannerOf } from "../../../src/text/tools/manner.ts";
import { chosenSyntax, syntaxOf, toolSyntaxes } from "../../../src/text/tools/syntaxes.ts";
import { caught } from "../../files/caught.ts";
import { Random } from "../../fixtures/random.ts";
import { sharedData } from "../../shared.ts";
import { manner, type Options, spoken, told, whole } from "./spoken.ts";

const weather = {
  type: "object",
  properties: {
    city: { type: "string" },
    days: { type: "integer" },
    exact: { type: "boolean" },
    where: { $ref: "#/$defs/place" },
    unit: { anyOf: [{ type: "string" }, { type: "null" }] },
    tags: { type: "array", items: { type: "string" } },
  },
  $defs: { place: { type: "object" } },
};
const tools = [
  { name: "weather", parameters: weather },
  { name: "now", parameters: { type: "object", properties: {} } },
];
const call = (args: object, more: object = {}) => ({ call: "weather", ...more, arguments: args });
const oslo = call({ city: "Oslo", days: 2 });
const now = { call: "now", arguments: {} };
const json = '{"city": "Oslo", "days": 2}';
const object = (args = "arguments", name = "name"): string => `{"${name}": "weather", "${args}": ${json}}`;
const text = (t: string) => ({ text: t });

const cases: readonly (readonly [syntax: string, answer: string, events: readonly object[]])[] = [
  ["hermes", `Let me see. <tool_call>\n${object()}\n</tool_call>`, [text("Let me see. "), oslo]],
  ["hermes", `<tool_call>${object()}</tool_call>\n<tool_call>\n{"name": "now"}\n</tool_call>\n`, [oslo, now]],
  ["hermes", `<tool_call>{"arguments": ${json}, "name": "weather"}</tool_call> Done.`, [oslo, text(" Done.")]],
  ["hermes", `<tool_call>{"type": "function", "function": ${object("parameters")}}</tool_call>`, [oslo]],
  ["hermes", `<tool_call>[${object()}, {"name": "now", "arguments": {}}]</tool_call>`, [oslo, now]],
  ["hermes", `<tool_call>${object()}`, [oslo]],
  [
    "qwen-coder",
    "<tool_call>\n<function=weather>\n<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>",
    [oslo],
  ],
  ["qwen-coder", "<function=weather><parameter=city>Oslo</parameter><parameter=days>2</parameter></function> So.", [oslo, text(" So.")]],
  [
    "qwen-coder",
    '<tool_call><function=weather><parameter=city>\nif a < b:\n  "x"\n\n</parameter><parameter=exact>True</parameter></function></tool_call>',
    [call({ city: 'if a < b:\n  "x"\n', exact: true })],
  ],
  [
    "seed",
    "<seed:tool_call><function=weather><parameter=city>Oslo</parameter><parameter=days>2</parameter></function></seed:tool_call>",
    [oslo],
  ],
  [
    "glm",
    "Hm.\n<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>",
    [text("Hm.\n"), oslo],
  ],
  [
    "glm",
    "<tool_call>weather<arg_key>city</arg_key><arg_value>7</arg_value></tool_call><tool_call>now</tool_call>",
    [call({ city: "7" }), now],
  ],
  [
    "minimax",
    '<minimax:tool_call>\n<invoke name="weather">\n<parameter name="city">Oslo</parameter>\n<parameter name="days">2</parameter>\n</invoke>\n<invoke name="now">\n</invoke>\n</minimax:tool_call>',
    [oslo, now],
  ],
  [
    "deepseek-3.2",
    '<｜DSML｜function_calls>\n<｜DSML｜invoke name="weather">\n<｜DSML｜parameter name="city" string="true">Oslo</｜DSML｜parameter>\n<｜DSML｜parameter name="days" string="false">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
    [oslo],
  ],
  [
    "deepseek-3",
    `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n\`\`\`json\n${json}\n\`\`\`<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n\`\`\`json\n{}\n\`\`\`<｜tool▁call▁end｜><｜tool▁calls▁end｜>`,
    [oslo, now],
  ],
  ["deepseek", `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>${json}<｜tool▁call▁end｜><｜tool▁calls▁end｜>`, [oslo]],
  [
    "kimi",
    `<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>${json}<|tool_call_end|><|tool_call_begin|>functions.now:1<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>`,
    [call({ city: "Oslo", days: 2 }, { id: "functions.weather:0" }), { call: "now", id: "functions.now:1", arguments: {} }],
  ],
  ["mistral", `[TOOL_CALLS] [${object().slice(0, -1)}, "id": "abcdefghi"}]`, [oslo]],
  ["mistral", `[TOOL_CALLS][{"name": "weather", "arguments": ${JSON.stringify(json)}}]`, [oslo]],
  ["mistral-11", `Yes.[TOOL_CALLS]weather[ARGS]${json}[TOOL_CALLS]now[ARGS]{}`, [text("Yes."), oslo, now]],
  ["mistral-11", `[TOOL_CALLS]weather[CALL_ID]a1b2c3d4e[ARGS]${json}`, [call({ city: "Oslo", days: 2 }, { id: "a1b2c3d4e" })]],
  ["llama", object("parameters"), [oslo]],
  ["llama", `<|python_tag|>${object("parameters")}; {"name": "now", "parameters": {}}`, [oslo, now]],
  ["llama", '<|python_tag|>weather.call(city="Oslo", days=2)', [oslo]],
  ["llama", '[weather(city="Oslo", days=2), now()]', [oslo, now]],
  ["llama", "[weather('O\\'\\u0073lo\\n', -1.5e1, True)]", [call({ city: "O'slo\n", days: -15, exact: true })]],
  ["lfm2", '<|tool_call_start|>[weather(city="Oslo", days=2)]<|tool_call_end|>Wait.', [oslo, text("Wait.")]],
  [
    "olmo-3",
    '<function_calls>weather(where={"a": [1, None, (2, "b")]}, tags=[])\nnow()\n</function_calls>',
    [call({ where: { a: [1, null, [2, "b"]] }, tags: [] }), now],
  ],
  ["gemma-3", '```tool_code\nweather(city="""a\n"b\\\\""", days=2)\n```', [call({ city: 'a\n"b\\', days: 2 })]],
  [
    "gemma-4",
    '<|tool_call>call:weather{city:<|"|>Os"lo<|"|>,days:3,where:{a:[1,<|"|>x<|"|>,true]}}<tool_call|>',
    [call({ city: 'Os"lo', days: 3, where: { a: [1, "x", true] } })],
  ],
  ["functiongemma", "<start_function_call>call:weather{city:<escape>Oslo<escape>,days:2}<end_function_call>", [oslo]],
  ["command-r", `<|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "weather", "parameters": ${json}}\n]<|END_ACTION|>`, [oslo]],
  ["command-r-1", `Plan.\nAction: \`\`\`json\n[{"tool_name": "weather", "parameters": ${json}}]\n\`\`\``, [text("Plan.\n"), oslo]],
  ["apertus", `<|tools_prefix|>[{"weather": ${json}}, {"now": {}}]<|tools_suffix|>`, [oslo, now]],
  ["nemotron", `<TOOLCALL>[${object()}]</TOOLCALL>`, [oslo]],
  ["phi-4", `<|tool_call|>[${object()}]<|/tool_call|>`, [oslo]],
  ["granite-3", `<|tool_call|>[${object()}]`, [oslo]],
  ["jamba", `<tool_calls>[\n${object()}\n]</tool_calls>`, [oslo]],
  ["firefunction", `<functioncall>${object()}<functioncall>{"name": "now", "arguments": {}}`, [oslo, now]],
  ["functionary-3.1", `<function=weather>${json}</function><function=now>{}</function>`, [oslo, now]],
  ["functionary-3.2", `all\nIt is so:\n>>>weather\n${json}>>>now\n{}`, [text("It is so:\n"), oslo, now]],
  ["functionary-3.2", `weather\n${json}`, [oslo]],
  ["json", `[${object()}]`, [oslo]],
  ["generic", object(), [oslo]],
  ["generic", `<function_call>${object()}</function_call>`, [oslo]],
  ["generic", "<tool_call>weather<arg_key>days</arg_key><arg_value>2</arg_value></tool_call>", [call({ days: 2 })]],
  ["generic", `<function=weather>${json}</function>[TOOL_CALLS]now[ARGS]{}`, [oslo, now]],
  [
    "harmony",
    `<|channel|>analysis<|message|>I must look.<|end|><|start|>assistant<|channel|>commentary<|message|>Looking.<|end|><|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>${json}<|call|>`,
    [{ reasoning: "I must look." }, text("Looking."), oslo],
  ],
  ["harmony", `<|channel|>final<|message|>It is so.<|return|>`, [text("It is so.")]],
  ["harmony", ` to=functions.now<|channel|>commentary json<|message|>{}`, [now]],
  ["harmony", "<|channel|>analysis to=python code<|message|>print(1)<|end|>", [{ reasoning: "print(1)" }]],
  ["harmony", "no header at all", [text("no header at all")]],
];

const random = new Random(71);
/** A text in pieces of random lengths. */
function cut(answer: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < answer.length; ) {
    const length = 1 + random.below(random.below(24) + 1);
    pieces.push(answer.slice(at, at + length));
    at += length;
  }
  return pieces;
}

describe("calls", () => {
  it.each(cases)("of %s: %j", (name, answer, events) => {
    const options: Options = { ...manner(name), tools };
    const all = whole(answer, options);
    expect(told(all)).toEqual(events);
    expect(spoken([...answer], options)).toEqual(all);
    for (let i = 0; i < 20; i++) expect(spoken(cut(answer), options)).toEqual(all);
  });

  it("have a case for every syntax", () => {
    expect([...new Set(cases.map(c => c[0]))].sort()).toEqual(toolSyntaxes.map(s => s.name).sort());
  });

  it("are told as they come: the name first, then the arguments", () => {
    for (const [name, answer] of cases) {
      const events = whole(answer, { ...manner(name), tools });
      for (const end of events.filter(e => e.type === "tool-call")) {
        const own = events.filter(e => "index" in e && e.index === end.index);
        expect(own[0]).toMatchObject({ type: "call-start", name: end.name });
        const grown = own.flatMap(e => (e.type === "call-delta" ? [e.text] : [])).join("");
        expect(JSON.parse(grown)).toEqual(end.arguments);
        expect(grown).toBe(end.json);
      }
    }
    const early = spoken(['<tool_call>{"name": "weather", "arguments": {"city": "Os'], manner("hermes"));
    expect(early.slice(0, 2)).toMatchObject([{ type: "call-start" }, { type: "call-delta", text: '{"city": "Os' }]);
  });
});

describe("arguments without types of their own", () => {
  const values = (args: Record<string, string>, own = tools): object => {
    const parameters = Object.entries(args).map(([k, v]) => `<parameter=${k}>${v}</parameter>`);
    return told(whole(`<function=weather>${parameters.join("")}</function>`, { ...manner("qwen-coder"), tools: own }));
  };
  it.each([
    [{ city: "123" }, { city: "123" }],
    [{ days: "123" }, { days: 123 }],
    [{ days: "many" }, { days: "many" }],
    [{ exact: "False" }, { exact: false }],
    [{ where: '{"a": 1}' }, { where: { a: 1 } }],
    [{ unit: "null" }, { unit: null }],
    [{ unit: "12" }, { unit: "12" }],
    [{ unit: '"C"' }, { unit: '"C"' }],
    [{ tags: '["a"]' }, { tags: ["a"] }],
    [{ other: "5" }, { other: 5 }],
    [{ other: "five" }, { other: "five" }],
    [{ city: 'a"b\\c\u0000 \u{1f600}' }, { city: 'a"b\\c\u0000 \u{1f600}' }],
    [{ constructor: "5" }, { constructor: 5 }],
  ])("%j become %j by the schema", (written, meant) => {
    expect(values(written)).toEqual([call(meant)]);
  });
  it("survive schemas that refer to themselves", () => {
    const parameters = { type: "object", properties: { a: { $ref: "#/properties/a" }, b: { anyOf: [{ $ref: "#" }] } } };
    expect(values({ a: "1", b: "2" }, [{ name: "weather", parameters: parameters as never }])).toEqual([call({ a: 1, b: 2 })]);
  });
});

describe("thoughts", () => {
  it.each([
    ["<think>\nso\n</think>\n\nyes", ""],
    ["[THINK]so[/THINK]yes", "[THINK]"],
    ["<|START_THINKING|>so<|END_THINKING|><|START_RESPONSE|>yes<|END_RESPONSE|>", "<|START_THINKING|> <|START_RESPONSE|> <|END_RESPONSE|>"],
    ["<seed:think>so</seed:think>yes", "<seed:think>"],
    ["<|channel>thought\nso<channel|>yes", "<|channel>"],
    ["<think>so</think><response>yes</response>", "<response></response>"],
  ])("%s", (answer, template) => {
    const options = manner(undefined, template);
    expect(told(whole(answer, options))).toEqual([{ reasoning: "so" }, text("yes")]);
    expect(spoken([...answer], options)).toEqual(whole(answer, options));
  });
  it("that go before a call leave no blank words", () => {
    const answer = `<think>\n\n</think>\n\n<tool_call>${object()}</tool_call>\n`;
    expect(told(whole(answer, manner("hermes")))).toEqual([oslo]);
  });
});

const folder = sharedData("chat-templates");
const why = folder === undefined ? ' (skipped: no test data "chat-templates" in ../shared/data)' : "";
describe("the syntax of a template", () => {
  it.skipIf(folder === undefined)(`is found in real ones${why}`, () => {
    const list: { name: string; chat_template: string }[] = JSON.parse(readFileSync(join(folder!, "hf-chat-e2e-dev.json"), "utf8"));
    const found = list.map(t => [t.name, syntaxOf(t.chat_template)?.name] as const).filter(([, s]) => s !== undefined);
    expect(Object.fromEntries(found)).toEqual({
      "CohereForAI/c4ai-command-r-v01": "command-r-1",
      "mistralai/Mistral-7B-Instruct-v0.3 (JSON Schema)": "mistral",
      "NousResearch/Hermes-2-Pro-Llama-3-8B (JSON Schema)": "hermes",
      "meta-llama/Llama-3.1-8B-Instruct": "llama",
      "Qwen/Qwen2.5-7B-Instruct": "hermes",
      "Qwen/Qwen3-0.6B": "hermes",
      "CohereLabs/c4ai-command-a-03-2025": "command-r",
      "ai21labs/AI21-Jamba-Large-1.6": "jamba",
      "moonshotai/Kimi-K2-Thinking": "kimi",
    });
  });
  it("is found by its signs, or chosen", async () => {
    expect(syntaxOf("{{ messages }}")).toBeUndefined();
    expect(syntaxOf("{% if tools %}{{ tools }}")?.name).toBe("generic");
    expect(syntaxOf("<|channel|>final<|message|>")?.name).toBe("harmony");
    expect(mannerOf("", chosenSyntax("glm")).syntax?.name).toBe("glm");
    await caught("option.invalid", () => chosenSyntax("klingon"));
    for (const syntax of toolSyntaxes)
      for (const signs of syntax.signs)
        expect(toolSyntaxes.find(s => s.signs.some(all => all.every(x => `tools ${signs.join(" ")}`.includes(x))))?.name).toBe(syntax.name);
  });
});
