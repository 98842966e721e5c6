/**
 * What the tests of the web chat share: a system's Chromium, the real server over a model that says what a test has prepared, and the few
 * movements of a user. Where there is no Chromium the tests are skipped and say so.
 */
import { existsSync } from "node:fs";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { describe } from "vitest";
import type { Model } from "../../src/api/model.ts";
import { Run } from "../../src/api/run.ts";
import { Catalog } from "../../src/serve/catalog.ts";
import { type Listening, type ListenOptions, listen } from "../../src/serve/listen.ts";

const browsers = [process.env["CHROMIUM"], "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executable = browsers.find(path => path && existsSync(path));

export function describeInChromium(title: string, body: () => void): void {
  if (executable) describe(title, body);
  else describe.skip(`${title} (skipped: no Chromium here; install Debian's package chromium, or name one in CHROMIUM)`, body);
}

const quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
export const launch = (): Promise<Browser> =>
  chromium.launch({ executablePath: executable, headless: true, args: ["--no-sandbox", "--disable-gpu", ...quiet] });

/** A prepared answer: its pieces, and milliseconds between them. */
export interface Prepared {
  readonly pieces: readonly string[];
  readonly everyMs?: number;
}
type Messages = readonly { readonly role: string; readonly content: string }[];

export interface Pretended {
  readonly model: Model;
  /** The conversations that it was asked to answer, and the options of each. */
  readonly asked: { readonly messages: Messages; readonly options: Record<string, unknown> }[];
  /** How many answers were left before their end. */
  left: number;
}

/** A model of bytes as tokens that answers what `answer` says to the last message. */
export function pretend(answer: (last: string, times: number) => Prepared): Pretended {
  let messages: Messages = [];
  const run = (tokens: Int32Array, options: { signal: AbortSignal }): Run => {
    const conversation = messages;
    pretended.asked.push({ messages, options: { ...options } });
    const { pieces, everyMs = 0 } = answer(conversation.at(-1)!.content, pretended.asked.length);
    return new Run(async function* (settle) {
      let said = 0;
      try {
        for (const text of pieces) {
          if (said > 0) await new Promise(resolve => setTimeout(resolve, everyMs));
          options.signal.throwIfAborted();
          said++;
          yield { type: "text", text, tokens: [] };
        }
      } finally {
        if (said < pieces.length) pretended.left++;
      }
      const usage = { promptTokens: tokens.length, completionTokens: pieces.length, cachedTokens: 0 };
      const timings = { promptMs: 1, completionMs: 100, promptTokensPerSecond: 1000, tokensPerSecond: 12.5 };
      const result = { text: pieces.join(""), tokens: [], finish: "stop" as const, usage, timings, settings: { seed: 1 } };
      settle(result as never);
      yield { type: "finish", ...result } as never;
    });
  };
  const model = {
    info: { path: "pretend.gguf", name: "pretend", architecture: "pretend", context: 4096, fileBytes: 2 ** 20 },
    tokenizer: { size: 256, bytes: (id: number) => Uint8Array.of(id), text: (id: number) => String.fromCharCode(id) },
    chats: true,
    closed: false,
    status: async () => ({ running: 0, waiting: 0, pages: 1, pagesUsed: 0, steps: 0 }),
    speech: () => ({
      prompt: (given: Messages) => {
        messages = given;
        return { ids: Int32Array.from(Buffer.from(JSON.stringify(given)).subarray(0, 4000)) };
      },
    }),
    answer: (_: unknown, { ids }: { ids: Int32Array }, options: { signal: AbortSignal }) => run(ids, options),
    close: async () => {},
  };
  const pretended: Pretended = { model: model as unknown as Model, asked: [], left: 0 };
  return pretended;
}

/** The server with its web chat over models by name. */
export async function serveModels(models: Readonly<Record<string, Model>>, options: Partial<ListenOptions> = {}): Promise<Listening> {
  const entries = Object.entries(models).map(([name, model]) => ({
    name,
    aliases: [],
    created: 1,
    load: async () => model,
    bytes: async () => 0,
  }));
  const catalog = new Catalog(entries);
  await catalog.warm(Object.keys(models));
  return listen({ port: 0, catalog, web: true, ...options });
}

/** A page of a fresh browser profile, and everything that it complained about. */
export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(8000);
  const complaints: string[] = [];
  page.on("pageerror", e => complaints.push(String(e)));
  page.on("console", m => {
    if (m.type() === "error") complaints.push(m.text());
  });
  await page.goto(url);
  await page.getByLabel("Message", { exact: true }).waitFor(); // before it is drawn, nobody can press a key of it
  return { page, complaints };
}

/** Writes a message and sends it by the keyboard. */
export async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

/** The last answer, once it is complete. */
export async function answered(page: Page): Promise<string> {
  const answer = page.locator(".answer[aria-busy=false]").last();
  await answer.locator(".actions").waitFor();
  return (await answer.locator(".markdown").allInnerTexts()).join("\n");
}
