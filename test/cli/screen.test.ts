/** What is drawn on terminals, as pure functions: wrapped text, progress lines, tables, and control characters that do no harm. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { progressText } from "../../src/cli/progress.ts";
import { hasColour, printable } from "../../src/cli/terminal.ts";
import { bytes, duration, large, median, table } from "../../src/cli/units.ts";
import { Wrapped } from "../../src/cli/wrap.ts";

function wrap(pieces: readonly string[], width: number): string {
  const wrapped = new Wrapped(() => width);
  return pieces.map(p => wrapped.push(p)).join("") + wrapped.end();
}

describe("wrapping", () => {
  it("breaks between words, however the text comes in pieces", () => {
    expect(wrap(["one t", "wo three", " four"], 9)).toBe("one two \nthree \nfour");
    expect(wrap(["one two\n\nthree"], 9)).toBe("one two\n\nthree");
  });

  it("does not break where the terminal does it", () => {
    expect(wrap(["abcdefghijkl mn"], 5)).toBe("abcdefghijkl mn");
    expect(wrap(["日本語日本語日本語"], 5)).toBe("日本語日本語日本語");
  });

  it("loses nothing but spaces, and no line of short words is too long", () => {
    const word = fc.stringMatching(/^[a-z]{1,8}$/);
    fc.assert(
      fc.property(fc.array(word), fc.integer({ min: 8, max: 20 }), (words, width) => {
        const out = wrap(
          words.map((w, i) => (i ? ` ${w}` : w)),
          width,
        );
        expect(out.split(/\s+/).filter(Boolean)).toEqual(words);
        for (const line of out.split("\n")) expect(line.length).toBeLessThanOrEqual(width);
      }),
    );
  });
});

describe("the progress line", () => {
  const status = { label: "loading model.gguf", done: 210, total: 580, detail: "210 MiB of 580 MiB" };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are looked for
  const plain = (text: string): string => text.replace(/\x1b\[\d+m/g, "");

  it("fits every terminal", () => {
    for (let width = 1; width < 120; width++) expect(plain(progressText(status, width)).length).toBeLessThan(Math.max(width, 1));
  });

  it("shows a bar, a share and the numbers where there is room", () => {
    expect(plain(progressText(status, 100))).toMatch(/^loading model\.gguf ━+─+ {2}36% {2}210 MiB of 580 MiB$/);
    expect(plain(progressText(status, 40))).toMatch(/^loading model\.gguf ━+─+ {2}36%$/);
    expect(plain(progressText({ ...status, total: 0 }, 100))).toContain("0%");
  });
});

describe("terminals", () => {
  it("get colour unless something speaks against it", () => {
    const terminal = { isTTY: true } as NodeJS.WriteStream;
    const pipe = {} as NodeJS.WriteStream;
    expect(hasColour(terminal, { TERM: "xterm" })).toBe(true);
    expect(hasColour(terminal, { TERM: "xterm", NO_COLOR: "1" })).toBe(false);
    expect(hasColour(terminal, { TERM: "dumb" })).toBe(false);
    expect(hasColour(pipe, { TERM: "xterm" })).toBe(false);
    expect(hasColour(pipe, { FORCE_COLOR: "1" })).toBe(true);
    expect(hasColour(terminal, { FORCE_COLOR: "0" })).toBe(false);
  });

  it("take no commands from a model", () => {
    expect(printable("a\x1b]0;title\x07b\r\x9b2J\tc\n")).toBe("a␛]0;title␇b␍�2J\tc\n");
  });
});

describe("numbers", () => {
  it("are short", () => {
    expect([0, 1023, 1536, 6291456, 200 * 2 ** 30].map(bytes)).toEqual(["0 B", "1023 B", "1.5 KiB", "6.0 MiB", "200 GiB"]);
    expect([512, 5639424, 1.04e9].map(large)).toEqual(["512", "5.64 M", "1.04 B"]);
    expect([0.4, 999.4, 1240].map(duration)).toEqual(["0 ms", "999 ms", "1.24 s"]);
    expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5]);
  });

  it("line up", () => {
    const rows = [
      ["a", "1"],
      ["\x1b[1mlonger\x1b[22m", "100"],
    ];
    expect(table(rows, [1])).toBe("a         1\n\x1b[1mlonger\x1b[22m  100\n");
  });
});
