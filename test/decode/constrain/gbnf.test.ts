/** GBNF: the published grammars and cases, refusals, and grammars that must not take the engine down. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Recogniser } from "../../../src/decode/constrain/constraint.ts";
import { compileGbnf } from "../../../src/decode/constrain/gbnf.ts";
import { LatheError } from "../../../src/errors.ts";
import { describeShared } from "../../shared.ts";

const read = (grammar: string): Recogniser => new Recogniser(compileGbnf(grammar));
const accepted = (grammar: string, texts: readonly string[]): string[] => {
  const recogniser = read(grammar);
  return texts.filter(t => recogniser.accepts(t));
};

function refused(grammar: string): LatheError {
  try {
    compileGbnf(grammar);
  } catch (e) {
    if (e instanceof LatheError) return e;
    throw e;
  }
  throw new Error("was accepted");
}

interface Case {
  kind: "grammar" | "schema";
  name: string;
  text: string;
  pass: string[];
  fail: string[];
}

describeShared("published cases", "grammars", folder => {
  it("match as stated", () => {
    const cases: Case[] = JSON.parse(readFileSync(join(folder, "grammar-cases-dev.json"), "utf8"));
    const grammars = cases.filter(c => c.kind === "grammar");
    expect(grammars.length).toBeGreaterThan(5);
    for (const { name, text, pass, fail } of grammars) {
      expect([name, ...accepted(text, pass)]).toEqual([name, ...pass]);
      expect([name, ...accepted(text, fail)]).toEqual([name]);
    }
  });

  it.each([
    ["arithmetic.gbnf", ["1+2=a\n", "( 1 +y) *3= x \n2=2\n"], ["a=\n", "1+=a\n", "=1\n", "1=a"]],
    ["c.gbnf", ["int f(){return 1;}", "int main(int a){int b = a+1;while(a<2){b = b*2;}}"], ["int f()", "f(){}"]],
    ["chess.gbnf", ["1. e4 e5\n2. Nf3 Nc6\n", "1. O-O O-O-O+\n10. exd8=Q# Rbxc1\n"], ["1. e4 e5", "1. e9 e5\n2. a1 a1\n"]],
    ["english.gbnf", ["Hello, world", "a\nb"], ["é", " a"]],
    ["japanese.gbnf", ["こんにちは 世界", "カタカナ、"], ["abc", "こ  に"]],
    ["json.gbnf", ['{"a": [1, 2.5e1, "x\\n\\u00e9"], "b": {}}', "{}"], ["[]", '{"a":}', '{"a": 01}', '{"a": "\n"}']],
    ["json_arr.gbnf", ["[\n]", '[\n{"a": 1},\n2]'], ["[]", "{}"]],
    ["list.gbnf", ["- one\n- two\n"], ["one\n", "- \n", "- a"]],
  ])("%s", (file, pass, fail) => {
    const grammar = readFileSync(join(folder, file), "utf8");
    expect(accepted(grammar, pass)).toEqual(pass);
    expect(accepted(grammar, fail)).toEqual([]);
  });

  it("are all there", () => expect(readdirSync(folder).filter(f => f.endsWith(".gbnf"))).toHaveLength(8));
});

describe("the notation", () => {
  it("reads comments, line ends, escapes and counts", () => {
    const grammar = '# c\nroot ::= "\\x41" [\\u00e9\\n] b{2} # c\n  | "" "z"{,2} "q"{1,}\nb ::= ("x"\n | "y"\n)\n';
    expect(accepted(grammar, ["Aéxy", "A\nyy", "q", "zzqq", "zzzq", "A", "Axx"])).toEqual(["Aéxy", "A\nyy", "q", "zzqq"]);
  });

  it("counts quantifiers on quantifiers", () => {
    expect(accepted('root ::= "a"{2}{3}', ["aaaaaa", "aaaaa"])).toEqual(["aaaaaa"]);
    expect(accepted('root ::= ("a"? "b"?){2}', ["", "a", "abab", "ba", "aab", "bbb"])).toEqual(["", "a", "abab", "ba", "aab"]);
  });

  it("reads direct left recursion as repetition", () => {
    const grammar = 'root ::= root "+" n | root "-" n | n\nn ::= [0-9]+';
    expect(accepted(grammar, ["1", "1+2-3", "+1", "1+", "12-3+4"])).toEqual(["1", "1+2-3", "12-3+4"]);
  });

  it("leaves out what can never end", () => {
    expect(accepted('root ::= "x" | "y" loop\nloop ::= "z" loop', ["x", "y", "yz"])).toEqual(["x"]);
    expect(read('root ::= "x" | "y" loop\nloop ::= "z" loop').read("y")).toEqual({ verdict: "refused", length: 0 });
  });

  it.each([
    ["", "no rule"],
    ["root = a", "::="],
    ["root ::= missing", "missing"],
    ["root ::= root", "never"],
    ['root ::= "a" root', "never"],
    ['root ::= a\na ::= b "x" | "y"\nb ::= a', "itself"],
    ['root ::= a\na ::= "x"? a "y" | "z"', "itself"],
    ['root ::= "a', "closed"],
    ["root ::= [a", "closed"],
    ['root ::= ("a"', "closed"],
    ['root ::= "a"{2,1}', "below"],
    ['root ::= "\\q"', "meaning"],
    ['root ::= "\\uD800"', "hexadecimal"],
    ['root ::= "a"\nroot ::= "b"', "twice"],
    ["root ::= [z-a]", "order"],
  ])("%j is refused: %s", (grammar, reason) => {
    const error = refused(grammar);
    expect(error.code).toBe("grammar.invalid");
    expect(error.message).toContain(reason);
  });

  it("says that tokens cannot be named", () => expect(refused("root ::= <[100]>").code).toBe("grammar.unsupported"));
});

describe("grammars made to hurt", () => {
  it("are refused where they nest too deep", () => {
    expect(refused(`root ::= ${"(".repeat(60_000)}`).message).toContain("nests");
    expect(refused(`root ::= ${'"a"'.repeat(1)}${"x".repeat(300_000)}`).code).toBe("grammar.invalid");
  });

  it("count instead of copying", () => {
    const a = "a".repeat(1000);
    expect(accepted('root ::= "a"{1000}{1000}', [a])).toEqual([]);
    expect(read('root ::= "a"{1000}{1000000000}').read(a).verdict).toBe("prefix");
    expect(accepted('root ::= ("a"{0,1000}){1000} "b"', [`${a}b`, "b", "a"])).toEqual([`${a}b`, "b"]);
    expect(accepted('root ::= ("a" | "aa"){500,1000}', [a, "a".repeat(499), "a".repeat(2000), "a".repeat(2001)])).toEqual([
      a,
      "a".repeat(2000),
    ]);
  });

  it("stay small where everything is ambiguous", () => {
    const grammar = 'root ::= s\ns ::= "a" | "a" s | "a" s s | "a" s s s';
    expect(accepted(grammar, ["a".repeat(60), `${"a".repeat(60)}b`])).toEqual(["a".repeat(60)]);
    expect(accepted('root ::= ((("a"*)*)*)* "b"', [`${"a".repeat(2000)}b`])).toHaveLength(1);
    expect(accepted('root ::= ("a"* "a"* "a"*){1,1000000} "b"', [`${"a".repeat(500)}b`])).toHaveLength(1);
    const doubled = Array.from({ length: 30 }, (_, i) => `r${i} ::= r${i + 1} r${i + 1}`).join("\n");
    expect(read(`root ::= r0\n${doubled}\nr30 ::= "x"`).read("x".repeat(500)).verdict).toBe("prefix");
  });

  it("nest without end, up to a depth that is refused", () => {
    const recogniser = read('root ::= "(" root ")" | "x"');
    const nested = (n: number): string => `${"(".repeat(n)}x${")".repeat(n)}`;
    expect(recogniser.accepts(nested(400))).toBe(true);
    expect(recogniser.accepts(nested(100_000))).toBe(false);
  });
});
