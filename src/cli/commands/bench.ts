/**
 * `lathe bench`: how fast a model runs here. Random tokens of a fixed seed are read and random ones written, greedily, whatever the model
 * thinks of it. The first run warms up and does not count. Prefill counts the prompt alone; decode counts the steps after the first token,
 * which comes out of the prompt's last step.
 */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import type { Model } from "../../api/model.ts";
import { checkOptions, loadForCommand } from "../model.ts";
import { type CommonFlags, commonOptions, examples, integer, jsonOption, type LoadFlags, loadOptions, MODEL } from "../options.ts";
import { ProgressLine } from "../progress.ts";
import { paint, print, printable, printJson } from "../terminal.ts";
import { bytes, duration, median, rate, table } from "../units.ts";

interface BenchFlags extends CommonFlags, LoadFlags {
  promptTokens: number;
  genTokens: number;
  runs: number;
}

interface Report {
  model: string;
  target: string;
  threads: number;
  load: { seconds: number };
  prefill: { tokens: number; tokensPerSecond: number[] };
  decode: { tokens: number; tokensPerSecond: number[] };
  memory: { peakBytes: number };
}

export function benchCommand(): Command {
  const command = new Command("bench")
    .summary("measure the speed of a model")
    .description(
      "Measures loading, reading a prompt (prefill) and writing (decode), with random tokens of a fixed seed. A first run is not counted.",
    )
    .argument("<model>", MODEL)
    .option("--prompt-tokens <n>", "tokens to read", integer("--prompt-tokens", 1), 256)
    .option("--gen-tokens <n>", "tokens to write", integer("--gen-tokens", 2), 64)
    .option("--runs <n>", "runs that count", integer("--runs", 1, 1000), 3);
  loadOptions(command, "prompt and answer exactly");
  jsonOption(command, "print one JSON object, with one figure for each run");
  examples(
    commonOptions(command),
    "lathe bench model.gguf",
    "lathe bench model.gguf --prompt-tokens 512 --gen-tokens 128 --threads 2 --runs 5 --json",
  );
  return command.action(bench);
}

async function bench(path: string, flags: BenchFlags): Promise<void> {
  await checkOptions(flags);
  const begun = performance.now();
  await using model = await loadForCommand(path, { ...flags, context: flags.context ?? flags.promptTokens + flags.genTokens });
  const seconds = (performance.now() - begun) / 1000;
  const { target, threads } = model.info;
  const prefill: number[] = [];
  const decode: number[] = [];
  const progress = new ProgressLine(flags);
  for (let run = 0; run <= flags.runs; run++) {
    const timings = await measured(model, flags, (done, total) => {
      const label = run ? `run ${run} of ${flags.runs}` : "warming up";
      progress.show({ label, done, total, detail: run > 1 ? `${rate(prefill.at(-1)!)} and ${rate(decode.at(-1)!)} tokens/s` : undefined });
    });
    if (run === 0) continue;
    prefill.push(timings.promptTokensPerSecond);
    decode.push(timings.tokensPerSecond);
  }
  progress.clear();
  const report: Report = {
    model: path,
    target,
    threads,
    load: { seconds },
    prefill: { tokens: flags.promptTokens, tokensPerSecond: prefill },
    decode: { tokens: flags.genTokens, tokensPerSecond: decode },
    memory: { peakBytes: peakBytes() },
  };
  if (flags.json) printJson(report);
  else print(shown(report, model));
}

async function measured(model: Model, flags: BenchFlags, tell: (done: number, total: number) => void) {
  const total = flags.promptTokens + flags.genTokens;
  let written = flags.promptTokens;
  // A salt of its own, so that nothing of the run before is used again.
  const options = { temperature: 0, maxTokens: flags.genTokens, ignoreEnd: true, salt: crypto.randomUUID() };
  const run = model.generate(randomIds(flags.promptTokens, model), options);
  for await (const part of run) {
    if (part.type === "prompt") tell(part.done, total);
    else if (part.type === "text") tell(++written, total);
  }
  return (await run).timings;
}

/** The same ids on every machine; a linear congruential generator (Numerical Recipes) is random enough to defeat nothing but caching. */
function randomIds(count: number, { info, tokenizer }: Model): number[] {
  const size = Math.min(info.vocabulary, tokenizer.size);
  let state = 42;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * size);
  });
}

/** The most memory that this process ever had, file pages that it reads excluded. */
function peakBytes(): number {
  try {
    const found = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"));
    if (found) return Number(found[1]) * 1024;
  } catch {
    // not Linux
  }
  return process.resourceUsage().maxRSS * 1024;
}

function shown({ load, prefill, decode, memory }: Report, { info }: Model): string {
  const { name, target, threads } = info;
  const head = ["", "tokens", "tokens/s", "runs"].map(t => paint("dim", t));
  const row = (label: string, { tokens, tokensPerSecond }: Report["prefill"]): string[] => [
    label,
    String(tokens),
    paint("bold", rate(median(tokensPerSecond))),
    paint("dim", tokensPerSecond.map(rate).join(" ")),
  ];
  const title = `${paint("bold", printable(name))} ${paint("dim", `· ${target} · threads ${threads}`)}\n`;
  const foot = `loaded in ${duration(1000 * load.seconds)} · peak memory ${bytes(memory.peakBytes)}\n`;
  return `${title}\n${table([head, row("prefill", prefill), row("decode", decode)], [1, 2])}\n${foot}`;
}
