/** Reading GGUF: real models, every value type, metadata-only files, version 2, tensors of types that cannot be used, speed. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bytesSource, closeGguf, type Gguf, readGguf } from "../../src/files/gguf.ts";
import { openModelFile } from "../../src/files/open.node.ts";
import type { ByteSource } from "../../src/files/source.ts";
import { ggmlType } from "../../src/formats/types.ts";
import { describeShared } from "../shared.ts";
import { caught } from "./caught.ts";
import { mustAgree } from "./gguf-agree.ts";
import { GgufBytes, kind, sampleFile } from "./gguf-builder.ts";
import { parseReference } from "./gguf-reference.ts";

const read = (file: GgufBytes | Uint8Array): Promise<Gguf> =>
  readGguf(bytesSource(file instanceof GgufBytes ? file.build() : file, "test.gguf"));

const modelsIn = (folder: string): string[] => readdirSync(folder).flatMap(name => (name.endsWith(".gguf") ? [join(folder, name)] : []));

describeShared("a trained model", "lm-stories260k", folder => {
  it("has the tensors that the other file of the same model has", async () => {
    const gguf = await openModelFile(join(folder, "stories260K.gguf"));
    expect(gguf.metadata.get("general.architecture")).toBe("llama");
    expect(gguf.metadata.get("llama.block_count")).toBe(5);
    expect([gguf.version, gguf.alignment, gguf.tensors.size, gguf.metadata.size, gguf.parts.length]).toEqual([3, 32, 48, 19, 1]);
    const embedding = gguf.tensors.get("token_embd.weight");
    if (!embedding) throw new Error("no embedding");
    expect(embedding).toMatchObject({ type: ggmlType(0), shape: [64, 512], bytes: 64 * 512 * 4, part: 0 });
    const data = await gguf.parts[0].read(embedding.offset, embedding.bytes);
    // llama2.c's layout: seven 32-bit numbers, then the embedding table.
    const other = readFileSync(join(folder, "stories260K.bin"));
    expect(Buffer.compare(data, other.subarray(28, 28 + embedding.bytes))).toBe(0);
    expect(gguf.dataBytes).toBe([...gguf.tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0));
    await closeGguf(gguf);
    await caught("model.closed", () => gguf.parts[0].read(0, 4));
  });
});

for (const folder of ["arch-oracle", "tokenizer-gguf-vocab", "lm-stories260k"]) {
  describeShared(`the models of ${folder}`, folder, path => {
    it("are read as the reference parser reads them", async () => {
      const models = modelsIn(path);
      expect(models.length).toBeGreaterThan(0);
      for (const model of models) {
        const gguf = await openModelFile(model);
        mustAgree(gguf, readFileSync(model));
        await closeGguf(gguf);
      }
    });
  });
}

describe("readGguf", () => {
  it("reads a value of every type", async () => {
    const gguf = await read(sampleFile());
    mustAgree(gguf, sampleFile().build());
    const values = Object.fromEntries(gguf.metadata);
    expect(values).toMatchObject({
      "general.architecture": "llama",
      "a.u8": 200,
      "a.i8": -3,
      "a.i16": -300,
      "a.u32": 4294967295,
      "a.i32": -5,
      "a.f32": 0.5,
      "a.bool": true,
      "a.u64": 2n ** 64n - 1n,
      "a.i64": -7,
      "a.f64": Math.PI,
      "l.i32": { of: "i32", items: Int32Array.of(-1, 7) },
      "l.bool": { of: "bool", items: Uint8Array.of(1, 0) },
      "l.u64": { of: "u64", items: BigUint64Array.of(9n) },
      "l.string": { of: "string", items: ["", "a", "\u0120the", "\u{1f600}\ufeff"] },
      "l.none": { of: "string", items: [] },
    });
    expect(gguf.valueTypes.get("a.i64")).toBe("i64");
    expect(gguf.valueTypes.get("l.bool")).toBe("array");
    expect(gguf.alignment).toBe(64);
    expect([...gguf.tensors.keys()]).toEqual(["scalar", "plain", "blocks", "k", "empty"]);
    expect(gguf.tensors.get("scalar")).toMatchObject({ shape: [], bytes: 4 });
    expect(gguf.tensors.get("blocks")).toMatchObject({ shape: [32, 2, 2], bytes: 4 * 18 });
    expect(gguf.tensors.get("empty")?.bytes).toBe(0);
    expect(gguf.dataBytes).toBe(4 + 48 + 72 + 144);
  });

  it("reads version 2", async () => {
    const file = new GgufBytes().header(1, 1, 2).key("a", kind.u8).number(1, 7).tensor("t", [8], 0, 0).align().zeros(32);
    expect(await read(file)).toMatchObject({ version: 2, alignment: 32, dataBytes: 32 });
  });

  it("reads a file that ends with its last value, and one that has nothing", async () => {
    const gguf = await read(new GgufBytes().header(0, 1).key("a", kind.u8).number(1, 7));
    expect([gguf.metadata.get("a"), gguf.tensors.size, gguf.dataBytes]).toEqual([7, 0, 0]);
    expect((await read(new GgufBytes().header(0, 0))).metadata.size).toBe(0);
  });

  it("accepts an alignment of any integer type, gaps between tensors and tensors out of order", async () => {
    const file = new GgufBytes().header(2, 1).key("general.alignment", kind.u64).u64(8);
    file.tensor("b", [2], 0, 24).tensor("a", [2], 0, 0).align(8).zeros(32);
    const gguf = await read(file);
    expect([gguf.alignment, [...gguf.tensors.keys()]]).toEqual([8, ["b", "a"]]);
  });

  it("accepts the smallest and the largest alignment, and four dimensions", async () => {
    const packed = new GgufBytes().header(2, 1).key("general.alignment", kind.u8).number(1, 1);
    const bytes = packed.tensor("a", [3], 24, 0).tensor("b", [1, 2, 1, 2], 24, 3).raw([1, 2, 3, 4, 5, 6, 7]).build();
    const gguf = await read(bytes);
    expect([...gguf.tensors.values()].map(tensor => [tensor.offset, tensor.bytes])).toEqual([
      [bytes.length - 7, 3],
      [bytes.length - 4, 4],
    ]);
    const wide = await read(
      new GgufBytes()
        .header(0, 1)
        .key("general.alignment", kind.u64)
        .u64(2 ** 31),
    );
    expect(wide.alignment).toBe(2 ** 31);
  });

  it("keeps keys that an object would not", async () => {
    const gguf = await read(new GgufBytes().header(0, 2).key("__proto__", kind.u8).number(1, 7).key("constructor", kind.u8).number(1, 8));
    expect([...gguf.metadata]).toEqual([
      ["__proto__", 7],
      ["constructor", 8],
    ]);
    expect(({} as Record<string, unknown>)["a"]).toBeUndefined();
  });

  it("decodes strings of an array one by one where they are not UTF-8 or contain U+FFFD", async () => {
    const bytes = (...list: number[]): Uint8Array => Uint8Array.from(list);
    // A cut character before a stray continuation byte would make one character if the two were decoded together.
    const strings = [
      bytes(0xc4),
      bytes(0xa0),
      bytes(0x61, 0xff, 0x62),
      bytes(0xef, 0xbf, 0xbd),
      bytes(0xf0, 0x9f, 0x98),
      bytes(0x80, 0x80),
    ];
    const file = new GgufBytes().header(0, 1).array("s", kind.string, strings.length + 1);
    for (const string of strings) file.string(string);
    const gguf = await read(file.string("ok"));
    const items = ["\ufffd", "\ufffd", "a\ufffdb", "\ufffd", "\ufffd", "\ufffd\ufffd", "ok"];
    expect(gguf.metadata.get("s")).toEqual({ of: "string", items });
  });

  it("reads strings and arrays that are longer than the pieces in which it reads", async () => {
    const long = "x\u00e9\u{1f600}".repeat(60_000);
    const words = Array.from({ length: 30_000 }, (_, i) => (i % 5000 === 0 ? long.slice(0, i) : `w${i}`));
    const numbers = Float32Array.from({ length: 50_000 }, (_, i) => i);
    const file = new GgufBytes().header(0, 5).array("first", kind.f32, numbers.length).raw(new Uint8Array(numbers.buffer));
    file.key("long", kind.string).string(long).array("words", kind.string, words.length);
    for (const word of words) file.string(word);
    file.array("numbers", kind.f32, numbers.length).raw(new Uint8Array(numbers.buffer)).key("last", kind.u8).number(1, 9);
    const gguf = await read(file);
    expect(gguf.metadata.get("first")).toEqual({ of: "f32", items: numbers });
    expect(gguf.metadata.get("long")).toBe(long);
    expect(gguf.metadata.get("words")).toEqual({ of: "string", items: words });
    expect(gguf.metadata.get("numbers")).toEqual({ of: "f32", items: numbers });
    expect(gguf.metadata.get("last")).toBe(9);
  });

  it("reads the header only, in few pieces", async () => {
    const bytes = new GgufBytes()
      .header(1, 0)
      .tensor("t", [2 ** 18], 0, 0)
      .align()
      .zeros(2 ** 20)
      .build();
    const reads: [number, number][] = [];
    const source: ByteSource = {
      ...bytesSource(bytes),
      read(offset, length, into) {
        reads.push([offset, length]);
        return bytesSource(bytes).read(offset, length, into);
      },
    };
    await readGguf(source);
    expect(reads).toEqual([[0, 2 ** 16]]);
  });
});

describe("a tensor type that cannot be used", () => {
  it("has the bytes up to the next tensor, or up to the end", async () => {
    const file = new GgufBytes().header(3, 0).tensor("last", [99, 2], 144, 160).tensor("first", [64], 36, 0).tensor("middle", [8], 0, 96);
    const gguf = await read(file.align().zeros(200));
    expect(gguf.tensors.get("first")).toMatchObject({
      type: { name: "IQ4_NL_4_4", unusable: expect.stringContaining("BitNet") },
      bytes: 96,
    });
    expect(gguf.tensors.get("last")).toMatchObject({
      type: { name: "IQ4_KS", unusable: expect.stringContaining("ik_llama.cpp") },
      bytes: 40,
    });
  });

  it("is an error where it has no bytes of its own", async () => {
    const file = new GgufBytes().header(2, 0).tensor("a", [32], 31, 0).tensor("b", [8], 0, 0).align().zeros(32);
    const error = await caught("model.unsupported-type", () => read(file));
    expect(error.message).toContain('"a"');
    expect(error.details).toMatchObject({ tensor: "a", type: 31, name: "Q4_0_4_4" });
    await caught("model.unsupported-type", () => read(new GgufBytes().header(1, 0).tensor("a", [32], 777, 0).align()));
  });
});

describe("speed", () => {
  it("reads a large vocabulary in less time than it takes to decode its strings one by one", async () => {
    // 0.1 to 0.15 s on two idle cores for 200,000 tokens and 280,000 merges. Compared with work of the same machine at the same moment,
    // because seconds mean nothing on a busy one.
    const bytes = largeVocabulary(200_000, 280_000);
    const fastest = { own: Infinity, reference: Infinity };
    for (let i = 0; i < 6 && (i < 2 || fastest.own >= fastest.reference); i++) {
      let start = performance.now();
      await read(bytes);
      fastest.own = Math.min(fastest.own, performance.now() - start);
      start = performance.now();
      parseReference(bytes);
      fastest.reference = Math.min(fastest.reference, performance.now() - start);
    }
    expect(fastest.own).toBeLessThan(fastest.reference);
  });
});

function largeVocabulary(tokens: number, merges: number): Uint8Array {
  let state = 1;
  const random = (below: number): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % below;
  const word = (): string => {
    let text = random(2) ? "\u0120" : "";
    for (let n = 1 + random(10); n > 0; n--) text += random(20) ? String.fromCharCode(97 + random(26)) : "\u00c3";
    return text;
  };
  const pieces: Uint8Array[] = [new GgufBytes().header(0, 4).build()];
  const strings = (key: string, list: string[]): void => {
    pieces.push(new GgufBytes().array(key, kind.string, list.length).build());
    for (const text of list) {
      const bytes = Buffer.from(text);
      const length = Buffer.alloc(8);
      length.writeUInt32LE(bytes.length);
      pieces.push(length, bytes);
    }
  };
  strings("tokenizer.ggml.tokens", Array.from({ length: tokens }, word));
  pieces.push(new GgufBytes().array("tokenizer.ggml.scores", kind.f32, tokens).build(), new Uint8Array(tokens * 4));
  pieces.push(new GgufBytes().array("tokenizer.ggml.token_type", kind.i32, tokens).build(), new Uint8Array(tokens * 4));
  strings(
    "tokenizer.ggml.merges",
    Array.from({ length: merges }, () => `${word()} ${word()}`),
  );
  return Buffer.concat(pieces);
}
