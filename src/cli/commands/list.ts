/** `lathe list`: the stored models, and on request whether their bytes are still those that were verified. */
import { Command } from "commander";
import { LatheError } from "../../errors.ts";
import type { Store, StoredModel } from "../../files/store/store.node.ts";
import { type CommonFlags, commonOptions, examples, jsonOption } from "../options.ts";
import { ProgressLine } from "../progress.ts";
import { note, paint, paintErr, print, printable, printJson } from "../terminal.ts";
import { bytes, table } from "../units.ts";

interface ListFlags extends CommonFlags {
  check?: boolean;
}

export function listCommand(): Command {
  const command = new Command("list")
    .summary("show the stored models")
    .description("Shows the models that were pulled: name, size, quantisation, architecture, and when they came.")
    .option("--check", "hash all files again; the exit code is 1 where one is not what was verified");
  jsonOption(command, "print one JSON array, with the path of each model");
  examples(commonOptions(command), "lathe list", "lathe list --check", "lathe list --json");
  return command.action(list);
}

async function list(flags: ListFlags): Promise<void> {
  const { Store } = await import("../library.ts");
  const store = new Store();
  const models = await store.list();
  const wrong = flags.check ? await checked(store, models, flags) : new Map<string, string[]>();
  if (flags.json) printJson(models.map(m => record(m, flags.check ? (wrong.get(m.id) ?? []) : undefined)));
  else if (models.length > 0) print(shown(models, wrong));
  else if (!flags.quiet) note(paintErr("dim", "no model is stored; lathe pull gets one"));
  if (wrong.size === 0) return;
  const names = models.filter(m => wrong.has(m.id)).map(m => m.name);
  const message = `${names.map(printable).join(", ")}: the stored bytes are not those that were verified; remove and pull again.`;
  throw new LatheError("store.damaged", message, { names });
}

/** Names of wrong files by the model's id; only of models that have some. */
async function checked(store: Store, models: readonly StoredModel[], flags: ListFlags): Promise<Map<string, string[]>> {
  const progress = new ProgressLine(flags);
  const whole = models.filter(m => m.state !== "partial");
  const total = whole.reduce((sum, m) => sum + m.bytes, 0);
  const wrong = new Map<string, string[]>();
  let done = 0;
  for (const model of whole) {
    const files = await store.check(model, n => {
      done += n;
      progress.show({ label: `verifying ${printable(model.name)}`, done, total, detail: `${bytes(done)} of ${bytes(total)}` });
    });
    if (files.length > 0 || model.manifest === undefined) wrong.set(model.id, files);
  }
  progress.clear();
  return wrong;
}

function record({ id, name, state, path, bytes: size, held, manifest }: StoredModel, wrong: readonly string[] | undefined) {
  const { quant, architecture, begun, completed, files } = manifest ?? {};
  return { id, name, state, path, bytes: size, held, quant, architecture, begun, completed, files, wrong };
}

function shown(models: readonly StoredModel[], wrong: ReadonlyMap<string, unknown>): string {
  const head = ["name", "size", "quant", "architecture", "pulled"].map(t => paint("dim", t));
  const rows = models.map(m => {
    const { quant = "", architecture = "", completed } = m.manifest ?? {};
    return [m.name, bytes(m.state === "partial" ? m.held : m.bytes), quant, architecture, when(completed)]
      .map(printable)
      .concat(remark(m, wrong));
  });
  return table([head, ...rows], [1]);
}

function remark(model: StoredModel, wrong: ReadonlyMap<string, unknown>): string {
  if (model.state === "partial") return paint("yellow", `${Math.floor((100 * model.held) / Math.max(1, model.bytes))}% here`);
  return model.state === "damaged" || wrong.has(model.id) ? paint("red", "damaged") : "";
}

/** "2026-11-23 00:29" in local time. */
function when(iso: string | undefined): string {
  const date = new Date(iso ?? "");
  if (Number.isNaN(date.getTime())) return "";
  const two = (n: number): string => String(n).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}
