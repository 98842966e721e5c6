/** The stop matcher against a brute-force definition, over texts made to nearly match, cut into pieces in every way. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createStopMatcher } from "../../src/decode/stops.ts";

const half = (unit: string | undefined) => unit !== undefined && unit >= "\ud800" && unit < "\udc00";

/** The stop that is complete first, the longest of those that end there, and the text before it. */
function bruteForce(stops: string[], text: string): { text: string; stopped?: string } {
  const longestFirst = [...stops].sort((a, b) => b.length - a.length);
  for (let end = 1; end <= text.length; end++) {
    const stopped = longestFirst.find(stop => text.slice(0, end).endsWith(stop));
    if (stopped !== undefined) return { text: text.slice(0, end - stopped.length), stopped };
  }
  return { text };
}

/** How much of the text so far may be shown: all but the longest ending that begins a stop, or half a pair. */
function showable(stops: string[], text: string): number {
  for (let from = 0; from < text.length; from++) if (stops.some(stop => stop.startsWith(text.slice(from)))) return from;
  return half(text[text.length - 1]) ? text.length - 1 : text.length;
}

/** Pushes the pieces; checks on the way that as much as possible is shown at once, and no half of a pair. */
function run(stops: string[], pieces: string[]): { text: string; stopped?: string } {
  const matcher = createStopMatcher(stops);
  let shown = "";
  let given = "";
  for (const piece of pieces) {
    given += piece;
    const { emit, stopped } = matcher.push(piece);
    shown += emit;
    if (stopped !== undefined) {
      expect(matcher.push("more")).toEqual({ emit: "", stopped });
      expect(matcher.end()).toBe("");
      return { text: shown, stopped };
    }
    expect(shown).toBe(given.slice(0, showable(stops, given)));
  }
  return { text: shown + matcher.end() };
}

const pieces = (text: string, cuts: number[]) => {
  const at = [...new Set(cuts.map(c => c % (text.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, i) => text.slice(from, at[i] ?? text.length));
};

describe("stop strings", () => {
  it.each([
    [["END"], ["the EN", "D is near"], "the ", "END"],
    [["END"], ["the EN", "E"], "the ENE", undefined],
    [["\n\n", "\nUser:"], ["Hi.\nUse", "r: x"], "Hi.", "\nUser:"],
    [["aab"], ["aaaab"], "aa", "aab"],
    [["abcd", "bc"], ["abcd"], "a", "bc"], // the one that is complete first
    [["bc", "abc", "c"], ["xabcx"], "x", "abc"], // of those that end together, the longest
    [[], ["any", "thing"], "anything", undefined],
    [["x"], [""], "", undefined],
    [["\u{1f600}"], ["a\ud83d", "\ude00b"], "a", "\u{1f600}"],
    [["\u{1f600}"], ["a\ud83d", "\ude01b"], "a\u{1f601}b", undefined],
  ] as [string[], string[], string, string | undefined][])("%j in %j", (stops, given, text, stopped) => {
    const expected = stopped === undefined ? { text } : { text, stopped };
    expect(run(stops, given)).toEqual(expected);
    expect(run(stops, [...given.join("")])).toEqual(expected);
  });

  it("is the brute-force definition, however the text is cut", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "\u{1f600}", "\u{1f601}", "\u00e9"), maxLength: 40 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "\u{1f600}"), minLength: 1, maxLength: 6 }), { maxLength: 4 });
    fc.assert(
      fc.property(stops, letters, fc.array(fc.nat(60), { maxLength: 12 }), (given, text, cuts) => {
        expect(run(given, pieces(text, cuts))).toEqual(bruteForce(given, text));
        expect(run(given, text.split(""))).toEqual(bruteForce(given, text)); // by units, half a pair at a time
      }),
      { numRuns: 1000 },
    );
  });

  it("lets lone surrogates through in the end", () => {
    expect(run(["ab"], ["\ud83d", "x", "\ude00", "a\ud83d"])).toEqual({ text: "\ud83dx\ude00a\ud83d" });
  });

  it("shows text at once where no stop can begin", () => {
    const matcher = createStopMatcher(["</answer>"]);
    expect(matcher.push("no markup")).toEqual({ emit: "no markup" });
    expect(matcher.push(" <").emit).toBe(" ");
    expect(matcher.push("/a").emit).toBe("");
    expect(matcher.push(" ").emit).toBe("</a ");
  });

  it("takes time in proportion to the text, not to text times stop", () => {
    const stop = `${"a".repeat(16_000)}b`;
    const matcher = createStopMatcher([stop]);
    const start = performance.now();
    for (let i = 0; i < 300_000; i++) matcher.push("a");
    expect(matcher.end()).toBe("a".repeat(16_000));
    expect(performance.now() - start).toBeLessThan(5_000); // 50 ms here; copying what is held on each push takes a minute
  });

  it.each([
    [[""], "empty"],
    [["a", ""], "Stop string 1 is empty"],
    [["\ud83d"], "surrogate"],
    [["\ude00x"], "surrogate"],
    [[5], "must be a string"],
    ["ab", "array"],
    [["a".repeat(10_000), "b".repeat(10_000)], "at most 16384"],
  ])("refuses %j", (stops, words) => {
    const call = () => createStopMatcher(stops as string[]);
    expect(call).toThrow(expect.objectContaining({ code: "option.invalid" }));
    expect(call).toThrow(words);
  });
});
