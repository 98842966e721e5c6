/** `lathe pull`: gets a model into the store. Ctrl-C stops it in good order, and the next pull goes on there. */
import { Command } from "commander";
import type { StoredModel } from "../../files/store/store.node.ts";
import { INTERRUPTED, onInterrupt } from "../interrupt.ts";
import { type CommonFlags, commonOptions, examples, integer, jsonOption } from "../options.ts";
import { ProgressLine } from "../progress.ts";
import { note, paint, paintErr, print, printable, printJson } from "../terminal.ts";
import { TransferStatus } from "../transfer.ts";
import { bytes } from "../units.ts";

type Pull = typeof import("../library.ts")["pull"];

interface PullFlags extends CommonFlags {
  sha256?: string;
  offline?: boolean;
  parallel?: number;
  endpoint?: string;
}

export function pullCommand(): Command {
  const command = new Command("pull")
    .summary("download a model into the store")
    .description(
      "Downloads a model, or what is missing of it, and verifies it. Without a quantisation the one that most people want is taken; of split " +
        "models all files. HF_TOKEN opens private repositories, HF_ENDPOINT names another hub, LATHE_HOME another folder than the cache.",
    )
    .argument("<model>", "hf:org/repo[@revision][:quantisation or file], or the URL of a GGUF file")
    .option("--sha256 <hash>", "what the file must hash to; the hub tells this itself")
    .option("--parallel <n>", "connections at once (default: 4)", integer("--parallel", 1, 64))
    .option("--offline", "only look whether the model is stored")
    .option("--endpoint <url>", "base URL of the hub (default: HF_ENDPOINT, or the public hub)");
  jsonOption(command, "print one JSON object: name, path, bytes, files with their hashes");
  examples(
    commonOptions(command),
    "lathe pull hf:bartowski/Llama-3.2-1B-Instruct-GGUF",
    "lathe pull hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0",
    "lathe pull https://example.org/model.gguf --sha256 <hash>",
    "lathe run hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0",
  );
  return command.action(pull);
}

async function pull(name: string, flags: PullFlags): Promise<void> {
  const library = await import("../library.ts");
  return pulled(library.pull, name, flags);
}

async function pulled(fetch: Pull, name: string, flags: PullFlags): Promise<void> {
  const stop = new AbortController();
  const progress = new ProgressLine(flags);
  const status = new TransferStatus();
  using _ = onInterrupt(() => {
    if (stop.signal.aborted) process.exit(INTERRUPTED); // a second Ctrl-C does not wait
    stop.abort();
  });
  const { sha256, offline, parallel, endpoint } = flags;
  try {
    const model = await fetch(name, {
      sha256,
      offline,
      parallel,
      endpoint,
      signal: stop.signal,
      onProgress: p => progress.show(status.at(p)),
    });
    progress.clear();
    if (flags.json) printJson({ name: model.name, path: model.path, bytes: model.bytes, files: model.manifest?.files });
    else print(shown(model));
  } catch (problem) {
    progress.clear();
    if (!stop.signal.aborted) throw problem;
    if (!flags.quiet) note(paintErr("dim", "stopped; what has come is kept, and the next pull goes on there"));
    process.exit(INTERRUPTED);
  }
}

function shown({ name, path, bytes: size }: StoredModel): string {
  return `${paint("green", "✓")} ${paint("bold", printable(name))} ${paint("dim", `· ${bytes(size)}`)}\n  ${printable(path)}\n`;
}
