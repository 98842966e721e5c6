/**
 * Answers that try to do something to their reader, by the hundred in a real Chromium: the page as it is sent, with its policy, over the real
 * server. Most come as one imported conversation, which the page draws at once; others stream, and every change of the page is looked at.
 * PAYLOADS=5000 tries so many; SEED begins elsewhere.
 */
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Listening } from "../../src/serve/listen.ts";
import { Random } from "../fixtures/random.ts";
import { payload } from "../fuzz/chat.ts";
import { answered, describeInChromium, launch, openPage, pretend, say, serveModels } from "./page.ts";
import { attributes, elements } from "./tree.ts";

const COUNT = Number(process.env["PAYLOADS"] ?? 200);
const SEED = Number(process.env["SEED"] ?? 1);
/** In one conversation, which the page draws as a whole. */
const AT_ONCE = 500;
/** One in so many streams too. */
const STREAMED = 10;

const payloadOf = (n: number): string => payload(new Random(SEED + n));
const numbers = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

/** What the page keeps of answers as files: one conversation of nothing but answers. */
function conversation(texts: readonly string[]): string {
  const id = (n: number): string => (n < 0 ? "" : n.toString(16).padStart(16, "0"));
  const messages = texts.map((text, n) => ({ id: id(n), parent: id(n - 1), role: "assistant", text, at: 1, answer: { finish: "stop" } }));
  const whole = { id: id(2 ** 40), title: "Payloads", created: 1, updated: 1, messages, chosen: {} };
  return JSON.stringify({ format: "lathe-conversations", version: 1, conversations: [whole] });
}

interface Watched {
  /** What there was that could run, load or lead elsewhere than to a page or a letter. */
  readonly hostile: string[];
  readonly looks: number;
}

/** Runs inside the page, before any of its own code: looks at every answer, each time that something of the page changes. */
function watch([names, fields]: [string[], string[]]): void {
  const [known, allowed] = [new Set(names), new Set(fields)];
  const seen = { hostile: [] as string[], looks: 0 };
  Object.assign(globalThis, { watched: seen });
  const look = (e: Element): void => {
    const name = e.localName;
    if (!known.has(name)) seen.hostile.push(`<${name}>`);
    for (const { name: field, value } of e.attributes) {
      if (!allowed.has(field)) seen.hostile.push(`${name} ${field}=${value}`);
      if (field === "href" && !/^(https?:\/\/|mailto:)/.test(value)) seen.hostile.push(`a link to ${value}`);
    }
    if (name === "a" && e.getAttribute("rel") !== "noopener noreferrer") seen.hostile.push("a link that tells where it was");
    if (name === "input" && e.getAttribute("type") !== "checkbox") seen.hostile.push("an input");
  };
  const all = (root: Element): void => {
    for (const e of root.querySelectorAll(".answer .markdown *")) look(e);
    seen.looks++;
  };
  document.addEventListener("securitypolicyviolation", e => seen.hostile.push(`${e.violatedDirective} of ${e.blockedURI}`));
  document.addEventListener("DOMContentLoaded", () => {
    const observer = new MutationObserver(() => all(document.documentElement));
    observer.observe(document.documentElement, { subtree: true, childList: true, attributes: true });
  });
}

describeInChromium("web chat, hostile answers", () => {
  let browser: Browser;
  let server: Listening;
  let context: BrowserContext;
  let page: Page;
  let complaints: string[];
  /** What the page asks for by itself. No payload has one of these addresses. */
  const own = new Set(["/icon.svg", "/v1/models", "/v1/chat/completions"]);
  /** Everything else that the browser did besides drawing. */
  const did: string[] = [];
  const { model } = pretend(last => ({ pieces: piecesOf(numbers(Number(last.split(" ")[1]), Number(last.split(" ")[2]))) }));

  /** Cut at random places, so that pieces begin and end inside of everything. */
  function piecesOf(which: readonly number[]): string[] {
    const r = new Random(SEED);
    const text = which.map(payloadOf).join("\n\n");
    const pieces: string[] = [];
    for (let at = 0; at < text.length; ) pieces.push(text.slice(at, (at += 1 + r.below(12))));
    return pieces;
  }

  beforeAll(async () => {
    [browser, server] = await Promise.all([launch(), serveModels({ pretend: model })]);
    ({ page, complaints } = await openPage(browser, server.url));
    context = page.context();
    await context.addInitScript(watch, [[...elements], [...attributes]] as [string[], string[]]);
    await page.reload();
    await page.getByText("4,096 tokens").waitFor(); // the list of models was asked for
    page.setDefaultTimeout(60_000);
    page.on("request", r => {
      if (!own.has(r.url().replace(server.url, ""))) did.push(`${r.method()} ${r.url()}`);
    });
    page.on("dialog", d => did.push(`a dialog: ${d.message()}`));
    page.on("frameattached", f => did.push(`a frame: ${f.url()}`));
    page.on("download", d => did.push(`a download: ${d.url()}`));
    context.on("page", p => did.push(`a window: ${p.url()}`));
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await server?.close(0);
  });
  const watched = (): Promise<Watched> => page.evaluate(() => (globalThis as unknown as { watched: Watched }).watched);
  const hit = (): Promise<unknown> => page.evaluate(() => (globalThis as unknown as { hit?: unknown }).hit);

  it(`draws ${COUNT} of them, and nothing of them runs, loads or leads away`, async () => {
    for (let from = 0; from < COUNT; from += AT_ONCE) {
      const texts = numbers(from, Math.min(AT_ONCE, COUNT - from)).map(payloadOf);
      const file = { name: "all.json", mimeType: "application/json", buffer: Buffer.from(conversation(texts)) };
      await page.locator(".sidebar input[type=file]").setInputFiles(file);
      await page.getByRole("link", { name: "Payloads" }).first().click();
      await expect.poll(() => page.locator(".answer").count(), { timeout: 60_000 }).toBe(texts.length);
      const drawn = await page.locator(".answer").evaluateAll(list => list.filter(e => e.querySelector(".markdown")).length);
      expect(drawn).toBe(texts.filter(t => t.trim() !== "").length);
      expect((await watched()).hostile).toEqual([]);
      expect(await hit()).toBeUndefined();
      expect([...did, ...complaints]).toEqual([]);
      await page.getByRole("button", { name: "Delete Payloads" }).first().click();
      await page.getByRole("button", { name: "Delete", exact: true }).click();
    }
    expect((await watched()).looks).toBeGreaterThan(0);
  });

  it("draws them as they come, and none of the states on the way is any worse", async () => {
    const before = (await watched()).looks;
    const count = Math.ceil(COUNT / STREAMED);
    for (let from = 0; from < count; from += 10) {
      await page.getByRole("button", { name: "New conversation" }).first().click();
      await say(page, `from ${from} ${Math.min(10, count - from)}`);
      await answered(page);
    }
    expect((await watched()).hostile).toEqual([]);
    expect(await hit()).toBeUndefined();
    expect([...did, ...complaints]).toEqual([]);
    // More than the end of each answer was looked at; how much more depends on how fast the browser draws.
    expect((await watched()).looks - before).toBeGreaterThan(Math.ceil(count / 10));
  });

  it("would have seen what it looks for", async () => {
    await page.evaluate(() => {
      const box = document.querySelector(".answer .markdown")!;
      const image = document.createElement("img");
      image.src = "https://example.invalid/p.png";
      image.setAttribute("onsomething", "hit = 1");
      const near = document.createElement("img");
      near.src = "/relative";
      const link = document.createElement("a");
      link.href = "javascript:0";
      box.append(image, near, link);
    });
    const found = async (): Promise<string> => (await watched()).hostile.join("; ");
    await expect.poll(found).toMatch(/<img>.*img src=.*img onsomething=.*a link to javascript:0.*tells where it was/);
    await expect.poll(found).toMatch(/img-src.* of https:\/\/example\.invalid/);
    await expect.poll(() => did.toSorted()).toEqual([`GET ${server.url}/relative`, "GET https://example.invalid/p.png"]);
  });
});
