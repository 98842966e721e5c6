/** `lathe kernels`: where the time of a decode step goes, kernel by kernel, and on request the code that was emitted for a kernel. */
import { Command } from "commander";
import type { Model } from "../../api/model.ts";
import type { Profile } from "../../api/protocol.ts";
import { LatheError } from "../../errors.ts";
import { checkOptions, loadForCommand } from "../model.ts";
import { type CommonFlags, commonOptions, examples, integer, jsonOption, type LoadFlags, loadOptions } from "../options.ts";
import { ProgressLine } from "../progress.ts";
import { paint, print, printable, printJson } from "../terminal.ts";
import { rate, table } from "../units.ts";

interface KernelsFlags extends CommonFlags, LoadFlags {
  code?: string | true;
  context: number;
  steps: number;
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
  code?: string;
}

export function kernelsCommand(): Command {
  const command = new Command("kernels")
    .summary("show the kernels of a model and their speed")
    .description("Times every kernel of a decode step. Bytes are those of the weights read; GB are 10^9 bytes.")
    .argument("<model>", "a GGUF file, or a stored model by its name")
    .option("--context <n>", "tokens in the past", integer("--context", 1), 128)
    .option("--steps <n>", "decode steps to average over", integer("--steps", 1, 10_000), 16)
    .option("--code [kernel]", "print the code of one kernel, or of all");
  loadOptions(command, false);
  jsonOption(command, "print one JSON object; with --code, the code too");
  examples(
    commonOptions(command),
    "lathe kernels model.gguf",
    "lathe kernels model.gguf --context 4000 --threads 1",
    "lathe kernels model.gguf --code rms_norm_q8",
  );
  return command.action(kernels);
}

async function kernels(path: string, flags: KernelsFlags): Promise<void> {
  const { context, steps, code } = flags;
  await checkOptions({ ...flags, context: context + 1 });
  await using model = await loadForCommand(path, { ...flags, context: context + 1 });
  const progress = new ProgressLine(flags);
  progress.show({ label: "measuring", done: 0, total: 1 });
  const profile = await model.profile({ context, steps, code: code !== undefined });
  progress.clear();
  const list = summed(profile);
  const wanted = typeof code === "string" ? list.filter(k => k.name === code) : list;
  if (!wanted.length) {
    const known = list.map(k => k.name);
    throw new LatheError("option.invalid", `This model has no kernel "${code}"; it has ${known.join(", ")}.`, { code, known });
  }
  if (flags.json) return printJson(report(model, list, wanted, flags));
  if (code === undefined) print(shown(model, list, context));
  else print(wanted.map(k => `${paint("bold", k.name)}\n${printable(k.code ?? "")}\n`).join("\n"));
}

/** Launches of the same kernel as one row, the slowest first. */
function summed({ launches, code }: Profile): Kernel[] {
  const total = launches.reduce((sum, l) => sum + l.microseconds, 0);
  const byName = new Map<string, Kernel>();
  for (const { kernel: name, microseconds, bytes, operations } of launches) {
    const row = byName.get(name) ?? { name, launches: 0, microseconds: 0, share: 0, bytes: 0, operations: 0, gigabytesPerSecond: null };
    row.launches++;
    row.microseconds += microseconds;
    row.bytes += bytes;
    row.operations += operations;
    byName.set(name, row);
  }
  for (const row of byName.values()) {
    row.share = total > 0 ? row.microseconds / total : 0;
    row.gigabytesPerSecond = speed(row);
    if (code[row.name] !== undefined) row.code = code[row.name];
  }
  return [...byName.values()].sort((a, b) => b.microseconds - a.microseconds);
}

/** Bytes a microsecond are 10^6 bytes a second. */
const speed = ({ bytes, microseconds }: { bytes: number; microseconds: number }): number | null =>
  bytes > 0 && microseconds > 0 ? bytes / microseconds / 1000 : null;

function totalOf(list: readonly Kernel[]) {
  const sum = (key: "launches" | "microseconds" | "bytes" | "operations"): number => list.reduce((n, k) => n + k[key], 0);
  const total = { launches: sum("launches"), microseconds: sum("microseconds"), bytes: sum("bytes"), operations: sum("operations") };
  return { ...total, gigabytesPerSecond: speed(total) };
}

function report({ info }: Model, list: readonly Kernel[], wanted: readonly Kernel[], { context }: KernelsFlags) {
  const { name, target, threads } = info;
  return { model: name, target, threads, context, kernels: wanted, total: totalOf(list) };
}

function shown({ info }: Model, list: readonly Kernel[], context: number): string {
  const total = totalOf(list);
  const gb = (n: number | null): string => (n === null ? paint("dim", "-") : rate(n));
  const row = (k: Kernel): string[] => [
    k.name,
    String(k.launches),
    k.microseconds.toFixed(1),
    `${(100 * k.share).toFixed(1)}%`,
    gb(k.gigabytesPerSecond),
  ];
  const rows = [
    ["kernel", "launches", "µs/token", "share", "GB/s"].map(t => paint("dim", t)),
    ...list.map(row),
    ["total", String(total.launches), total.microseconds.toFixed(1), "", gb(total.gigabytesPerSecond)].map(t => paint("bold", t)),
  ];
  const title = `${paint("bold", printable(info.name))} ${paint("dim", `· ${info.target} · threads ${info.threads} · ${context} tokens in the past`)}`;
  return `${title}\n\n${table(rows, [1, 2, 3, 4])}`;
}
