/** safetensors: real files, what is written and read again, each rule of the format broken, and thousands of mutations beside a second reader. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { LatheError } from "../../src/errors.ts";
import { type Dtype, dtypeBits, parseIndex, readSafetensors } from "../../src/files/safetensors.ts";
import { type SafetensorsEntry, safetensorsBytes } from "../../src/files/safetensors-write.ts";
import { bytesSource } from "../../src/files/source.ts";
import { Random } from "../fixtures/random.ts";
import { describeShared } from "../shared.ts";
import { caught } from "./caught.ts";
import { referenceHeader } from "./safetensors-reference.ts";

const read = (bytes: Uint8Array) => readSafetensors(bytesSource(bytes, "model.safetensors"));
const tensor = (name: string, dtype: Dtype, shape: number[], data: number[]): SafetensorsEntry => ({
  name,
  dtype,
  shape,
  data: Uint8Array.from(data),
});

/** A file with a header as it is given and `bytes` bytes behind it. */
function file(header: string | object, bytes = 0): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const out = new Uint8Array(8 + text.length + bytes);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  return out;
}
const one = (more: object = {}): object => ({ a: { dtype: "F32", shape: [2], data_offsets: [0, 8], ...more } });

const samples = [
  tensor("b", "F16", [2, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
  tensor("a.weight", "F32", [1], [0, 0, 128, 63]),
  tensor("scalar", "I64", [], [1, 0, 0, 0, 0, 0, 0, 0]),
  tensor("empty", "BF16", [0, 4], []),
  tensor('über "quoted"\n', "F8_E4M3", [3], [1, 2, 3]),
  tensor("1", "F4", [2, 1], [0x21]),
];

describe("readSafetensors", () => {
  it("reads what was written", async () => {
    const bytes = await safetensorsBytes({ tensors: samples, metadata: { format: "pt" } });
    const { tensors, metadata } = await read(bytes);
    expect(Object.fromEntries(metadata)).toEqual({ format: "pt" });
    expect([...tensors.keys()].sort()).toEqual(samples.map(s => s.name).sort());
    for (const { name, dtype, shape, data } of samples) {
      const found = tensors.get(name);
      expect(found).toMatchObject({ dtype, shape });
      expect(bytes.slice(found?.offset, (found?.offset ?? 0) + (found?.bytes ?? 0))).toEqual(data);
      expect((found?.offset ?? 0) % Math.max(1, dtypeBits[dtype] / 8)).toBe(0);
    }
    expect(referenceHeader(bytes)?.size).toBe(samples.length);
  });

  it("takes files without tensors, and without metadata", async () => {
    expect((await read(file("{}"))).tensors.size).toBe(0);
    expect((await read(file("{}   \n"))).tensors.size).toBe(0);
    expect((await read(await safetensorsBytes({ tensors: [] }))).tensors.size).toBe(0);
  });

  it.each([
    ["nothing", new Uint8Array()],
    ["seven bytes", new Uint8Array(7)],
    ["a header longer than the file", file(one(), 8).subarray(0, 20)],
    ["data that ends early", file(one(), 7)],
  ])("refuses %s as cut off", async (_, bytes) => {
    await caught("safetensors.truncated", () => read(bytes));
  });

  it.each<[string, string | object, number?]>([
    ["text", "hello"],
    ["a list", "[]"],
    ["an empty header", ""],
    ["a header that ends early", '{"a":'],
    ["something behind the header", "{} x"],
    [
      "a key that occurs twice",
      '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
      4,
    ],
    ["a part that occurs twice", '{"a":{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}}', 4],
    ["metadata that is no text", { __metadata__: { a: 1 } }],
    ["an unknown type", one({ dtype: "F7" }), 8],
    ["an inherited type", one({ dtype: "constructor" }), 8],
    ["an unknown part", one({ stride: [1] }), 8],
    ["a missing part", { a: { dtype: "F32", shape: [2] } }, 8],
    ["one offset", one({ data_offsets: [0] }), 8],
    ["three offsets", one({ data_offsets: [0, 8, 8] }), 8],
    ["offsets the wrong way round", one({ data_offsets: [8, 0] }), 8],
    ["a negative length", one({ shape: [-2] }), 8],
    ["half a length", one({ shape: [2.5] }), 8],
    ["a length with an exponent", '{"a":{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}}', 8],
    ["a length with a zero in front", '{"a":{"dtype":"F32","shape":[02],"data_offsets":[0,8]}}', 8],
    ["a length above 2^53", '{"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,8]}}', 8],
    ["a product that wraps around 64 bits", one({ shape: [2 ** 33, 2 ** 31 + 1] }), 8],
    ["a product without bounds", one({ shape: [...new Array(40).fill(2 ** 50), 0] }), 8],
    ["a shape that contradicts the bytes", one({ shape: [3] }), 8],
    ["half a byte", one({ dtype: "F4", shape: [3], data_offsets: [0, 2] }), 2],
    ["bytes behind the last tensor", one(), 9],
    ["a gap before the first tensor", one({ data_offsets: [8, 16] }), 16],
    ["a gap", { ...one(), b: { dtype: "U8", shape: [1], data_offsets: [9, 10] } }, 10],
    ["an overlap", { ...one(), b: { dtype: "U8", shape: [4], data_offsets: [4, 8] } }, 8],
    ["a comma too many", '{"a":{"dtype":"F32","shape":[2,],"data_offsets":[0,8]}}', 8],
    ["a raw line break in a text", '{"a\n":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8],
    ["an unknown escape", '{"\\x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8],
  ])("refuses %s", async (_, header, bytes) => {
    await caught("safetensors.malformed", () => read(file(header, bytes)));
  });

  it("refuses a header of a length that is a lie, before it is read", async () => {
    for (const length of [2n ** 64n - 1n, 2n ** 53n, 100_000_001n]) {
      const bytes = file("{}");
      new DataView(bytes.buffer).setBigUint64(0, length, true);
      await caught("safetensors.malformed", () => read(bytes));
    }
  });

  it("refuses a header that would cost far more memory than it has bytes", async () => {
    const entries = Array.from({ length: 300_000 }, (_, i) => `"${i.toString(36)}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`);
    const error = await caught("safetensors.malformed", () => read(file(`{${entries.join(",")}}`)));
    expect(error.message).toContain("memory");
  });

  it("does not read nested texts by recursion without an end", async () => {
    await caught("safetensors.malformed", () => parseIndex(`{"metadata":${"[".repeat(100_000)}`, "index"));
  });
});

describe("mutations", () => {
  it("are read as the second reader reads them, or refused by both", async () => {
    const random = new Random(1);
    const seeds = [
      await safetensorsBytes({ tensors: samples, metadata: { a: "b" } }),
      file({ ...one(), b: { dtype: "U8", shape: [0], data_offsets: [8, 8] } }, 8),
    ];
    const pieces = [
      '"',
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      "0",
      "-1",
      "9007199254740993",
      "1e3",
      '"a"',
      "\\u0061",
      " ",
      "F32",
      "U8",
      "null",
      '"__metadata__"',
    ];
    let accepted = 0;
    for (let round = 0; round < 20_000; round++) {
      const seed = random.pick(seeds);
      let bytes = seed.slice();
      for (let edits = 1 + random.below(3); edits > 0; edits--) {
        const at = random.below(bytes.length);
        const kind = random.below(4);
        if (kind === 0) bytes[at] = random.below(256);
        else if (kind === 1) bytes = bytes.slice(0, at);
        else {
          const piece = new TextEncoder().encode(random.pick(pieces));
          const cut = kind === 2 ? random.below(4) : 0;
          bytes = Uint8Array.from([...bytes.subarray(0, at), ...piece, ...bytes.subarray(at + cut)]);
          // Half of the edits keep the length of the header right, so that they reach its text.
          if (random.below(2) && bytes.length > 8) {
            const view = new DataView(bytes.buffer);
            view.setUint32(0, new DataView(seed.buffer).getUint32(0, true) + bytes.length - seed.length, true);
          }
        }
        if (bytes.length === 0) bytes = seed.slice();
      }
      const wanted = referenceHeader(bytes);
      const found = await read(bytes).catch(e => {
        if (e instanceof LatheError && e.code.startsWith("safetensors.")) return undefined;
        throw e;
      });
      const start = bytes.length > 8 ? 8 + new DataView(bytes.buffer).getUint32(0, true) : 0;
      const plain =
        found &&
        new Map(
          [...found.tensors].map(([n, t]) => [
            n,
            { dtype: t.dtype, shape: t.shape, begin: t.offset - start, end: t.offset - start + t.bytes },
          ]),
        );
      if (wanted) accepted++;
      expect(plain, JSON.stringify(new TextDecoder().decode(bytes))).toEqual(wanted);
    }
    expect(accepted).toBeGreaterThan(300);
  });
});

describe("writing", () => {
  it.each<[string, SafetensorsEntry[]]>([
    ["two tensors of one name", [samples[0], samples[0]]],
    ["a reserved name", [tensor("__metadata__", "U8", [1], [1])]],
    ["a negative length", [tensor("a", "U8", [-1], [])]],
    ["half a byte", [tensor("a", "F4", [1], [1])]],
    ["too little data", [tensor("a", "U8", [2], [1])]],
    ["too much data", [tensor("a", "U8", [2], [1, 2, 3])]],
  ])("refuses %s", async (_, tensors) => {
    await caught("option.invalid", () => safetensorsBytes({ tensors }));
  });
});

describe("the index", () => {
  it("maps tensors to files", () => {
    const text = JSON.stringify({
      metadata: { total_size: 1.5e3, x: [null, true, { y: "z" }] },
      weight_map: { a: "m-1.safetensors", b: "m-2.safetensors" },
    });
    expect([...parseIndex(text, "index")]).toEqual([
      ["a", "m-1.safetensors"],
      ["b", "m-2.safetensors"],
    ]);
  });

  it.each([
    ["no map", "{}"],
    ["a tensor twice", '{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}'],
    ["a number for a file", '{"weight_map":{"a":1}}'],
    ...[
      "../x.safetensors",
      "/x.safetensors",
      "a/x.safetensors",
      "a\\\\x.safetensors",
      "C:x.safetensors",
      "x.bin",
      ".safetensors/..",
      "x\\u0000.safetensors",
    ].map(name => [`the file ${name}`, `{"weight_map":{"a":"${name}"}}`]),
  ])("refuses %s", async (_, text) => {
    await caught("safetensors.malformed", () => parseIndex(text, "index"));
  });
});

describeShared("a real file", "safetensors-samples/jfk-codes.safetensors", path => {
  it("is read", async () => {
    const bytes = new Uint8Array(readFileSync(path));
    const { tensors } = await read(bytes);
    expect([...tensors.values()].map(t => [t.dtype, t.shape])).toEqual([["I64", [1, 2, 828]]]);
    const [only] = tensors.values();
    expect(referenceHeader(bytes)?.get(only.name)).toMatchObject({ dtype: "I64", shape: [1, 2, 828] });
    const codes = new BigInt64Array(bytes.slice(only.offset).buffer);
    expect(codes.every(code => code >= 0n && code < 1024n)).toBe(true);
  });
});

describeShared("a larger real file", "onnx-models/silero_vad_16k.safetensors", path => {
  it("is read as the second reader reads it", async () => {
    const bytes = new Uint8Array(readFileSync(path));
    const { tensors } = await read(bytes);
    const wanted = referenceHeader(bytes);
    expect(tensors.size).toBeGreaterThan(5);
    expect([...tensors].map(([name, t]) => [name, t.dtype, t.shape])).toEqual(
      [...(wanted ?? [])].map(([name, t]) => [name, t.dtype, t.shape]),
    );
  });
});
