#!/usr/bin/env node
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { load } from "../dist/index.js";
import { summary } from "./report.mjs";
/**
 * Time to the first token of a prompt of which the beginning is known: in memory, on disk (in a fresh program, the files in the page cache), and as
 * a module that is moved to another place; beside the whole prompt computed.
 *
 *   node bench/prefix.mjs <model.gguf> [--cached 2000] [--new 50] [--rounds 3] [--target native]
 */
import { usage } from "./usage.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    cached: { type: "string", default: "2000" },
    new: { type: "string", default: "50" },
    rounds: { type: "string", default: "3" },
    target: { type: "string", default: "auto" },
  },
});
const [path] = positionals;
if (path === undefined) usage();
const [cached, fresh, rounds] = [values.cached, values.new, values.rounds].map(Number);

let state = 12345;
const random = (from, to) => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return from + ((state >>> 8) % (to - from));
};
/** Beyond the bytes and control tokens with which many vocabularies begin. */
let vocabulary;
const ids = n => Int32Array.from({ length: n }, () => random(300, vocabulary));
const after = (head, tail) => Int32Array.from([...head, ...tail]);

const dir = mkdtempSync(join(tmpdir(), "lathe-prefix-"));
const open = () => load(path, { context: 4096, cacheTokens: 12288, target: values.target, cacheDir: dir });

/** Seconds to the first token, and how many tokens of the prompt were there. */
async function first(asked, prompt, options = {}) {
  const begun = performance.now();
  let seconds = 0;
  const run = asked.generate(prompt, { temperature: 0, maxTokens: 1, ignoreEnd: true, ...options });
  for await (const part of run) if (part.type === "text" || part.type === "finish") seconds ||= (performance.now() - begun) / 1000;
  return { seconds, cached: (await run).usage.cachedTokens };
}

const median = list => summary(list).median;
const times = {};
const note = (what, { seconds, cached: had }) => {
  const row = (times[what] ??= { seconds: [], cached: new Set() });
  row.seconds.push(seconds);
  row.cached.add(had);
};

try {
  const model = await open();
  vocabulary = Math.min(20_300, model.tokenizer.size);
  const known = ids(cached);
  await first(model, ids(40)); // warm
  for (let i = 0; i < Math.min(2, rounds); i++) note("computed", await first(model, ids(cached + fresh)));
  await first(model, known);
  for (let i = 0; i < rounds; i++) note("in memory", await first(model, after(known, ids(fresh))));
  const text = model.tokenizer.decode(known);
  const modules = await model.modules({ text });
  const length = model.tokenizer.encode(text, { bos: false, eos: false }).length;
  const session = model.session();
  await session.generate(ids(100), { maxTokens: 0 });
  for (let i = 0; i < rounds; i++) {
    const fork = session.fork();
    note(`module of ${length}, moved by 100`, await first(fork, ids(fresh), { modules: modules.pick("text") }));
    fork.close();
  }
  modules.close();
  await model.close();
  for (let i = 0; i < rounds; i++) {
    const again = await open();
    await first(again, ids(40)); // warm
    note("on disk", await first(again, after(known, ids(fresh))));
    await again.close();
  }
  const bytes = readdirSync(dir).reduce((sum, f) => sum + statSync(join(dir, f)).size, 0);
  const whole = median(times.computed.seconds);
  for (const [what, { seconds, cached: had }] of Object.entries(times)) {
    const spread = `${Math.min(...seconds).toFixed(3)}-${Math.max(...seconds).toFixed(3)}`;
    console.log(
      `${what}: ${median(seconds).toFixed(3)} s (${spread}), ${[...had]} tokens cached, ${(whole / median(seconds)).toFixed(1)} x`,
    );
  }
  console.log(`folder: ${(bytes / 1e6).toFixed(0)} MB`);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
