#!/usr/bin/env node
import { parseArgs } from "node:util";
import { Constraints } from "../dist/decode/constrain/source.js";
import { load } from "../dist/index.js";
import { summary } from "./report.mjs";
import { cases } from "./schema-cases.mjs";
/**
 * What a schema costs decode. The same number of tokens is decoded freely and under each schema, in turns: milliseconds per token with all that is
 * jumped over, and per step, so that jumping hides nothing. "First" answers come under a schema that the engine has not seen, "again" under one
 * that it has. Then the answers are followed once more without a model, each under a fresh automaton and under a used one, and each mask is timed.
 *
 *   node bench/schema.mjs <model.gguf> [--tokens 64] [--rounds 3] [--target native] [--threads n]
 */
import { usage } from "./usage.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tokens: { type: "string", default: "64" },
    rounds: { type: "string", default: "3" },
    target: { type: "string", default: "auto" },
    threads: { type: "string" },
  },
});
const [path] = positionals;
if (path === undefined) usage();
const [wanted, rounds] = [Number(values.tokens), Number(values.rounds)];
const prompt = Int32Array.from({ length: 32 }, (_, i) => 400 + 37 * i);

/** Decodes so many tokens, in as many answers as it takes. */
async function decode(model, options) {
  const sum = { tokens: 0, steps: 0, ms: 0, answers: [] };
  for (let seed = options.seed; sum.tokens < wanted; seed++) {
    const before = (await model.status()).steps;
    const left = Math.max(2, wanted - sum.tokens);
    const { usage, timings, tokens } = await model.generate(prompt, { ignoreEnd: true, ...options, seed, maxTokens: left });
    // The first token comes out of the prompt's last step.
    sum.steps += (await model.status()).steps - before - 1;
    sum.tokens += usage.completionTokens - 1;
    sum.ms += timings.completionMs;
    sum.answers.push(tokens.map(t => t.id));
  }
  return sum;
}

const median = list => summary(list).median;

const style = { order: "declared", whitespace: "some" };
const sourceOf = schema => ({ kind: "schema", text: JSON.stringify(schema), style });

/** Follows an answer as the engine does, and times its masks. */
function follow(constraint, ids, times) {
  for (const id of ids) {
    const begun = performance.now();
    constraint.mask();
    times.push(performance.now() - begun);
    if (constraint.accept(id) !== "text") throw new Error(`token ${id} is not allowed`);
    constraint.forced();
  }
}

const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
function spread(times) {
  const sorted = Float64Array.from(times).sort();
  const mean = times.reduce((a, b) => a + b, 0) / times.length;
  return [mean, at(sorted, 0.5), at(sorted, 0.99), sorted.at(-1)].map(x => x.toFixed(3)).join(" / ");
}

const model = await load(path, { context: 1024, target: values.target, threads: values.threads && Number(values.threads) });
const rows = new Map();
const note = (name, { tokens, steps, ms }) => {
  const row = rows.get(name) ?? { token: [], step: [], share: [] };
  row.token.push(ms / tokens);
  row.step.push(ms / steps);
  row.share.push(tokens / steps);
  rows.set(name, row);
};
const answers = new Map(cases.map(([name]) => [name, []]));
await decode(model, { seed: 1 });
let fresh = 0;
for (let round = 0; round < rounds; round++) {
  for (const [name, schema] of cases) {
    const own = { ...schema, description: `number ${fresh++}` }; // another text: the engine has nothing of it
    const free = await decode(model, { seed: 100 * round });
    note("no schema", free);
    const first = await decode(model, { schema: own, seed: 100 * round });
    note(`${name}, first`, first);
    note(`${name}, again`, await decode(model, { schema: own, seed: 100 * round + 50 }));
    answers.get(name).push(...first.answers);
  }
}
const base = rows.get("no schema");
console.log(`${model.info.target}, ${model.info.threads} threads; ${wanted} tokens, ${rounds} rounds; medians`);
console.log("                               ms/token  (to none)   ms/step  (to none)  tokens/step");
for (const [name, { token, step, share }] of rows) {
  const [perToken, perStep] = [median(token), median(step)];
  const ratio = (a, b) => `${(100 * (a / b - 1)).toFixed(1)} %`.padStart(9);
  console.log(
    `${name.padEnd(30)} ${perToken.toFixed(2).padStart(8)} ${ratio(perToken, median(base.token))} ${perStep.toFixed(2).padStart(10)} ${ratio(perStep, median(base.step))} ${median(share).toFixed(2).padStart(12)}`,
  );
}

const { tokenizer } = model;
await model.close();
const constraints = new Constraints({ size: tokenizer.size, bytes: id => tokenizer.bytes(id), ends: [] });
console.log("one mask, ms: mean / median / 99 % / most");
for (const [name, schema] of cases) {
  const [first, again] = [[], []];
  let compiling = 0;
  answers.get(name).forEach((ids, i) => {
    const source = sourceOf({ ...schema, description: `follow ${i}` });
    const begun = performance.now();
    const constraint = constraints.begin(source);
    compiling = Math.max(compiling, performance.now() - begun);
    follow(constraint, ids, first);
    follow(constraints.begin(source), ids, again);
  });
  console.log(
    `${name.padEnd(24)} first ${spread(first)}; again ${spread(again)}; compiled in at most ${compiling.toFixed(1)} ms; ${first.length} tokens`,
  );
}
