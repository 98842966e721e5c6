/** Typed access to metadata: what is tolerated, what is refused and how the error says so. */
import { describe, expect, it } from "vitest";
import { type GgufValue, Metadata } from "../../src/files/gguf.ts";
import { caught } from "./caught.ts";

const metadata = new Metadata(
  new Map<string, GgufValue>([
    ["text", "hello"],
    ["int", 32],
    ["zero", 0],
    ["float", 0.5],
    ["nan", Number.NaN],
    ["big", 2n ** 63n],
    ["yes", true],
    ["words", { of: "string", items: ["a", "b"] }],
    ["i32", { of: "i32", items: Int32Array.of(1, -2, 3) }],
    ["bools", { of: "bool", items: Uint8Array.of(1, 0) }],
    ["u64", { of: "u64", items: BigUint64Array.of(1n, 2n ** 53n - 1n) }],
    ["u64 big", { of: "u64", items: BigUint64Array.of(2n ** 53n) }],
    ["f32", { of: "f32", items: Float32Array.of(1.5) }],
  ]),
);

describe("Metadata", () => {
  it("gives values of the asked type", () => {
    expect(metadata.has("int")).toBe(true);
    expect(metadata.has("none")).toBe(false);
    expect(metadata.string("text")).toBe("hello");
    expect(metadata.number("float")).toBe(0.5);
    expect(metadata.integer("int", undefined, { min: 1, max: 32 })).toBe(32);
    expect([metadata.boolean("yes"), metadata.boolean("zero")]).toEqual([true, false]);
    expect(metadata.numbers("i32")).toEqual(Int32Array.of(1, -2, 3));
    expect(metadata.numbers("bools")).toEqual(Uint8Array.of(1, 0));
    expect(metadata.numbers("u64")).toEqual(Float64Array.of(1, 2 ** 53 - 1));
    expect(metadata.strings("words")).toEqual(["a", "b"]);
    expect(metadata.perLayer("i32", 3)).toEqual([1, -2, 3]);
    expect(metadata.perLayer("int", 2)).toEqual([32, 32]);
  });

  it("takes the fallback for an absent key, and only then", async () => {
    expect(metadata.string("none", "x")).toBe("x");
    expect(metadata.number("none", 0.1)).toBe(0.1);
    expect(metadata.integer("none", 0)).toBe(0);
    expect(metadata.integer("zero", 7)).toBe(0);
    expect(metadata.boolean("none", false)).toBe(false);
    expect(metadata.numbers("none", Float32Array.of(1))).toEqual(Float32Array.of(1));
    expect(metadata.strings("none", [])).toEqual([]);
    expect(metadata.perLayer("none", 2, 5)).toEqual([5, 5]);
    await caught("model.missing-key", () => metadata.string("int", "x"));
    await caught("model.missing-key", () => metadata.numbers("text", Float32Array.of(1)));
    await caught("model.missing-key", () => metadata.strings("i32", []));
  });

  const wrong: [what: string, expected: string, found: string, action: () => unknown][] = [
    ["an absent string", "a string", "nothing", () => metadata.string("none")],
    ["an absent number", "a number", "nothing", () => metadata.number("none")],
    ["an absent array", "an array of numbers", "nothing", () => metadata.numbers("none")],
    ["an absent list", "an array of strings", "nothing", () => metadata.strings("none")],
    ["text for a number", "a number", 'the string "hello"', () => metadata.number("text")],
    ["a number for text", "a string", "the number 32", () => metadata.string("int")],
    ["NaN", "a number", "the number NaN", () => metadata.number("nan")],
    ["a fraction for a whole number", "a whole number", "the number 0.5", () => metadata.integer("float")],
    ["2^63 for a number", "a whole number", "the number 9223372036854775808", () => metadata.integer("big")],
    ["a boolean for a number", "a whole number", "the boolean true", () => metadata.integer("yes")],
    ["32 for a boolean", "a boolean", "the number 32", () => metadata.boolean("int")],
    ["too little", "a whole number of at least 33", "the number 32", () => metadata.integer("int", undefined, { min: 33 })],
    ["too much", "a number of at most 31", "the number 32", () => metadata.number("int", undefined, { max: 31 })],
    ["out of range", "a number from 1 to 2", "the number 32", () => metadata.number("int", undefined, { min: 1, max: 2 })],
    ["strings for numbers", "an array of numbers", "an array of 2 string", () => metadata.numbers("words")],
    ["numbers for strings", "an array of strings", "an array of 3 i32", () => metadata.strings("i32")],
    ["items of 2^53", "an array of numbers", "an array of 1 u64", () => metadata.numbers("u64 big")],
    ["an array for a number", "a number", "an array of 3 i32", () => metadata.number("i32")],
    ["another number of layers", "a whole number for each of 4 layers", "an array of 3 i32", () => metadata.perLayer("i32", 4)],
    [
      "a layer out of range",
      "a whole number of at least 0 for each of 3 layers",
      "an array of 3 i32",
      () => metadata.perLayer("i32", 3, 1, { min: 0 }),
    ],
    ["a fraction in a layer", "a whole number for each of 1 layers", "an array of 1 f32", () => metadata.perLayer("f32", 1)],
  ];
  it.each(wrong)("refuses %s", async (_what, expected, found, action) => {
    const error = await caught("model.missing-key", action);
    expect(error.details).toMatchObject({ expected, found });
    expect(error.message).toContain(JSON.stringify(error.details["key"]));
    expect(error.message).toContain(expected);
  });
});
