/** Seeded damage to inputs of three kinds: bytes, text, and JSON, whose values are put in each other's place. */
import type { Random } from "../fixtures/random.ts";

export type Kind = "bytes" | "text" | "json";

/** Numbers at which sizes, offsets and signs go wrong. */
const edges = [0, 1, 2, 3, 7, 8, 31, 32, 33, 127, 128, 255, 256, 65535, 65536];
const wideEdges = [31n, 32n, 53n, 61n, 62n, 63n, 64n].flatMap(bits => [-1n, 0n, 1n].map(step => BigInt.asUintN(64, 2n ** bits + step)));

/** Most edits hit the beginning, where headers are. */
const HEADER = 4096;
const MOST_BYTES = 1 << 17;

function numberPut(bytes: Uint8Array, random: Random, at: number): void {
  const size = random.pick([1, 2, 4, 8]);
  const value = random.below(2) ? BigInt(random.pick(edges)) : random.pick(wideEdges);
  for (let i = 0; i < size && at + i < bytes.length; i++) bytes[at + i] = Number((value >> BigInt(8 * i)) & 255n);
}

function joinedAround(bytes: Uint8Array, from: number, to: number, middle: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.min(MOST_BYTES, bytes.length - (to - from) + middle.length));
  out.set(bytes.subarray(0, from));
  out.set(middle.subarray(0, out.length - from), from);
  out.set(bytes.subarray(to, to + Math.max(0, out.length - from - middle.length)), Math.min(out.length, from + middle.length));
  return out;
}

/** One edit of bytes; `other` is another input of the same kind. */
function bytesEdited(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  if (bytes.length === 0) return other.slice();
  const at = random.below(random.below(5) ? Math.min(HEADER, bytes.length) : bytes.length);
  const length = random.below(2) ? random.below(9) : random.below(Math.min(200, bytes.length));
  const choice = random.below(10);
  if (choice < 3) {
    const copy = bytes.slice();
    numberPut(copy, random, at);
    return copy;
  }
  if (choice < 6) {
    const copy = bytes.slice();
    for (let n = random.below(4); n >= 0; n--) copy[(at + random.below(16)) % copy.length] ^= 1 << random.below(8);
    return copy;
  }
  if (choice === 6) return bytes.slice(0, at);
  if (choice === 7) return joinedAround(bytes, at, Math.min(bytes.length, at + length), new Uint8Array());
  const from = random.below(other.length + 1);
  return joinedAround(bytes, at, choice === 8 ? at : Math.min(bytes.length, at + length), other.subarray(from, from + length));
}

const scraps =
  "\" ' { } [ ] ( ) , : \\ / * + ? . ^ $ | - _ = % # @ ! < > 0 9 1e999 -1 {{ }} {% %} {%- -%} ~ ::= {0,4294967295} {1000} (?: (?= \\p{L} \\u{10ffff} [^ [a-z] \u0000 é 😀 \ud800 ▁ null true for if set in range( .x [0] .__proto__".split(
    " ",
  );

function textEdited(text: string, other: string, random: Random): string {
  const at = random.below(text.length + 1);
  const length = random.below(random.below(2) ? 6 : 60);
  const choice = random.below(6);
  if (choice === 0) return text.slice(0, at) + text.slice(at + length);
  if (choice === 1)
    return text.slice(0, at) + text.slice(at, at + length).repeat(1 + random.below(random.below(20) ? 4 : 400)) + text.slice(at);
  if (choice === 2) {
    const from = random.below(other.length + 1);
    return text.slice(0, at) + other.slice(from, from + length) + text.slice(at);
  }
  const scrap = random.pick(scraps);
  return text.slice(0, at) + scrap.repeat(random.below(30) ? 1 : random.below(2000)) + text.slice(at + random.below(3));
}

const odd: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1,
  0.5,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  1e300,
  -1e300,
  "",
  " ",
  "a",
  "__proto__",
  "constructor",
  "\ud800",
  "(a+)+b",
  "▁",
  "x".repeat(3000),
  [],
  {},
  [[]],
  { type: "Sequence" },
  { type: "ByteLevel" },
  { type: "toString" },
  { String: "" },
  { Regex: "(?=)" },
  { Regex: "" },
  { $ref: "#" },
  { pattern: "(a*)*" },
];

/** One edit somewhere inside of a value; `other` lends values. */
function valueEdited(value: unknown, other: unknown, random: Random): unknown {
  if (typeof value !== "object" || value === null || random.below(8) === 0) {
    return random.below(4) ? odd[random.below(odd.length)] : inside(other, random);
  }
  if (Array.isArray(value)) {
    const copy = [...value];
    const at = random.below(copy.length + 1);
    const choice = random.below(4);
    if (choice === 0) copy.splice(at, 1);
    else if (choice === 1) copy.splice(at, 0, copy[random.below(copy.length)] ?? odd[random.below(odd.length)]);
    else if (at < copy.length) copy[at] = valueEdited(copy[at], other, random);
    return copy;
  }
  const entries = Object.entries(value);
  const at = random.below(entries.length + 1);
  if (at === entries.length)
    return Object.fromEntries([...entries, [random.pick(["__proto__", "type", "x"]), odd[random.below(odd.length)]]]);
  if (random.below(5) === 0) entries.splice(at, 1);
  else entries[at] = [entries[at][0], valueEdited(entries[at][1], other, random)];
  return Object.fromEntries(entries);
}

/** A value that lies somewhere in another. */
function inside(value: unknown, random: Random): unknown {
  if (typeof value !== "object" || value === null || random.below(4) === 0) return value;
  const values = Object.values(value);
  return values.length === 0 ? value : inside(random.pick(values), random);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    return undefined;
  }
}

/** One to three edits of one of the samples. */
export function mutated(kind: Kind, samples: readonly Uint8Array[], random: Random): Uint8Array {
  const [sample, other] = [random.pick(samples), random.pick(samples)];
  const edits = 1 + random.below(3);
  if (kind === "json" && random.below(8)) {
    let value = parsed(sample);
    const lender = parsed(other);
    for (let n = 0; n < edits; n++) value = valueEdited(value, lender, random);
    return encoder.encode(JSON.stringify(value) ?? "");
  }
  if (kind === "bytes") {
    let bytes = sample;
    for (let n = 0; n < edits; n++) bytes = bytesEdited(bytes, other, random);
    return bytes;
  }
  let text = decoder.decode(sample);
  const lender = decoder.decode(other);
  for (let n = 0; n < edits; n++) text = textEdited(text, lender, random);
  return encoder.encode(text.slice(0, MOST_BYTES));
}
