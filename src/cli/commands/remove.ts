/** `lathe remove`: takes a model out of the store, after asking where somebody is there to answer. */
import { createInterface } from "node:readline/promises";
import { Command } from "commander";
import { type CommonFlags, commonOptions, examples } from "../options.ts";
import { note, paintErr, print, printable } from "../terminal.ts";
import { bytes } from "../units.ts";

interface RemoveFlags extends CommonFlags {
  yes?: boolean;
}

export function removeCommand(): Command {
  const command = new Command("remove")
    .summary("remove a model from the store")
    .description("Removes a stored model, whole or unfinished, and says how much space is free now. On a terminal it asks first.")
    .argument("<model>", "its name, as lathe list shows it")
    .option("--yes", "do not ask");
  examples(commonOptions(command), "lathe remove hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0", "lathe remove hf:org/repo --yes");
  return command.action(remove);
}

async function remove(name: string, flags: RemoveFlags): Promise<void> {
  const { Store } = await import("../library.ts");
  const store = new Store();
  const found = await store.named(name);
  const [{ name: full }, ...others] = found;
  const held = found.reduce((sum, m) => sum + m.held, 0);
  const what = `${printable(full)}${others.length > 0 ? ` (${others.length + 1} versions)` : ""}`;
  if (!flags.yes && process.stdin.isTTY && !(await agreed(`remove ${what}, ${bytes(held)}? [y/N] `))) {
    note(paintErr("dim", "nothing was removed"));
    return;
  }
  const removed = await store.remove(name);
  print(`removed ${what}, ${bytes(removed.reduce((sum, m) => sum + m.held, 0))} are free now\n`);
}

async function agreed(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(question)).trim());
  } finally {
    terminal.close();
  }
}
