#!/usr/bin/env node
/**
 * What a constraint costs: milliseconds per token to find the allowed ones, for answers that follow realistic schemas, with the vocabulary of
 * cl100k_base (100,256 tokens; shared test data) or of a GGUF file. `node bench/constrain.mjs [model.gguf]` after `npm run build`.
 */
import "./usage.mjs";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Constraints } from "../dist/decode/constrain/source.js";
import { closeGguf } from "../dist/files/gguf.js";
import { openModelFile } from "../dist/files/open.node.js";
import { tokenizerFromMetadata } from "../dist/text/tokenizer.js";

async function vocabulary(path) {
  if (path) {
    const gguf = await openModelFile(path);
    await closeGguf(gguf);
    const tokenizer = tokenizerFromMetadata(gguf.metadata);
    return { size: tokenizer.size, bytes: id => tokenizer.bytes(id), ends: [] };
  }
  const file = join(import.meta.dirname, "..", "..", "shared", "data", "tokenizer-tiktoken", "cl100k_base.tiktoken");
  const tokens = readFileSync(file, "utf8").trim().split("\n");
  const bytes = tokens.map(line => Uint8Array.from(Buffer.from(line.split(" ")[0], "base64")));
  return { size: bytes.length, bytes: id => bytes[id], ends: [] };
}

const person = {
  type: "object",
  properties: {
    name: { type: "string" },
    email: { type: "string", format: "email" },
    age: { type: "integer", minimum: 0, maximum: 150 },
    role: { enum: ["admin", "editor", "viewer"] },
    born: { type: "string", format: "date" },
    bio: { type: "string", maxLength: 400 },
    tags: { type: "array", items: { type: "string", minLength: 1, maxLength: 30 }, maxItems: 8 },
    address: {
      type: "object",
      properties: { street: { type: "string" }, city: { type: "string" }, zip: { type: "string", pattern: "^[0-9]{5}$" } },
      required: ["street", "city"],
      additionalProperties: false,
    },
    friends: { type: "array", items: { $ref: "#" } },
  },
  required: ["name", "email", "age"],
  additionalProperties: false,
};
const words = "the quick brown fox jumps over a lazy dog and then runs away from its very old village in spring".split(" ");
const sentence = (from, n) => Array.from({ length: n }, (_, i) => words[(from * 7 + i * 5) % words.length]).join(" ");
const people = (i, depth) => ({
  name: sentence(i, 2),
  email: `${words[i % words.length]}@example.org`,
  age: (i * 13) % 100,
  role: ["admin", "editor", "viewer"][i % 3],
  born: `19${10 + (i % 80)}-0${1 + (i % 9)}-1${i % 10}`,
  bio: `${sentence(i, 40)}. "Quoted", said é.`,
  tags: [words[i % 9], words[(i + 3) % 9]],
  address: { street: sentence(i, 3), city: words[i % 5], zip: String(10000 + i) },
  ...(depth > 0 ? { friends: [people(i + 1, depth - 1), people(i + 2, 0)] } : {}),
});
const json = v => JSON.stringify(v, null, 2).replace(/\n +/g, m => (m.length > 20 ? "\n" : m));
const whitespace = "some";
const cases = [
  ["a person", { kind: "schema", text: JSON.stringify(person), style: { order: "declared", whitespace } }, i => json(people(i, 2))],
  ["any JSON", { kind: "schema", text: "{}", style: { order: "declared", whitespace } }, i => json(people(i, 2))],
  ["any order", { kind: "schema", text: JSON.stringify(person), style: { order: "any", whitespace } }, i => json(people(i, 2))],
  ["regex", { kind: "regex", text: "([A-Z]?[a-z]+[ ,.]{1,2}){5,80}" }, i => `${sentence(i, 30)}.`],
  [
    "json.gbnf",
    { kind: "grammar", text: readFileSync(join(import.meta.dirname, "..", "..", "shared", "data", "grammars", "json.gbnf"), "utf8") },
    i => JSON.stringify(people(i, 2)),
  ],
];

/** The longest allowed token that goes on with the text, by trying. */
function next(tokens, constraint, mask, bytes, at) {
  for (let length = Math.min(24, bytes.length - at); length > 0; length--) {
    const id = tokens.get(bytes.toString("latin1", at, at + length));
    if (id === undefined || !((mask[id >> 5] >>> (id & 31)) & 1)) continue;
    if (constraint.accept(id) === "text") return length;
  }
  throw new Error(`nothing allowed goes on with ${bytes.subarray(at, at + 40)}`);
}

function follow(constraint, tokens, text, times) {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    const begun = performance.now();
    const mask = constraint.mask();
    times.push(performance.now() - begun);
    at += next(tokens, constraint, mask, bytes, at);
  }
  if (!constraint.mayEnd) throw new Error("the text is not complete");
}

const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
function report(name, times) {
  const sorted = Float64Array.from(times).sort();
  const mean = times.reduce((a, b) => a + b, 0) / times.length;
  const numbers = [mean, at(sorted, 0.5), at(sorted, 0.99), sorted.at(-1)].map(x => x.toFixed(3).padStart(8));
  console.log(
    `  ${name.padEnd(22)} ${String(times.length).padStart(6)} tokens; mean ${numbers[0]}, median ${numbers[1]}, 99 % ${numbers[2]}, most ${numbers[3]} ms`,
  );
}

const given = await vocabulary(process.argv[2]);
const tokens = new Map();
for (let id = 0; id < given.size; id++) tokens.set(Buffer.from(given.bytes(id)).toString("latin1"), id);
let begun = performance.now();
const constraints = new Constraints(given);
console.log(`${given.size} tokens; their tree made in ${(performance.now() - begun).toFixed(0)} ms`);
for (const [name, source, text] of cases) {
  begun = performance.now();
  const first = constraints.begin(source);
  console.log(`${name}: compiled in ${(performance.now() - begun).toFixed(1)} ms`);
  const cold = [];
  follow(first, tokens, text(0), cold);
  report("the first answer", cold);
  const warm = [];
  for (let i = 1; i <= 10; i++) follow(constraints.begin(source), tokens, text(i), warm);
  report("ten more", warm);
}
console.log(`heap ${(process.memoryUsage().heapUsed / 2 ** 20).toFixed(0)} MiB`);
