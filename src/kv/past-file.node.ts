/**
 * The file of a block: so many tokens of a past with their keys and values, and the states of recurrent layers that were kept among them. Owns
 * its bytes: how a block is written so that a file is there whole or not at all, and every reason not to believe one.
 *
 * Layout: magic, u32 bytes of the header, SHA-256 of the header, the header (JSON), pages, then states. The header has the SHA-256 of the rest.
 */
import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";

/** Tokens of a whole block: a multiple of a page, and the distance of the checkpoints that states have anyway. */
export const BLOCK_TOKENS = 256;
const MAGIC = Buffer.from("LATHEKV1");
const PREFIX = MAGIC.length + 4 + 32;
/** A block's tokens and positions as JSON are a few KB. */
const MOST_HEADER = 1 << 16;
/** Most states of a block; more are not written. */
export const MOST_STATES = 32;

/** Sizes that a file must have; those of the model. */
export interface Geometry {
  /** Of the model, the format of its pages, and all else that their bytes depend on. */
  readonly identity: string;
  readonly pageTokens: number;
  readonly pageBytes: number;
  /** Of all recurrent layers together; 0 where there are none. */
  readonly stateBytes: number;
}

/** A block as the index knows it. `key` stands for all tokens from the past's first to the block's last, and for who may use them. */
export interface Block {
  readonly key: string;
  /** Key of what comes before. */
  readonly parent: string;
  /** Position of the first token. */
  readonly start: number;
  readonly tokens: Int32Array;
  /** Positions after which there is a state, rising; counted from the past's beginning. */
  readonly states: readonly number[];
}

export const sha256 = (...parts: (Uint8Array | string)[]): string => {
  const hash = createHash("sha256");
  for (const p of parts) hash.update(p);
  return hash.digest("hex");
};

/** Key of a block that follows `parent`. */
export const blockKey = (parent: string, tokens: Int32Array): string =>
  sha256(parent, new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength));

export const payloadBytes = (g: Geometry, tokens: number, states: number): number =>
  Math.ceil(tokens / g.pageTokens) * g.pageBytes + states * g.stateBytes;

interface Header {
  readonly identity: string;
  readonly parent: string;
  readonly start: number;
  readonly tokens: readonly number[];
  readonly states: readonly number[];
  readonly sha256: string;
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at);
}

/** Writes a block under another name and renames it. `parts`: its pages and states. Throws what the file system throws; nothing is left then. */
export function writeBlock(path: string, g: Geometry, block: Block, parts: readonly Uint8Array[]): number {
  const { parent, start, states } = block;
  const header: Header = { identity: g.identity, parent, start, tokens: [...block.tokens], states, sha256: sha256(...parts) };
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  const begun = `${path}.${process.pid}.part`;
  const fd = openSync(begun, "w", 0o600);
  try {
    try {
      for (const bytes of [MAGIC, length, createHash("sha256").update(text).digest(), text, ...parts]) writeAll(fd, bytes);
    } finally {
      closeSync(fd);
    }
    renameSync(begun, path);
  } catch (e) {
    rmSync(begun, { force: true });
    throw e;
  }
  return PREFIX + text.length + parts.reduce((sum, p) => sum + p.length, 0);
}

/** Reads until `into` is full; false where the file ends before. */
function fill(fd: number, into: Uint8Array, offset: number): boolean {
  for (let at = 0; at < into.length; ) {
    const n = readSync(fd, into, at, into.length - at, offset + at);
    if (n === 0) return false;
    at += n;
  }
  return true;
}

const isCount = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;
const isId = (x: unknown): boolean => isCount(x) && x < 2 ** 31;
const rising = (list: readonly number[], from: number, to: number): boolean =>
  list.every((p, i) => p > (i ? list[i - 1] : from) && p <= to);

function parsed(text: string): Header | undefined {
  let header: Partial<Record<keyof Header, unknown>> | null;
  try {
    header = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof header !== "object" || header === null) return undefined;
  const { identity, parent, start, tokens, states, sha256: sum } = header;
  const texts = [identity, parent, sum].every(t => typeof t === "string");
  if (!texts || !isCount(start) || start % BLOCK_TOKENS || !Array.isArray(tokens) || !Array.isArray(states)) return undefined;
  const whole = tokens.length > 0 && tokens.length <= BLOCK_TOKENS && tokens.every(isId) && states.length <= MOST_STATES;
  if (!whole || !states.every(isCount) || !rising(states, start, start + tokens.length)) return undefined;
  return header as Header;
}

interface Opened {
  readonly block: Block;
  readonly sum: string;
  /** Where the pages begin. */
  readonly offset: number;
  readonly bytes: number;
}

function readHeader(fd: number, g: Geometry): Opened | undefined {
  const prefix = Buffer.alloc(PREFIX);
  if (!fill(fd, prefix, 0) || !prefix.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const { size } = fstatSync(fd);
  const length = prefix.readUInt32LE(MAGIC.length);
  if (length > MOST_HEADER || PREFIX + length > size) return undefined;
  const text = Buffer.alloc(length);
  if (!fill(fd, text, PREFIX)) return undefined;
  const sum = createHash("sha256").update(text).digest();
  if (!sum.equals(prefix.subarray(MAGIC.length + 4))) return undefined;
  const header = parsed(text.toString("utf8"));
  if (header?.identity !== g.identity) return undefined;
  const { parent, start, states } = header;
  const tokens = Int32Array.from(header.tokens);
  if (size !== PREFIX + length + payloadBytes(g, tokens.length, states.length)) return undefined;
  return {
    block: { key: blockKey(parent, tokens), parent, start, tokens, states },
    sum: header.sha256,
    offset: PREFIX + length,
    bytes: size,
  };
}

function opened<T>(path: string, body: (fd: number) => T): T | undefined {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return undefined;
  }
  try {
    return body(fd);
  } catch {
    return undefined; // an I/O error: as good as no file
  } finally {
    closeSync(fd);
  }
}

/** What the file says of itself, without its pages; undefined where it is cut, damaged or of another model. */
export function readBlock(path: string, g: Geometry): { readonly block: Block; readonly bytes: number } | undefined {
  return opened(path, fd => readHeader(fd, g));
}

/** Pages, then states, as they were written; undefined where a bit of it has changed or it is not that block. */
export function readPayload(path: string, g: Geometry, block: Block): Uint8Array | undefined {
  return opened(path, fd => {
    const found = readHeader(fd, g);
    if (found?.block.key !== block.key || found.block.states.join() !== block.states.join()) return undefined;
    const payload = new Uint8Array(found.bytes - found.offset);
    if (!fill(fd, payload, found.offset) || sha256(payload) !== found.sum) return undefined;
    return payload;
  });
}
