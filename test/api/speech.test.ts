/** What a model is made to begin an answer with when it must call a tool, in the syntax of its family, and what is read of the rest. */
import { describe, expect, it } from "vitest";
import { type ChatHost, Speech, specsOf } from "../../src/api/speech.ts";
import { Recogniser } from "../../src/decode/constrain/constraint.ts";
import { compileSchema } from "../../src/decode/constrain/schema/compile.ts";
import { generating } from "../../src/decode/constrain/schema/context.ts";
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
    isMark: (text: string) => /^[<[].*[>\]]$/.test(text) && !text.startsWith("<function"),
    render: (_: unknown, __: unknown, opening: (ending: string) => string) => {
      own.begun = opening(ending);
      return { ids: [1], ending };
    },
  };
  return own;
}

/** Families whose calls have a form of their own are in held-calls.test.ts. */
describe("a forced call as JSON", () => {
  for (const { name, signs, forced } of toolSyntaxes.filter(s => s.signs.length && !s.forced?.call)) {
    it.each([["one tool", [add]] as const, ...(forced?.several ? [] : [["two tools", [add, sub]] as const])])(
      `of ${name}, of %s, is one when it is complete`,
      (_, wanted) => {
        const model = host(`tools ${signs[0].join(" ")}`, "assistant:");
        const speech = new Speech(model, { specs: [add, sub], forced: wanted });
        const { parser } = speech.prompt([{ role: "user", content: "x" }]);
        const form = forced!;
        expect(model.begun).toBe(form.open(wanted.length === 1 ? "add" : undefined));
        const args = '{"a": 7}';
        const keyed = form.keyed ? `{"add": ${args}}` : args;
        const object = form.keys ? `{"${form.keys[0]}": "add", "${form.keys[1]}": ${args}}` : keyed;
        const rest = form.list ? `[${object}]` : object;
        expect(new Recogniser(compileSchema(speech.schema!, generating)).accepts(rest)).toBe(true);
        const reader = parser();
        const events = [...reader.push(rest), ...reader.end()];
        expect(events.filter(e => e.type === "tool-call")).toMatchObject([{ name: "add", arguments: { a: 7 } }]);
        expect(events.filter(e => e.type === "text")).toEqual([]);
      },
    );
  }

  it("is not made in the middle of thoughts", () => {
    const model = host("tools <tool_call></tool_call> <think>", "assistant:<think>\n");
    const { parser } = new Speech(model, { specs: [add], forced: [add] }).prompt([{ role: "user", content: "x" }]);
    expect(model.begun).toBe("</think>\n\n<tool_call>\n");
    const reader = parser();
    const events = [...reader.push('{"name": "add", "arguments": {"a": 7}}'), ...reader.end()];
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
