/**
 * The folder of pasts: what comes back is bit for bit what was kept, for the same model and key and nobody else; the limit in bytes holds; and
 * whatever is done to the files - cut, changed in any bit, exchanged, removed, half written by a process that was killed - is never believed.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PagePool, type PageStore, Sequence } from "../../src/kv/pages.ts";
import { PastFolder } from "../../src/kv/past-folder.node.ts";
import type { PastMemory } from "../../src/kv/past-store.ts";
import { StatePool } from "../../src/kv/states.ts";
import { caught } from "../files/caught.ts";
import { Random } from "../fixtures/random.ts";
import { temporaryFolder } from "../fixtures/temporary.ts";

const home = temporaryFolder("pasts");
let folders = 0;
const newFolder = (): string => join(home, `f${folders++}`);
const files = (dir: string): string[] => readdirSync(dir).filter(f => f.endsWith(".past"));

const PAGE_TOKENS = 32;
const PAGE_BYTES = 4 * PAGE_TOKENS;
const mix = (past: number, token: number): number => Math.imul(past ^ (token + 1), 16777619) >>> 0;

/** Pages that hold, for each token, a digest of all tokens up to it; a state is the digest after its last. */
class Memory implements PageStore {
  readonly pageTokens = PAGE_TOKENS;
  readonly pool = new PagePool(4096);
  readonly pages = Array.from({ length: 4096 }, () => new Uint32Array(PAGE_TOKENS));
  readonly slots = Array.from({ length: 512 }, () => new Uint32Array(2));
  readonly states;
  readonly past: PastMemory;
  constructor(recurrent = false) {
    this.states = recurrent ? { pool: new StatePool(512), interval: 256, most: 16 } : undefined;
    this.past = {
      pageTokens: PAGE_TOKENS,
      pageBytes: PAGE_BYTES,
      stateBytes: recurrent ? 8 : 0,
      page: p => new Uint8Array(this.pages[p].buffer),
      state: s => [new Uint8Array(this.slots[s].buffer, 0, 4), new Uint8Array(this.slots[s].buffer, 4, 4)],
    };
  }
  readonly copy = (from: number, to: number): void => this.pages[to].set(this.pages[from]);

  digest(s: Sequence, position: number): number {
    return position < 0 ? 1 : this.pages[s.pages[Math.floor(position / PAGE_TOKENS)]][position % PAGE_TOKENS];
  }
  /** Evaluates tokens; the sequence can go back to just before those numbered in `keep`. */
  feed(s: Sequence, tokens: readonly number[], keep: readonly number[] = []): Sequence {
    const before = s.length;
    for (const id of tokens) {
      const { position, page, place } = s.append(id);
      this.pages[page][place] = mix(this.digest(s, position - 1), id);
    }
    let at = before;
    for (const { count, to } of s.segments(keep.map(k => before + k))) {
      at += count;
      this.slots[to].fill(this.digest(s, at - 1));
    }
    s.settle();
    return s;
  }
  sequence = (tokens: readonly number[] = [], keep: readonly number[] = []): Sequence => this.feed(new Sequence(this), tokens, keep);
  open = (dir: string, options: { bytes?: number; identity?: string } = {}): PastFolder =>
    new PastFolder({ dir, bytes: 1e9, identity: "ab".repeat(32), ...options }, this.past);
}

/** How much of the tokens comes back into an empty sequence; all of it must be right. */
function restored(memory: Memory, store: PastFolder, tokens: readonly number[], key = "k", into = new Sequence(memory)): number {
  const length = store.restore(key, tokens, tokens.length - 1, into);
  expect(into.length).toBe(length);
  let digest = 1;
  for (let i = 0; i < length; i++) {
    digest = mix(digest, tokens[i]);
    expect(into.token(i)).toBe(tokens[i]);
    if (memory.digest(into, i) !== digest) throw new Error(`token ${i} has another page`);
  }
  if (memory.states && length > 0) {
    const [{ slot, position }] = into.states().slice(-1);
    expect([position, ...memory.slots[slot]]).toEqual([length, digest, digest]);
  }
  into.close();
  return length;
}

const random = new Random(3);
const numbers = (n: number): number[] => Array.from({ length: n }, () => random.below(1000));
const text = numbers(700);

describe("a past that was kept", () => {
  it("comes back in every bit, as far as a prompt goes along, in another program too", () => {
    const dir = newFolder();
    const first = new Memory();
    first.open(dir).keep("k", first.sequence(text));
    const memory = new Memory();
    const store = memory.open(dir);
    expect(store.size.files).toBe(3);
    expect(restored(memory, store, [...text, 5])).toBe(700);
    expect(restored(memory, store, text)).toBe(699); // the last of a prompt is always computed
    for (const n of [40, 255, 256, 257, 511, 512, 600]) expect(restored(memory, store, [...text.slice(0, n), 7777, 5])).toBe(n);
    expect(restored(memory, store, [7777, ...text])).toBe(0);
    expect(memory.pool.used).toBe(0);
  });

  it("goes on from what memory has, which forks keep", () => {
    const memory = new Memory();
    const store = memory.open(newFolder());
    store.keep("k", memory.sequence(text));
    for (const have of [1, 31, 32, 100, 256, 300]) {
      const own = memory.sequence(text.slice(0, have));
      const fork = own.fork();
      expect(restored(memory, store, [...text, 5], "k", fork)).toBe(700);
      expect(memory.digest(own, have - 1)).toBe(text.slice(0, have).reduce(mix, 1));
      own.close();
    }
  });

  it("is there once, however many go on from it, and a longer one takes the place of its beginning", () => {
    const memory = new Memory();
    const store = memory.open(newFolder());
    for (let i = 0; i < 20; i++) store.keep("k", memory.sequence([...text.slice(0, 512), ...numbers(60)]));
    expect(store.size.files).toBe(2 + 20);
    const other = memory.open(newFolder());
    for (let n = 40; n < 300; n += 20) other.keep("k", memory.sequence(text.slice(0, n)));
    expect(other.size.files).toBe(2);
    other.keep("k", memory.sequence(text.slice(0, 100))); // is there already
    expect(other.size.files).toBe(2);
  });

  it("is nobody else's: neither of another key, nor of another model", () => {
    const memory = new Memory();
    const dir = newFolder();
    const store = memory.open(dir);
    store.keep('["a",""]', memory.sequence(text));
    for (const key of ['["b",""]', '["a","s"]', ""]) expect(restored(memory, store, text, key)).toBe(0);
    expect(restored(memory, store, text, '["a",""]')).toBe(699);
    const foreign = memory.open(dir, { identity: "cd".repeat(32) });
    expect(restored(memory, foreign, text, '["a",""]')).toBe(0);
    expect(foreign.size.files).toBe(3); // they count, and stay
    expect(files(dir).length).toBe(3);
  });

  it("does not say in its name or in clear text whose it is", () => {
    const memory = new Memory();
    const dir = newFolder();
    memory.open(dir).keep("the-key-of-alice", memory.sequence(text));
    for (const f of files(dir)) expect(readFileSync(join(dir, f)).includes("alice")).toBe(false);
    expect(statSync(dir).mode & 0o077).toBe(0);
    expect(statSync(join(dir, files(dir)[0])).mode & 0o077).toBe(0);
  });
});

describe("with recurrent layers", () => {
  it("comes back at the last state that was kept within the prompt", () => {
    const first = new Memory(true);
    const dir = newFolder();
    first.open(dir).keep("k", first.sequence(text, [300, 600]));
    const memory = new Memory(true);
    const store = memory.open(dir);
    expect(restored(memory, store, [...text, 5])).toBe(700);
    for (const [shared, back] of [
      [699, 600],
      [599, 512],
      [512, 512],
      [511, 300],
      [299, 256],
      [200, 0],
    ])
      expect(restored(memory, store, [...text.slice(0, shared), 7777, 1])).toBe(back);
    expect(memory.states!.pool.used).toBe(0);
  });

  it("goes on where the memory's own state is, and is again as before when a block is bad", () => {
    const memory = new Memory(true);
    const dir = newFolder();
    const store = memory.open(dir);
    store.keep("k", memory.sequence(text));
    expect(restored(memory, store, [...text, 5], "k", memory.sequence(text.slice(0, 290)))).toBe(700);
    const s = memory.sequence(text.slice(0, 290));
    for (const f of files(dir)) truncateSync(join(dir, f), 100);
    expect(store.restore("k", text, 699, s)).toBe(290);
    memory.feed(s, text.slice(290));
    expect(memory.digest(s, 699)).toBe(text.reduce(mix, 1));
  });
});

describe("the limit in bytes", () => {
  it("holds after every past; the least recently used go, and never a beginning before what follows it", () => {
    const memory = new Memory();
    const dir = newFolder();
    const store = memory.open(dir, { bytes: 20_000 });
    const pasts = Array.from({ length: 30 }, (_, i) => [i, ...numbers(299)]);
    for (const past of pasts) {
      store.keep("k", memory.sequence(past));
      const onDisk = files(dir).reduce((sum, f) => sum + statSync(join(dir, f)).size, 0);
      expect(onDisk).toBe(store.size.bytes);
      expect(onDisk).toBeLessThanOrEqual(20_000);
      restored(memory, store, pasts[0]); // in use
    }
    expect(restored(memory, store, pasts[0])).toBe(299);
    expect(restored(memory, store, pasts[29])).toBe(299);
    expect(restored(memory, store, pasts[10])).toBe(0);
    expect(memory.open(dir, { bytes: 5000 }).size.bytes).toBeLessThanOrEqual(5000);
  });

  it("smaller than a block keeps nothing", () => {
    const memory = new Memory();
    const store = memory.open(newFolder(), { bytes: 500 });
    store.keep("k", memory.sequence(text));
    expect(store.size).toEqual({ files: 0, bytes: 0 });
  });
});

describe("damage", () => {
  /** A folder with a past of two blocks, and what may still come back of a prompt. */
  function damaged(how: (path: string) => void, which: number): { before: number; after: number } {
    const memory = new Memory();
    const dir = newFolder();
    const store = memory.open(dir);
    store.keep("k", memory.sequence(text.slice(0, 500)));
    const bySize = files(dir).sort((a, b) => statSync(join(dir, b)).size - statSync(join(dir, a)).size);
    how(join(dir, bySize[which]));
    const prompt = text.slice(0, 501);
    const before = restored(memory, store, prompt); // the index does not know yet
    const after = restored(memory, memory.open(dir), prompt);
    rmSync(dir, { recursive: true });
    return { before, after };
  }
  const rest = [0, 256];

  it("of any bit is seen, and what comes before is still good", () => {
    const flip = (at: number, bit: number) => (path: string) => {
      const bytes = readFileSync(path);
      bytes[at % bytes.length] ^= 1 << bit;
      writeFileSync(path, bytes);
    };
    const places = fc.tuple(fc.nat(8000), fc.nat(7), fc.nat(1));
    fc.assert(
      fc.property(places, ([at, bit, which]) => {
        expect(damaged(flip(at, bit), which)).toEqual({ before: rest[which], after: rest[which] });
      }),
      { seed: 7, numRuns: 120 },
    );
  });

  it("by cutting anywhere, or by bytes behind the end", () => {
    for (const n of [0, 1, 8, 43, 44, 45, 300, 1500, 2000])
      for (const which of [0, 1]) expect(damaged(p => truncateSync(p, n), which)).toEqual({ before: rest[which], after: rest[which] });
    expect(damaged(p => writeFileSync(p, Buffer.concat([readFileSync(p), Buffer.from("x")])), 0)).toEqual({ before: 0, after: 0 });
  });

  it("by removing or by exchanging whole files", () => {
    expect(damaged(p => rmSync(p), 1)).toEqual({ before: 256, after: 256 });
    const memory = new Memory();
    const dir = newFolder();
    memory.open(dir).keep("k", memory.sequence(text.slice(0, 200)));
    const [own] = files(dir);
    memory.open(dir).keep("k", memory.sequence(numbers(200)));
    const other = files(dir).find(f => f !== own)!;
    copyFileSync(join(dir, other), join(dir, own));
    const store = memory.open(dir);
    expect(files(dir)).toEqual([other]);
    expect(restored(memory, store, text)).toBe(0);
  });

  it("by what claims to be huge: nothing is allocated for it", () => {
    const memory = new Memory();
    const dir = newFolder();
    mkdirSync(dir);
    const name = `${"ab".repeat(8)}-${"0".repeat(48)}.past`;
    const bytes = Buffer.alloc(200);
    bytes.write("LATHEKV1");
    bytes.writeUInt32LE(0xffffffff, 8);
    writeFileSync(join(dir, name), bytes);
    writeFileSync(join(dir, "notes.txt"), "not ours");
    expect(memory.open(dir).size.files).toBe(0);
    expect(readdirSync(dir)).toEqual(["notes.txt"]);
  });
});

describe("a disk that does not take it", () => {
  it("keeps nothing and fails nothing", () => {
    const memory = new Memory();
    const dir = newFolder();
    const store = memory.open(dir);
    rmSync(dir, { recursive: true });
    store.keep("k", memory.sequence(text));
    expect(store.size.files).toBe(0);
    expect(restored(memory, store, text)).toBe(0);
  });

  it.skipIf(process.platform !== "linux")("full in the middle of a file: nothing is left of it", () => {
    const memory = new Memory();
    const dir = newFolder();
    const body = `
      import { PastFolder } from ${JSON.stringify(pathToFileURL(join(import.meta.dirname, "../../dist/kv/past-folder.node.js")).href)};
      process.on("SIGXFSZ", () => {});
      const page = new Uint8Array(65536);
      const memory = { pageTokens: 32, pageBytes: 65536, stateBytes: 0, page: () => page, state: () => [] };
      const store = new PastFolder({ dir: ${JSON.stringify(dir)}, bytes: 1e9, identity: "ab" }, memory);
      store.keep("k", { length: 256, token: i => i, pages: [0, 1, 2, 3, 4, 5, 6, 7] });
      console.log(JSON.stringify(store.size));`;
    // Files may not become longer than 64 blocks of 1 KiB; the block has 512 KiB.
    const child = spawn("bash", ["-c", 'ulimit -f 64; exec "$0" --input-type=module -e "$1"', process.execPath, body]);
    let out = "";
    child.stdout.on("data", d => (out += d));
    return once(child, "exit").then(([code]) => {
      expect([code, out.trim(), readdirSync(dir)]).toEqual([0, '{"files":0,"bytes":0}', []]);
      expect(memory.open(dir).size.files).toBe(0);
    });
  });

  it("that cannot be used at all is a typed error", async () => {
    const memory = new Memory();
    const path = join(home, "file");
    writeFileSync(path, "");
    await caught("file.write-failed", () => memory.open(join(path, "sub")));
    chmodSync(path, 0o600);
  });
});

describe("a process that is killed while it writes", () => {
  it("leaves whole files and parts; the parts are removed and the files are right", async () => {
    const dir = newFolder();
    const body = `
      import { PastFolder } from ${JSON.stringify(pathToFileURL(join(import.meta.dirname, "../../dist/kv/past-folder.node.js")).href)};
      const page = new Uint8Array(1 << 20).fill(7);
      const memory = { pageTokens: 32, pageBytes: 1 << 20, stateBytes: 0, page: () => page, state: () => [] };
      const store = new PastFolder({ dir: ${JSON.stringify(dir)}, bytes: 1e9, identity: "${"ab".repeat(32)}" }, memory);
      console.log("begun");
      for (let n = 0; ; n++) store.keep("k", { length: 256, token: i => i + n, pages: [0, 1, 2, 3, 4, 5, 6, 7] });`;
    for (let round = 0; round < 3; round++) {
      const child = spawn(process.execPath, ["--input-type=module", "-e", body]);
      await once(child.stdout, "data");
      await new Promise(resolve => setTimeout(resolve, 40 + 23 * round));
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    const memory = new Memory();
    const geometry = { ...memory.past, pageBytes: 1 << 20 };
    const store = new PastFolder({ dir, bytes: 1e9, identity: "ab".repeat(32) }, geometry);
    expect(readdirSync(dir).filter(f => !f.endsWith(".past"))).toEqual([]);
    expect(store.size.files).toBe(files(dir).length);
    expect(store.size.files).toBeGreaterThan(0);
    rmSync(dir, { recursive: true });
  });
});
