/** Answers taken apart: any way of cutting the stream gives the same events, what is no call comes back as text, and marks may be tokens. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Spoken } from "../../../src/text/tools/events.ts";
import { marksOf } from "../../../src/text/tools/manner.ts";
import { coded, codesOf } from "../../../src/text/tools/marks.ts";
import { toolSyntaxes } from "../../../src/text/tools/syntaxes.ts";
import { manner, type Options, spoken, told, whole } from "./spoken.ts";

const add = [{ name: "add" }];
const call = { call: "add", arguments: { a: 1 } };
const hermes = manner("hermes");
const written = (parts: readonly Spoken[]): string => parts.map(p => (p.type === "text" || p.type === "reasoning" ? p.text : "")).join("");

describe("calls", () => {
  it("without marks are some where they come first and name known tools", () => {
    const options = { ...manner("json"), tools: add };
    expect(told(whole(' {"name": "add", "parameters": {"a": 1}}', options))).toEqual([call]);
    expect(told(whole('{"name": "add", "parameters": {"a": 1}}\nThat is it.', options))).toEqual([call, { text: "\nThat is it." }]);
    for (const text of ['{"name": "other", "parameters": {}}', '{"a": 1}', "[]", "{", 'It is {"name": "add", "parameters": {}}', "[1, 2"])
      expect(told(whole(text, options))).toEqual([{ text }]);
  });

  it("without marks do not hold back an answer that is JSON", () => {
    const options = { ...manner("generic"), tools: add };
    expect(told(spoken(['{"colour": "re'], options).slice(0, 1))).toEqual([{ text: '{"colour": "re' }]);
  });

  it("may spell marks in their strings", () => {
    const text = 'a<tool_call>{"name":"f","arguments":{"x":"</tool_call>\\""}}</tool_call>b<tool_call>{"name":"g"}</tool_call>';
    expect(told(whole(text, hermes))).toEqual([
      { text: "a" },
      { call: "f", arguments: { x: '</tool_call>"' } },
      { text: "b" },
      { call: "g", arguments: {} },
    ]);
  });

  it("that are none come back as text", () => {
    for (const body of [
      "",
      "two words",
      '{"name": 5}',
      '{"name": "f", "arguments": 7}',
      '{"name": "f"',
      '{"name": "f", "arguments": {"a": }}',
    ]) {
      const text = `x <tool_call>${body}</tool_call> y`;
      expect(told(whole(text, hermes))).toEqual([{ text }]);
    }
    for (const text of ["<function=f", "<function=f><parameter=a>1", "<tool_call><function=f><parameter=a>1</parameter>"])
      expect(told(whole(text, manner("qwen-coder")))).toEqual([{ text }]);
    for (const text of ["<function_calls>f(a=)", "<function_calls>f(a='x", "<function_calls>f(1)</function_calls>"])
      expect(told(whole(text, manner("olmo-3")))).toEqual([{ text }]);
  });

  it("that break off after their beginning say so", () => {
    const text = '<tool_call>{"name": "add", "arguments": {"a": 1';
    expect(whole(text, hermes)).toEqual([
      { type: "call-start", index: 0, name: "add" },
      { type: "call-delta", index: 0, text: '{"a": 1' },
      { type: "call-broken", index: 0 },
      { type: "text", text },
    ]);
  });

  it("behind a broken one are heard", () => {
    const good = '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>';
    const bad = '<tool_call>{"name": "add", "arguments": {"a": x}}</tool_call>\n';
    expect(told(whole(bad + good, hermes))).toEqual([{ text: bad }, call]);
  });
});

it("reasoning is told apart, also where the prompt began it", () => {
  const [think] = manner(undefined).thoughts;
  const parts = [{ reasoning: "so" }, { text: "yes" }];
  expect(told(whole("<think>so</think>yes", {}))).toEqual(parts);
  expect(told(whole("so</think>yes", { thinking: think }))).toEqual(parts);
  expect(told(whole("a </think> b", {}))).toEqual([{ text: "a </think> b" }]);
  expect(told(whole("<think>never over", {}))).toEqual([{ reasoning: "never over" }]);
});

describe("marks that are tokens", () => {
  const codes = codesOf(marksOf(hermes));
  const options: Options = { ...hermes, codes };
  const answer = (text: string): object[] => told(whole(text, options));

  it("are marks, and texts that spell them are text", () => {
    const one = '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>';
    expect(answer(coded(one, codes))).toEqual([call]);
    expect(answer(one)).toEqual([{ text: one }]);
    expect(answer("say <think> and </think>")).toEqual([{ text: "say <think> and </think>" }]);
    expect(answer(coded("<think>so", codes) + "</think>" + coded("</think>yes", codes))).toEqual([
      { reasoning: "so</think>" },
      { text: "yes" },
    ]);
  });

  it("end a call also in the middle of a string, and are spelled out where they mean nothing", () => {
    const open = coded('<tool_call>{"name": "add", "arguments": {"a": "', codes);
    const good = coded('<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>', codes);
    const bad = '<tool_call>{"name": "add", "arguments": {"a": "</tool_call>';
    expect(answer(open + coded("</tool_call>", codes) + good)).toEqual([{ text: bad }, call]);
    expect(answer(coded("a </tool_call> \u{1f600}</think>", codes))).toEqual([{ text: "a </tool_call> \u{1f600}</think>" }]);
  });
});

describe("streams", () => {
  const words = [
    '"',
    "'",
    "\\",
    "<",
    "tool",
    " ",
    "\n",
    "x",
    "{",
    "}",
    "[",
    "(",
    ")",
    "]",
    ",",
    ":",
    "=",
    "add",
    "\u{1f600}",
    "```",
    "function",
  ];
  const objects = ['{"name": "add", "arguments": {"a": 1}}', "add(a=1)", '{"a": 1}', "call:add{a:1}"];
  const elements = ["<parameter=a>", "</parameter>", "</function>", '<invoke name="add">', "</invoke>", '">', ">"];

  for (const syntax of toolSyntaxes) {
    const own = manner(syntax.name, "[THINK]");
    const bits = [...new Set([...marksOf(own), ...words, ...objects, ...elements])];
    const answers = fc.array(fc.constantFrom(...bits), { maxLength: 14 }).map(a => a.join(""));
    it(`of ${syntax.name} give the same events however they are cut, and lose nothing`, () => {
      fc.assert(
        fc.property(answers, fc.boolean(), fc.array(fc.nat(60), { maxLength: 8 }), (text, strict, cuts) => {
          const options: Options = { ...own, tools: strict ? add : [...add, { name: "tool" }] };
          const places = [0, ...cuts.map(c => c % (text.length + 1)).sort((a, b) => a - b), text.length];
          const pieces = places.slice(1).map((p, i) => text.slice(places[i], p));
          const all = whole(text, options);
          expect(spoken(pieces, options)).toEqual(all);
          expect(
            spoken(
              [...text].flatMap(c => c.split("")),
              options,
            ),
          ).toEqual(all);
          if (syntax.whole || all.some(p => p.type === "tool-call")) return;
          // What is left out are marks of thoughts and the white space about them.
          const bare = (t: string): string =>
            own.thoughts.reduce((s, m) => s.replaceAll(m.open, "").replaceAll(m.close, ""), t).replace(/\s/g, "");
          expect(bare(written(all))).toBe(bare(text));
        }),
        { numRuns: 120, seed: 11 },
      );
    });
  }

  it("of calls that open and never close come back whole, in linear time", () => {
    const text = '<tool_call>{"a": "</tool_call>'.repeat(30_000);
    expect(written(whole(text, hermes))).toBe(text);
    expect(written(spoken([...text.slice(0, 20_000)], hermes))).toBe(text.slice(0, 20_000));
    const deep = `<tool_call>{"name": "f", "arguments": ${"[".repeat(100_000)}`;
    expect(written(whole(deep, hermes))).toBe(deep);
    const nested = `<function_calls>f(a=${"[".repeat(100_000)}`;
    expect(written(whole(nested, manner("olmo-3")))).toBe(nested);
  });
});
