/** Writing GGUF: round trips, refused content, files split over several parts, atomic writes. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { bytesSource, closeGguf, type Gguf, openGguf, readGguf, splitName } from "../../src/files/gguf.ts";
import {
  contentOf,
  type GgufContent,
  type GgufInput,
  type GgufTensor,
  ggufBytes,
  splitGguf,
  writeGguf,
} from "../../src/files/gguf-write.ts";
import { openModelFile } from "../../src/files/open.node.ts";
import { atomicWrite, writeModelFile } from "../../src/files/write.node.ts";
import { ggmlType } from "../../src/formats/types.ts";
import { temporaryFolder } from "../fixtures/temporary.ts";
import { describeShared } from "../shared.ts";
import { caught } from "./caught.ts";
import { mustAgree } from "./gguf-agree.ts";
import { sampleFile } from "./gguf-builder.ts";

const root = temporaryFolder("write");
let folder = root;
let counter = 0;
beforeEach(() => mkdirSync((folder = join(root, String(counter++)))));

const f32 = (name: string, ...values: number[]): GgufTensor => ({
  name,
  type: ggmlType(0),
  shape: [values.length],
  data: new Uint8Array(Float32Array.from(values).buffer),
});
const arch: [string, GgufInput] = ["general.architecture", "llama"];
const dataOf = async (gguf: Gguf, name: string): Promise<number[]> => {
  const tensor = gguf.tensors.get(name);
  if (!tensor) throw new Error(`no tensor ${name}`);
  return [...new Float32Array((await gguf.parts[tensor.part].read(tensor.offset, tensor.bytes)).buffer)];
};

describe("writeGguf", () => {
  it("copies a file byte for byte", async () => {
    // The sample has a gap before its data ends and one tensor without data, which the writer lays out in its own way.
    const first = await ggufBytes(contentOf(await readGguf(bytesSource(sampleFile().build()))));
    const second = await ggufBytes(contentOf(await readGguf(bytesSource(first)), 7));
    expect(second).toEqual(first);
    const [gguf, original] = await Promise.all([readGguf(bytesSource(first)), readGguf(bytesSource(sampleFile().build()))]);
    mustAgree(gguf, first);
    expect(gguf.metadata).toEqual(original.metadata);
    expect(gguf.valueTypes).toEqual(original.valueTypes);
    for (const { name, offset, bytes } of original.tensors.values()) {
      const copy = gguf.tensors.get(name);
      expect(await gguf.parts[0].read(copy?.offset ?? 0, bytes)).toEqual(await original.parts[0].read(offset, bytes));
    }
  });

  it("writes arrays that are larger than its first buffer", async () => {
    const items = Float32Array.from({ length: 50_000 }, (_, i) => i);
    const texts = Array.from({ length: 20_000 }, (_, i) => `token ${i}`);
    const metadata: [string, GgufInput][] = [
      arch,
      ["a", { of: "f32", items }],
      ["b", { of: "string", items: texts }],
      ["c", { of: "f32", items }],
    ];
    const gguf = await readGguf(bytesSource(await ggufBytes({ metadata })));
    expect(gguf.metadata.get("a")).toEqual({ of: "f32", items });
    expect(gguf.metadata.get("b")).toEqual({ of: "string", items: texts });
    expect(gguf.metadata.get("c")).toEqual({ of: "f32", items });
  });

  it("picks the type of a plain number, and takes the type that is given", async () => {
    const metadata: [string, GgufInput][] = [
      ["u32", 4294967295],
      ["i32", -1],
      ["u64", 4294967296],
      ["i64", -2147483649],
      ["f32", 0.5],
      ["bool", false],
      ["string", "h\u00e9"],
      ["big", 2n ** 64n - 1n],
      ["f64", { type: "f64", value: 1 }],
      ["u8", { type: "u8", value: 255 }],
      ["i64 too", { type: "i64", value: 5n }],
    ];
    const gguf = await readGguf(bytesSource(await ggufBytes({ metadata })));
    const types = ["u32", "i32", "u64", "i64", "f32", "bool", "string", "u64", "f64", "u8", "i64"];
    expect([...gguf.valueTypes.values()]).toEqual(types);
    const values = [4294967295, -1, 4294967296, -2147483649, 0.5, false, "h\u00e9", 2n ** 64n - 1n, 1, 255, 5];
    expect([...gguf.metadata.values()]).toEqual(values);
  });

  it("streams data in pieces, aligned as told", async () => {
    const pieces = [Uint8Array.of(0, 0, 128), Uint8Array.of(63, 0, 0, 0, 64)];
    const tensors: GgufTensor[] = [
      { name: "a", type: ggmlType(0), shape: [2], data: () => pieces },
      { name: "b", type: ggmlType(0), shape: [1], data: async () => Uint8Array.of(0, 0, 64, 64) },
      {
        name: "c",
        type: ggmlType(24),
        shape: [],
        data: async function* () {
          yield Uint8Array.of(7);
        },
      },
    ];
    const sizes: number[] = [];
    const content = { metadata: [["general.alignment", 128]], tensors, version: 2 } as const;
    const total = await writeGguf(content, bytes => void sizes.push(bytes.length));
    expect(total).toBe(sizes.reduce((a, b) => a + b, 0));
    const gguf = await readGguf(bytesSource(await ggufBytes(content)));
    expect([gguf.version, gguf.alignment, gguf.parts[0].size]).toEqual([2, 128, total]);
    expect([...gguf.tensors.values()].map(tensor => tensor.offset % 128)).toEqual([0, 0, 0]);
    expect([await dataOf(gguf, "a"), await dataOf(gguf, "b")]).toEqual([[1, 2], [3]]);
  });

  const refused: [what: string, content: GgufContent][] = [
    ["a key twice", { metadata: [arch, arch] }],
    ["a key of 65536 bytes", { metadata: [["k".repeat(65536), 1]] }],
    ["an alignment that is no power of two", { metadata: [["general.alignment", 48]] }],
    ["300 as u8", { metadata: [["a", { type: "u8", value: 300 }]] }],
    ["-1 as u64", { metadata: [["a", { type: "u64", value: -1n }]] }],
    ["a fraction as i32", { metadata: [["a", { type: "i32", value: 0.5 }]] }],
    ["text as f32", { metadata: [["a", { type: "f32", value: "1" }]] }],
    ["a number as text", { metadata: [["a", { type: "string", value: 1 }]] }],
    ["a number as boolean", { metadata: [["a", { type: "bool", value: 1 }]] }],
    ["2^64", { metadata: [["a", 2n ** 64n]] }],
    ["items of another type", { metadata: [["a", { of: "i32", items: Float32Array.of(1) }]] }],
    ["booleans of 2", { metadata: [["a", { of: "bool", items: Uint8Array.of(2) }]] }],
    ["a tensor twice", { metadata: [], tensors: [f32("t", 1), f32("t", 2)] }],
    ["five dimensions", { metadata: [], tensors: [{ ...f32("t", 1), shape: [1, 1, 1, 1, 1] }] }],
    ["a negative dimension", { metadata: [], tensors: [{ ...f32("t", 1), shape: [-1] }] }],
    ["a huge shape", { metadata: [], tensors: [{ ...f32("t", 1), shape: [2 ** 30, 2 ** 30] }] }],
    ["too little data", { metadata: [], tensors: [{ ...f32("t", 1), shape: [2] }] }],
    ["too much data", { metadata: [], tensors: [{ ...f32("t", 1, 2, 3), shape: [2] }] }],
  ];
  it.each(refused)("refuses %s", async (_what, content) => {
    await caught("option.invalid", () => ggufBytes(content));
  });

  it("refuses types that cannot be written and rows that are not whole blocks", async () => {
    await caught("model.unsupported-type", () => ggufBytes({ metadata: [], tensors: [{ ...f32("t", 1), type: ggmlType(4) }] }));
    await caught("model.wrong-shape", () => ggufBytes({ metadata: [], tensors: [{ ...f32("t", 1), type: ggmlType(2), shape: [16, 2] }] }));
  });
});

describeShared("a trained model", "lm-stories260k/stories260K.gguf", path => {
  it("is the same after writing", async () => {
    const gguf = await openModelFile(path);
    const copy = join(folder, "copy.gguf");
    expect(await writeModelFile(copy, contentOf(gguf, 5000))).toEqual([copy]);
    expect(Buffer.compare(readFileSync(copy), readFileSync(path))).toBe(0);
    await closeGguf(gguf);
  });
});

describe("a split model", () => {
  const content: GgufContent = {
    metadata: [arch, ["general.alignment", 64], ["a", 7]],
    tensors: [f32("t0", 1, 2), f32("t1", 3), f32("t2", 4, 5, 6), f32("t3", 7)],
  };
  const write = (): Promise<string[]> => writeModelFile(join(folder, "m.gguf"), content, 12);

  it("is written in parts and opened by any of them", async () => {
    const paths = await write();
    expect(readdirSync(folder).sort()).toEqual(["m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"]);
    for (const path of paths) {
      const gguf = await openModelFile(path);
      expect(gguf.parts.map(part => part.name)).toEqual(paths);
      expect(gguf.metadata.get("a")).toBe(7);
      expect([...gguf.tensors.values()].map(({ name, part }) => [name, part])).toEqual([
        ["t0", 0],
        ["t1", 0],
        ["t2", 1],
        ["t3", 2],
      ]);
      expect([await dataOf(gguf, "t0"), await dataOf(gguf, "t2"), await dataOf(gguf, "t3")]).toEqual([[1, 2], [4, 5, 6], [7]]);
      expect([gguf.dataBytes, gguf.alignment]).toEqual([28, 64]);
      await closeGguf(gguf);
    }
  });

  it("is joined by writing it again", async () => {
    const gguf = await openModelFile((await write())[1]);
    expect(await ggufBytes(contentOf(gguf))).toEqual(await ggufBytes(content));
    await closeGguf(gguf);
  });

  it("may have no tensors in its first part", async () => {
    const parts = splitGguf(content, 12);
    const files = new Map<string, Uint8Array>();
    const all = parts.flatMap(part => part.tensors ?? []);
    for (const [i, tensors] of [[], all].entries()) {
      const split: [string, GgufInput][] = [
        ["split.no", i],
        ["split.count", 2],
        ["split.tensors.count", 4],
      ];
      files.set(splitName("x", i, 2), await ggufBytes({ metadata: i === 0 ? [arch, ...split] : split, tensors }));
    }
    const gguf = await openGguf(async name => bytesSource(files.get(name) ?? new Uint8Array(0), name), "x-00002-of-00002.gguf");
    expect([gguf.tensors.size, gguf.tensors.get("t0")?.part, gguf.metadata.get("general.architecture")]).toEqual([4, 1, "llama"]);
  });

  it("says which part is missing, and closes the others", async () => {
    const paths = await write();
    rmSync(paths[2]);
    let open = 0;
    const opening = openGguf(async name => {
      const { openFile } = await import("../../src/files/source.node.ts");
      const source = await openFile(name);
      open++;
      const close = source.close.bind(source);
      const counted = (): Promise<void> => {
        open--;
        return close();
      };
      return Object.assign(source, { close: counted });
    }, paths[0]);
    const error = await caught("gguf.split", () => opening);
    expect(error.details).toMatchObject({ file: paths[2], no: 2, count: 3 });
    expect(error.message).toContain("m-00003-of-00003.gguf");
    expect(open).toBe(0);
  });

  it("is refused where files were renamed, swapped or changed", async () => {
    const paths = await write();
    writeFileSync(join(folder, "other.gguf"), readFileSync(paths[0]));
    expect((await caught("gguf.split", () => openModelFile(join(folder, "other.gguf")))).message).toContain("-00001-of-00003.gguf");
    renameSync(paths[1], join(folder, "swap"));
    renameSync(paths[2], paths[1]);
    await caught("gguf.split", () => openModelFile(paths[0]));
    await caught("gguf.split", () => openModelFile(paths[1]));
    renameSync(join(folder, "swap"), paths[2]);
    await caught("gguf.split", () => openModelFile(paths[0]));
  });

  it.each([
    ["a tensor in two parts", 2, "t0", '"t0"'],
    ["another number of tensors", 3, "t1", "2 tensors instead of 3"],
  ])("is refused with %s", async (_what, total, second, word) => {
    const open = async (name: string) => {
      const i = name.startsWith("x-00001") ? 0 : 1;
      const metadata: [string, GgufInput][] = [
        ["split.no", i],
        ["split.count", 2],
        ["split.tensors.count", total],
      ];
      return bytesSource(await ggufBytes({ metadata, tensors: [f32(i === 0 ? "t0" : second, 1)] }), name);
    };
    expect((await caught("gguf.split", () => openGguf(open, "x-00001-of-00002.gguf"))).message).toContain(word);
  });

  it.each([70000, 2.5, 2 ** 40])("is refused with %d parts", async count => {
    const metadata: [string, GgufInput][] = [
      ["split.no", 0],
      ["split.count", { type: "f64", value: count }],
    ];
    const open = async (name: string) => bytesSource(await ggufBytes({ metadata }), name);
    await caught("gguf.split", () => openGguf(open, "x-00001-of-00002.gguf"));
  });

  it("of one part is not split", async () => {
    const bytes = await ggufBytes({
      metadata: [
        ["split.no", 0],
        ["split.count", 1],
      ],
      tensors: [f32("t", 1)],
    });
    expect((await openGguf(async name => bytesSource(bytes, name), "any.gguf")).tensors.size).toBe(1);
  });

  it("gives other errors of opening unchanged", async () => {
    const paths = await write();
    rmSync(paths[1]);
    mkdirSync(paths[1]);
    await caught("file.unreadable", () => openModelFile(paths[0]));
    await caught("file.not-found", () => openModelFile(join(folder, "none.gguf")));
  });
});

describe("atomicWrite", () => {
  it("replaces a file only when all is written", async () => {
    const path = join(folder, "out.bin");
    writeFileSync(path, "old");
    await atomicWrite(path, async sink => {
      await sink(Buffer.from("ne"));
      expect(readFileSync(path, "utf8")).toBe("old");
      await sink(Buffer.from("w"));
    });
    expect(readFileSync(path, "utf8")).toBe("new");
    expect(readdirSync(folder)).toEqual(["out.bin"]);
  });

  it("leaves the old file and nothing else behind on failure", async () => {
    const path = join(folder, "out.bin");
    writeFileSync(path, "old");
    const failing = atomicWrite(path, async sink => {
      await sink(Buffer.from("new"));
      throw new TypeError("halfway");
    });
    await expect(failing).rejects.toThrow("halfway");
    await caught("option.invalid", () => atomicWrite(path, sink => writeGguf({ metadata: [], tensors: [f32("t", 1), f32("t", 1)] }, sink)));
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(folder)).toEqual(["out.bin"]);
  });

  it("has its own error where the file cannot be written", async () => {
    const error = await caught("file.write-failed", () => atomicWrite(join(folder, "no", "out.bin"), async () => {}));
    expect(error.details).toMatchObject({ cause: "ENOENT" });
    mkdirSync(join(folder, "sub"));
    await caught("file.write-failed", () => atomicWrite(join(folder, "sub"), async () => {}));
    expect(readdirSync(folder)).toEqual(["sub"]);
  });
});
