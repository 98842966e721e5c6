#!/usr/bin/env node
/**
 * Load on `lathe serve`: starts a server, runs scenarios against it over HTTP, and prints figures beside their goals.
 *
 *   node bench/serve/main.mjs --scenario all --model model.gguf
 *   node bench/serve/main.mjs --help
 */
import { setMaxListeners } from "node:events";
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { describeMachine } from "../machine.mjs";
import { agent } from "./client.mjs";
import { allMet, table } from "./figures.mjs";
import { scenarios } from "./scenarios.mjs";
import { startServer } from "./server.mjs";

/** Options whose defaults are the scenarios' own. */
const COUNTS = ["minutes", "requests", "sockets"];

const HELP = `Usage: node bench/serve/main.mjs [options] [-- options of lathe serve]
  --scenario <list>   all, or some of the scenarios below (default all)
  --model <file>      default: the bundled toy model
  --target <name>     what Lathe compiles for (default native)
  --threads <n>       (default 2)
  --context <n>       tokens (default 4096, or what the model has)
  --seconds <n>       length of each measured window (default 8)
  --rounds <n>        repetitions, whose median counts (default 3)
  --minutes <n>       length of overload (default 1) and soak (default 10)
  --requests <n>      how many a scenario that counts makes (default: its own, in brackets)
  --seed <n>          from which what is sent is made, where it is made at random (default 1)
  --sockets <n>       how many connections do nothing, or little (default: the scenario's own, in brackets)
  --peer <isa>        llama.cpp beside it: native, avx2, or none (default none; needs npm run bench:setup)
  --json <file>       also write the figures as JSON

${Object.entries(scenarios)
  .map(([name, s]) => `  ${name.padEnd(10)} ${s.about}${defaultsOf(s)}`)
  .join("\n")}`;

function defaultsOf(scenario) {
  const own = COUNTS.filter(name => scenario[name] && name !== "minutes").map(name => `${scenario[name]} ${name}`);
  return own.length ? ` [${own.join(", ")}]` : "";
}

const TEXT = [
  "scenario",
  "model",
  "target",
  "threads",
  "context",
  "seconds",
  "rounds",
  "minutes",
  "requests",
  "seed",
  "sockets",
  "peer",
  "json",
];

function options() {
  const spec = Object.fromEntries(TEXT.map(name => [name, { type: "string" }]));
  const { values, positionals } = parseArgs({ options: { ...spec, help: { type: "boolean" } }, allowPositionals: true });
  if (values.help) return undefined;
  const number = (name, fallback) => {
    const n = Number(values[name] ?? fallback);
    if (!Number.isFinite(n) || n <= 0) throw new Error(`--${name} must be a number above 0, not ${values[name]}`);
    return n;
  };
  const names = !values.scenario || values.scenario === "all" ? Object.keys(scenarios) : values.scenario.split(",");
  const unknown = names.find(n => !scenarios[n]);
  if (unknown) throw new Error(`no scenario ${unknown}; known: all ${Object.keys(scenarios).join(" ")}`);
  const toy = fileURLToPath(new URL("../../models/stories.gguf", import.meta.url));
  return {
    names,
    model: values.model ?? toy,
    target: values.target ?? "native",
    threads: number("threads", Math.min(2, cpus().length)),
    context: number("context", values.model ? 4096 : 512),
    seconds: number("seconds", 8),
    rounds: number("rounds", 3),
    seed: number("seed", 1),
    counts: Object.fromEntries(COUNTS.filter(name => values[name] !== undefined).map(name => [name, number(name)])),
    peer: values.peer ?? "none",
    json: values.json,
    more: positionals,
  };
}

/** One line on a terminal that is written over; nothing elsewhere. */
function say(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
}

async function main() {
  const wanted = options();
  if (!wanted) return console.log(HELP);
  /** @type {import("./figures.mjs").Figure[]} */
  const figures = [];
  const add = (scenario, name, unit, values, goal = {}) => {
    figures.push({ scenario, name, unit, values, ...goal });
    return values;
  };
  const stop = new AbortController();
  setMaxListeners(0, stop.signal); // every request listens
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stop.abort(new Error("interrupted")));
  const started = [];
  const start = async (more = {}) => {
    const server = await startServer({ ...wanted, ...more, more: [...wanted.more, ...(more.more ?? [])] });
    started.push(server);
    return server;
  };
  let server;
  try {
    for (const name of wanted.names) {
      const { run, own, ...defaults } = scenarios[name];
      if (!own && !server) {
        say("loading the model");
        server = await start();
      }
      await run({ server, start, signal: stop.signal, say, add, options: { ...wanted, ...defaults, ...wanted.counts } });
    }
  } catch (e) {
    process.exitCode = 1;
    say("");
    console.error(stop.signal.aborted ? "interrupted; this is what there is" : e.stack);
  } finally {
    say("");
    agent.destroy();
    await Promise.all(started.map(s => s.stop()));
  }
  const shown = figures.filter(f => f.values.length > 0);
  console.log(table(shown));
  if (!allMet(shown)) process.exitCode = 1;
  if (wanted.json)
    writeFileSync(wanted.json, `${JSON.stringify({ machine: describeMachine(), options: wanted, figures: shown }, null, 1)}\n`);
}

await main();
