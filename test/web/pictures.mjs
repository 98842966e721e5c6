#!/usr/bin/env node
/**
 * Takes the pictures of docs/chat.md: a conversation with the bundled story writer, its own words, in the built page and a real browser.
 * `node test/web/pictures.mjs [folder]` after `npm run build`; CHROMIUM names a browser where Debian's is not there.
 */
import { join } from "node:path";
import { chromium } from "playwright-core";
import { load } from "../../dist/index.js";
import { Catalog } from "../../dist/serve/catalog.js";
import { listen } from "../../dist/serve/listen.js";

const root = join(import.meta.dirname, "..", "..");
const folder = process.argv[2] ?? join(root, "docs");
const model = await load(join(root, "models", "stories.gguf"));
const catalog = new Catalog([{ name: "stories", aliases: [], created: 1, load: async () => model, bytes: async () => 0 }]);
await catalog.warm(["stories"]);
const server = await listen({ port: 0, catalog, web: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: ["--no-sandbox", "--disable-gpu"],
});

/** A beginning for the story, by the keyboard; ends with the story. */
async function say(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
  await page.locator(".question", { hasText: text }).waitFor();
  await answered(page);
}
const answered = page => page.locator(".answer[aria-busy=false]").last().locator(".actions").waitFor();

try {
  const context = await browser.newContext({ viewport: { width: 1180, height: 820 }, colorScheme: "light" });
  const page = await context.newPage();
  await page.goto(server.url);
  await say(page, "One day, a little boy named Tim found a big red box in the park.");
  await page.getByRole("button", { name: "New conversation" }).first().click();
  await say(page, "Once upon a time there was a small fox who wanted to fly.");
  await page
    .getByRole("button", { name: /Regenerate|Another/ })
    .last()
    .click();
  await answered(page);
  await page.mouse.move(700, 500);
  await page.waitForTimeout(300);
  await page.screenshot({ path: join(folder, "chat-light.png") });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForTimeout(300);
  await page.screenshot({ path: join(folder, "chat-dark.png") });
  const phone = await browser.newContext({
    viewport: { width: 390, height: 780 },
    deviceScaleFactor: 1.5,
    isMobile: true,
    hasTouch: true,
    colorScheme: "light",
  });
  const small = await phone.newPage();
  await small.goto(server.url);
  await small.getByLabel("Message", { exact: true }).waitFor();
  await say(small, "Once upon a time there was a small fox who wanted to fly.");
  await small.waitForTimeout(300);
  await small.screenshot({ path: join(folder, "chat-phone.png") });
} finally {
  await browser.close();
  await server.close();
  await model.close();
}
