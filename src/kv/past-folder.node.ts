/**
 * Pasts on disk: a folder of blocks that form trees, each block a child of the one before it, the roots one for each model and key. Beginnings
 * that pasts share are there once. Owns the index, the limit in bytes (the least recently used leaves go first) and distrust: what is cut,
 * damaged, of another model or of another version is never used. Nothing here makes an answer fail: a block that cannot be written or read is
 * as if it had not been kept.
 */
import { mkdirSync, readdirSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { debuglog } from "node:util";
import { LatheError } from "../errors.ts";
import type { Sequence } from "./pages.ts";
import {
  BLOCK_TOKENS,
  type Block,
  blockKey,
  type Geometry,
  MOST_STATES,
  payloadBytes,
  readBlock,
  readPayload,
  sha256,
  writeBlock,
} from "./past-file.node.ts";
import type { PastMemory, PastStore } from "./past-store.ts";

/** Seen with NODE_DEBUG=lathe. */
const debug = debuglog("lathe");
/** Shorter pasts are computed faster than they are looked for. */
const LEAST_TOKENS = 32;
/** Files that the index takes in at most. */
const MOST_FILES = 1 << 16;
const NAME = /^[0-9a-f]{16}-[0-9a-f]{48}\.past$/;
const PART = /^[0-9a-f]{16}-[0-9a-f]{48}\.past\.(\d+)\.part$/;

/** A file in the folder. Without a block: another model's, which only counts. */
interface Kept {
  readonly name: string;
  readonly bytes: number;
  readonly block?: Block;
}

export interface PastFolderOptions {
  readonly dir: string;
  /** Most bytes of all files in the folder. */
  readonly bytes: number;
  readonly identity: string;
}

/** The way from a root that has most in common with a prompt. */
interface Way {
  readonly blocks: readonly Kept[];
  /** Tokens that can be taken. */
  readonly length: number;
}

function isAlive(process_: number): boolean {
  try {
    process.kill(process_, 0);
    return true;
  } catch (e) {
    return (e as NodeJS.ErrnoException).code === "EPERM";
  }
}

const includes = (all: readonly number[], some: readonly number[]): boolean => some.every(x => all.includes(x));

export class PastFolder implements PastStore {
  readonly #dir: string;
  readonly #most: number;
  readonly #geometry: Geometry;
  readonly #memory: PastMemory;
  /** By name, the least recently used first. */
  readonly #files = new Map<string, Kept>();
  /** By the key of what they follow. */
  readonly #children = new Map<string, Set<Kept>>();
  #bytes = 0;

  /** @throws LatheError file.write-failed where the folder can be neither found nor made. */
  constructor({ dir, bytes, identity }: PastFolderOptions, memory: PastMemory) {
    const { pageTokens, pageBytes, stateBytes } = memory;
    this.#dir = dir;
    this.#most = bytes;
    this.#memory = memory;
    this.#geometry = { identity, pageTokens, pageBytes, stateBytes };
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      this.#scan();
    } catch (cause) {
      const message = `The folder for cached prompts, "${dir}", cannot be used; name one that can be written to.`;
      throw new LatheError("file.write-failed", message, { path: dir }, { cause });
    }
    this.#makeRoom(0);
  }

  /** Files and bytes in the folder, of all models. */
  get size(): { readonly files: number; readonly bytes: number } {
    return { files: this.#files.size, bytes: this.#bytes };
  }

  find(key: string, tokens: ArrayLike<number>, most: number): number {
    return this.#find(this.#root(key), tokens, most).length;
  }

  restore(key: string, tokens: ArrayLike<number>, most: number, sequence: Sequence): number {
    for (;;) {
      const way = this.#find(this.#root(key), tokens, most);
      if (way.length < sequence.length + LEAST_TOKENS || this.#load(way, sequence)) return sequence.length;
    }
  }

  keep(key: string, sequence: Sequence): void {
    const { length } = sequence;
    if (length < LEAST_TOKENS) return;
    const states = this.#geometry.stateBytes ? sequence.states() : [];
    const way: Kept[] = [];
    let parent = this.#root(key);
    for (let start = 0; start < length; start += BLOCK_TOKENS) {
      const end = Math.min(length, start + BLOCK_TOKENS);
      const tokens = Int32Array.from({ length: end - start }, (_, i) => sequence.token(start + i));
      const own = states.filter(s => s.position > start && s.position <= end).slice(-MOST_STATES);
      const block = { key: blockKey(parent, tokens), parent, start, tokens, states: own.map(s => s.position) };
      const kept = this.#covering(block) ?? this.#write(block, sequence, own);
      if (!kept) break;
      way.push(kept);
      parent = block.key;
    }
    this.#touch(way);
  }

  // ---- the folder ----

  #scan(): void {
    const found: { name: string; bytes: number; used: number }[] = [];
    for (const name of readdirSync(this.#dir)) {
      const part = PART.exec(name);
      if (part && !isAlive(Number(part[1]))) rmSync(join(this.#dir, name), { force: true });
      if (!NAME.test(name)) continue;
      const { size, mtimeMs } = statSync(join(this.#dir, name), { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 };
      found.push({ name, bytes: size, used: mtimeMs });
    }
    found.sort((a, b) => a.used - b.used);
    for (const { name } of found.slice(0, -MOST_FILES)) this.#discard(name, "there are too many");
    for (const { name, bytes } of found.slice(-MOST_FILES)) {
      if (!name.startsWith(this.#prefix)) this.#add({ name, bytes });
      else {
        const read = readBlock(join(this.#dir, name), this.#geometry);
        if (read && this.#name(read.block.key) === name) this.#add({ name, ...read });
        else this.#discard(name, "it is damaged, cut short or of another version");
      }
    }
  }

  get #prefix(): string {
    return this.#geometry.identity.slice(0, 16);
  }
  #name = (key: string): string => `${this.#prefix}-${key.slice(0, 48)}.past`;
  #root = (key: string): string => sha256(this.#geometry.identity, "\0", key);

  #add(kept: Kept): void {
    this.#remove(this.#files.get(kept.name));
    this.#files.set(kept.name, kept);
    this.#bytes += kept.bytes;
    if (!kept.block) return;
    const siblings = this.#children.get(kept.block.parent) ?? new Set();
    this.#children.set(kept.block.parent, siblings.add(kept));
  }

  /** From the index. */
  #remove(kept: Kept | undefined): void {
    if (!kept || !this.#files.delete(kept.name)) return;
    this.#bytes -= kept.bytes;
    if (!kept.block) return;
    const siblings = this.#children.get(kept.block.parent);
    siblings?.delete(kept);
    if (siblings?.size === 0) this.#children.delete(kept.block.parent);
  }

  #discard(name: string, why: string): void {
    debug("cached prompt %s is removed: %s", name, why);
    this.#remove(this.#files.get(name));
    try {
      rmSync(join(this.#dir, name), { force: true });
    } catch {} // it may lie there, and is not used
  }

  /** Makes them the most recently used, now and for later programs; what comes first stays longest. */
  #touch(way: readonly Kept[]): void {
    const now = new Date();
    for (const kept of way.toReversed()) {
      if (!this.#files.delete(kept.name)) continue;
      this.#files.set(kept.name, kept);
      try {
        utimesSync(join(this.#dir, kept.name), now, now);
      } catch {} // gone, or not ours to touch
    }
  }

  /** Removes leaves, the least recently used first, until so many bytes more fit; false where they never will. */
  #makeRoom(bytes: number): boolean {
    if (bytes > this.#most) return false;
    while (this.#bytes + bytes > this.#most) {
      const leaf = this.#leaf();
      if (!leaf) return false;
      this.#discard(leaf.name, "there is no room for it");
    }
    return true;
  }

  /** The least recently used that nothing follows. */
  #leaf(): Kept | undefined {
    for (const kept of this.#files.values()) if (!kept.block || !this.#children.has(kept.block.key)) return kept;
    return undefined;
  }

  // ---- blocks ----

  /** A block that has all that this one would have. */
  #covering({ parent, tokens, states }: Block): Kept | undefined {
    for (const kept of this.#children.get(parent) ?? []) {
      const { tokens: have, states: kinds } = kept.block!;
      if (have.length >= tokens.length && tokens.every((t, i) => have[i] === t) && includes(kinds, states)) return kept;
    }
    return undefined;
  }

  #write(block: Block, sequence: Sequence, states: readonly { readonly slot: number }[]): Kept | undefined {
    const name = this.#name(block.key);
    const { page, state, pageTokens } = this.#memory;
    const first = block.start / pageTokens;
    const pages = sequence.pages.slice(first, first + Math.ceil(block.tokens.length / pageTokens));
    const parts = [...pages.map(page), ...states.flatMap(s => state(s.slot))];
    if (!this.#makeRoom(payloadBytes(this.#geometry, block.tokens.length, states.length))) return undefined;
    try {
      const kept = { name, block, bytes: writeBlock(join(this.#dir, name), this.#geometry, block, parts) };
      this.#replace(kept);
      this.#makeRoom(0); // the header's length is known only now
      return kept;
    } catch (e) {
      debug("a prompt could not be cached: %s", (e as Error).message);
      return undefined;
    }
  }

  /** Takes it in, and removes blocks that are beginnings of it. */
  #replace(kept: Kept): void {
    const { parent, tokens, states } = kept.block!;
    for (const other of [...(this.#children.get(parent) ?? [])]) {
      const { tokens: have, states: kinds } = other.block!;
      if (other.name === kept.name || have.length >= tokens.length) continue;
      if (have.every((t, i) => tokens[i] === t) && includes(states, kinds)) this.#discard(other.name, "a longer one has come");
    }
    this.#add(kept);
  }

  #find(root: string, tokens: ArrayLike<number>, most: number): Way {
    const blocks: Kept[] = [];
    let length = 0;
    for (let start = 0, parent = root; ; start += BLOCK_TOKENS) {
      let best: { kept: Kept; common: number; usable: number } | undefined;
      for (const kept of this.#children.get(parent) ?? []) {
        const common = commonFrom(kept.block!.tokens, tokens, start, most);
        const usable = this.#geometry.stateBytes ? (kept.block!.states.findLast(s => s <= start + common) ?? 0) : start + common;
        if (common > (best?.common ?? 0) || (common === best?.common && usable > best.usable)) best = { kept, common, usable };
      }
      if (!best) break;
      blocks.push(best.kept);
      length = Math.max(length, best.usable);
      if (best.common < BLOCK_TOKENS) break;
      parent = best.kept.block!.key;
    }
    return { blocks: blocks.filter(k => k.block!.start < length), length };
  }

  /** Appends what the way has. False where a block turned out to be bad, which is then no longer there. */
  #load({ blocks, length }: Way, sequence: Sequence): boolean {
    const before = sequence.length;
    const { pageTokens, pageBytes, stateBytes, page, state } = this.#memory;
    try {
      for (const { name, block } of blocks) {
        const { start, tokens, states } = block!;
        const end = Math.min(length, start + tokens.length);
        if (end <= sequence.length) continue;
        const payload = readPayload(join(this.#dir, name), this.#geometry, block!);
        if (!payload) {
          this.#discard(name, "its bytes are not what was written");
          if (stateBytes) sequence.retract(before);
          return false;
        }
        const from = Math.max(start, sequence.length);
        sequence.adopt(tokens.subarray(from - start, end - start));
        for (let p = Math.floor(from / pageTokens); p < Math.ceil(end / pageTokens); p++) {
          const at = (p - start / pageTokens) * pageBytes;
          page(sequence.pages[p]).set(payload.subarray(at, at + pageBytes));
        }
        if (!stateBytes || end < length) continue;
        let at = payload.length - (states.length - states.indexOf(length)) * stateBytes;
        for (const layer of state(sequence.adoptState())) layer.set(payload.subarray(at, (at += layer.length)));
      }
      this.#touch(blocks);
    } catch (e) {
      if (!(e instanceof LatheError)) throw e;
      if (stateBytes) sequence.retract(before); // no pages or no state left: what is not restored is computed
    }
    return true;
  }
}

/** How many tokens from position `start` on are the same, at most up to position `most`. */
function commonFrom(own: Int32Array, tokens: ArrayLike<number>, start: number, most: number): number {
  const end = Math.min(own.length, Math.min(tokens.length, most) - start);
  let n = 0;
  while (n < end && own[n] === tokens[start + n]) n++;
  return n;
}
