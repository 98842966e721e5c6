/** A server on a free port over the bundled model, with a chat template, for the tests of this folder; and what they ask of it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { load } from "../../src/api/load.node.ts";
import type { Model } from "../../src/api/model.ts";
import type { LoadOptions } from "../../src/api/options.ts";
import { Catalog } from "../../src/serve/catalog.ts";
import { type Listening, type ListenOptions, listen } from "../../src/serve/listen.ts";
import { chatModel } from "../cli/models.ts";

export interface TestServer extends Listening {
  readonly model: Model;
  /** Whatever was logged. */
  readonly log: object[];
  readonly stop: () => Promise<void>;
}

const entry = (name: string, model: Model) => ({ name, aliases: [], created: 1, load: async () => model, bytes: async () => 0 });

/** The bundled model with a chat template, loaded. */
export async function loadChatModel(options: LoadOptions = {}): Promise<{ model: Model; path: string; remove: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), "lathe-serve-"));
  const path = await chatModel(folder);
  const model = await load(path, { threads: 1, ...options });
  return { model, path, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

export async function startServer(options: Partial<ListenOptions> = {}, loading: LoadOptions = {}): Promise<TestServer> {
  const { model, remove } = await loadChatModel(loading);
  const log: object[] = [];
  const catalog = options.catalog ?? new Catalog([entry("stories", model)]);
  await catalog.warm(["stories"]);
  const listening = await listen({ port: 0, log: e => log.push(e), ...options, catalog });
  const stop = async (): Promise<void> => {
    await listening.close(0);
    await model.close();
    remove();
  };
  return { ...listening, model, log, stop };
}

/** OpenAI's own client of a server. */
export const openAiOf = (server: { readonly url: string }): OpenAI =>
  new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });

export async function startWithClient(): Promise<{ server: TestServer; client: OpenAI }> {
  const server = await startServer();
  return { server, client: openAiOf(server) };
}

/** A POST of JSON. */
export const post = (url: string, body: unknown, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<Response> =>
  fetch(url, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers }, signal });

/** Waits until it is so; gives up after ten seconds. */
export async function until(so: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (await so()) return;
    await new Promise(resolve => setTimeout(resolve, 10));
  }
  throw new Error("it did not become so");
}
