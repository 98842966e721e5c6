/** `lathe pack`: writes the packed copy of a model, from which it loads at once, or checks the one that is there. */
import { Command } from "commander";
import { INTERRUPTED, onInterrupt } from "../interrupt.ts";
import { type CommonFlags, commonOptions, examples, jsonOption } from "../options.ts";
import { ProgressLine } from "../progress.ts";
import { paint, print, printable, printJson } from "../terminal.ts";
import { bytes, counted } from "../units.ts";

type Pack = typeof import("../library.ts")["pack"];

interface PackFlags extends CommonFlags {
  out?: string;
  check?: boolean;
}

const labels: Readonly<Record<string, string>> = { hash: "reading", pack: "packing", write: "writing", check: "checking" };

export function packCommand(): Command {
  const command = new Command("pack")
    .summary("write a packed copy of a model, which loads at once")
    .description(
      "Loading rearranges a model's weights for the kernels. A packed copy beside the model keeps the result, about as large as the model; loading uses it as long as the model and the way of packing are the same, and removing the file takes nothing but time.",
    )
    .argument("<model>", "a GGUF file, or a stored model by its name")
    .option("--out <file>", "where to write it (default: <model>.lathe-pack, where loading looks for it)")
    .option("--check", "compare the existing copy, and the model, with its checksums");
  jsonOption(command, "print one JSON object: path, bytes, weights");
  examples(commonOptions(command), "lathe pack model.gguf", "lathe pack model.gguf --check", "lathe pack hf:org/repo:Q4_K_M");
  return command.action(packed);
}

async function packed(name: string, flags: PackFlags): Promise<void> {
  const library = await import("../library.ts");
  return packedBy(library.pack, name, flags);
}

async function packedBy(pack: Pack, name: string, flags: PackFlags): Promise<void> {
  const stop = new AbortController();
  const progress = new ProgressLine(flags);
  using _ = onInterrupt(() => {
    if (stop.signal.aborted) process.exit(INTERRUPTED); // a second Ctrl-C does not wait
    stop.abort();
  });
  try {
    const copy = await pack(name, {
      out: flags.out,
      check: flags.check,
      signal: stop.signal,
      onProgress: ({ stage, done, total }) =>
        progress.show({ label: labels[stage], done, total, detail: `${bytes(done)} of ${bytes(total)}` }),
    });
    progress.clear();
    if (flags.json) return printJson({ ...copy, checked: flags.check === true });
    const facts = paint("dim", `· ${counted(copy.weights, "weight")}, ${bytes(copy.bytes)}${flags.check ? ", as it was written" : ""}`);
    print(`${paint("green", "✓")} ${printable(copy.path)} ${facts}\n`);
  } catch (problem) {
    progress.clear();
    if (!stop.signal.aborted) throw problem;
    process.exit(INTERRUPTED);
  }
}
