/** `lathe inspect`: what a model file is and whether it would run here, from its header alone. Models that do not run are described too. */
import { Command } from "commander";
import type { Inspection } from "../../api/load.node.ts";
import { type CommonFlags, commonOptions, examples, integer, jsonOption } from "../options.ts";
import { paint, print, printable, printJson } from "../terminal.ts";
import { bytes, large, table } from "../units.ts";

interface InspectFlags extends CommonFlags {
  context?: number;
  offline?: boolean;
}

export function inspectCommand(): Command {
  const command = new Command("inspect")
    .summary("describe a model file without loading it")
    .description(
      "Reads the header of a model file: architecture, shape, types of weights, bytes needed, and whether it runs on this machine.",
    )
    .argument(
      "<model>",
      "a GGUF file (of a split model any part), a model folder, or hf:org/repo[:quantisation] or a URL, of which only the header is fetched",
    )
    .option("--context <n>", "tokens to reckon memory for (default: the trained ones, at most 4096)", integer("--context", 1))
    .option("--offline", "look at stored models only");
  jsonOption(command, "print one JSON object");
  examples(
    commonOptions(command),
    "lathe inspect model.gguf",
    "lathe inspect model.gguf --context 32768 --json",
    "lathe inspect hf:org/repo:Q4_K_M",
  );
  return command.action(async (path: string, flags: InspectFlags) => {
    const { inspect } = await import("../library.ts");
    const found = await inspect(path, { context: flags.context, offline: flags.offline });
    if (flags.json) printJson(found);
    else print(described(found));
  });
}

/** `kvHeads` -> "kv heads". */
const words = (name: string): string => name.replace(/[A-Z]/g, c => ` ${c.toLowerCase()}`);
const label = (text: string): string => paint("dim", text);

function described(found: Inspection): string {
  const { name, path, fileBytes, memory, machine } = found;
  const facts: [string, string][] = [
    ["architecture", found.architecture || "none"],
    ["parameters", large(found.parameters)],
    ...Object.entries(found.shape).map(([k, v]): [string, string] => [words(k), String(v)]),
  ];
  if (found.vocabulary !== undefined) facts.push(["vocabulary", String(found.vocabulary)]);
  if (found.trainedContext !== undefined) facts.push(["trained context", String(found.trainedContext)]);
  facts.push(["tokenizer", found.tokenizer], ["chat template", found.chatTemplate ? "yes" : "no"]);
  const { packedCopy } = found;
  if (packedCopy)
    facts.push(["packed copy", `${bytes(packedCopy.bytes)}${packedCopy.fresh ? "" : ", stale: make it again with lathe pack"}`]);
  const types = Object.entries(found.types)
    .sort(([, a], [, b]) => b.bytes - a.bytes)
    .map(([type, t]) => [`  ${type}`, `${t.tensors}`, bytes(t.bytes)]);
  const sections = [
    `${paint("bold", printable(name))}\n${label(`${printable(path)} · ${bytes(fileBytes)}`)}\n`,
    table(facts.map(([k, v]) => [label(k), printable(v)])),
  ];
  if (types.length) sections.push(table([[label("type"), label("tensors"), label("size")], ...types], [1, 2]));
  if (memory) sections.push(memoryTable(memory));
  sections.push(verdict(found.supported, machine));
  return sections.join("\n");
}

function memoryTable({ context, weights, cache, work, total }: NonNullable<Inspection["memory"]>): string {
  const rows = [
    [label(`memory at context ${context}`), ""],
    ["  weights", bytes(weights)],
    ["  keys and values", bytes(cache)],
    ["  work", bytes(work)],
    [paint("bold", "  total"), paint("bold", bytes(total))],
  ];
  return table(rows, [1]);
}

function verdict(supported: boolean, { available, fits, verdict: text }: Inspection["machine"]): string {
  const good = supported && fits;
  return `${paint(good ? "green" : "red", good ? "✓" : "✗")} ${printable(text)} ${label(`(${bytes(available)} free)`)}\n`;
}
