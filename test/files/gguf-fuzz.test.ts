/**
 * Hostile GGUF files by the thousand, seeded: fields set to boundary values, bytes changed, files cut at every byte. Each must be read in the
 * same way as by the reference parser, or refused by a LatheError, and never take more memory than 256 KiB plus 4 times the file.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LatheError } from "../../src/errors.ts";
import { bytesSource } from "../../src/files/source.ts";
import { meter, underMeter } from "../fuzz/meter.ts";
import { mustAgree } from "./gguf-agree.ts";
import { GgufBytes, kind, sampleFile } from "./gguf-builder.ts";

// Loaded under the meter, because its table of value types keeps the constructors that it finds.
const { readGguf } = await underMeter({}, () => import("../../src/files/gguf.ts"));

/** Far less than the 16 MiB that are promised, because these files are tiny: what stays below it is one batch buffer and one read. */
const allowance = 2 ** 18;

/** Reads a file that may be anything; returns the error's code, or "read". Whatever else happens is thrown. */
async function survive(bytes: Uint8Array): Promise<string> {
  const source = bytesSource(bytes, "fuzz.gguf");
  try {
    const gguf = await underMeter({ total: allowance + 4 * bytes.length }, () => readGguf(source));
    mustAgree(gguf, bytes);
    return "read";
  } catch (cause) {
    if (!(cause instanceof LatheError)) throw cause;
    return cause.code;
  }
}

const boundaries = [
  0n,
  1n,
  2n,
  3n,
  4n,
  5n,
  7n,
  8n,
  9n,
  12n,
  13n,
  31n,
  32n,
  33n,
  63n,
  64n,
  65n,
  127n,
  128n,
  255n,
  256n,
  257n,
  65535n,
  65536n,
];
for (const bits of [31n, 32n, 53n, 61n, 62n, 63n, 64n])
  for (const step of [-1n, 0n, 1n]) boundaries.push(BigInt.asUintN(64, 2n ** bits + step));

/** Seeds with different shapes, each with the places of its numbers. */
const seeds = [
  sampleFile(),
  new GgufBytes().header(0, 2).array("words", kind.string, 3).string("a").string("bc").string("").key("end", kind.u8).number(1, 1),
  new GgufBytes()
    .header(3, 1, 2)
    .key("general.alignment", kind.u32)
    .u32(8)
    .tensor("a", [32, 2], 8, 0)
    .tensor("b", [4], 0, 72)
    .tensor("c", [32], 39, 88)
    .align(8)
    .zeros(112),
  // With five dimensions instead of four it would still hang together, thanks to the zeros behind it.
  new GgufBytes().header(1, 0).tensor("t", [1, 2, 1, 2], 0, 0).zeros(64).align(),
].map(builder => ({ bytes: builder.build(), fields: builder.fields }));

function put(bytes: Uint8Array, at: number, size: number, value: bigint): void {
  for (let i = 0; i < size; i++) bytes[at + i] = Number((value >> BigInt(8 * i)) & 255n);
}

function get(bytes: Uint8Array, at: number, size: number): bigint {
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i]);
  return value;
}

/** How one number of the file changes, or one byte, or the length. */
type Edit =
  | { readonly what: "set"; readonly field: number; readonly to: number }
  | { readonly what: "add"; readonly field: number; readonly by: bigint }
  | { readonly what: "copy"; readonly field: number; readonly from: number }
  | { readonly what: "byte"; readonly at: number; readonly to: number }
  | { readonly what: "cut"; readonly by: number };

const index = fc.nat(2 ** 20);
const edits = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ what: fc.constant("set" as const), field: index, to: fc.nat(boundaries.length - 1) }) },
    {
      weight: 4,
      arbitrary: fc.record({
        what: fc.constant("add" as const),
        field: index,
        by: fc.constantFrom(-64n, -32n, -8n, -1n, 1n, 8n, 32n, 64n),
      }),
    },
    { weight: 2, arbitrary: fc.record({ what: fc.constant("copy" as const), field: index, from: index }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant("byte" as const), at: index, to: fc.nat(255) }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant("cut" as const), by: fc.integer({ min: -30, max: 30 }) }) },
  ),
  { minLength: 1, maxLength: 3 },
);

function edited(seed: (typeof seeds)[number], list: readonly Edit[]): Uint8Array {
  let bytes = seed.bytes.slice();
  const whole = bytes.length;
  // The length last, because the places of the fields are those of the whole seed.
  for (const edit of [...list].sort((a, b) => Number(a.what === "cut") - Number(b.what === "cut"))) {
    if (edit.what === "cut") {
      const longer = new Uint8Array(bytes.length - edit.by);
      longer.set(bytes.subarray(0, longer.length));
      bytes = longer;
    } else if (edit.what === "byte") bytes[edit.at % whole] = edit.to;
    else {
      const { at, size } = seed.fields[edit.field % seed.fields.length];
      const from = edit.what === "copy" ? seed.fields[edit.from % seed.fields.length] : undefined;
      if (edit.what === "set") put(bytes, at, size, boundaries[edit.to]);
      else put(bytes, at, size, from ? get(bytes, from.at, from.size) : get(bytes, at, size) + (edit as { by: bigint }).by);
    }
  }
  return bytes;
}

describe("hostile GGUF files", () => {
  it("the meter sees what the reader allocates", async () => {
    const bytes = new GgufBytes().header(0, 1).array("a", kind.f64, 5000).zeros(40_000).build();
    await underMeter({}, () => readGguf(bytesSource(bytes)));
    expect(meter.bytes).toBeGreaterThanOrEqual(40_000 + bytes.length);
    await expect(underMeter({ total: 50_000 }, () => readGguf(bytesSource(bytes)))).rejects.toThrow("memory bomb");
  });

  it("one number changed: every field of every seed with every boundary value", async () => {
    const seen = new Map<string, number>();
    for (const seed of seeds) {
      for (let field = 0; field < seed.fields.length; field++) {
        for (let to = 0; to < boundaries.length; to++) {
          const outcome = await survive(edited(seed, [{ what: "set", field, to }]));
          seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
        }
      }
    }
    const outcomes = ["gguf.malformed", "gguf.truncated", "gguf.version", "model.unsupported-type", "read"];
    expect([...seen.keys()].sort()).toEqual(outcomes);
    for (const outcome of outcomes) expect(seen.get(outcome)).toBeGreaterThan(5);
  });

  it("one field copied: every field over every other of its size", async () => {
    for (const seed of seeds) {
      for (const [field, { size }] of seed.fields.entries()) {
        for (let from = 0; from < seed.fields.length; from++) {
          if (seed.fields[from].size === size) await survive(edited(seed, [{ what: "copy", field, from }]));
        }
      }
    }
  });

  it("one to three edits", async () => {
    const property = fc.asyncProperty(fc.constantFrom(...seeds), edits, async (seed, list) => {
      await survive(edited(seed, list));
    });
    await fc.assert(property, { seed: 20260822, numRuns: 12_000 });
  });

  it("cut at every byte", async () => {
    const { bytes } = seeds[0];
    for (let length = 0; length < bytes.length; length++) {
      // The last data ends 48 bytes before the file does.
      const expected = length < 4 ? "gguf.not-gguf" : length < bytes.length - 48 ? "gguf.truncated" : "read";
      expect(`${length}: ${await survive(bytes.slice(0, length))}`).toBe(`${length}: ${expected}`);
    }
    expect(await survive(bytes)).toBe("read");
  });
});
