#!/usr/bin/env node
/**
 * How long it takes from starting `lathe run` to the first token of its answer: each run a fresh process, nothing kept between them but the
 * operating system's own cache of files.
 * Usage: node bench/start.mjs [--runs 15] [--threads 2] [--target native] [--prompt "Once upon a time"] [--model models/stories.gguf] [--json]
 */
import "./usage.mjs";
import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { describeMachine } from "./machine.mjs";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "15" },
    threads: { type: "string", default: "2" },
    target: { type: "string", default: "native" },
    prompt: { type: "string", default: "Once upon a time" },
    model: { type: "string", default: "models/stories.gguf" },
    json: { type: "boolean", default: false },
  },
});
const main = new URL("../dist/bin/lathe.js", import.meta.url).pathname;

/** Milliseconds until the command's first output, which off a terminal is the first token. */
function firstToken() {
  const flags = ["--quiet", "--threads", values.threads, "--target", values.target, "--max-tokens", "1"];
  const begun = performance.now();
  const child = spawn(process.execPath, [main, "run", values.model, values.prompt, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  let first;
  let complaint = "";
  child.stdout.once("data", () => {
    first = performance.now() - begun;
  });
  child.stderr.on("data", text => {
    complaint += text;
  });
  return new Promise((resolve, reject) => {
    child.on("exit", code => {
      if (code === 0 && first !== undefined) resolve(first);
      else reject(new Error(`lathe run ended with code ${code}: ${complaint}`));
    });
  });
}

await firstToken(); // brings the files into the system's cache
const times = [];
for (let i = 0; i < Number(values.runs); i++) times.push(await firstToken());
times.sort((a, b) => a - b);
const [least, median, most] = [times[0], times[times.length >> 1], times[times.length - 1]].map(Math.round);
if (values.json) console.log(JSON.stringify({ machine: describeMachine(), ...values, runs: times.length, least, median, most }));
else console.log(`${values.target}, ${values.threads} threads: first token after ${median} ms (${least} to ${most}, ${times.length} runs)`);
