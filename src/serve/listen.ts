/**
 * The server on a port: sockets with time limits, a bound on connections and headers, and an end that drains. Refuses to listen where others
 * can reach it unless a key is set.
 */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { LatheError } from "../errors.ts";
import { type App, type AppOptions, createApp } from "./app.ts";
import { limits } from "./fields.ts";
import { isLoopback } from "./guard.ts";
import { awaitHeads, KEEP_ALIVE_MS } from "./heads.ts";
import { closeQueued } from "./queued.ts";
import { turn } from "./turns.ts";

export interface ListenOptions extends AppOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** 0: any that is free. Default 11500. */
  readonly port?: number;
  /** Connections at a time, those that do nothing included. Default 4096. */
  readonly connections?: number;
  /** Milliseconds that open answers get when the server stops. Default 30,000. */
  readonly drainMs?: number;
}

const DEFAULT_PORT = 11500;
/** Connections that may wait to be accepted, as far as the system allows: one that finds no room there tries again a second later. */
const BACKLOG = 4096;

export interface Listening {
  readonly app: App;
  readonly url: string;
  readonly port: number;
  /** Takes no new work, lets open answers end, and then stops; what is not done in time gets an error as its last frame. */
  close(drainMs?: number): Promise<void>;
}

/** @throws LatheError server.unsafe, option.invalid */
export async function listen(options: ListenOptions): Promise<Listening> {
  const { host = "127.0.0.1", port = DEFAULT_PORT, connections = 4096, keys = [] } = options;
  if (!isLoopback(host) && !keys.length) {
    const message = `Listening on ${host} lets others in, and no key is set; give one with --api-key, or listen on 127.0.0.1.`;
    throw new LatheError("server.unsafe", message, { host });
  }
  const app = createApp(options);
  const server = createAdaptorServer({
    fetch: async (request, { incoming }) => {
      // A crowd's requests are looked at one by one; health, which only reads, goes before them.
      if (incoming.method === "POST") await turn();
      return app.fetch(request, incoming);
    },
    // Late heads and bodies are found by who waits for them (heads.ts, arriving.ts).
    serverOptions: { maxHeaderSize: limits.headerBytes, headersTimeout: 0, requestTimeout: 0, keepAliveTimeout: KEEP_ALIVE_MS },
  }) as Server;
  awaitHeads(server);
  closeQueued(server);
  server.maxConnections = connections;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (e: NodeJS.ErrnoException) => reject(cannotListen(e, host, port)));
    server.listen({ port, host, backlog: BACKLOG }, () => resolve());
  });
  app.watchdog.start();
  const bound = (server.address() as AddressInfo).port;
  const shown = host.includes(":") ? `[${host}]` : host;
  let closing: Promise<void> | undefined;
  const close = (drainMs = options.drainMs ?? 30_000): Promise<void> => (closing ??= stop(app, server, drainMs));
  return { app, port: bound, url: `http://${shown}:${bound}`, close };
}

function cannotListen(e: NodeJS.ErrnoException, host: string, port: number): LatheError {
  const why = e.code === "EADDRINUSE" ? "it is in use; give another with --port" : String(e.code);
  return new LatheError("option.invalid", `Cannot listen on ${host}:${port}: ${why}.`, { option: "port" }, { cause: e });
}

/** Milliseconds for last frames to be written after everything was told to stop. */
const LAST_WORDS_MS = 1000;
const IDLE_LOOK_MS = 25;

/**
 * Turns of the event loop in which connections that wait are accepted, one in each, and what they have sent is read. A crowd that does not end
 * is not waited for.
 */
async function heard(server: Server): Promise<void> {
  let quiet = 0;
  const came = (): void => void (quiet = 0);
  server.on("connection", came);
  for (let turn = 0; turn < 1000 && quiet < 3; turn++, quiet++) await new Promise<void>(resolve => setImmediate(resolve));
  server.off("connection", came);
}

async function stop({ service, watchdog }: App, server: Server, drainMs: number): Promise<void> {
  service.drain();
  watchdog.stop();
  await heard(server); // who has connected is told that the server ends, not cut off
  const closed = new Promise<void>(resolve => server.close(() => resolve()));
  // A connection whose last answer has just ended would be kept alive for the next one, which will not come.
  const idle = setInterval(() => void heard(server).then(() => server.closeIdleConnections()), IDLE_LOOK_MS);
  const waits = (ms: number): Promise<void> => {
    let timer: ReturnType<typeof setTimeout>;
    return Promise.race([closed, new Promise<void>(r => (timer = setTimeout(r, ms)))]).finally(() => clearTimeout(timer));
  };
  await waits(drainMs);
  service.stopping.abort(new LatheError("server.closing", "The server shut down before the answer was complete."));
  await waits(LAST_WORDS_MS);
  clearInterval(idle);
  server.closeAllConnections();
  await service.catalog.close();
  await closed;
}
