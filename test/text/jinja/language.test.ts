/** The template language: own cases, the cases of Hugging Face's chat templates where they are at hand, and the messages of failures. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { LatheError } from "../../../src/errors.ts";
import { parseTemplate } from "../../../src/text/jinja/template.ts";
import { sharedData } from "../../shared.ts";
import { cases, context } from "./cases.ts";

const render = (template: string, data: Record<string, unknown> = context): string => parseTemplate(template).render(data).text;

describe("the language", () => {
  it.each(cases)("%s", (_, template, expected) => expect(render(template)).toBe(expected));
});

// ---- cases of Hugging Face ----

interface UnitCase {
  readonly name: string;
  readonly template: string;
  readonly context: Record<string, unknown>;
  readonly expected: string;
}

interface ChatCase {
  readonly name: string;
  readonly chat_template: string;
  readonly data: Record<string, unknown>;
  readonly target: string;
}

const folder = sharedData("chat-templates");
const read = <T>(name: string): T[] => (folder === undefined ? [] : JSON.parse(readFileSync(join(folder, name), "utf8")));
const why = folder === undefined ? ' (skipped: no test data "chat-templates" in ../shared/data)' : "";

/** The cases write a missing value as a string. */
function withoutMissing(value: unknown): unknown {
  if (value === "__undefined__") return undefined;
  if (Array.isArray(value)) return value.map(withoutMissing);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutMissing(item)]));
}

const onThatDay = { now: new Date(2025, 6, 10, 12) };

describe.skipIf(folder === undefined)(`Hugging Face's cases${why}`, () => {
  for (const test of read<UnitCase>("hf-jinja-unit.json")) {
    it(`unit: ${test.name}`, () => {
      expect(parseTemplate(test.template).render(withoutMissing(test.context) as Record<string, unknown>, onThatDay).text).toBe(
        test.expected,
      );
    });
  }
  for (const test of read<ChatCase>("hf-chat-e2e-dev.json")) {
    it(`template: ${test.name}`, () => {
      expect(parseTemplate(test.chat_template).render(withoutMissing(test.data) as Record<string, unknown>, onThatDay).text).toBe(
        test.target,
      );
    });
  }
  // Without the data there must still be one test in the suite.
  it("are complete", () => expect(read("hf-jinja-unit.json").length + read("hf-chat-e2e-dev.json").length).toBeGreaterThan(100));
});

// ---- functions that look outside ----

describe("the date", () => {
  const at = (date: Date, format: string) => parseTemplate("{{ strftime_now(f) }}").render({ f: format }, { now: date }).text;

  it("has the codes of Python", () => {
    const date = new Date(2025, 6, 3, 14, 5, 9);
    expect(at(date, "%d %b %Y|%A %B %e|%a %-d.%-m.%y|%H:%M:%S %I %p|%j|%F %T|%%|%Z%z|%q")).toBe(
      "03 Jul 2025|Thursday July  3|Thu 3.7.25|14:05:09 02 PM|184|2025-07-03 14:05:09|%||%q",
    );
  });

  it("counts weeks", () => {
    expect(at(new Date(2024, 11, 30), "%G-%V %U %W %u %w")).toBe("2025-01 52 53 1 1");
    expect(at(new Date(2023, 0, 1), "%G-%V %U %W %u %w %j")).toBe("2022-52 01 00 7 0 001");
  });
});

// ---- failures ----

function failure(template: string, data: Record<string, unknown> = context): LatheError {
  try {
    render(template, data);
  } catch (error) {
    if (error instanceof LatheError) return error;
    throw error;
  }
  throw new Error(`no failure: ${template}`);
}

describe("failures", () => {
  it("name the line and the reason", () => {
    const error = failure("a\n{% if true %}\n  {{ raise_exception('No ' ~ n) }}\n{% endif %}");
    expect(error.code).toBe("template.failed");
    expect(error.message).toBe("The chat template failed at line 3: No 5");
    expect(error.details).toEqual({ reason: "No 5", line: 3 });
  });

  it.each([
    ["{{ undefd.x }}", "'undefd' is undefined"],
    ["{{ d.zz.y }}", "'dict object' has no attribute 'zz'"],
    ["{{ none.x.y }}", "None has no attribute 'x'"],
    ["{{ undefd + 1 }}", "'undefd' is undefined"],
    ["{{ 'a' + 1 }}", "unsupported operand type(s) for +: 'str' and 'int'"],
    ["{{ 'a' < 1 }}", "'<' not supported between instances of 'str' and 'int'"],
    ["{{ 1 in 'a' }}", "requires string"],
    ["{{ 1 // 0 }}", "division"],
    ["{{ n() }}", "'int' object is not callable"],
    ["{{ s.nope() }}", "has no attribute 'nope'"],
    ["{{ s | nope }}", "No filter named 'nope'"],
    ["{{ s is nope }}", "No test named 'nope'"],
    ["{% for x in 5 %}{% endfor %}", "'int' object is not iterable"],
    ["{% for a, b in [1] %}{% endfor %}", "not iterable"],
    ["{% set a, b = [1] %}", "not enough values to unpack"],
    ["{% set d.x = 1 %}", "non-namespace"],
    ["{% macro m() %}{% endmacro %}{{ m(1) }}", "takes not more than 0"],
    ["{% macro m() %}{% endmacro %}{{ m(x=1) }}", "no keyword argument 'x'"],
    ["{{ {[]: 1} }}", "unhashable type: 'list'"],
    ["{{ undefd | tojson }}", "not JSON serializable"],
    ["{{ s | replace('a') }}", "missing the argument 'new'"],
    ["{{ s | upper(1) }}", "takes at most 0 arguments"],
    ["{{ s[::0] }}", "step cannot be zero"],
    ["{% break %}", "outside loop"],
    ["{% if true %}", "ends before 'endif'"],
    ["{% nope %}", "unknown tag 'nope'"],
    ["{% endif %}", "unknown tag 'endif'"],
    ["{% include 'x' %}", "unknown tag 'include'"],
    ["{{ 1", "ends inside a tag"],
    ["{{ (1 }}", "unexpected '}'"],
    ["{{ }}", "expected an expression"],
    ["{{ 'a }}", "not closed"],
    ["{{ a b }}", "expected a }}"],
    ["{# x", "end of comment"],
    ["{% raw %}", "end of raw"],
    ["{{ 1 ? 2 }}", "unexpected char"],
    ["{{ x is eq is 1 }}", "chain"],
  ])("%s", (template, reason) => {
    const error = failure(template);
    expect(error.code).toBe("template.failed");
    expect(error.message).toContain(reason);
    expect(error.details.line).toBe(1);
  });

  it.each([
    ["a function", { x: () => 1 }],
    ["a symbol", { x: Symbol("x") }],
    ["an instance", { x: new Date() }],
    ["a function inside", { x: { y: [() => 1] } }],
  ])("refuses %s in the context", (_, data) => {
    expect(failure("{{ 1 }}", data).message).toContain("in the context");
  });
});
