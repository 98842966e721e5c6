/** Byte sources: memory, Blob, files; ranges, shared memory, closing, and files that are missing, unreadable or change. */
import { chmodSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openFile, openFileSync } from "../../src/files/source.node.ts";
import { type ByteSource, blobSource, bytesSource } from "../../src/files/source.ts";
import { temporaryFolder } from "../fixtures/temporary.ts";
import { caught } from "./caught.ts";

const folder = temporaryFolder("source");

const content = Uint8Array.from({ length: 1000 }, (_, i) => (i * 31) & 255);
const path = join(folder, "content.bin");
writeFileSync(path, content);

const sources: [kind: string, open: () => Promise<ByteSource>][] = [
  ["memory", async () => bytesSource(content, "m")],
  ["blob", async () => blobSource(new Blob([content]), "b")],
  ["file", () => openFile(path)],
];

describe.each(sources)("a source of %s", (_kind, open) => {
  it("reads ranges into new arrays and into given ones", async () => {
    const source = await open();
    expect(source.size).toBe(1000);
    expect(await source.read(0, 1000)).toEqual(content);
    expect(await source.read(990, 10)).toEqual(content.slice(990));
    expect(await source.read(1000, 0)).toEqual(new Uint8Array(0));
    const shared = new Uint8Array(new SharedArrayBuffer(64), 8, 40);
    const out = await source.read(17, 33, shared);
    expect([out.length, out.buffer === shared.buffer, out.byteOffset]).toEqual([33, true, 8]);
    expect([...shared]).toEqual([...content.slice(17, 50), 0, 0, 0, 0, 0, 0, 0]);
    await source.close();
  });

  it("gives copies", async () => {
    const source = await open();
    (await source.read(0, 4)).fill(99);
    expect(await source.read(0, 4)).toEqual(content.slice(0, 4));
    await source.close();
  });

  it("refuses ranges outside and arrays too small as mistakes of the caller", async () => {
    const source = await open();
    for (const [offset, length] of [
      [-1, 2],
      [0, 1001],
      [1001, 0],
      [0.5, 1],
      [0, -1],
      [Number.NaN, 1],
      [2 ** 53, 1],
    ]) {
      await expect(source.read(offset, length)).rejects.toThrow(RangeError);
    }
    await expect(source.read(0, 5, new Uint8Array(4))).rejects.toThrow(RangeError);
    await source.close();
  });

  it("says so when it is read after closing, and closes twice", async () => {
    const source = await open();
    const early = source.read(0, 1000);
    await source.close();
    await source.close();
    await early.catch(cause => expect(cause).toMatchObject({ code: "model.closed" }));
    await caught("model.closed", () => source.read(0, 1));
  });
});

describe("a file", () => {
  it("is read synchronously in the same way", async () => {
    const file = openFileSync(path);
    expect(file.readSync(5, 100)).toEqual(content.slice(5, 105));
    const shared = new Uint8Array(new SharedArrayBuffer(10));
    file.readSync(990, 10, shared);
    expect([...shared]).toEqual([...content.slice(990)]);
    expect(() => file.readSync(999, 2)).toThrow(RangeError);
    await file.close();
    await caught("model.closed", () => file.readSync(0, 1));
  });

  it("that became shorter is noticed", async () => {
    const shrinking = join(folder, "shrinking.bin");
    writeFileSync(shrinking, content);
    const file = await openFile(shrinking);
    truncateSync(shrinking, 500);
    expect(await file.read(0, 500)).toEqual(content.slice(0, 500));
    const error = await caught("file.changed", () => file.read(400, 200));
    expect(error.details).toMatchObject({ path: shrinking, size: 1000, offset: 500 });
    await caught("file.changed", () => file.readSync(400, 200));
    await file.close();
  });

  it("that is missing or is none has its own errors", async () => {
    await caught("file.not-found", () => openFile(join(folder, "none.gguf")));
    await caught("file.not-found", () => openFile(join(path, "inside-a-file")));
    await caught("file.not-found", () => openFile("a\0b"));
    await caught("file.not-found", () => openFile(""));
    mkdirSync(join(folder, "sub"));
    expect((await caught("file.unreadable", () => openFile(join(folder, "sub")))).message).toContain("a folder");
    symlinkSync("loop", join(folder, "loop"));
    await caught("file.unreadable", () => openFile(join(folder, "loop")));
    if (process.platform !== "win32") await caught("file.unreadable", () => openFile("/dev/null"));
  });

  it.skipIf(process.platform === "win32" || process.getuid?.() === 0)("that may not be read has its own error", async () => {
    const secret = join(folder, "secret.bin");
    writeFileSync(secret, content);
    chmodSync(secret, 0);
    await caught("file.unreadable", () => openFile(secret));
  });

  it("a read under way when it is closed ends before the descriptor is given back", async () => {
    for (let i = 0; i < 50; i++) {
      const file = await openFile(path);
      const reads = Array.from({ length: 8 }, () => file.read(0, 1000));
      const closing = file.close();
      for (const read of reads) expect(await read).toEqual(content);
      await closing;
    }
  });
});

describe("a blob", () => {
  it("that can no longer be read has its own error", async () => {
    const blob = new Blob([content]);
    const broken = Object.assign(blob, { slice: () => ({ arrayBuffer: () => Promise.reject(new Error("gone")) }) as unknown as Blob });
    await caught("file.unreadable", () => blobSource(broken).read(0, 1));
    const short = Object.assign(new Blob([content]), { slice: () => new Blob([content.slice(0, 3)]) });
    await caught("file.changed", () => blobSource(short).read(0, 9));
  });
});
