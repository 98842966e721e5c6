/** Answers taken apart: every syntax, every way of cutting the stream, and that nothing is lost. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AnswerParser, type ParserOptions, type Spoken } from "../../../src/text/tools/parser.ts";
import { bareSyntax, syntaxOf, toolSyntaxes } from "../../../src/text/tools/syntaxes.ts";

const [hermes] = toolSyntaxes;
const named = (name: string) => toolSyntaxes.find(s => s.name === name)!;

function spoken(pieces: readonly string[], options: ParserOptions): Spoken[] {
  const parser = new AnswerParser(options);
  const all = [...pieces.flatMap(p => parser.push(p)), ...parser.end()];
  const out: Spoken[] = [];
  for (const part of all) {
    const last = out.at(-1);
    if (last && last.type !== "tool-call" && part.type === last.type)
      out[out.length - 1] = { type: last.type, text: last.text + part.text };
    else out.push(part);
  }
  return out;
}
const whole = (text: string, options: ParserOptions): Spoken[] => spoken([text], options);
const call = { type: "tool-call", name: "add", arguments: { a: 1 } };

describe("calls", () => {
  it.each([
    ["hermes", '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'],
    ["nemotron", '<TOOLCALL>[{"name": "add", "arguments": {"a": 1}}]</TOOLCALL>'],
    ["phi-4", '<|tool_call|>[{"name": "add", "arguments": {"a": 1}}]<|/tool_call|>'],
    ["granite-3", '<|tool_call|>[{"name": "add", "arguments": {"a": 1}}]'],
    ["command-r", '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "add", "parameters": {"a": 1}}]<|END_ACTION|>'],
    ["mistral", '[TOOL_CALLS][{"name": "add", "arguments": "{\\"a\\": 1}", "id": "abcdefghi"}]'],
  ])("of %s", (name, text) => {
    expect(whole(`Well. ${text}`, { syntax: named(name) })).toEqual([{ type: "text", text: "Well. " }, call]);
  });

  it("without marks, when they are the whole answer and name known tools", () => {
    const options = { syntax: bareSyntax, tools: ["add"] };
    expect(whole(' {"name": "add", "parameters": {"a": 1}}', options)).toEqual([call]);
    for (const text of ['{"name": "other", "parameters": {}}', '{"a": 1}', "[]", "{", 'It is {"name": "add", "parameters": {}}'])
      expect(whole(text, options)).toEqual([{ type: "text", text }]);
  });

  it("several, with text between them and marks inside of strings", () => {
    const text = 'a<tool_call>{"name":"f","arguments":{"x":"</tool_call>\\""}}</tool_call>b<tool_call>{"name":"g"}</tool_call>';
    expect(whole(text, { syntax: hermes })).toEqual([
      { type: "text", text: "a" },
      { type: "tool-call", name: "f", arguments: { x: '</tool_call>"' } },
      { type: "text", text: "b" },
      { type: "tool-call", name: "g", arguments: {} },
    ]);
  });

  it("that are none come back as text", () => {
    for (const body of ["", "nothing", '{"name": 5}', '{"name": "f", "arguments": 7}', '{"name": "f"']) {
      const text = `x <tool_call>${body}</tool_call> y`;
      expect(whole(text, { syntax: hermes })).toEqual([{ type: "text", text }]);
    }
    expect(whole('<tool_call>{"name": "f"}', { syntax: hermes })).toEqual([{ type: "text", text: '<tool_call>{"name": "f"}' }]);
  });
});

it("reasoning is told apart, also where the prompt began it", () => {
  expect(whole("<think>so</think>yes", {})).toEqual([
    { type: "reasoning", text: "so" },
    { type: "text", text: "yes" },
  ]);
  expect(whole("so</think>yes", { thinking: true })).toEqual([
    { type: "reasoning", text: "so" },
    { type: "text", text: "yes" },
  ]);
  expect(whole("a </think> b", {})).toEqual([{ type: "text", text: "a </think> b" }]);
});

describe("streams", () => {
  const bits = [
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    '{"name": "add", "arguments": {"a": 1}}',
    '"',
    "\\",
    "<",
    "tool",
    " ",
    "x",
    "{",
  ];
  const answers = fc.array(fc.constantFrom(...bits), { maxLength: 12 }).map(a => a.join(""));
  const options = fc.constantFrom<ParserOptions>(
    {},
    { syntax: hermes },
    { syntax: bareSyntax, tools: ["add"] },
    { syntax: named("mistral"), thinking: true },
  );

  it("give the same parts however they are cut", () => {
    fc.assert(
      fc.property(answers, options, fc.array(fc.nat(60), { maxLength: 8 }), (text, o, cuts) => {
        const places = [0, ...cuts.map(c => c % (text.length + 1)).sort((a, b) => a - b), text.length];
        const pieces = places.slice(1).map((p, i) => text.slice(places[i], p));
        expect(spoken(pieces, o)).toEqual(whole(text, o));
        expect(spoken([...text], o)).toEqual(whole(text, o));
      }),
      { numRuns: 3000, seed: 11 },
    );
  });

  it("lose nothing: without calls, what comes out is what went in but for the marks of reasoning", () => {
    const plain = (text: string): string => text.replaceAll("<think>", "").replaceAll("</think>", "");
    fc.assert(
      fc.property(answers, text => {
        const parts = whole(text, { syntax: hermes });
        if (parts.some(p => p.type === "tool-call")) return;
        expect(plain(parts.map(p => (p.type === "tool-call" ? "" : p.text)).join(""))).toBe(plain(text));
      }),
      { numRuns: 3000, seed: 12 },
    );
  });

  it("of calls that open and never close come back whole", () => {
    const text = '<tool_call>{"a": "</tool_call>'.repeat(30_000);
    expect(
      whole(text, { syntax: hermes })
        .map(p => (p.type === "text" ? p.text : ""))
        .join(""),
    ).toBe(text);
    expect(spoken([...text.slice(0, 20_000)], { syntax: hermes })).toEqual([{ type: "text", text: text.slice(0, 20_000) }]);
  });
});

it("a template shows which syntax its model speaks", () => {
  expect(syntaxOf("{{ messages }}")).toBeUndefined();
  expect(syntaxOf("{% if tools %}<tool_call></tool_call>")?.name).toBe("hermes");
  expect(syntaxOf("{% if tools %}<|tool_call|>")?.name).toBe("granite-3");
  expect(syntaxOf("{% if tools %}{{ tools }}")?.name).toBe("json");
});
