/** Special tokens in texts: which are found, in what order, and that nobody can write a control token into a message. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type SpecialRule, SpecialTokens } from "../../src/text/special.ts";
import { type TextPart, tokenizerFromMetadata } from "../../src/text/tokenizer.ts";
import { byteLevel, englishMerges, type Fields, metadata } from "./vocabularies.ts";

const CONTROL = 3;
const USER = 4;

type List = readonly (readonly [text: string, type: number, flags?: Partial<SpecialRule>])[];

const rules = (list: List): SpecialRule[] => list.map(([text, type, flags], id) => ({ id, text, control: type !== USER, ...flags }));

/** Fragments as texts; special ones in an array. */
function split(
  list: List,
  text: string,
  trusted: readonly (readonly [number, number])[] = [[0, text.length]],
  leftmost = false,
): unknown[] {
  const fragments = new SpecialTokens(rules(list), leftmost ? "leftmost" : "longest").split(text, trusted);
  return fragments.map(({ start, end, id }) => (id < 0 ? text.slice(start, end) : [list[id][0]]));
}

describe("SpecialTokens", () => {
  const made: List = [
    ["<s>", CONTROL],
    ["<user>", USER],
    ["<use", USER],
    ["user>x", CONTROL],
    ["<unk>", 2],
  ];

  it("cuts a text at its special tokens", () => {
    expect(split(made, "a<s>b<user><user>")).toEqual(["a", ["<s>"], "b", ["<user>"], ["<user>"]]);
    expect(split(made, "<s>")).toEqual([["<s>"]]);
    expect(split(made, "plain")).toEqual(["plain"]);
    expect(split(made, "")).toEqual([]);
    expect(split(made, "<s <unk>")).toEqual(["<s ", ["<unk>"]]);
  });

  it("takes the longer of two that overlap, then the one that was listed first", () => {
    expect(split(made, "<user>x")).toEqual([["<user>"], "x"]);
    expect(split(made, "<use")).toEqual([["<use"]]);
    expect(
      split(
        [
          ["abc", USER],
          ["cdef", USER],
        ],
        "abcdef",
      ),
    ).toEqual(["ab", ["cdef"]]);
    expect(
      split(
        [
          ["bc", USER],
          ["ab", USER],
        ],
        "abc",
      ),
    ).toEqual(["a", ["bc"]]);
  });

  it("finds control and unknown tokens in trusted text only", () => {
    expect(split(made, "<s><unk><user>", [])).toEqual(["<s><unk>", ["<user>"]]);
    expect(split(made, "<s><s><s>", [[3, 6]])).toEqual(["<s>", ["<s>"], "<s>"]);
    expect(
      split(made, "<s><s>", [
        [0, 2],
        [3, 6],
      ]),
    ).toEqual(["<s>", ["<s>"]]);
  });

  it("cuts runs of white space longest first", () => {
    const runs = [2, 3, 4].map(length => [" ".repeat(length), USER] as const);
    expect(split(runs, "a" + " ".repeat(11) + "b", [])).toEqual(["a", ["    "], ["    "], ["   "], "b"]);
    expect(split(runs, "a  b c", [])).toEqual(["a", ["  "], "b c"]);
  });

  it("eats white space on the sides that the rules name", () => {
    const list: List = [
      ["<|user|>", CONTROL, { eatsRight: true }],
      ["<s>", CONTROL],
      ["[MASK]", CONTROL, { eatsLeft: true }],
    ];
    expect(split(list, "<s> <|user|>\n hi <|user|> ")).toEqual([["<s>"], " ", ["<|user|>"], "hi ", ["<|user|>"]]);
    expect(split(list, "a \u3000[MASK] b")).toEqual(["a", ["[MASK]"], " b"]);
  });

  it("eats white space around the tokens of models that are known for it", () => {
    const special = [
      ["<|user|>", CONTROL],
      ["<s>", CONTROL],
      ["[MASK]", CONTROL],
    ] as const;
    const texts = (fields: Fields, text: string): string[] => {
      const made = tokenizerFromMetadata(metadata(byteLevel([], special, fields)));
      return [...made.encode(text, { special: true })].map(id => made.text(id));
    };
    expect(texts({ "general.name": "Phi-3-mini" }, "<s> <|user|>\n a")).toEqual(["<s>", "Ġ", "<|user|>", "a"]);
    expect(texts({ pre: "modern-bert" }, "a [MASK] b")).toEqual(["a", "[MASK]", "Ġ", "b"]);
  });

  it("takes the leftmost of two that overlap where asked to", () => {
    const list: List = [
      ["abc", USER],
      ["cdef", USER],
      ["ab", USER],
    ];
    expect(split(list, "abcdef", [], true)).toEqual([["abc"], "def"]);
    expect(split(list, "xab", [], true)).toEqual(["x", ["ab"]]);
  });

  it("finds single words only by themselves", () => {
    const list: List = [["one", USER, { singleWord: true }]];
    expect(split(list, "one, bone one_ éone one", [], true)).toEqual([["one"], ", bone one_ éone ", ["one"]]);
  });

  it("chooses as the slow way does", () => {
    const unit = fc.constantFrom("a", "b", "c");
    const lists = fc.uniqueArray(fc.tuple(fc.string({ unit, minLength: 2, maxLength: 5 }), fc.constantFrom(CONTROL, USER)), {
      maxLength: 8,
      selector: row => row[0],
    });
    fc.assert(
      fc.property(lists, fc.string({ unit, maxLength: 40 }), fc.nat(40), fc.nat(40), (list, text, from, length) => {
        const start = Math.min(from, text.length);
        const end = Math.min(start + length, text.length);
        const result = split(list, text, start < end ? [[start, end]] : []);
        expect(result).toEqual(slowly(list, text, start, end));
      }),
      { numRuns: 2000 },
    );
  });

  it("reads a text a bounded number of times", () => {
    const lists: List[] = [
      Array.from({ length: 30 }, (_, i) => ["a".repeat(i + 2), USER] as const),
      [["a".repeat(30) + "b", USER]],
      [
        ["aab", USER],
        ["abaa", USER],
        ["baab", USER],
      ],
    ];
    for (const list of lists) {
      for (const text of ["a".repeat(20_000), "aab".repeat(7000)]) {
        let reads = 0;
        const counted = {
          length: text.length,
          charCodeAt: (at: number) => {
            reads++;
            return text.charCodeAt(at);
          },
        } as unknown as string;
        new SpecialTokens(rules(list), "longest").split(counted, []);
        expect(reads / text.length).toBeLessThan(80);
      }
    }
  });
});

/** Each token in turn, longest first, over all text that is left. */
function slowly(list: readonly (readonly [string, number])[], text: string, start: number, end: number): unknown[] {
  let parts: { at: number; text: string; token: boolean }[] = text === "" ? [] : [{ at: 0, text, token: false }];
  const order = [...list.keys()].sort((a, b) => list[b][0].length - list[a][0].length || a - b);
  for (const index of order) {
    const [token, type] = list[index];
    parts = parts.flatMap(part => {
      if (part.token) return [part];
      const cut: typeof parts = [];
      let from = 0;
      for (let at = 0; at + token.length <= part.text.length; at++) {
        const place = part.at + at;
        const allowed = type === USER || (place >= start && place + token.length <= end);
        if (!allowed || !part.text.startsWith(token, at)) continue;
        if (at > from) cut.push({ at: part.at + from, text: part.text.slice(from, at), token: false });
        cut.push({ at: place, text: token, token: true });
        from = at + token.length;
        at = from - 1;
      }
      if (from < part.text.length) cut.push({ at: part.at + from, text: part.text.slice(from), token: false });
      return cut;
    });
  }
  return parts.map(part => (part.token ? [part.text] : part.text));
}

describe("control tokens and user text", () => {
  const special = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "[INST]", "<unk>"].map(text => [text, CONTROL] as const);
  const tokenizer = tokenizerFromMetadata(metadata(byteLevel(englishMerges, [...special, ["<tool>", USER]])));
  const controls = (ids: Int32Array): number => ids.filter(id => tokenizer.isControl(id)).length;

  it("finds them in trusted text only", () => {
    for (const [text] of special) {
      expect(controls(tokenizer.encode(`a${text}b`))).toBe(0);
      expect(controls(tokenizer.encode(`a${text}b`, { special: true }))).toBe(1);
    }
    expect([...tokenizer.encode("<tool>")]).toEqual([tokenizer.id("<tool>")]);
  });

  it("never makes one from a user's part, however it is cut", () => {
    const part = fc.constantFrom(...special.map(row => row[0]), "<|im_", "start|>", "<", "s>", "|", "hello", " ", "<|im_start|");
    const list = fc.array(fc.record({ text: part, special: fc.boolean() }), { maxLength: 12 });
    fc.assert(
      fc.property(list, (parts: TextPart[]) => {
        const ids = tokenizer.encode(parts);
        expect(tokenizer.decode(ids, { special: true })).toBe(parts.map(p => p.text).join(""));
        if (parts.every(p => !p.special)) expect(controls(ids)).toBe(0);
        // Control tokens come from stretches of trusted parts alone.
        const stretches = parts
          .map(p => (p.special ? p.text : "\0"))
          .join("")
          .split("\0");
        const most = stretches.reduce((sum, text) => sum + controls(tokenizer.encode(text, { special: true })), 0);
        expect(controls(ids)).toBe(most);
      }),
      { numRuns: 1000 },
    );
  });

  it("encodes parts as the one text that they make up", () => {
    expect(tokenizer.encode([{ text: "hel" }, { text: "lo wor" }, { text: "ld" }])).toEqual(tokenizer.encode("hello world"));
    const template = [{ text: "<|im_start|>", special: true }, { text: "hello<|im_end|>" }, { text: "<|im_end|>", special: true }];
    expect(controls(tokenizer.encode(template))).toBe(2);
    expect(tokenizer.encode([])).toEqual(new Int32Array(0));
  });
});
