/** Every rule of the format, broken in turn: the error has the right code, names the place, and costs next to nothing. */
import { describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/errors.ts";
import { bytesSource, readGguf } from "../../src/files/gguf.ts";
import { caught } from "./caught.ts";
import { GgufBytes, kind } from "./gguf-builder.ts";

const g = (): GgufBytes => new GgufBytes();
const read = (bytes: Uint8Array) => readGguf(bytesSource(bytes, "test.gguf"));
const huge = [2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
const unreadable = Uint8Array.of(0x61, 0xff);

/** One tensor of 8 floats (32 bytes) with `after` bytes behind the header. */
const tensor = (shape: (number | bigint)[], type: number, offset: number | bigint, after: number): GgufBytes =>
  g().header(1, 0).tensor("t", shape, type, offset).align().zeros(after);

/** What is broken, the code, a word of the message, the file. */
const rules: [rule: string, code: ErrorCode, word: string, file: GgufBytes][] = [
  ["empty file", "gguf.not-gguf", "not a GGUF", g()],
  ["three bytes", "gguf.not-gguf", "not a GGUF", g().raw([0x47, 0x47, 0x55])],
  ["other signature", "gguf.not-gguf", "not a GGUF", g().raw([0x67, 0x67, 0x6d, 0x6c]).u32(3).u64(0).u64(0)],
  ["swapped signature", "gguf.not-gguf", "not a GGUF", g().raw([0x46, 0x55, 0x47, 0x47]).u32(3).u64(0).u64(0)],
  ["signature only", "gguf.truncated", "version", g().raw([0x47, 0x47, 0x55, 0x46])],
  ["version 0", "gguf.version", "version 0", g().header(0, 0, 0)],
  ["version 1", "gguf.version", "version 1", g().header(0, 0, 1)],
  ["version 4", "gguf.version", "version 4", g().header(0, 0, 4)],
  ["big-endian version 3", "gguf.version", "big-endian", g().header(0, 0, 0x03000000)],
  ["no counts", "gguf.truncated", "number of tensors", g().raw([0x47, 0x47, 0x55, 0x46]).u32(3)],
  ["more keys than bytes", "gguf.truncated", "2 keys", g().header(0, 2).key("a", kind.u8).number(1, 0).raw([0, 0])],
  ["more tensors than bytes", "gguf.truncated", "2 tensors", g().header(2, 0).tensor("t", [1], 0, 0).raw([0, 0])],
  ["key beyond the end", "gguf.truncated", "name of a key", g().header(0, 1).u64(6).raw([97, 98, 99, 100, 101])],
  ["key of 65536 bytes", "gguf.malformed", "65536", g().header(0, 1).key("k".repeat(65536), kind.u8).number(1, 1)],
  ["key that is not UTF-8", "gguf.malformed", "UTF-8", g().header(0, 1).key(unreadable, kind.u8).number(1, 1)],
  ["key twice", "gguf.malformed", '"a"', g().header(0, 2).key("a", kind.u8).number(1, 1).key("a", kind.u16).number(2, 1)],
  ["value type 13", "gguf.malformed", "type 13", g().header(0, 1).key("a", 13).u64(0)],
  ["value beyond the end", "gguf.truncated", '"a"', g().header(0, 1).key("a", kind.u64).u32(0)],
  ["boolean 2", "gguf.malformed", '"a"', g().header(0, 1).key("a", kind.bool).number(1, 2)],
  ["boolean 2 in an array", "gguf.malformed", '"a"', g().header(0, 1).array("a", kind.bool, 2).raw([1, 2])],
  ["string beyond the end", "gguf.truncated", '"a"', g().header(0, 1).key("a", kind.string).u64(4).raw([1, 2, 3])],
  ["array of arrays", "gguf.malformed", "contains arrays", g().header(0, 1).array("a", kind.array, 1).u32(kind.u8).u64(0)],
  ["array of type 13", "gguf.malformed", "type 13", g().header(0, 1).array("a", 13, 1).u64(0)],
  ["array of numbers beyond the end", "gguf.truncated", '"a"', g().header(0, 1).array("a", kind.u32, 2).u32(1).raw([0, 0, 0])],
  ["array of strings beyond the end", "gguf.truncated", '"a"', g().header(0, 1).array("a", kind.string, 2).string("").raw([0, 0, 0, 0])],
  [
    "string of an array beyond the end",
    "gguf.truncated",
    '"a"',
    g().header(0, 1).array("a", kind.string, 2).string("x").u64(3).raw([1, 2]),
  ],
  ["alignment 0", "gguf.malformed", "alignment", g().header(0, 1).key("general.alignment", kind.u32).u32(0)],
  ["alignment 24", "gguf.malformed", "alignment", g().header(0, 1).key("general.alignment", kind.u32).u32(24)],
  ["alignment of text", "gguf.malformed", "alignment", g().header(0, 1).key("general.alignment", kind.string).string("32")],
  [
    "alignment 2^63",
    "gguf.malformed",
    "alignment",
    g()
      .header(0, 1)
      .key("general.alignment", kind.u64)
      .u64(2n ** 63n),
  ],
  [
    "alignment 2^33",
    "gguf.malformed",
    "alignment",
    g()
      .header(0, 1)
      .key("general.alignment", kind.u64)
      .u64(2n ** 33n),
  ],
  ["tensor name of 65536 bytes", "gguf.malformed", "65536", g().header(1, 0).tensor("t".repeat(65536), [8], 0, 0).align().zeros(32)],
  ["tensor name that is not UTF-8", "gguf.malformed", "UTF-8", g().header(1, 0).tensor(unreadable, [8], 0, 0).align().zeros(32)],
  ["tensor twice", "gguf.malformed", '"t"', g().header(2, 0).tensor("t", [8], 0, 0).tensor("t", [8], 0, 32).align().zeros(64)],
  ["five dimensions", "gguf.malformed", "5 dimensions", tensor([1, 1, 1, 1, 1], 0, 0, 32)],
  [
    "2^32 - 1 dimensions",
    "gguf.malformed",
    "dimensions",
    g()
      .header(1, 0)
      .string("t")
      .u32(2 ** 32 - 1)
      .zeros(99),
  ],
  ["dimension above 2^53", "gguf.malformed", "2^53", tensor([2n ** 53n], 0, 0, 32)],
  ["negative dimension", "gguf.malformed", "2^53", tensor([-1], 0, 0, 32)],
  ["product above 2^53", "gguf.malformed", "values", tensor([2n ** 30n, 2n ** 30n], 0, 0, 32)],
  ["product that wraps to 0 in 64 bits", "gguf.malformed", "values", tensor([2n ** 32n, 2n ** 32n], 0, 0, 32)],
  ["product that wraps to 8 in 64 bits", "gguf.malformed", '"t"', tensor([8, 2n ** 61n + 1n], 0, 0, 32)],
  ["product above 2^53 before a 0", "gguf.malformed", "values", tensor([2n ** 30n, 2n ** 30n, 0], 0, 0, 32)],
  ["bytes above 2^53", "gguf.malformed", "bytes", tensor([2n ** 52n], 0, 0, 32)],
  ["2^53 - 1 values", "gguf.truncated", '"t"', tensor([2n ** 53n - 1n], 24, 0, 32)],
  ["rows that are not whole blocks", "gguf.malformed", "blocks of Q4_0", tensor([16, 2], 2, 0, 32)],
  ["a single value in a block type", "gguf.malformed", "blocks of Q4_K", tensor([], 12, 0, 256)],
  ["offset above 2^53", "gguf.malformed", "offset", tensor([8], 0, 2n ** 63n, 32)],
  ["offset not aligned", "gguf.malformed", "multiple of 32", tensor([8], 0, 16, 64)],
  ["offset beyond the end", "gguf.truncated", '"t"', tensor([8], 0, 2n ** 52n, 32)],
  ["data that ends one byte late", "gguf.truncated", '"t"', tensor([8], 0, 0, 31)],
  ["offset beyond the end of no data", "gguf.truncated", '"t"', tensor([0], 0, 64, 32)],
  ["unusable type beyond the end", "gguf.truncated", '"t"', tensor([8], 36, 64, 32)],
  ["same place twice", "gguf.malformed", "overlap", g().header(2, 0).tensor("t", [8], 0, 0).tensor("u", [8], 0, 0).align().zeros(32)],
  ["overlap", "gguf.malformed", '"t" and "u"', g().header(2, 0).tensor("t", [9], 0, 0).tensor("u", [8], 0, 32).align().zeros(64)],
  [
    "overlap behind a tensor without data",
    "gguf.malformed",
    '"t" and "v"',
    g().header(3, 0).tensor("t", [17], 0, 0).tensor("u", [0], 0, 32).tensor("v", [8], 0, 64).align().zeros(96),
  ],
];

describe("a GGUF file with", () => {
  it.each(rules)("%s gives %s", async (_rule, code, word, file) => {
    const error = await caught(code, () => read(file.build()));
    expect(error.message).toContain(word);
    expect(error.message).toContain("test.gguf");
    expect(error.details["file"]).toBe("test.gguf");
  });

  it("a count that no file can hold, in any place, gives an error at once", async () => {
    for (const n of huge) {
      await caught("gguf.truncated", () => read(g().header(n, 0).zeros(99).build()));
      await caught("gguf.truncated", () => read(g().header(0, n).zeros(99).build()));
      await caught("gguf.truncated", () => read(g().header(0, 1).u64(n).zeros(99).build()));
      await caught("gguf.truncated", () => read(g().header(0, 1).key("a", kind.string).u64(n).zeros(99).build()));
      for (const of of Object.values(kind).filter(type => type !== kind.array)) {
        await caught("gguf.truncated", () => read(g().header(0, 1).array("a", of, n).zeros(99).build()));
      }
      await caught("gguf.truncated", () => read(g().header(0, 1).array("a", kind.string, 1).u64(n).zeros(99).build()));
      await caught("gguf.truncated", () => read(g().header(1, 0).u64(n).zeros(99).build()));
    }
  });

  it("arrays nested a million deep gives an error without recursion", async () => {
    const level = g().u32(kind.array).u64(1).build();
    const bytes = new Uint8Array(level.length * 1_000_000 + 200);
    const start = g().header(0, 1).key("a", kind.array).build();
    bytes.set(start);
    for (let at = start.length; at + level.length <= bytes.length; at += level.length) bytes.set(level, at);
    await caught("gguf.malformed", () => read(bytes));
  });

  it("a header longer than 512 MiB, or a string longer than 256 MiB, gives an error before it is read", async () => {
    // A file of 1 TiB, of which only the front is ever asked for.
    const endless = (front: Uint8Array) => {
      const source = bytesSource(front, "test.gguf");
      const read = (offset: number, length: number, into: Uint8Array = new Uint8Array(length)): Promise<Uint8Array> => {
        if (length > 2 ** 23) throw new Error(`asked for ${length} bytes`);
        into.fill(0);
        into.set(front.subarray(offset, offset + length));
        return Promise.resolve(into);
      };
      return readGguf({ ...source, size: 2 ** 40, read });
    };
    const text = g().header(0, 1).key("a", kind.string);
    expect((await caught("gguf.malformed", () => endless(text.u64(2 ** 28 + 1).build()))).message).toContain("more than");
    const list = g()
      .header(0, 1)
      .array("a", kind.u8, 2 ** 29);
    expect((await caught("gguf.malformed", () => endless(list.build()))).message).toContain("longer than");
    const words = g()
      .header(0, 1)
      .array("a", kind.string, 2 ** 26);
    expect((await caught("gguf.malformed", () => endless(words.build()))).message).toContain("longer than");
  });

  // A record costs some hundred bytes, so a file of nothing but tiny ones would take many times its size. 16 MiB are free.
  const tiny: [what: string, count: number, arrayBytes: number, tensors: boolean, fits: boolean][] = [
    ["150,000 tiny keys", 150_000, 0, false, true],
    ["180,000 tiny keys", 180_000, 0, false, false],
    ["360,000 tiny keys beside an array of 8 MB", 360_000, 8_000_000, false, true],
    ["440,000 tiny keys beside an array of 8 MB", 440_000, 8_000_000, false, false],
    ["60,000 tiny tensors", 60_000, 0, true, true],
    ["75,000 tiny tensors", 75_000, 0, true, false],
  ];
  it.each(tiny)("%s gives an error only where the budget is exceeded", async (_what, count, arrayBytes, tensors, fits) => {
    const one = tensors ? g().tensor("\0\0\0", [0], 0, 0) : g().key("\0\0\0", kind.u8).number(1, 1);
    const start = g().header(tensors ? count : 0, (tensors ? 0 : count) + 1);
    start.array("array", kind.u8, arrayBytes);
    const bytes = new Uint8Array(start.size + arrayBytes + count * one.size + 32);
    bytes.set(start.build());
    for (let i = 0, at = start.size + arrayBytes; i < count; i++, at += one.size) {
      bytes.set(one.build(), at);
      bytes.set([32 + (i & 63), 32 + ((i >> 6) & 63), 32 + (i >> 12)], at + 8);
    }
    if (fits) return expect((await read(bytes)).version).toBe(3);
    expect((await caught("gguf.malformed", () => read(bytes))).message).toContain("memory");
  });

  it("control characters and a long name gives a message of one short line", async () => {
    const name = "\n\u0007" + "x".repeat(5000);
    const error = await caught("gguf.malformed", () => read(g().header(0, 1).key(name, 99).zeros(9).build()));
    expect(error.message).toContain("\\n\\u0007xxx");
  });
});
