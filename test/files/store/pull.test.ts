/** Pulling by name from a made-up hub and from plain URLs: which files, under which names, with which token, and what is in the store after. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { ggufBytes, splitGguf } from "../../../src/files/gguf-write.ts";
import { openNamedModel } from "../../../src/files/store/named.node.ts";
import { locate, type PullOptions, pull } from "../../../src/files/store/pull.node.ts";
import { Store } from "../../../src/files/store/store.node.ts";
import { faultServer } from "../../fixtures/fault-server.ts";
import { modelContent } from "../../fixtures/models.ts";
import { Random } from "../../fixtures/random.ts";
import { caught } from "../caught.ts";
import { filesBelow, temporaryHome } from "./folders.ts";

const server = await faultServer();
const cdn = await faultServer();
const base = temporaryHome();
const model = Buffer.from(await ggufBytes(modelContent({})));
const parts = await Promise.all(splitGguf(modelContent({}), model.length / 3).map(part => ggufBytes(part)));
const other = Buffer.concat([model, new Random(1).bytes(1000)]);
const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

let home = "";
let options: PullOptions = {};
beforeEach(() => {
  server.reset();
  cdn.reset();
  home = mkdtempSync(join(base, "h-"));
  options = { home, endpoint: server.url, offline: false, backoffMs: 1, retries: 2 };
});

/** Puts files into a repository; they lie on the other server, as they do on the real hub. */
function repository(repo: string, files: Record<string, Uint8Array>, revision = "main"): void {
  const entries = Object.entries(files).map(([path, bytes]) => {
    return { type: "file", path, size: bytes.length, oid: "f".repeat(40), lfs: { oid: hash(bytes), size: bytes.length, pointerSize: 130 } };
  });
  const json = JSON.stringify([{ type: "directory", path: "sub", size: 0, oid: "" }, ...entries]);
  server.files.set(`/api/models/${repo}/tree/${revision}`, (_, response) => void response.end(json));
  for (const [path, bytes] of Object.entries(files)) {
    cdn.files.set(`/${hash(bytes)}`, { bytes, etag: `"${hash(bytes).slice(0, 8)}"` });
    server.files.set(`/${repo}/resolve/${revision}/${path}`, redirect(`${cdn.url}/${hash(bytes)}?signature=secret`, bytes));
  }
}
const redirect = (to: string, bytes?: Uint8Array) => (_: unknown, response: ServerResponse) =>
  void response.writeHead(302, { location: to, ...(bytes ? { "x-linked-etag": `"${hash(bytes)}"` } : {}) }).end();

describe("pulling from a hub", () => {
  it("stores the file with its hash, and finds it again by every name", async () => {
    repository("org/repo", { "README.md": Buffer.from("hi"), "tiny-Q4_K_M.gguf": model, "tiny-Q8_0.gguf": other });
    const stored = await pull("hf:org/repo", options);
    expect(stored).toMatchObject({ name: "hf:org/repo:Q4_K_M", state: "complete", bytes: model.length });
    expect(stored.manifest).toMatchObject({
      quant: "Q4_K_M",
      architecture: "llama",
      files: [{ name: "tiny-Q4_K_M.gguf", sha256: hash(model) }],
    });
    expect(readFileSync(stored.path).equals(model)).toBe(true);
    for (const name of ["hf:org/repo", "hf:org/repo:q4_k_m", "hf:org/repo:Q4_K_M"]) expect(await locate(name, options)).toBe(stored.path);
    await caught("store.not-found", () => locate("hf:org/repo:Q8_0", options));
    expect(await locate("hf:org/repo:Q8_0", { ...options, pull: true })).toMatch(/tiny-Q8_0\.gguf$/);
    expect((await new Store(home).list()).map(m => m.name)).toEqual(["hf:org/repo:Q4_K_M", "hf:org/repo:Q8_0"]);
  });

  it("asks for nothing but the list where the model is stored", async () => {
    repository("org/repo", { "a-Q8_0.gguf": model });
    await pull("hf:org/repo", options);
    server.forget();
    cdn.forget();
    await pull("hf:org/repo:Q8_0", options);
    expect([server.asked.length, cdn.asked.length]).toEqual([1, 0]);
  });

  it("replaces an older content", async () => {
    repository("org/repo", { "a-Q8_0.gguf": model });
    const before = await pull("hf:org/repo", options);
    repository("org/repo", { "a-Q8_0.gguf": other });
    const after = await pull("hf:org/repo", options);
    expect(readFileSync(after.path).equals(other)).toBe(true);
    expect(existsSync(before.path)).toBe(false);
    expect((await new Store(home).list()).length).toBe(1);
  });

  it("lists again where the content changes between list and download", async () => {
    repository("org/repo", { "a-Q8_0.gguf": model });
    const now = server.files.get("/api/models/org/repo/tree/main") as (a: unknown, response: ServerResponse) => void;
    server.files.set("/api/models/org/repo/tree/main", (request, response) => {
      now(request, response);
      repository("org/repo", { "a-Q8_0.gguf": other });
    });
    expect((await pull("hf:org/repo", options)).bytes).toBe(other.length);
    expect(readdirSync(join(home, "models")).filter(n => !n.startsWith(".")).length).toBe(1);
  });

  it("pulls split models whole, and they load as one", async () => {
    const names = parts.map((_, i) => `big/m-Q8_0-0000${i + 1}-of-0000${parts.length}.gguf`);
    expect(parts.length).toBeGreaterThan(1);
    repository("org/repo", Object.fromEntries(names.map((n, i) => [n, parts[i]])));
    const stored = await pull("hf:org/repo", options);
    expect(stored.manifest!.files.length).toBe(parts.length);
    const opened = await openNamedModel("hf:org/repo:Q8_0", { ...options, offline: true });
    expect(opened.parts.length).toBe(parts.length);
    await Promise.all(opened.parts.map(p => p.close()));
  });

  it("reads revisions, and lists of several pages", async () => {
    repository("org/repo", { "a-Q8_0.gguf": model }, "v2");
    const list = server.files.get("/api/models/org/repo/tree/v2") as (a: unknown, response: ServerResponse) => void;
    server.files.set("/api/models/org/repo/tree/v2", (request, response) => {
      if (request.url!.includes("cursor")) return list(request, response);
      response.writeHead(200, { link: `<${server.url}${request.url}&cursor=x>; rel="next"` }).end("[]");
    });
    expect((await pull("hf:org/repo@v2:Q8_0", options)).name).toBe("hf:org/repo@v2:Q8_0");
    await caught("store.not-found", () => locate("hf:org/repo", options));
  });

  it("sends the token to the hub and to nobody else", async () => {
    repository("org/repo", { "a-Q8_0.gguf": model });
    await pull("hf:org/repo", { ...options, token: "hf_secret" });
    expect(server.asked.every(a => a.headers.authorization === "Bearer hf_secret")).toBe(true);
    expect(cdn.asked.length).toBeGreaterThan(0);
    expect(cdn.asked.every(a => a.headers.authorization === undefined)).toBe(true);
    cdn.forget();
    await pull(`${cdn.url}/${hash(model)}`, { ...options, token: "hf_secret" });
    expect(cdn.asked.every(a => a.headers.authorization === undefined)).toBe(true);
    expect(filesBelow(home).every(f => !readFileSync(f).includes("hf_secret"))).toBe(true);
  });

  it("asks the hub for a new address when a signed one has expired", async () => {
    repository("org/repo", { "a-Q8_0.gguf": model });
    cdn.fault = asked => (asked.number === 1 || asked.number === 2 ? { kind: "status", status: 403 } : undefined);
    const stored = await pull("hf:org/repo", { ...options, chunkBytes: 4096, parallel: 1 }).catch(e => e);
    expect(stored).toMatchObject({ code: "remote.denied" }); // refused twice running: it is no matter of time
    cdn.fault = asked => (asked.number % 3 === 2 ? { kind: "status", status: 403 } : undefined);
    expect(await pull("hf:org/repo", { ...options, chunkBytes: 4096, parallel: 1 })).toMatchObject({ state: "complete" });
  });

  it("says what there is where the name does not say enough", async () => {
    repository("org/repo", { "a-Q9_X.gguf": model, "b-Q9_X.gguf": other });
    expect((await caught("remote.not-found", () => pull("hf:org/repo:Q2_K", options))).message).toMatch(/a-Q9_X\.gguf, b-Q9_X\.gguf/);
    await caught("remote.not-found", () => pull("hf:org/repo", options));
    expect(await pull("hf:org/repo:b-Q9_X.gguf", options)).toMatchObject({ name: "hf:org/repo:b-Q9_X.gguf" });
    await caught("remote.not-found", () => pull("hf:org/nothing", options));
    repository("org/text", { "README.md": model });
    await caught("remote.not-found", () => pull("hf:org/text", options));
  });

  it("does not offer files whose paths no repository can have", async () => {
    repository(
      "org/repo",
      Object.fromEntries(["../a.gguf", "b//c.gguf", "\u001b[2J.gguf", "\ud800.gguf", "x".repeat(2000)].map(p => [p, model])),
    );
    await caught("remote.not-found", () => pull("hf:org/repo", options));
  });

  it.each(["{}", "[", '[{"type":"file","path":"a.gguf","size":-1}]', '[{"type":"file","path":"a.gguf"}]'])(
    "refuses %s as a list",
    async json => {
      server.files.set("/api/models/org/repo/tree/main", (_, response) => void response.end(json));
      await caught("remote.failed", () => pull("hf:org/repo", options));
    },
  );

  it("keeps files inside the store, whatever they are called", async () => {
    repository("org/repo", { "../../../evil.gguf": model });
    const outcome = await pull("hf:org/repo", options).catch(e => e);
    for (const path of filesBelow(base)) expect(path.startsWith(join(home, "models")) || !path.includes("evil")).toBe(true);
    expect(["remote.not-found", undefined]).toContain(outcome.code);
  });
});

describe("links in the store", () => {
  const secret = (): string => {
    const path = join(home, "secret");
    writeFileSync(path, model);
    return path;
  };

  it.each([".part", ".journal"])("are not written through: %s", async end => {
    repository("org/repo", { "a-Q8_0.gguf": model });
    const { path } = await pull("hf:org/repo", options);
    rmSync(path);
    symlinkSync(secret(), path + end);
    await caught("file.write-failed", () => pull("hf:org/repo", options));
    expect(readFileSync(secret()).equals(model)).toBe(true);
  });

  it("are no files of a model, and are replaced", async () => {
    repository("org/repo", { "a-Q8_0.gguf": model });
    const stored = await pull("hf:org/repo", options);
    rmSync(stored.path);
    symlinkSync(secret(), stored.path);
    const store = new Store(home);
    expect((await store.list())[0].state).toBe("damaged");
    expect(await store.check(stored)).toEqual(["a-Q8_0.gguf"]);
    expect((await pull("hf:org/repo", options)).state).toBe("complete");
    rmSync(join(stored.path, ".."), { recursive: true });
    mkdirSync(join(home, "elsewhere"));
    symlinkSync(join(home, "elsewhere"), join(stored.path, ".."));
    await caught("file.write-failed", () => pull("hf:org/repo", options));
    expect(readdirSync(join(home, "elsewhere"))).toEqual([]);
  });
});

describe("pulling a URL", () => {
  const url = (path: string): string => `${cdn.url}${path}`;

  it("stores it under its URL, and checks a given hash", async () => {
    cdn.files.set("/x/tiny.Q8_0.gguf", { bytes: model, etag: '"e"' });
    await caught("remote.corrupt", () => pull(url("/x/tiny.Q8_0.gguf"), { ...options, sha256: "1".repeat(64) }));
    const stored = await pull(url("/x/tiny.Q8_0.gguf"), { ...options, sha256: hash(model).toUpperCase() });
    expect(stored).toMatchObject({ name: url("/x/tiny.Q8_0.gguf"), manifest: { quant: "Q8_0" } });
    expect(await locate(url("/x/tiny.Q8_0.gguf"), options)).toBe(stored.path);
  });

  it("follows redirects, but not for ever, and only to the web", async () => {
    cdn.files.set("/m.gguf", { bytes: model, etag: '"e"' });
    server.files.set("/a", redirect("/b"));
    server.files.set("/b", redirect(url("/m.gguf")));
    server.files.set("/loop", redirect("/loop"));
    server.files.set("/disk", redirect("file:///etc/passwd"));
    expect(await pull(`${server.url}/a`, options)).toMatchObject({ state: "complete" });
    await caught("remote.failed", () => pull(`${server.url}/loop`, options));
    await caught("remote.failed", () => pull(`${server.url}/disk`, options));
  });

  it("refuses what is no model before it is downloaded", async () => {
    cdn.files.set("/page.gguf", { bytes: Buffer.from("<html>".repeat(1e5)), etag: '"e"' });
    await caught("gguf.not-gguf", () => pull(url("/page.gguf"), options));
    expect(cdn.sent).toBeLessThan(100);
  });

  it.each([
    ["ftp://example.org/m.gguf", "option.invalid"],
    ["https://user:pass@example.org/m.gguf", "option.invalid"],
    ["/disk/m.gguf", "option.invalid"],
    ["hf:org", "option.invalid"],
    ["hf:../repo", "option.invalid"],
    ["hf:org/repo:../../x", "option.invalid"],
  ] as const)("refuses %s", async (name, code) => {
    await caught(code, () => pull(name, options));
  });

  it("never touches the network offline", async () => {
    cdn.files.set("/m.gguf", { bytes: model, etag: '"e"' });
    await caught("store.offline", () => pull(url("/m.gguf"), { ...options, offline: true }));
    await caught("store.offline", () => openNamedModel(url("/m.gguf"), { ...options, offline: true }));
    await caught("store.not-found", () => locate(url("/m.gguf"), { ...options, offline: true }));
    expect(cdn.asked.length).toBe(0);
    const stored = await pull(url("/m.gguf"), options);
    cdn.forget();
    expect(await pull(url("/m.gguf"), { ...options, offline: true })).toEqual(stored);
    expect(cdn.asked.length).toBe(0);
  });
});

describe("the store", () => {
  it("checks its models, removes them, and tells what it had", async () => {
    repository("org/repo", { "a-Q8_0.gguf": model, "a-Q4_0.gguf": other });
    const store = new Store(home);
    expect(await store.list()).toEqual([]);
    const stored = await pull("hf:org/repo:Q8_0", options);
    await pull("hf:org/repo:Q4_0", options);
    expect(await store.check(stored)).toEqual([]);
    const bytes = readFileSync(stored.path);
    bytes[bytes.length - 1] ^= 1;
    writeFileSync(stored.path, bytes);
    expect(await store.check(stored)).toEqual(["a-Q8_0.gguf"]);
    await caught("store.not-found", () => store.remove("hf:org/repo"));
    expect((await store.remove("hf:org/repo:q8_0")).map(m => m.name)).toEqual(["hf:org/repo:Q8_0"]);
    await caught("store.not-found", () => store.remove("hf:org/repo:Q8_0"));
    expect((await store.list()).map(m => m.name)).toEqual(["hf:org/repo:Q4_0"]);
  });
});

describe("the header of a model that is not stored", () => {
  const big = Buffer.concat([model, Buffer.alloc(2 ** 24)]);

  it.each([true, false])("is read without the model (ranges: %s)", async ranges => {
    server.ranges = cdn.ranges = ranges;
    repository("org/repo", { "a-Q8_0.gguf": big });
    const gguf = await openNamedModel("hf:org/repo", options);
    expect(gguf.metadata.get("general.architecture")).toBe("llama");
    await gguf.parts[0].close();
    expect(gguf.parts[0].size).toBe(big.length);
    // Without ranges the connection is cut when enough has come; what is under way then is a matter of the system's buffers.
    expect(cdn.sent).toBeLessThan(ranges ? 2 ** 17 : big.length);
  });

  it("is read over broken connections", async () => {
    repository("org/repo", { "a-Q8_0.gguf": big });
    cdn.fault = asked => (asked.number === 1 ? { kind: "cut", after: 100 } : asked.number === 2 ? { kind: "drop" } : undefined);
    const gguf = await openNamedModel("hf:org/repo", options);
    expect(gguf.tensors.size).toBeGreaterThan(0);
    await caught("model.closed", async () => {
      await gguf.parts[0].close();
      await gguf.parts[0].read(0, 1);
    });
  });
});
