/** Regular expressions: the same verdicts as the host's own engine, refusals, and expressions that must not take the engine down. */
import { describe, expect, it } from "vitest";
import { Recogniser } from "../../../src/decode/constrain/constraint.ts";
import { Grammar } from "../../../src/decode/constrain/grammar.ts";
import { regexExpr } from "../../../src/decode/constrain/regex.ts";
import { LatheError } from "../../../src/errors.ts";
import { Random } from "../../fixtures/random.ts";

function recogniser(source: string, search = false): Recogniser {
  const grammar = new Grammar();
  return new Recogniser({ grammar, root: regexExpr(grammar, source, search) });
}

function refused(source: string): string {
  try {
    recogniser(source);
  } catch (e) {
    if (e instanceof LatheError) return e.code;
    throw e;
  }
  return "accepted";
}

const texts = [
  "",
  "a",
  "b",
  "ab",
  "ba",
  "aab",
  "abb",
  "abc",
  "a1",
  "1",
  "12",
  "a b",
  " ",
  "\n",
  "é",
  "日本",
  "😀",
  "a😀b",
  "_",
  "-",
  "a.b",
  "a\\b",
  "\u2028",
];
const sources = [
  "a",
  "a*",
  "a+b?",
  "(a|b)+",
  "(?:ab)*c?",
  "[a-c]+",
  "[^a-c]*",
  "\\d+",
  "\\D*",
  "\\w+",
  "\\W",
  "\\s",
  "\\S+",
  ".",
  ".*",
  "a{2}",
  "a{1,2}b",
  "a{0}",
  "a{2,}",
  "(a?b?){3}",
  "\\p{L}+",
  "\\P{L}+",
  "\\p{Script=Han}+",
  "[\\p{L}\\d]+",
  "[\\s\\S]*",
  "\\u00e9",
  "\\u{1F600}",
  "\\ud83d\\ude00",
  "\\x61",
  "[\\-_]",
  "a\\.b",
  "a\\\\b",
  "^a",
  "b$",
  "^a$|b",
  "^(a|b)$",
  "(^a|b$)",
  "a|^b|c$",
  "^$",
  "",
  "a||b",
  "(?<n>a)b",
  "a*?b",
  "[]|a",
  "[^]",
  "\\cJ",
  "^(?:a|bc?)+$",
  "[a\\]b]",
  "(|a)b",
];

describe("regular expressions", () => {
  it("may be long sequences", () => {
    expect(recogniser("ab".repeat(3000)).accepts("ab".repeat(3000))).toBe(true);
    expect(recogniser("[a-c]".repeat(3000)).accepts("abc".repeat(1000))).toBe(true);
    expect(recogniser("[a-c]".repeat(3000)).accepts("abc".repeat(999))).toBe(false);
  });

  it.each(sources)("%s", source => {
    const whole = recogniser(source);
    const search = recogniser(source, true);
    const host = new RegExp(source, "u");
    const full = new RegExp(`^(?:${source})$`, "u");
    expect(texts.filter(t => search.accepts(t))).toEqual(texts.filter(t => host.test(t)));
    expect(texts.filter(t => whole.accepts(t))).toEqual(texts.filter(t => full.test(t)));
  });

  it("made at random agree with the host's engine", () => {
    const { below: integer } = new Random(7);
    const make = (depth: number): string => {
      const kind = integer(depth > 0 ? 7 : 3);
      if (kind < 2) return "ab"[integer(2)];
      if (kind === 2) return ["[ab]", ".", "[^a]"][integer(3)];
      if (kind === 3) return `(?:${make(depth - 1)}|${make(depth - 1)})`;
      if (kind === 4) return `(?:${make(depth - 1)})${["*", "+", "?", "{2}", "{1,3}", "{0,2}"][integer(6)]}`;
      return make(depth - 1) + make(depth - 1);
    };
    for (let i = 0; i < 300; i++) {
      const source = make(4);
      const own = recogniser(source);
      const host = new RegExp(`^(?:${source})$`, "u");
      for (let j = 0; j < 12; j++) {
        const text = Array.from({ length: integer(9) }, () => "abc"[integer(3)]).join("");
        expect([source, text, own.accepts(text)]).toEqual([source, text, host.test(text)]);
      }
    }
  });

  it.each(["(?=a)", "(?!a)", "(?<=a)b", "(a)\\1", "\\bword", "(?<n>a)\\k<n>", "a^b", "(?:a|^)*", "(?i:a)"])(
    "%s cannot be enforced",
    source => {
      expect(["regex.unsupported", "regex.invalid"]).toContain(refused(source));
    },
  );

  it.each(["(", ")", "[a", "a**", "*", "a{3,2}", "\\", "\\q", "\\p{Nope}", "\\u12", "[b-a]"])("%s is not valid", source => {
    expect(refused(source)).toBe("regex.invalid");
  });

  it("made to hurt are counted, or refused", () => {
    const a = "a".repeat(3000);
    expect(recogniser("(a{1000}){1000}").read(a).verdict).toBe("prefix");
    expect(recogniser("(a+)+b").read(`${a}b`).verdict).toBe("accepted");
    expect(recogniser("(a|a)*b").read(a).verdict).toBe("prefix");
    expect(recogniser("(a?){1000}a{1000}").accepts(a.slice(0, 1500))).toBe(true);
    expect(recogniser("(a?){1000}a{1000}").accepts(a.slice(0, 2001))).toBe(false);
    expect(recogniser(".*a.{200}").accepts("ab".repeat(150) + "a" + "c".repeat(200))).toBe(true);
    expect(recogniser("[\\s\\S]{5000000}").read(a).verdict).toBe("prefix");
    expect(refused("(".repeat(50_000))).toBe("regex.invalid");
    expect(refused("a".repeat(70_000))).toBe("regex.invalid");
    expect(refused("(^a|b)".repeat(20))).toBe("regex.unsupported");
    expect(recogniser("[a-y]?".repeat(128)).accepts("abc".repeat(42))).toBe(true);
    expect(refused("[a-y]?".repeat(129))).toBe("grammar.limit");
  });
});
