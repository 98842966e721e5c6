/** What a model is made to begin an answer with when it must call a tool, in the syntax of its family, and what is read of the rest. */
import { describe, expect, it } from "vitest";
import { type ChatHost, Speech, specsOf } from "../../src/api/speech.ts";
import { Recogniser } from "../../src/decode/constrain/constraint.ts";
import { type MarkIds, withMarks } from "../../src/decode/constrain/marks.ts";
import { compileSource } from "../../src/decode/constrain/source.ts";
import { coded } from "../../src/text/tools/marks.ts";
import { toolSyntaxes } from "../../src/text/tools/syntaxes.ts";
import { caught } from "../files/caught.ts";

const parameters = { type: "object", properties: { a: { type: "integer" } }, required: ["a"], additionalProperties: false };
const [add, sub] = specsOf(["add", "sub"].map(name => ({ type: "function", function: { name, parameters } })));

/** A model whose template ends so; what the answer is made to begin with is put into `begun`. */
function host(template: string, ending: string): ChatHost & { begun: string } {
  const own = {
    begun: "",
    context: 100,
    template,
    mark: (text: string) => (/^[<[].*[>\]]$/.test(text) && !text.startsWith("<function") ? 1000 + text.length : undefined),
    render: (_: unknown, __: unknown, opening: (ending: string) => string) => {
      own.begun = opening(ending);
      return { ids: [1], ending };
    },
  };
  return own;
}

/** Families whose calls have a form of their own are in held-calls.test.ts. */
describe("forced calls as JSON", () => {
  for (const { name, signs, forced } of toolSyntaxes.filter(s => s.signs.length)) {
    const { call, begin, end, open = "", close = "", between, list } = forced!;
    if ("is" in call || "mark" in call) continue;
    const one = (tool: string): string => {
      const args = '{"a": 7}';
      if ("keyed" in call) return `{"${tool}": ${args}}`;
      if (!("keys" in call)) return `${begin}${tool}${call.counted === undefined ? "" : `${call.counted}0`}${call.named}${args}${end}`;
      const number = call.counted === undefined ? "" : `"${call.counted}": "0", `;
      return `${begin}{${number}"${call.keys[0]}": "${tool}", "${call.keys[1]}": ${args}}${end}`;
    };
    const written = (tools: readonly string[]): string => {
      const parts = tools.map(one);
      return open + (list === "always" ? `[${parts.join(", ")}]` : parts.join(between)) + close;
    };

    it.each([
      ["one", ["add"], 1],
      ["two", ["add", "sub"], 16],
    ] as const)(`of ${name}, %s, are these when they are complete`, (_, tools, maxCalls) => {
      if (tools.length > 1 && between === undefined && !list) return;
      const model = host(`tools ${signs[0].join(" ")}`, "assistant:");
      const speech = new Speech(model, { specs: [add, sub], forced: [add, sub], maxCalls });
      const { parser } = speech.prompt([{ role: "user", content: "x" }]);
      const text = written(tools);
      expect(text.startsWith(model.begun)).toBe(true);
      const rest = withMarks(text.slice(model.begun.length), (speech.held!.source as { marks: MarkIds }).marks);
      const recogniser = new Recogniser(compileSource(speech.held!.source));
      expect([text, recogniser.accepts(rest)]).toEqual([text, true]);
      if (maxCalls === 1) expect(recogniser.read(Uint8Array.of(...rest, 0x20)).verdict).toBe("refused");
      const reader = parser();
      const events = [...reader.push(coded(text.slice(model.begun.length), speech.marks)), ...reader.end()];
      const calls = events.filter(e => e.type === "tool-call");
      expect(calls).toMatchObject(tools.map(tool => ({ name: tool, arguments: { a: 7 } })));
      expect(events.filter(e => e.type === "text")).toEqual([]);
    });
  }

  it("are as many as may be made", () => {
    const model = host("tools <tool_call></tool_call>", "assistant:");
    const text = (n: number): string =>
      Array.from({ length: n }, () => '<tool_call>\n{"name": "add", "arguments": {"a": 7}}\n</tool_call>').join("\n");
    for (const [maxCalls, most] of [
      [undefined, 16],
      [1, 1],
      [3, 3],
    ]) {
      const { source } = new Speech(model, { specs: [add], forced: [add], maxCalls }).held!;
      const recogniser = new Recogniser(compileSource(source));
      const accepts = (n: number): boolean =>
        recogniser.accepts(withMarks(text(n).slice("<tool_call>".length), (source as { marks: MarkIds }).marks));
      expect([accepts(most!), accepts(most! + 1)]).toEqual([true, false]);
    }
  });

  it("is not made in the middle of thoughts", () => {
    const model = host("tools <tool_call></tool_call> <think>", "assistant:<think>\n");
    const { parser } = new Speech(model, { specs: [add], forced: [add] }).prompt([{ role: "user", content: "x" }]);
    expect(model.begun).toBe("</think>\n\n<tool_call>");
    const reader = parser();
    const events = [...reader.push('\n{"name": "add", "arguments": {"a": 7}}'), ...reader.end()];
    expect(events.map(e => e.type)).toEqual(["call-start", "call-delta", "tool-call"]);
  });
});

it("marks that a stop text names are text", () => {
  const marks = (stops: string[]): string[] => [
    ...new Speech(host("tools <tool_call></tool_call>", ""), { specs: [add], stops }).marks.keys(),
  ];
  expect(marks([])).toContain("</tool_call>");
  expect(marks(["</tool_call>"])).not.toContain("</tool_call>");
});

it("tools of other types are left out, and functions without names refused", async () => {
  expect(specsOf([{ type: "web_search" }, add])).toEqual([add]);
  await caught("option.invalid", () => specsOf([{ type: "function" }]));
});
