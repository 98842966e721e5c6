#!/usr/bin/env node
/**
 * Compares Lathe with llama.cpp (through node-llama-cpp) on toy models of every architecture: test/models/toys.ts names them, both run the same
 * tokens, and the greatest difference between the probabilities of any token at any position is printed, or what llama.cpp says where it refuses.
 *
 *   node bench/peers/agree.mjs [--only NAME[/VARIATION],...] [--json] [--sweep] [--record] [--keep FOLDER]
 *
 * --sweep changes keys one by one that some families read and others do not, and prints where both disagree. --record writes the differences to
 * test/models/peer.json and an excerpt of llama.cpp's numbers, of one toy of each architecture that shared/data/arch-oracle lacks, for the test beside it.
 *
 * llama.cpp runs on F32 caches without flash attention; the prompt is one batch, the rest comes token by token. Its GELU is a table of half
 * precision, so Lathe's is rounded to halves here as well; what is left is that roundings tip over, up to 1e-3 in deep models. Needs `npm run build` and `npm run bench:setup`.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { register } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

register("./typescript.mjs", { parentURL: import.meta.url, data: { halfGelu: true } });
const { toys } = await import("../../test/models/toys.ts");
const { toy } = await import("../../test/models/toy.ts");
const { CONTEXT, excerpt, peerTokens, pooled, probabilities, PROMPT } = await import("../../test/models/peer.ts");
const { openEngine } = await import("../../test/fixtures/engine.ts");
const { writeModelFile } = await import("../../dist/files/write.node.js");

/** llama.cpp in a process of its own; a new one after it has ended itself. */
class Peer {
  #child;
  #lines;
  #heard = "";

  #start() {
    this.#child = spawn(process.execPath, [join(import.meta.dirname, "agree-llamacpp.mjs")], { stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stderr.on("data", text => {
      this.#heard += text;
    });
    this.#child.stdin.on("error", () => {});
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async ask(job) {
    if (!this.#child) this.#start();
    this.#heard = "";
    this.#child.stdin.write(`${JSON.stringify(job)}\n`);
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (!done && !value.startsWith("{")) continue;
      if (!done) return JSON.parse(value);
      this.#child = undefined;
      const why = this.#heard.split("\n").find(l => /GGML_ASSERT|error|abort/i.test(l)) ?? this.#heard.trim().split("\n").at(-1);
      return { error: `ended itself: ${why}` };
    }
  }

  close = () => this.#child?.stdin.end();
}

/** llama.cpp keeps Chameleon from drawing in the first row of a batch alone. */
const singly = /chameleon/;

/** Lathe's and llama.cpp's numbers, a list for each position; `error`: why there are none. */
async function both(peer, path) {
  let engine;
  try {
    engine = await openEngine(path, { context: CONTEXT, maxTokens: 64 });
  } catch (error) {
    return { error: `Lathe: ${error.message}` };
  }
  try {
    const ids = peerTokens();
    const { output } = engine.stepper.network;
    const embedding = output.kind === "embedding" && (output.pooling === "rank" ? "rank" : "pooled");
    const s = engine.stepper.newSequence();
    const rows = engine.feed(s, ids);
    s.close();
    const prompt = engine.stepper.network.bidirectional ? ids.length : singly.test(path) ? 1 : PROMPT;
    const theirs = await peer.ask({ path, ids, prompt, context: CONTEXT, embedding });
    if (theirs.error) return theirs;
    return embedding
      ? { own: [pooled(engine, rows)], theirs: [theirs.embedding] }
      : { own: rows.map(probabilities), theirs: theirs.rows.map(probabilities) };
  } finally {
    await engine.close();
  }
}

/** The greatest difference at each position. */
const distances = (own, theirs) =>
  own.map((row, i) => {
    if (row.length !== theirs[i].length) throw new Error(`${row.length} numbers against ${theirs[i].length}`);
    return row.reduce((most, p, k) => (Math.abs(p - theirs[i][k]) <= most ? most : Math.abs(p - theirs[i][k])), 0);
  });

/** Keys that some families read and others do not, tried on all of them. */
const scales = {
  "attention.scale": 0.3,
  final_logit_softcapping: 3,
  attn_logit_softcapping: 4,
  router_logit_softcapping: 2,
  logit_scale: 0.7,
  embedding_scale: 1.5,
  residual_scale: 0.8,
  "attention.clamp_kqv": 1.2,
  "attention.output_scale": 0.4,
  "attention.value_scale": 0.6,
  "attention.temperature_scale": 0.1,
  "attention.temperature_length": 12,
  "attention.max_alibi_bias": 4,
};
const yarn = {
  "rope.scaling.type": "yarn",
  "rope.scaling.factor": 4,
  "rope.scaling.original_context_length": 16,
  "rope.scaling.attn_factor": 1.1,
  "rope.scaling.yarn_beta_fast": 16,
  "rope.scaling.yarn_beta_slow": 2,
};
const single = group => Object.fromEntries(Object.entries(group).map(([k, v]) => [k, { [k]: v }]));
/** Name -> what is changed; a group's members are tried alone where the group differs or is refused. */
const changes = {
  scales: { ...scales, each: single(scales) },
  "weights as they are": { expert_weights_norm: undefined, expert_weights_scale: undefined },
  "weights normed": { expert_weights_norm: true, expert_weights_scale: 1.7 },
  "no gating function": { expert_gating_func: undefined },
  yarn,
  "yarn multiplied": { ...yarn, "rope.scaling.yarn_log_multiplier": 0.05 },
  "windows' base": { "rope.freq_base_swa": 300 },
  "no window": { "attention.sliding_window": undefined },
  "every second": { "attention.sliding_window_pattern": 2 },
};

/** Where llama.cpp is not as the makers have it (reference/makers.ts, reference/gemma3n.ts). */
const otherwise = new Set(["chameleon/norms after", ...Object.keys(toys.gemma3n).map(v => `gemma3n/${v}`)]);
/** What llama.cpp ends itself at (test/models/pooling.test.ts). */
const deadly = new Set(["gemma-embedding/dense"]);

/** All variations that are wanted; with `sweep`, of each architecture the first one and its changes. */
function* variationsOf(sweep) {
  for (const [name, variations] of Object.entries(toys)) {
    if (!sweep) for (const [variation, shape] of Object.entries(variations)) if (![otherwise, deadly].some(s => s.has(`${name}/${variation}`))) yield { name, variation, shape };
    if (!sweep) continue;
    const [shape] = Object.values(variations);
    const changed = keys => ({ ...shape, keys: { ...shape.keys, ...keys } });
    for (const [title, { each, ...keys }] of Object.entries(changes)) {
      const parts = each && Object.entries(each).map(([k, v]) => ({ name, variation: k, shape: changed(v) }));
      yield { name, variation: title, shape: changed(keys), parts };
    }
  }
}

async function main() {
  const options = { sweep: { type: "boolean" }, only: { type: "string" }, json: { type: "boolean" }, record: { type: "boolean" }, keep: { type: "string" } };
  const { values } = parseArgs({ options });
  const folder = values.keep ?? mkdtempSync(join(tmpdir(), "lathe-agree-"));
  mkdirSync(folder, { recursive: true });
  const only = values.only?.split(",");
  const wanted = (name, variation) => !only || only.includes(name) || only.includes(`${name}/${variation}`);
  const peer = new Peer();
  const results = {};
  const compare = async ({ name, variation, shape, parts = [] }) => {
    const path = join(folder, `${name}-${variation.replaceAll(" ", "-")}.gguf`);
    let result;
    try {
      await writeModelFile(path, toy(name, shape));
      const { error, own, theirs } = await both(peer, path);
      result = error ? { error } : { distances: distances(own, theirs), most: own.flat().reduce((a, b) => Math.max(a, b)), theirs };
    } catch (error) {
      result = { error: error.message };
    }
    const bad = result.error || !result.distances.every(d => d < 7e-4);
    if (bad) for (const part of parts) await compare(part);
    if (values.sweep && (!bad || parts.length)) return;
    results[name] = { ...results[name], [variation]: result };
    if (!values.json) print(name, variation, result);
  };
  for (const job of variationsOf(values.sweep)) if (wanted(job.name, job.variation)) await compare(job);
  peer.close();
  if (!values.keep) rmSync(folder, { recursive: true });
  if (values.record) record(results);
  if (values.json) console.log(JSON.stringify(results));
}

const MODELS = join(import.meta.dirname, "..", "..", "test", "models");
const ORACLE = join(import.meta.dirname, "..", "..", "..", "shared", "data", "arch-oracle");

/** Adds to the two files what was compared now. */
function record(results) {
  const names = existsSync(ORACLE) ? readdirSync(ORACLE).filter(n => n.endsWith(".json")) : [];
  const known = new Set(names.map(n => JSON.parse(readFileSync(join(ORACLE, n), "utf8")).architecture));
  const [differences, excerpts] = ["peer.json", "peer-excerpts.json"].map(file => {
    const path = join(MODELS, file);
    const found = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {};
    return { path, found };
  });
  const { tag } = JSON.parse(readFileSync(join(import.meta.dirname, "node_modules", "node-llama-cpp", "llama", "llama.cpp.info.json"), "utf8"));
  const compared = differences.found.architectures ?? {};
  for (const [name, variations] of Object.entries(results)) {
    compared[name] = {};
    for (const [variation, { error, distances: list, theirs }] of Object.entries(variations)) {
      compared[name][variation] = error ? null : Number(Math.max(...list).toExponential(1));
      const first = variation === Object.keys(toys[name])[0];
      if (first && !error && !known.has(name)) excerpts.found[name] = { variation, ...excerpt(theirs) };
    }
  }
  const sorted = o => Object.fromEntries(Object.entries(o).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(differences.path, `${JSON.stringify({ llamaCpp: tag, architectures: sorted(compared) }, null, 1)}\n`);
  const lines = Object.entries(sorted(excerpts.found)).map(([k, v]) => `${JSON.stringify(k)}: ${JSON.stringify(v)}`);
  writeFileSync(excerpts.path, `{\n${lines.join(",\n")}\n}\n`);
}

function print(name, variation, { error, distances: list, most }) {
  const title = `${name} ${variation}`.padEnd(36);
  if (error) return console.log(`${title} refused: ${error.slice(0, 400)}`);
  const worst = list.reduce((a, b) => (b <= a ? a : b), 0);
  const first = list.findIndex(d => !(d < 1e-4));
  console.log(`${title} ${worst.toExponential(1)}${worst < 1e-4 ? "" : `, first at position ${first} of ${list.length}`} (largest ${most.toFixed(2)})`);
}

await main();
