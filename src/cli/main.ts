#!/usr/bin/env node
/**
 * The command line of Lathe: `lathe <command>`. Owns the list of commands and the exit code; each command is a file in commands/. Results go
 * to stdout, everything else to stderr.
 */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { benchCommand } from "./commands/bench.ts";
import { chatCommand } from "./commands/chat.ts";
import { convertCommand } from "./commands/convert.ts";
import { decideCommand } from "./commands/decide.ts";
import { embedCommand } from "./commands/embed.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { kernelsCommand } from "./commands/kernels.ts";
import { listCommand } from "./commands/list.ts";
import { packCommand } from "./commands/pack.ts";
import { perplexityCommand } from "./commands/perplexity.ts";
import { pullCommand } from "./commands/pull.ts";
import { removeCommand } from "./commands/remove.ts";
import { rerankCommand } from "./commands/rerank.ts";
import { runCommand } from "./commands/run.ts";
import { serveCommand } from "./commands/serve.ts";
import { tokenizeCommand } from "./commands/tokenize.ts";
import { failed } from "./failure.ts";
import { listenForInterrupts } from "./interrupt.ts";
import { examples } from "./options.ts";
import { endQuietlyOnClosedPipes, paint } from "./terminal.ts";

const commands = [
  runCommand,
  chatCommand,
  serveCommand,
  pullCommand,
  listCommand,
  removeCommand,
  inspectCommand,
  packCommand,
  tokenizeCommand,
  perplexityCommand,
  decideCommand,
  embedCommand,
  rerankCommand,
  benchCommand,
  kernelsCommand,
  convertCommand,
];

function version(): string {
  return (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }).version;
}

function program(): Command {
  const all = new Command("lathe")
    .description("Runs language models on this machine, on kernels that are compiled when a model is loaded.")
    .version(version(), "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand("help [command]", "show the help of a command")
    .exitOverride()
    .configureHelp({ styleTitle: text => paint("bold", text), styleSubcommandText: text => paint("cyan", text) })
    // Complaints are printed by failure.ts, in one form for all errors.
    .configureOutput({ outputError: () => {} });
  for (const make of commands) all.addCommand(make().copyInheritedSettings(all).helpOption("-h, --help", "show this help"));
  return examples(
    all,
    "lathe run                                a story from the bundled model",
    'lathe run model.gguf "Why is the sky blue?"',
    "lathe chat model.gguf",
    "lathe pull hf:org/repo:Q4_K_M            then: lathe run hf:org/repo:Q4_K_M",
    "lathe inspect model.gguf                 will it run here?",
  );
}

/** What is to be parsed: help for a command that there is not is asked of the command itself, which is then said to be unknown. */
function asked(lathe: Command, argv: readonly string[]): readonly string[] {
  const [node, script, first, name = "help"] = argv;
  const known = name === "help" || name.startsWith("-") || lathe.commands.some(c => c.name() === name || c.aliases().includes(name));
  return first === "help" && !known ? [node, script, name] : argv;
}

async function main(argv: readonly string[]): Promise<number> {
  endQuietlyOnClosedPipes();
  listenForInterrupts();
  const debug = argv.includes("--debug");
  process.on("uncaughtException", e => process.exit(failed(e, debug)));
  const lathe = program();
  try {
    if (argv.length <= 2) lathe.outputHelp();
    else await lathe.parseAsync(asked(lathe, argv));
    return 0;
  } catch (e) {
    const flags = lathe.commands.find(c => c.name() === argv[2])?.options.map(o => o.long ?? "");
    return failed(e, debug, flags);
  }
}

process.exitCode = await main(process.argv);
