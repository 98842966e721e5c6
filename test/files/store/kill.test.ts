/**
 * Processes that are killed while they pull, at bytes drawn at random, and several that pull at once. Under the final name there is nothing or
 * the whole content, whatever the moment; what was verified is not fetched again; and the journal never promises bytes that are not there.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { ggufBytes } from "../../../src/files/gguf-write.ts";
import { Store } from "../../../src/files/store/store.node.ts";
import { faultServer } from "../../fixtures/fault-server.ts";
import { Random } from "../../fixtures/random.ts";
import { filesBelow, temporaryHome } from "./folders.ts";

const child = resolve(import.meta.dirname, "pull-child.mjs");
const chunkBytes = 2 ** 18;
const parallel = 3;
const server = await faultServer();

const header = await ggufBytes({ metadata: [["general.architecture", "llama"]] });
const content = Buffer.concat([header, new Random(9).bytes(20 * 2 ** 20 + 4321)]);
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const whole = sha256(content);

const chunkLength = (index: number): number => Math.min(chunkBytes, content.length - index * chunkBytes);

function start(home: string) {
  const process_ = spawn(process.execPath, [child, `${server.url}/m.gguf`, home, String(chunkBytes), String(parallel)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  process_.stdout.on("data", data => (stdout += data));
  process_.stderr.on("data", data => (stderr += data));
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>(done =>
    process_.on("close", code => done({ code, stdout, stderr })),
  );
  return { kill: () => process_.kill("SIGKILL"), ended };
}

/** Chunks that the journal promises, read here as text and not by the code under test; each must be on the disk. */
function promised(home: string): Set<number> {
  const files = filesBelow(home);
  const journal = files.find(f => f.endsWith(".journal"));
  const part = files.find(f => f.endsWith(".part"));
  const chunks = new Set<number>();
  if (journal === undefined || part === undefined) return chunks;
  const bytes = readFileSync(part);
  for (const [, index, hash] of readFileSync(journal, "utf8").matchAll(/^[0-9a-f]{16} \[(\d+),"([0-9a-f]{64})"\]$/gm)) {
    const at = Number(index) * chunkBytes;
    expect(sha256(bytes.subarray(at, at + chunkBytes))).toBe(hash);
    expect(bytes.subarray(at, at + chunkBytes).equals(content.subarray(at, at + chunkBytes))).toBe(true);
    chunks.add(Number(index));
  }
  return chunks;
}

/** Ranges asked for, from request `from` on, that hold a chunk which needed no asking. */
function askedAgain(verified: ReadonlySet<number>, from = 0) {
  const ranges = server.asked.slice(from).map(a => a.range!);
  const holds = ([first, last]: readonly [number, number], chunk: number): boolean =>
    chunk * chunkBytes >= first && chunk * chunkBytes + chunkLength(chunk) - 1 <= last;
  return ranges.filter(range => [...verified].some(chunk => holds(range, chunk)));
}

/** No file under a final name is anything but the content. */
function expectNothingPartial(home: string): void {
  for (const path of filesBelow(home).filter(f => f.endsWith(".gguf"))) expect(sha256(readFileSync(path))).toBe(whole);
}

describe("a pull that is killed", () => {
  it.each([1, 2, 3])("loses only what was not verified (seed %i)", { timeout: 60_000 }, async seed => {
    const home = temporaryHome();
    const random = new Random(seed);
    server.reset();
    server.files.set("/m.gguf", { bytes: content, etag: '"one"' });
    server.pauseMs = 1;
    let kills = 0;
    for (let verified = new Set<number>(); ; ) {
      server.forget();
      const run = start(home);
      const point = random.below(2 ** 22);
      server.onSent = total => {
        if (total > point && kills < 5) run.kill();
      };
      const { code, stderr } = await run.ended;
      expect(askedAgain(verified)).toEqual([]);
      expectNothingPartial(home);
      if (code === 0) {
        // From its first request on: the server may hear of requests late that the process before made when it was killed.
        const own = server.asked.slice(server.asked.findIndex(a => a.range![1] === 3));
        const sent = own.reduce((sum, a) => sum + a.sent, 0);
        expect(sent).toBeLessThanOrEqual(4 + content.length - [...verified].reduce((sum, c) => sum + chunkLength(c), 0));
        break;
      }
      expect(stderr).toBe(""); // it was killed; it did not fail
      kills++;
      const now = promised(home);
      for (const chunk of verified) expect(now.has(chunk)).toBe(true);
      verified = now;
    }
    expect(kills).toBeGreaterThanOrEqual(3); // the last ones may come too late
    const [model] = await new Store(home).list();
    expect(model).toMatchObject({ state: "complete", name: `${server.url}/m.gguf`, bytes: content.length });
    expect(readFileSync(model.path).equals(content)).toBe(true);
    expect(filesBelow(home).filter(f => /\.(part|journal|tmp)$/.test(f))).toEqual([]);
  });
});

describe("a pull that is killed at moments drawn at random", () => {
  it("leaves nothing, what can be gone on with, or everything", { timeout: 60_000 }, async () => {
    const home = temporaryHome();
    const random = new Random(5);
    server.reset();
    server.files.set("/m.gguf", { bytes: content, etag: '"one"' });
    for (let kills = 0; ; kills++) {
      server.forget();
      const run = start(home);
      let timer: NodeJS.Timeout | undefined;
      server.onSent = () => {
        if (kills < 8) timer ??= setTimeout(run.kill, random.below(40 + 30 * kills));
      };
      const { code, stderr } = await run.ended;
      clearTimeout(timer);
      expect(stderr).toBe("");
      expectNothingPartial(home);
      promised(home);
      if (code !== 0) continue;
      expect((await new Store(home).list()).map(m => m.state)).toEqual(["complete"]);
      if (kills >= 8) break;
      await new Store(home).remove(`${server.url}/m.gguf`); // it was quicker than the kill
    }
  });
});

describe("several pulls of one model", () => {
  it("do the work once, also when the first is killed", { timeout: 60_000 }, async () => {
    const home = temporaryHome();
    server.reset();
    server.files.set("/m.gguf", { bytes: content, etag: '"one"' });
    server.pauseMs = 1;
    const first = start(home);
    await new Promise<void>(resolve => {
      server.onSent = total => {
        if (total > chunkBytes) resolve();
        if (total > content.length / 2) first.kill();
      };
    });
    const others = [start(home), start(home)];
    await first.ended;
    const verified = promised(home);
    const before = server.asked.length;
    const results = await Promise.all(others.map(r => r.ended));
    expect(results.map(r => [r.code, r.stderr])).toEqual([
      [0, ""],
      [0, ""],
    ]);
    expect(results[0].stdout).toBe(results[1].stdout);
    expect(readFileSync(results[0].stdout).equals(content)).toBe(true);
    expect(verified.size).toBeGreaterThan(0);
    expect(askedAgain(verified, before)).toEqual([]);
    expect(existsSync(`${results[0].stdout}.part`)).toBe(false);
  });
});
