/** One download against servers of every kind of brokenness: the file arrives with the right bytes, or not at all and with a typed error. */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { type DownloadOptions, download } from "../../../src/files/store/download.node.ts";
import { HttpClient } from "../../../src/files/store/http.node.ts";
import { probe } from "../../../src/files/store/remote.node.ts";
import { type Asked, type Fault, faultServer } from "../../fixtures/fault-server.ts";
import { Random } from "../../fixtures/random.ts";
import { caught } from "../caught.ts";
import { temporaryHome } from "./folders.ts";

const home = temporaryHome();
const server = await faultServer();
const chunkBytes = 2 ** 14;
const content = new Random(1).bytes(40 * chunkBytes + 777);
const sha256 = createHash("sha256").update(content).digest("hex");
const patient = { backoffMs: 1 };
let path = "";

beforeEach(() => {
  server.reset();
  server.files.set("/m", { bytes: content, etag: '"one"' });
  path = join(mkdtempSync(join(home, "d-")), "m.gguf");
});

async function fetched(options: DownloadOptions = {}, client = new HttpClient(patient)): Promise<string> {
  return download(client, await probe(client, `${server.url}/m`), path, { chunkBytes, parallel: 3, ...options });
}

/** The file is there, right, and alone. */
function expectWhole(): void {
  expect(readFileSync(path).equals(content)).toBe(true);
  expect(readdirSync(join(path, ".."))).toEqual(["m.gguf"]);
}

/** Bytes of the body that went over the wire for ranges of the file, the probe's excluded. */
const sentBytes = (): number => server.asked.filter(a => a.range?.[1] !== 3).reduce((sum, a) => sum + a.sent, 0);
const isProbe = (asked: Asked): boolean => asked.range?.[1] === 3;

describe("a download", () => {
  it("fetches every byte once, over several connections", async () => {
    expect(await fetched({ sha256 })).toBe(sha256);
    expectWhole();
    expect(sentBytes()).toBe(content.length);
    const ranges = server.asked.filter(a => !isProbe(a)).map(a => a.range!);
    expect(ranges.length).toBeGreaterThanOrEqual(3);
    expect(ranges.every(([first]) => first % chunkBytes === 0)).toBe(true);
  });

  it("needs neither a hash nor a validator", async () => {
    server.files.set("/m", { bytes: content });
    expect(await fetched()).toBe(sha256);
    expectWhole();
  });

  it("reports bytes that only end at the total", async () => {
    const seen: [string, number, number][] = [];
    await fetched({ onProgress: (...p) => seen.push(p) });
    expect(seen.every(([, done, total]) => done >= 0 && done <= total && total === content.length)).toBe(true);
    expect(seen.filter(([stage]) => stage === "fetch").at(-1)![1]).toBe(content.length);
    expect(seen.at(-1)).toEqual(["check", content.length, content.length]);
  });

  const sometimes: [string, (random: Random, asked: Asked) => Fault | undefined][] = [
    ["cuts connections", (r, a) => ({ kind: "cut", after: r.below(a.range![1] - a.range![0]) })],
    ["drops requests", () => ({ kind: "drop" })],
    ["stalls", (r, a) => (r.below(4) ? undefined : { kind: "stall", after: r.below(a.range![1] - a.range![0]) })],
    ["sends too little", r => ({ kind: "short", by: 1 + r.below(5000) })],
    ["sends too much", r => ({ kind: "long", by: 1 + r.below(5000) })],
    ["sends other ranges", () => ({ kind: "shifted", by: 1 })],
    ["is busy", () => ({ kind: "status", status: 503, headers: { "retry-after": "0" } })],
    ["is broken", () => ({ kind: "status", status: 500 })],
    ["limits its callers", () => ({ kind: "status", status: 429 })],
  ];
  it.each(sometimes)("survives a server that often %s", async (_, fault) => {
    const random = new Random(7);
    server.fault = asked => (!isProbe(asked) && random.unit() < 0.4 ? fault(random, asked) : undefined);
    expect(await fetched({ sha256 }, new HttpClient({ ...patient, stallMs: 300 }))).toBe(sha256);
    expectWhole();
  });

  it.each([
    ["from the start", 0],
    ["from the middle on", 4],
  ])("takes servers without ranges %s", async (_, from) => {
    server.fault = asked => (asked.number >= from && asked.range ? { kind: "whole" } : undefined);
    expect(await fetched({ sha256 })).toBe(sha256);
    expectWhole();
  });

  it("goes on with a server without ranges that cuts connections", async () => {
    server.ranges = false;
    const random = new Random(3);
    server.fault = asked => (asked.range || random.unit() < 0.3 ? undefined : { kind: "cut", after: random.below(content.length) });
    expect(await fetched()).toBe(sha256);
    expectWhole();
  });

  it("finds the wrong bytes of a server by asking twice", async () => {
    const random = new Random(11);
    server.fault = asked =>
      !isProbe(asked) && random.unit() < 0.2 ? { kind: "flip", at: asked.range![0] + random.below(chunkBytes) } : undefined;
    expect(await fetched({ sha256 })).toBe(sha256);
    expectWhole();
  });

  it("refuses what does not have the expected hash, and keeps nothing", async () => {
    await caught("remote.corrupt", () => fetched({ sha256: "0".repeat(64) }));
    expect(readdirSync(join(path, ".."))).toEqual([]);
  });

  it("gives up after enough tries, and keeps what it has", async () => {
    server.fault = asked => (asked.range![0] >= 20 * chunkBytes ? { kind: "drop" } : undefined);
    const error = await caught("remote.failed", () => fetched({}, new HttpClient({ ...patient, retries: 2 })));
    expect(error.message).toMatch(/after 3 tries/);
    server.reset();
    server.files.set("/m", { bytes: content, etag: '"one"' });
    await fetched();
    expectWhole();
    expect(sentBytes()).toBeLessThan(content.length);
  });

  it("waits as long as the server says, and no longer than is sensible", async () => {
    server.fault = asked => (asked.number === 1 ? { kind: "status", status: 503, headers: { "retry-after": "1" } } : undefined);
    const begun = Date.now();
    await fetched({ parallel: 1 });
    expect(Date.now() - begun).toBeGreaterThanOrEqual(1000);
    server.fault = () => ({ kind: "status", status: 503, headers: { "retry-after": "86400" } });
    expect((await caught("remote.failed", () => fetched())).message).toMatch(/86400 s/);
  });

  it.each([
    [403, "remote.denied"],
    [404, "remote.not-found"],
    [418, "remote.failed"],
  ] as const)("does not try again after status %i", async (status, code) => {
    server.fault = () => ({ kind: "status", status });
    await caught(code, () => fetched());
    expect(server.asked.length).toBe(1);
  });

  it("notices that the content changes on the way", async () => {
    const other = new Random(2).bytes(content.length);
    server.fault = asked => {
      if (asked.number === 1) server.files.set("/m", { bytes: other, etag: '"two"' });
      return undefined;
    };
    await caught("file.changed", () => fetched({ parallel: 1 }));
    expect(readdirSync(join(path, ".."))).toEqual([]);
  });

  it("stops when it is told to, and goes on later", async () => {
    const stop = new AbortController();
    server.onSent = total => {
      if (total > content.length / 2) stop.abort(new Error("enough"));
    };
    server.pauseMs = 2;
    await expect(fetched({ signal: stop.signal }, new HttpClient({ ...patient, signal: stop.signal }))).rejects.toThrow("enough");
    expect(existsSync(path)).toBe(false);
    server.onSent = () => {};
    server.forget();
    await fetched();
    expectWhole();
    expect(sentBytes()).toBeLessThan(content.length - 4 * chunkBytes);
  });
});

describe("what an interrupted download left", () => {
  /** Chunks; a multiple of what one request asks for. */
  const kept = 32;
  async function interrupted(): Promise<void> {
    server.fault = asked => (isProbe(asked) || asked.range![0] < kept * chunkBytes ? undefined : { kind: "drop" });
    await caught("remote.failed", () => fetched({ parallel: 1 }, new HttpClient({ ...patient, retries: 0 })));
    server.fault = () => undefined;
    server.forget();
  }

  it("is used", async () => {
    await interrupted();
    await fetched();
    expectWhole();
    expect(sentBytes()).toBe(content.length - kept * chunkBytes);
  });

  it("is used with the size of chunks that it has", async () => {
    await interrupted();
    await fetched({ chunkBytes: 3 * 2 ** 15 });
    expectWhole();
    expect(sentBytes()).toBeLessThan(content.length / 2);
  });

  it("is not used for other content", async () => {
    await interrupted();
    const other = new Random(5).bytes(content.length);
    server.files.set("/m", { bytes: other, etag: '"two"' });
    await fetched();
    expect(readFileSync(path).equals(other)).toBe(true);
    expect(sentBytes()).toBe(content.length);
  });

  it("is repaired where the disk lost bytes, chunk by chunk", async () => {
    await interrupted();
    const part = readFileSync(`${path}.part`);
    part[5 * chunkBytes + 1] ^= 1;
    part[9 * chunkBytes] ^= 1;
    writeFileSync(`${path}.part`, part);
    await fetched();
    expectWhole();
    expect(sentBytes()).toBe(content.length - (kept - 2) * chunkBytes);
  });

  it("is repaired where the file was cut or is gone", async () => {
    await interrupted();
    truncateSync(`${path}.part`, 3 * chunkBytes);
    await fetched();
    expectWhole();
    expect(sentBytes()).toBe(content.length - 3 * chunkBytes);
  });

  it("counts only what its journal says in whole lines", async () => {
    await interrupted();
    const journal = readFileSync(`${path}.journal`);
    const lines = journal.toString().split("\n");
    writeFileSync(`${path}.journal`, journal.subarray(0, journal.length - 10));
    await fetched();
    expectWhole();
    expect(sentBytes()).toBe(content.length - (lines.length - 3) * chunkBytes);
  });
});

describe("a download whose lock was taken over", () => {
  it("does not give the file its name", async () => {
    await caught("store.busy", () => fetched({ holds: async () => false }));
    expect(existsSync(path)).toBe(false);
  });
});

describe("a file that does not fit", () => {
  it("is refused before anything is written", async () => {
    server.files.set("/m", { bytes: content, etag: '"one"', size: 2 ** 44 });
    const { details } = await caught("store.disk-full", () => fetched());
    expect(details).toMatchObject({ needed: 2 ** 44 });
    expect(sentBytes()).toBe(0);
    server.files.set("/m", { bytes: content, size: 2 ** 50 });
    await caught("remote.failed", () => fetched());
  });
});
