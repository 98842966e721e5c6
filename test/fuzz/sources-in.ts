/**
 * What compiling takes: every hard source (test/decode/constrain/hard.ts), every schema and grammar of some folders, and some that are generated, each
 * compiled as the compiling thread does it, with the most memory that the process had meanwhile. Fails where one takes more than it may.
 *
 *     npm run fuzz:memory -- [folder ...] [--generated 1000] [--seed 1] [--like part-of-name] [--each]
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CompileService, type FromCompiler } from "../../src/api/compile-service.ts";
import { HeldCall } from "../../src/api/held-call.ts";
import type { ConstraintSource } from "../../src/decode/constrain/source.ts";
import type { CallsForm } from "../../src/text/tools/call-forms.ts";
import { hardSources } from "../decode/constrain/hard.ts";
import { Random } from "../fixtures/random.ts";
import { generatedSource } from "./generated.ts";
import { peakOf } from "./peak.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    generated: { type: "string" },
    seed: { type: "string" },
    like: { type: "string" },
    each: { type: "boolean" },
    alone: { type: "string" },
  },
});
/** MiB and milliseconds that any source may take. */
const [MOST_MIB, MOST_MS] = [64, 1000];
const WORST = 12;
const form: CallsForm = { begin: "", end: "", call: { keys: ["name", "arguments"] } };

function* sources(): Generator<readonly [name: string, source: () => ConstraintSource]> {
  yield* hardSources;
  for (const folder of positionals)
    for (const file of (readdirSync(folder, { recursive: true }) as string[]).sort()) {
      const text = (): string => readFileSync(join(folder, file), "utf8");
      if (file.endsWith(".gbnf")) yield [file, () => ({ kind: "grammar", text: text() })];
      else if (file.endsWith(".json")) yield* schemasOf(file, JSON.parse(text()) as unknown);
    }
  const first = Number(values.seed ?? 1);
  for (let seed = first; seed < first + Number(values.generated ?? 0); seed++)
    for (const kind of ["grammar", "schema"] as const) yield [`generated ${kind} ${seed}`, () => generatedSource(kind, new Random(seed))];
}

/** A file is one schema, the arguments of a tool, or a list of groups of JSON Schema's suite. */
function* schemasOf(file: string, value: unknown): Generator<readonly [name: string, source: () => ConstraintSource]> {
  const of = (schema: unknown): ConstraintSource => ({
    kind: "schema",
    text: JSON.stringify(schema),
    style: { order: "declared", whitespace: "some" },
  });
  if (!Array.isArray(value)) {
    yield [file, () => new HeldCall([{ type: "function", function: { name: "tool", parameters: value as object } }], form).source];
    return;
  }
  for (const [i, group] of value.entries()) {
    const { schema } = (group ?? {}) as { schema?: unknown };
    if (schema !== undefined) yield [`${file} ${i}`, () => of(schema)];
  }
}

interface Result {
  readonly name: string;
  readonly answer: string;
  readonly mib: number;
  readonly ms: number;
}

/** MiB that the process had when it had least, before something was compiled: what is left of others counts, rather than too little. */
let base = Number.POSITIVE_INFINITY;

function tried(name: string, source: () => ConstraintSource): Result | undefined {
  let made: ConstraintSource;
  try {
    made = source();
  } catch {
    return undefined; // no tool takes such arguments
  }
  const peak = peakOf(() => {
    let [answer, more]: [string, boolean] = ["", false];
    const service = new CompileService({
      send: (m: FromCompiler) => {
        if (m.kind === "failed") [answer, more] = [m.error.code, false];
        else [answer, more] = ["compiled", m.kind !== "trie" && m.more];
      },
    });
    service.handle({ kind: "compile", job: 0, source: made });
    if (more) service.handle({ kind: "more", job: 0 });
    return answer;
  });
  base = Math.min(base, peak.before);
  return { name, answer: peak.result, mib: peak.most - base, ms: peak.ms };
}

const line = ({ name, answer, mib, ms }: Result): string =>
  `${mib.toFixed(1).padStart(6)} MiB ${ms.toFixed(0).padStart(6)} ms  ${answer}  ${name}`;
const isOver = (r: Result): boolean => r.mib > MOST_MIB || r.ms > MOST_MS || r.answer === "engine.failed";

/** One source in a process of its own, where nothing is left of others. */
function alone(name: string): Result | undefined {
  const { status, stdout } = spawnSync(process.execPath, [...process.execArgv, ...process.argv.slice(1), "--alone", name], {
    encoding: "utf8",
  });
  return status === 0 ? (JSON.parse(stdout) as Result) : undefined;
}

const results: Result[] = [];
tried("", () => ({ kind: "regex", text: "a" })); // loads what all need
for (const [name, source] of sources()) {
  if (values.alone !== undefined ? name !== values.alone : !name.includes(values.like ?? "")) continue;
  let result = tried(name, source);
  if (result && result.mib > MOST_MIB / 2 && values.alone === undefined) result = alone(name) ?? result;
  if (!result) continue;
  if (values.alone !== undefined) {
    console.log(JSON.stringify(result));
    process.exit(0);
  }
  results.push(result);
  if (values.each || isOver(result)) console.log(line(result));
}
const counts = new Map<string, number>();
for (const { answer } of results) counts.set(answer, (counts.get(answer) ?? 0) + 1);
console.log(`${results.length} sources: ${[...counts].map(([answer, n]) => `${answer} ${n}`).join(", ")}`);
const worst = (title: string, by: (r: Result) => number): void => {
  console.log(title);
  for (const r of [...results].sort((a, b) => by(b) - by(a)).slice(0, WORST)) console.log(`  ${line(r)}`);
};
worst("most memory", r => r.mib);
worst("most time", r => r.ms);
const over = results.filter(isOver);
console.log(`${over.length} over ${MOST_MIB} MiB or ${MOST_MS} ms`);
process.exit(over.length > 0 ? 1 : 0);
