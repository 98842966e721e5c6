/**
 * Every schema of a folder as the arguments of a tool that must be called: compiled, and followed by random walks to an end. Tells what is refused and
 * why, what takes long, and where a walk gets stuck; with `--out`, each schema with the arguments that were written, for a validator to judge.
 *
 *     npm run fuzz:schemas -- <folder> [--walks 3] [--seed 1] [--out results.jsonl] [--like part-of-name]
 */
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { HeldCall } from "../../src/api/held-call.ts";
import { Automaton } from "../../src/decode/constrain/automaton.ts";
import type { Compiled } from "../../src/decode/constrain/constraint.ts";
import { type ConstraintSource, compileSource } from "../../src/decode/constrain/source.ts";
import { LatheError } from "../../src/errors.ts";
import type { CallsForm } from "../../src/text/tools/call-forms.ts";
import { Random } from "../fixtures/random.ts";
import { walk } from "./walk.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { walks: { type: "string" }, seed: { type: "string" }, out: { type: "string" }, like: { type: "string" } },
});
const [walks, seed] = [Number(values.walks ?? 3), Number(values.seed ?? 1)];
/** A call as a JSON text. */
const form: CallsForm = { begin: "", end: "", call: { keys: ["name", "arguments"] } };
/** Bytes of a walk, and of a walk that is begun anew because one went on for longer. */
const [MOST_BYTES, TRIES] = [100_000, 3];

interface Result {
  readonly file: string;
  readonly size: number;
  /** Processor's milliseconds to compile; and for the walks. */
  readonly time: number;
  readonly walking?: number;
  /** MiB of heap that compiling added, where the process may collect garbage by itself (--expose-gc). */
  readonly heap?: number;
  readonly refused?: string;
  readonly reason?: string;
  readonly arguments?: readonly unknown[];
  readonly stuck?: string;
  readonly unfinished?: number;
}

const processor = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const { gc } = globalThis as { gc?: () => void };
const heapNow = (): number => {
  gc?.();
  return process.memoryUsage().heapUsed / 2 ** 20;
};

function followed({ grammar, root }: Compiled, random: Random): Pick<Result, "arguments" | "stuck" | "unfinished"> {
  const automaton = new Automaton(grammar);
  const start = automaton.start(root);
  const written: unknown[] = [];
  let unfinished = 0;
  for (let n = 0; n < walks; n++) {
    let done = false;
    for (let i = 0; i < TRIES && !done; i++) {
      try {
        const { text, complete } = walk(automaton, start, random, MOST_BYTES);
        done = complete;
        if (complete) written.push(JSON.parse(Buffer.from(text).toString("utf8")).arguments);
      } catch (error) {
        return { arguments: written, unfinished, stuck: String((error as Error).message).slice(-2000) };
      }
    }
    unfinished += Number(!done);
  }
  return { arguments: written, unfinished };
}

function judged(file: string, text: string, random: Random): Result {
  const source = (): ConstraintSource => {
    const parameters = JSON.parse(text) as object;
    return new HeldCall([{ type: "function", function: { name: "tool", parameters } }], form).source;
  };
  const before = gc ? heapNow() : 0;
  const begun = processor();
  const size = Buffer.byteLength(text);
  try {
    const compiled = compileSource(source());
    const time = processor() - begun;
    const heap = gc ? heapNow() - before : undefined;
    const since = processor();
    const found = followed(compiled, random);
    return { file, size, time, heap, ...found, walking: processor() - since };
  } catch (error) {
    const time = processor() - begun;
    const heap = gc ? heapNow() - before : undefined;
    if (!(error instanceof LatheError)) return { file, size, time, heap, stuck: String((error as Error).stack) };
    return { file, size, time, heap, refused: `${error.code} ${error.details.keyword ?? ""}`.trim(), reason: error.message };
  }
}

const [folder] = positionals;
const files = folder === undefined ? [] : readdirSync(folder).filter(name => name.endsWith(".json") && name.includes(values.like ?? ""));
if (files.length === 0) {
  console.error("npm run fuzz:schemas -- <folder of .json files, a schema each> [--walks n] [--seed n] [--out file] [--like part-of-name]");
  process.exit(2);
}
if (values.out !== undefined) writeFileSync(values.out, "");
const results = files.sort().map((file, i) => {
  const result = judged(file, readFileSync(join(folder, file), "utf8"), new Random(seed + i));
  if (values.out !== undefined) appendFileSync(values.out, `${JSON.stringify(result)}\n`);
  if (result.stuck !== undefined) console.log(`${file}: ${result.stuck}`);
  return result;
});

const refused = new Map<string, number>();
for (const r of results) if (r.refused !== undefined) refused.set(r.refused, (refused.get(r.refused) ?? 0) + 1);
const most = (by: (r: Result) => number): Result => results.reduce((a, b) => (by(b) > by(a) ? b : a));
const sum = (of: (r: Result) => number): number => results.reduce((n, r) => n + of(r), 0);
const slowest = most(r => r.time);
console.log(`${results.length} schemas, ${results.filter(r => r.refused === undefined && r.time > 0).length} compiled`);
for (const [why, n] of [...refused].sort((a, b) => b[1] - a[1])) console.log(`  refused: ${why}: ${n}`);
console.log(`slowest: ${Math.round(slowest.time)} ms, ${slowest.file}; over a second: ${results.filter(r => r.time > 1000).length}`);
if (gc) console.log(`most memory: ${most(r => r.heap ?? 0).heap?.toFixed(1)} MiB, ${most(r => r.heap ?? 0).file}`);
console.log(`${sum(r => r.arguments?.length ?? 0)} arguments written, ${sum(r => r.unfinished ?? 0)} walks without an end`);
console.log(`${results.filter(r => r.stuck !== undefined).length} stuck`);
process.exit(results.some(r => r.stuck !== undefined) ? 1 : 0);
