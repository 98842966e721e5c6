/** Machine code kept between processes: what is found again, and all that must count as absent. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CodeCache } from "../../src/runtime/code-cache.ts";
import { CodeFiles } from "../../src/runtime/native/code-files.node.ts";
import { temporaryFolder } from "../fixtures/temporary.ts";

const root = temporaryFolder("code");

let folders = 0;
const fresh = (): string => join(root, `${folders++}`, "code");
const code = Uint8Array.from({ length: 500 }, (_, i) => (7 * i) & 255);
/** The one file of a folder. */
const only = (folder: string): string => join(folder, readdirSync(folder)[0]);

describe.skipIf(!process.getuid)(`kept code${process.getuid ? "" : " (this system has no owners of files)"}`, () => {
  it("is found under its key by the same compiler, and by no other", () => {
    const folder = fresh();
    new CodeFiles(folder, "one").write("key", code);
    expect(new CodeFiles(folder, "one").read("key")).toEqual(code);
    expect(new CodeFiles(folder, "one").read("other")).toBeUndefined();
    expect(new CodeFiles(folder, "two").read("key")).toBeUndefined();
    expect(readdirSync(folder)).toHaveLength(1);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(only(folder)).mode & 0o777).toBe(0o600);
  });

  it("is not believed where a bit has changed or bytes are missing", () => {
    const folder = fresh();
    const files = new CodeFiles(folder, "one");
    files.write("key", code);
    const whole = readFileSync(only(folder));
    for (const at of [0, 31, 32, whole.length - 1]) {
      const changed = Uint8Array.from(whole);
      changed[at] ^= 1;
      writeFileSync(only(folder), changed);
      expect(files.read("key")).toBeUndefined();
    }
    for (const length of [0, 32, whole.length - 1]) {
      writeFileSync(only(folder), whole.subarray(0, length));
      expect(files.read("key")).toBeUndefined();
    }
    writeFileSync(only(folder), whole);
    expect(files.read("key")).toEqual(code);
  });

  it("is not believed under another name", () => {
    const folder = fresh();
    const files = new CodeFiles(folder, "one");
    files.write("key", code);
    const path = only(folder);
    const kept = readFileSync(path);
    rmSync(path);
    files.write("other", code.subarray(1));
    writeFileSync(only(folder), kept);
    expect(files.read("other")).toBeUndefined();
  });

  it("is not believed where others may write it, or behind a link", () => {
    const folder = fresh();
    const files = new CodeFiles(folder, "one");
    files.write("key", code);
    const path = only(folder);
    chmodSync(path, 0o620);
    expect(files.read("key")).toBeUndefined();
    chmodSync(path, 0o600);
    expect(files.read("key")).toEqual(code);
    const elsewhere = join(root, "elsewhere");
    writeFileSync(elsewhere, readFileSync(path), { mode: 0o600 });
    rmSync(path);
    symlinkSync(elsewhere, path);
    expect(files.read("key")).toBeUndefined();
    chmodSync(folder, 0o777);
    expect(() => new CodeFiles(folder, "one")).toThrow("own");
  });

  it("makes room by what was not used longest", () => {
    const folder = fresh();
    const files = new CodeFiles(folder, "one", 3000);
    for (let i = 0; i < 5; i++) {
      files.write(`key ${i}`, code);
      const newest = readdirSync(folder).find(name => statSync(join(folder, name)).mtimeMs > Date.now() - 1000 * 3600);
      utimesSync(join(folder, newest!), new Date(), new Date(Date.now() - (10 - i) * 3600 * 1000));
    }
    files.trim();
    expect(readdirSync(folder)).toHaveLength(5);
    files.write("key 5", code);
    files.trim();
    expect([0, 1, 2, 3, 4, 5].map(i => files.read(`key ${i}`) !== undefined)).toEqual([false, false, false, false, true, true]);
  });

  it("that cannot be written is left out", () => {
    const folder = fresh();
    const files = new CodeFiles(folder, "one");
    rmSync(folder, { recursive: true });
    files.write("key", code);
    expect(files.read("key")).toBeUndefined();
    mkdirSync(folder, { recursive: true });
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("code of this process", () => {
  it("is made once for each key, and the least used goes when the room is used up", () => {
    const made: string[] = [];
    const cache = new CodeCache<string>(text => text.length, 20);
    const get = (key: string): string =>
      cache.get(key, () => {
        made.push(key);
        return `code of ${key}`; // nine bytes and one for the key
      });
    expect([get("a"), get("b"), get("a")]).toEqual(["code of a", "code of b", "code of a"]);
    get("c");
    get("a");
    get("b");
    expect(made).toEqual(["a", "b", "c", "b"]);
  });
});
