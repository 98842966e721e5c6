/**
 * `lathe kernels`: where the time of a step goes, kernel by kernel, beside the speed of the memory, and on request the code that was emitted for a
 * kernel.
 */
import { Command } from "commander";
import type { Model } from "../../api/model.ts";
import type { Profile } from "../../api/protocol.ts";
import { LatheError } from "../../errors.ts";
import { checkOptions, loadForCommand } from "../model.ts";
import { type CommonFlags, commonOptions, examples, integer, jsonOption, type LoadFlags, loadOptions, MODEL } from "../options.ts";
import { ProgressLine } from "../progress.ts";
import { paint, print, printable, printJson } from "../terminal.ts";
import { rate, table } from "../units.ts";

interface KernelsFlags extends CommonFlags, LoadFlags {
  code?: string | true;
  context: number;
  steps: number;
  tokens: number;
}

interface Kernel {
  name: string;
  /** Launches in a step. */
  launches: number;
  microseconds: number;
  share: number;
  bytes: number;
  operations: number;
  gigabytesPerSecond: number | null;
  gigaoperationsPerSecond: number | null;
  /** Of the speed at which the same threads read memory in this run. */
  bandwidthShare: number | null;
  code?: string;
}

export function kernelsCommand(): Command {
  const command = new Command("kernels")
    .summary("show the kernels of a model and their speed")
    .description(
      "Times every kernel of a step: of one token as in decoding, or of --tokens as in reading a prompt. Bytes are those that are read " +
        "and written, each operand once; operations are additions and multiplications. GB are 10^9 bytes. Memory is the share of the speed at which the same threads read memory, measured in the same run.",
    )
    .argument("<model>", MODEL)
    .option("--context <n>", "tokens in the past", integer("--context", 1), 128)
    .option("--steps <n>", "decode steps to average over", integer("--steps", 1, 10_000), 16)
    .option("--code [kernel]", "print the code of one kernel, or of all");
  command.option("--tokens <n>", "tokens of a step", integer("--tokens", 1, 1_000_000), 1);
  loadOptions(command, false);
  jsonOption(command, "print one JSON object; with --code, the code too");
  examples(
    commonOptions(command),
    "lathe kernels model.gguf",
    "lathe kernels model.gguf --tokens 64",
    "lathe kernels model.gguf --context 4000 --threads 1",
    "lathe kernels model.gguf --code rms_norm_q8",
  );
  return command.action(kernels);
}

async function kernels(path: string, flags: KernelsFlags): Promise<void> {
  const { context, steps, tokens, code } = flags;
  await checkOptions({ ...flags, context: context + tokens });
  await using model = await loadForCommand(path, { ...flags, context: context + tokens });
  const progress = new ProgressLine(flags);
  progress.show({ label: "measuring", done: 0, total: 1 });
  const profile = await model.profile({ context, tokens, steps, bandwidth: code === undefined || flags.json, code: code !== undefined });
  progress.clear();
  const list = summed(profile);
  const wanted = typeof code === "string" ? list.filter(k => k.name === code) : list;
  if (!wanted.length) {
    const known = list.map(k => k.name);
    throw new LatheError("option.invalid", `This model has no kernel "${code}"; it has ${known.join(", ")}.`, { code, known });
  }
  if (flags.json) return printJson(report(model, list, wanted, profile, flags));
  if (code === undefined) print(shown(model, list, profile, context));
  else print(wanted.map(k => `${paint("bold", k.name)}\n${printable(k.code ?? "")}\n`).join("\n"));
}

/** Launches of the same kernel as one row, the slowest first. */
function summed({ launches, code, bandwidth }: Profile): Kernel[] {
  const total = launches.reduce((sum, l) => sum + l.microseconds, 0);
  const byName = new Map<string, Kernel>();
  for (const { kernel: name, microseconds, bytes, operations } of launches) {
    const row = byName.get(name) ?? { ...empty, name };
    row.launches++;
    row.microseconds += microseconds;
    row.bytes += bytes;
    row.operations += operations;
    byName.set(name, row);
  }
  for (const row of byName.values()) {
    row.share = total > 0 ? row.microseconds / total : 0;
    Object.assign(row, speeds(row, bandwidth));
    if (code[row.name] !== undefined) row.code = code[row.name];
  }
  return [...byName.values()].sort((a, b) => b.microseconds - a.microseconds);
}

const empty = {
  launches: 0,
  microseconds: 0,
  share: 0,
  bytes: 0,
  operations: 0,
  gigabytesPerSecond: null,
  gigaoperationsPerSecond: null,
  bandwidthShare: null,
};

type Work = Pick<Kernel, "bytes" | "operations" | "microseconds">;

/** A million a microsecond are 10^12 a second. */
function speeds({ bytes, operations, microseconds }: Work, bandwidth: number | null) {
  const per = (n: number): number | null => (n > 0 && microseconds > 0 ? n / microseconds / 1000 : null);
  const gigabytesPerSecond = per(bytes);
  return {
    gigabytesPerSecond,
    gigaoperationsPerSecond: per(operations),
    bandwidthShare: gigabytesPerSecond !== null && bandwidth ? (1e9 * gigabytesPerSecond) / bandwidth : null,
  };
}

function totalOf(list: readonly Kernel[], { stepMicroseconds, bandwidth }: Profile) {
  const sum = (key: "launches" | "microseconds" | "bytes" | "operations"): number => list.reduce((n, k) => n + k[key], 0);
  const total = { launches: sum("launches"), microseconds: sum("microseconds"), bytes: sum("bytes"), operations: sum("operations") };
  return { ...total, ...speeds(total, bandwidth), stepMicroseconds, bandwidth };
}

function report({ info }: Model, list: readonly Kernel[], wanted: readonly Kernel[], profile: Profile, { context }: KernelsFlags) {
  const { name, target, threads } = info;
  return { model: name, target, threads, context, tokens: profile.tokens, kernels: wanted, total: totalOf(list, profile) };
}

const orNone = (n: number | null, show: (n: number) => string): string => (n === null ? paint("dim", "-") : show(n));
const percent = (n: number): string => `${(100 * n).toFixed(1)}%`;

function shown({ info }: Model, list: readonly Kernel[], profile: Profile, context: number): string {
  const { tokens, stepMicroseconds, bandwidth } = profile;
  const total = totalOf(list, profile);
  const work = (k: Omit<Kernel, "name" | "share">, share: string): string[] => [
    String(k.launches),
    k.microseconds.toFixed(1),
    share,
    k.bytes ? (k.bytes / 1e6).toPrecision(3) : paint("dim", "-"),
    orNone(k.gigabytesPerSecond, rate),
    orNone(k.bandwidthShare, percent),
    orNone(k.gigaoperationsPerSecond, rate),
  ];
  const rows = [
    ["kernel", "launches", "µs/step", "share", "MB", "GB/s", "memory", "Gop/s"].map(t => paint("dim", t)),
    ...list.map(k => [k.name, ...work(k, percent(k.share))]),
    ["total", ...work(total, "")].map(t => paint("bold", t)),
  ];
  const what = `${info.target} · threads ${info.threads} · ${tokens === 1 ? "1 token" : `${tokens} tokens`} after ${context}`;
  const title = `${paint("bold", printable(info.name))} ${paint("dim", `· ${what}`)}`;
  const memory = bandwidth === null ? "" : `; the threads read memory at ${rate(bandwidth / 1e9)} GB/s`;
  const step = `A whole step takes ${stepMicroseconds.toFixed(1)} µs, ${percent(stepMicroseconds / total.microseconds)} of the sum${memory}.`;
  return `${title}\n\n${table(rows, [1, 2, 3, 4, 5, 6, 7])}\n${step}\n`;
}
