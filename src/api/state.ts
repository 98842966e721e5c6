/**
 * Saved conversations and sessions: what is needed to go on elsewhere, as bytes. Tokens, messages and settings are kept; keys and values are not,
 * they are computed again. Layout, little-endian: magic (8 bytes), version, bytes of JSON, tokens (u32 each), SHA-256 of the rest (32 bytes), the
 * JSON, the ids (i32 each).
 */
import { LatheError } from "../errors.ts";
import { isMarked } from "../kv/marks.ts";
import type { ChatMessage } from "../text/chat.ts";

const MAGIC = "LATHESES";
const VERSION = 1;
const HEADER = 8 + 3 * 4 + 32;

export interface SavedState {
  /** Of the model that it belongs to. */
  readonly identity: string;
  /** With the marks of modules. */
  readonly tokens: Int32Array;
  readonly messages: readonly ChatMessage[];
  /** Options of answers, as plain data. */
  readonly settings: Readonly<Record<string, unknown>>;
}

const sha256 = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
const hex = (bytes: Uint8Array): string => Array.from(bytes, b => b.toString(16).padStart(2, "0")).join("");

/** What tells models apart whose tokens or templates differ: a hash of their names, sizes and metadata, vocabulary included. */
export async function modelIdentity(fields: Readonly<Record<string, unknown>>, metadata: ReadonlyMap<string, unknown>): Promise<string> {
  const plain = (_: string, value: unknown): unknown =>
    typeof value === "bigint" ? `${value}n` : ArrayBuffer.isView(value) ? Array.from(value as Uint8Array) : value;
  const text = JSON.stringify([fields, [...metadata].sort(([a], [b]) => (a < b ? -1 : 1))], plain);
  return hex(await sha256(new TextEncoder().encode(text)));
}

export async function encodeState({ tokens, ...rest }: SavedState): Promise<Uint8Array> {
  const json = new TextEncoder().encode(JSON.stringify(rest));
  const bytes = new Uint8Array(HEADER + json.length + 4 * tokens.length);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(MAGIC));
  [VERSION, json.length, tokens.length].forEach((n, i) => {
    view.setUint32(8 + 4 * i, n, true);
  });
  bytes.set(json, HEADER);
  tokens.forEach((id, i) => {
    view.setInt32(HEADER + json.length + 4 * i, id, true);
  });
  bytes.set(await sha256(bytes.slice(HEADER)), HEADER - 32);
  return bytes;
}

const damaged = (reason: string): LatheError =>
  new LatheError("state.damaged", `The saved session cannot be read: ${reason}; save it again.`, { reason });

/** @throws LatheError state.damaged, state.other-model. */
export async function decodeState(bytes: Uint8Array, model: { identity: string; vocabulary: number }): Promise<SavedState> {
  if (!(bytes instanceof Uint8Array)) throw damaged("it is no Uint8Array");
  if (bytes.length < HEADER || new TextDecoder().decode(bytes.subarray(0, 8)) !== MAGIC) throw damaged("it is none, or cut off");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [version, jsonBytes, count] = [8, 12, 16].map(at => view.getUint32(at, true));
  if (version !== VERSION) throw damaged(`it has version ${version} and this program reads ${VERSION}`);
  if (bytes.length !== HEADER + jsonBytes + 4 * count) throw damaged("its length is not what it says");
  const body = bytes.slice(HEADER);
  if (hex(await sha256(body)) !== hex(bytes.subarray(HEADER - 32, HEADER))) throw damaged("its bytes have changed");
  const state = { ...readJson(body.subarray(0, jsonBytes)), tokens: new Int32Array(count) };
  if (state.identity !== model.identity) {
    const message = "The session was saved with another model; load that one to go on.";
    throw new LatheError("state.other-model", message, { saved: state.identity, loaded: model.identity });
  }
  for (let i = 0; i < count; i++) {
    const id = view.getInt32(HEADER + jsonBytes + 4 * i, true);
    if (!isMarked(id, model.vocabulary)) throw damaged(`it has token ${id}, which the model lacks`);
    state.tokens[i] = id;
  }
  return state;
}

const isRecord = (v: unknown): v is Record<string, unknown> => typeof v === "object" && v !== null && !Array.isArray(v);
const isMessage = (v: unknown): v is ChatMessage => isRecord(v) && typeof v.role === "string";

function readJson(bytes: Uint8Array): Omit<SavedState, "tokens"> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw damaged("its description is no JSON");
  }
  if (!isRecord(value)) throw damaged("its description has another form");
  const { identity, messages, settings } = value;
  const fits = typeof identity === "string" && Array.isArray(messages) && messages.every(isMessage) && isRecord(settings);
  if (!fits) throw damaged("its description has another form");
  return { identity, messages, settings };
}
