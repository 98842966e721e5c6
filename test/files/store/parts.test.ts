/** The small parts of the store: names, choice among files, manifests, locks, dates of servers, folders. */
import { mkdtempSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { addressName, parseAddress, safeFileName } from "../../../src/files/store/address.ts";
import { chooseModel, modelsIn, quantLabel } from "../../../src/files/store/choice.ts";
import { isOwnNetwork } from "../../../src/files/store/hosts.node.ts";
import { retryAfter } from "../../../src/files/store/http.node.ts";
import { Lock } from "../../../src/files/store/lock.node.ts";
import { parseManifest } from "../../../src/files/store/manifest.ts";
import { Partial } from "../../../src/files/store/partial.node.ts";
import { defaultHome } from "../../../src/files/store/store.node.ts";
import { writing } from "../../../src/files/store/system.node.ts";
import { caught } from "../caught.ts";
import { temporaryHome } from "./folders.ts";

const home = temporaryHome();

describe("names of models", () => {
  it.each(["hf:org/repo", "hf:org/repo:Q4_K_M", "hf:org/repo@v1.0:sub/file name.gguf", "https://example.org/a.gguf?x=1"])("%s", name => {
    const address = parseAddress(name);
    expect(address.kind).not.toBe("file");
    expect(parseAddress(addressName(address as never))).toEqual(address);
  });
  it.each(["model.gguf", "./hf/model.gguf", "C:\\models\\m.gguf", "/a/b", ""])("%j is a path", path => {
    expect(parseAddress(path)).toEqual({ kind: "file", path });
  });
});

describe("file names from servers", () => {
  it.each([
    ["a/b/Model-Q4_K_M.gguf", "Model-Q4_K_M.gguf"],
    ["m-00001-of-00002.gguf", "m-00001-of-00002.gguf"],
    ["../../etc/passwd", "passwd.gguf"],
    ["..", "model.gguf"],
    ["", "model.gguf"],
    ["a\\..\\b.gguf", "b.gguf"],
    ["%2e%2e%2fx.gguf", "x.gguf"],
    ["con.gguf", "_con.gguf"],
    ["a\u001b[31m.gguf", "a__31m.gguf"],
    ["x%", "x_.gguf"],
    [".hidden.gguf", "hidden.gguf"],
  ])("%j becomes %j", (path, name) => {
    expect(safeFileName(path)).toBe(name);
    expect(safeFileName(name)).toBe(name);
  });
  it("are never long", () => expect(safeFileName(`${"x".repeat(5000)}.gguf`).length).toBeLessThanOrEqual(150));
});

describe("hosts", () => {
  it.each([
    "localhost",
    "a.localhost.",
    "127.1",
    "0x7f000001",
    "10.1.2.3",
    "169.254.169.254",
    "[::1]",
    "[::ffff:192.168.0.1]",
    "[fe80::1]",
    "nas",
  ])("%s is of this machine or its network", host => expect(isOwnNetwork(new URL(`http://${host}/`))).toBe(true));
  it.each(["example.org", "8.8.8.8", "172.32.0.1", "[2606:4700::1]", "localhost.example.org", "10.example.org"])("%s is not", host =>
    expect(isOwnNetwork(new URL(`http://${host}/`))).toBe(false),
  );
});

describe("quantisations", () => {
  it.each([
    ["Llama-3.2-1B-Instruct-Q4_K_M.gguf", "Q4_K_M"],
    ["x/y/model.Q8_0-00001-of-00003.gguf", "Q8_0"],
    ["m-UD-IQ2_XXS.gguf", "UD-IQ2_XXS"],
    ["gpt-oss-20b-mxfp4.gguf", "MXFP4"],
    ["qwen2.5-0.5b-instruct-fp16.gguf", "FP16"],
    ["bitnet-i2_s.gguf", "I2_S"],
    ["phi-4.gguf", ""],
    ["Q-learner-7b.gguf", ""],
  ])("%s: %s", (name, label) => expect(quantLabel(name)).toBe(label));

  const files = (...paths: string[]) => paths.map(path => ({ path, bytes: 1 }));
  it("prefer what most people want, and no projector", () => {
    const models = modelsIn(files("m-F16.gguf", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "mmproj-Q4_K_M.gguf", "x.safetensors"));
    expect(chooseModel(models, undefined, "o/r").files[0].path).toBe("m-Q4_K_M.gguf");
    expect(chooseModel(models, "mmproj-Q4_K_M.gguf", "o/r").main).toBe(false);
  });
  it("leave out split models with missing parts", () => {
    expect(modelsIn(files("m-00001-of-00002.gguf"))).toEqual([]);
    expect(modelsIn(files("m-00002-of-00002.gguf", "m-00001-of-00002.gguf"))[0].files.map(f => f.path)).toEqual([
      "m-00001-of-00002.gguf",
      "m-00002-of-00002.gguf",
    ]);
  });
});

describe("manifests", () => {
  const file = { name: "m.gguf", bytes: 1, sha256: "0".repeat(64), url: "https://example.org/m.gguf" };
  const good = { version: 1, name: "n", quant: "", architecture: "", files: [file], begun: "" };
  it("are read", () => expect(parseManifest(JSON.stringify(good))).toEqual(good));
  it.each([
    "",
    "null",
    "[]",
    JSON.stringify({ ...good, version: 2 }),
    JSON.stringify({ ...good, files: [] }),
    JSON.stringify({ ...good, files: [{ ...file, name: "../m.gguf" }] }),
    JSON.stringify({ ...good, files: [{ ...file, name: "/m.gguf" }] }),
    JSON.stringify({ ...good, files: [{ ...file, bytes: -1 }] }),
    JSON.stringify({ ...good, files: [{ ...file, sha256: "x" }] }),
    JSON.stringify({ ...good, name: 7 }),
  ])("%s is none", text => expect(parseManifest(text)).toBeUndefined());
});

describe("locks", () => {
  const fresh = (): string => join(mkdtempSync(join(home, "l-")), "lock");
  const writeHolder = (path: string, holder: unknown, agoSeconds = 0): void => {
    writeFileSync(`${path}.7`, typeof holder === "string" ? holder : JSON.stringify(holder));
    const then = new Date(Date.now() - 1000 * agoSeconds);
    utimesSync(`${path}.7`, then, then);
  };

  it("are held by one", async () => {
    const path = fresh();
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      const lock = await Lock.wait(path);
      most = Math.max(most, ++inside);
      await new Promise(done => setTimeout(done, 3));
      expect(await lock.held()).toBe(true);
      inside--;
      await lock.release();
    };
    await Promise.all(Array.from({ length: 8 }, work));
    expect(most).toBe(1);
    expect(readdirSync(join(path, "..")).length).toBe(1);
  });

  it.each([
    ["a process that is gone", { pid: 2 ** 22 + 5, host: hostname() }, 0],
    ["a process that was silent for long", { pid: process.pid, host: hostname() }, 3600],
    ["a process that died before it could write", "", 60],
    ["nobody", "free", 0],
  ])("are taken from %s", async (_, holder, ago) => {
    const path = fresh();
    writeHolder(path, holder, ago);
    expect(await Lock.take(path)).toBeDefined();
    expect(await Lock.take(path)).toBeUndefined();
  });

  it.each([
    ["a process that lives", { pid: process.pid, host: hostname() }, 5],
    ["a process on another machine", { pid: 1, host: "elsewhere" }, 5],
    ["a process that is just writing", "", 0],
  ])("are not taken from %s", async (_, holder, ago) => {
    const path = fresh();
    writeHolder(path, holder, ago);
    expect(await Lock.take(path)).toBeUndefined();
  });
});

describe("Retry-After", () => {
  const pause = (text: string): number | undefined => retryAfter(new Headers({ "retry-after": text }), Date.UTC(2026, 0, 1));
  it("counts seconds or names a date", () => {
    expect(pause("7")).toBe(7000);
    expect(pause("Thu, 01 Jan 2026 00:00:05 GMT")).toBe(5000);
    expect(pause("Wed, 31 Dec 2025 00:00:00 GMT")).toBe(0);
    expect(pause("soon")).toBeUndefined();
  });
});

describe("chunks that are committed one after the other", () => {
  it("are all flushed, each also where the flush before has just ended", async () => {
    const path = join(mkdtempSync(join(home, "p-")), "m.gguf");
    const partial = await Partial.open(path, { bytes: 64 * 4096, chunkBytes: 4096, content: "x" });
    for (let index = 0; index < partial.count; index++) await partial.commit(index, "0".repeat(64));
    expect(partial.missing()).toEqual([]);
    await partial.close();
    const again = await Partial.open(path, { bytes: 64 * 4096, chunkBytes: 8192, content: "x" });
    expect([again.chunkBytes, again.held]).toEqual([4096, 64 * 4096]);
    await again.discard();
  });
});

describe("errors of the system", () => {
  const failing = (code: string) => writing("/x", () => Promise.reject(Object.assign(new Error(code), { code })));
  it("say whether the disk is full", async () => {
    for (const code of ["ENOSPC", "EDQUOT"]) await caught("store.disk-full", () => failing(code));
    await caught("file.write-failed", () => failing("EACCES"));
  });
});

describe("the folder of the store", () => {
  it.each([
    [{ LATHE_HOME: "/x", XDG_CACHE_HOME: "/c" }, "linux", "/x"],
    [{ XDG_CACHE_HOME: "/c" }, "linux", "/c/lathe"],
    [{ XDG_CACHE_HOME: "relative" }, "linux", /\/\.cache\/lathe$/],
    [{}, "linux", /\/\.cache\/lathe$/],
    [{}, "darwin", /\/Library\/Caches\/lathe$/],
  ] as const)("%j on %s", (environment, platform, folder) => {
    const found = defaultHome(environment as NodeJS.ProcessEnv, platform);
    if (typeof folder === "string") expect(found).toBe(folder);
    else expect(found).toMatch(folder);
  });
});
