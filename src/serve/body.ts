/**
 * What a request's body says: JSON of a bounded size and depth, checked against a schema. Whatever is wrong becomes one sentence that names the
 * field; the body itself is never repeated in it.
 */
import type { Readable } from "node:stream";
import { toJSONSchema, type z } from "zod";
import { LatheError } from "../errors.ts";
import { bodyOf } from "./arriving.ts";
import { limits } from "./fields.ts";
import { turn } from "./turns.ts";

const invalid = (message: string, field?: string): LatheError => new LatheError("request.invalid", message, field ? { field } : {});

/** A request, and where its body comes from if that is not the request alone. */
export interface Incoming {
  readonly request: Request;
  readonly source?: Readable;
}

/** @throws LatheError request.too-large, request.invalid, server.busy */
export async function readJson({ request, source }: Incoming, most: number = limits.bodyBytes): Promise<unknown> {
  const kind = request.headers.get("content-type") ?? "";
  // Browsers send cross-origin forms and plain text without asking; JSON they ask for first.
  if (!/^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(kind)) throw invalid("The body must be sent as content-type application/json.");
  using body = await bodyOf(request, source, most);
  await turn();
  checkDepth(body.bytes);
  const text = await decoded(body.bytes);
  try {
    return JSON.parse(text);
  } catch {
    throw noJson();
  }
}

const noJson = (): LatheError => invalid("The body is no valid JSON in UTF-8.");

/** Bytes that become text in one turn of the event loop. */
const SLICE = 2 ** 16;

/** Long bodies in slices, between which everything else goes on: three MiB of what is not ASCII take as long as four tokens of a small model. */
async function decoded(bytes: Uint8Array): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    if (bytes.length <= SLICE) return decoder.decode(bytes);
    let text = "";
    for (let at = 0; at < bytes.length; at += SLICE) {
      text += decoder.decode(bytes.subarray(at, at + SLICE), { stream: true });
      await new Promise<void>(resolve => setImmediate(resolve));
    }
    return text + decoder.decode();
  } catch {
    throw noJson();
  }
}

/** Bytes of a text after which its end is looked for by the runtime's own search. */
const LONG = 64;

/** Where the text ends that the quote at `start` begins: its last quote, or the end of the bytes. */
function endOfText(bytes: Uint8Array, start: number): number {
  let i = start + 1;
  for (const near = Math.min(bytes.length, i + LONG); i < near; i++) {
    if (bytes[i] === 0x5c) i++;
    else if (bytes[i] === 0x22) return i;
  }
  const first = i; // what is before it is read, an escape as a whole
  for (;;) {
    const quote = bytes.indexOf(0x22, i);
    if (quote < 0) return bytes.length;
    let slashes = 0;
    while (quote - slashes > first && bytes[quote - slashes - 1] === 0x5c) slashes++;
    if (slashes % 2 === 0) return quote;
    i = quote + 1;
  }
}

/** Brackets outside texts, before the parser sees them. */
function checkDepth(bytes: Uint8Array): void {
  let depth = 0;
  for (let i = 0; i < bytes.length; i++) {
    const c = bytes[i];
    if (c === 0x22) i = endOfText(bytes, i);
    else if (c === 0x5b || c === 0x7b) {
      if (++depth > limits.depth) throw invalid(`The body nests deeper than ${limits.depth} levels.`);
    } else if (c === 0x5d || c === 0x7d) depth--;
  }
}

/** @throws LatheError request.invalid, naming the first wrong field. */
export function checked<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = deepest(result.error.issues[0]);
  const names = namesOf(schema);
  const free = issue.path.findIndex(part => typeof part === "string" && !names.has(part));
  const field = (free < 0 ? issue.path : issue.path.slice(0, free)).map(String).join(".").slice(0, 200);
  const what = issue.message.replace(/^Invalid input: /, "").slice(0, 300);
  throw invalid(field ? `The field "${field}" is wrong: ${what}.` : `The body is wrong: ${what}.`, field || undefined);
}

/** Names of fields anywhere in a schema. What else keys an object is the client's own text, which errors do not repeat. */
const fieldNames = new WeakMap<z.ZodType, ReadonlySet<string>>();
function namesOf(schema: z.ZodType): ReadonlySet<string> {
  let found = fieldNames.get(schema);
  if (!found) {
    const names = new Set<string>();
    const walk = (node: unknown): void => {
      if (typeof node !== "object" || node === null) return;
      for (const [key, value] of Object.entries(node)) {
        if (key === "properties") for (const name of Object.keys(value as object)) names.add(name);
        walk(value);
      }
    };
    walk(toJSONSchema(schema, { io: "input", unrepresentable: "any" }));
    fieldNames.set(schema, (found = names));
  }
  return found;
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** Of a union, the complaint of the alternative that came furthest. */
function deepest(issue: z.core.$ZodIssue): Issue {
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return issue;
  const all = issue.errors.flatMap(list => list.slice(0, 1).map(deepest));
  const best = all.reduce((a, b) => (b.path.length > a.path.length ? b : a), all[0]);
  if (!best || best.path.length === 0) return issue;
  return { path: [...issue.path, ...best.path], message: best.message };
}

/** The top-level fields of a body that the schema does not know. */
export function unknownFields(schema: z.ZodType, body: unknown): string[] {
  const shape = (schema as { shape?: Record<string, unknown> }).shape;
  if (!shape || typeof body !== "object" || body === null) return [];
  return Object.keys(body).filter(key => !(key in shape));
}
