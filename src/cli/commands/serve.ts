/**
 * `lathe serve`: models behind a port, in the protocols that other programs speak already. Decides which models there are and what they are
 * called; the server itself is in serve/.
 */
import { basename } from "node:path";
import { Command } from "commander";
import { LatheError } from "../../errors.ts";
import type { Listening } from "../../serve/listen.ts";
import { keepHeapSmall } from "../heap.ts";
import { onInterrupt } from "../interrupt.ts";
import { bundledModel } from "../model.ts";
import {
  type CommonFlags,
  commonOptions,
  conversationOptions,
  examples,
  integer,
  jsonOption,
  type LoadFlags,
  loadFlags,
  loadOptions,
} from "../options.ts";
import { note, paintErr, print, printable } from "../terminal.ts";

interface ServeFlags extends CommonFlags, LoadFlags {
  host?: string;
  port?: number;
  apiKey?: string[];
  allowHost?: string[];
  allowOrigin?: string[];
  lazy?: boolean;
  keepAlive?: number;
  memoryForModels?: string;
  drain?: number;
  connections?: number;
  log?: boolean;
  web: boolean;
  padEvents?: boolean;
}

const list = (text: string, all: string[] = []): string[] => [...all, text];

export function serveCommand(): Command {
  const command = new Command("serve")
    .summary("answer requests of other programs")
    .description(
      "Serves models to clients of OpenAI, Anthropic and Ollama on this machine. Without a model, the bundled story writer is served. " +
        "docs/server.md lists routes and fields.",
    )
    .argument("[models...]", "GGUF files, model folders, or stored models by name; name=path gives one a name of its own")
    .optionsGroup("Listening:")
    .option("--host <address>", "where to listen; others than this machine need --api-key", "127.0.0.1")
    .option("--port <n>", "port; 0: any that is free (default: 11500)", integer("--port", 0, 65_535))
    .option("--api-key <key>", "ask for this key; may be given several times (also LATHE_API_KEY)", list)
    .option("--allow-host <name>", "another host name by which clients may address the server; may be given several times", list)
    .option("--allow-origin <origin>", "web pages of this origin may use the server; may be given several times", list)
    .option("--drain <seconds>", "what open answers get when the server stops", integer("--drain", 0, 3600), 30)
    .option("--connections <n>", "most connections at a time, those that do nothing included", integer("--connections", 1, 2 ** 20), 4096)
    .option("--no-web", "no web chat at /")
    .option("--pad-events", "streamed pieces get one of four lengths, so that encrypted traffic tells less about the text")
    .optionsGroup("Models:")
    .option("--lazy", "load a model when it is first asked for, not at once")
    .option("--keep-alive <seconds>", "unload a model that was idle for so long (default: never)", integer("--keep-alive", 0, 2 ** 30))
    .option("--memory-for-models <size>", "most memory of loaded models together, such as 12GiB; idle ones make room");
  conversationOptions(loadOptions(command));
  command.optionsGroup("Output:").option("--log", "one line of JSON on stderr for each request; never its contents");
  jsonOption(command, "print one JSON object when the server listens: url, port, models");
  examples(commonOptions(command), "lathe serve model.gguf", "lathe serve small=a.gguf large=b.gguf --lazy --memory-for-models 12GiB");
  return command.action(serve);
}

/** "name=path", or a path whose file gives the name. */
export function named(given: string): { name: string; path: string } {
  const [, name, path] = /^([\w.:-]+)=(.+)$/.exec(given) ?? [undefined, undefined, given];
  return { name: name ?? (/^(hf:|https?:)/.test(path) ? path : basename(path).replace(/\.gguf$/i, "")), path };
}

async function serve(given: string[], flags: ServeFlags): Promise<void> {
  keepHeapSmall();
  const { createCatalog, listen, resolveLoad, version } = await import("../library-serve.ts");
  const models = (given.length ? given : [bundledModel()]).map(named);
  const twice = models.find((m, i) => models.some((o, j) => j < i && o.name === m.name));
  if (twice) throw new LatheError("option.invalid", `Two models are called "${twice.name}"; name them as in: small=a.gguf large=b.gguf.`);
  resolveLoad(loadFlags(flags));
  const environment = process.env["LATHE_API_KEY"];
  const catalog = createCatalog(models, loadFlags(flags), { keepAlive: flags.keepAlive, memory: flags.memoryForModels });
  const log = (entry: object): void => {
    if (flags.log) note(JSON.stringify({ time: new Date().toISOString(), ...entry }));
  };
  const server = await listen({
    catalog,
    version,
    host: flags.host,
    port: flags.port,
    keys: [...(flags.apiKey ?? []), ...(environment ? [environment] : [])],
    hosts: flags.allowHost,
    origins: flags.allowOrigin,
    web: flags.web,
    padEvents: flags.padEvents,
    connections: flags.connections,
    drainMs: 1000 * (flags.drain ?? 30),
    log,
  });
  const stopped = stopsOnSignals(server, flags);
  try {
    if (!flags.lazy) await catalog.warm(models.map(m => m.name));
  } catch (e) {
    if (server.app.service.draining) return stopped;
    await server.close(0);
    throw e;
  }
  if (flags.json) print(`${JSON.stringify({ url: server.url, port: server.port, models: models.map(m => m.name) })}\n`);
  else if (!flags.quiet) note(`${models.map(m => printable(m.name)).join(", ")} at ${paintErr("cyan", server.url)} · Ctrl-C stops`);
  return stopped;
}

/** Ends when the server has stopped: at the first signal it drains, at the second it stops at once. */
function stopsOnSignals(server: Listening, flags: ServeFlags): Promise<void> {
  return new Promise((resolve, reject) => {
    let asked = false;
    const stop = (): void => {
      if (asked) process.exit(1);
      asked = true;
      if (!flags.quiet) note(paintErr("dim", "stopping; once more stops at once"));
      server.close().then(resolve, reject);
    };
    onInterrupt(stop);
    process.on("SIGTERM", stop);
  });
}
