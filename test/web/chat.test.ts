/** The web chat in a real Chromium, on the real server: what a user does with it, and that an answer cannot do anything to its reader. */
import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { load } from "../../src/api/load.node.ts";
import type { Listening } from "../../src/serve/listen.ts";
import { until } from "../serve/server.ts";
import { answered, describeInChromium, launch, openPage, type Pretended, pretend, say, serveModels } from "./page.ts";

const hostile = [
  "<script>window.hit = 1</script>\n\n",
  '<img src=x onerror="window.hit = 2">\n\n',
  "Inline <b onclick=1>bold</b> [link](javascript:window.hit=3) [fine](https://example.com/)\n\n",
  "![p](https://example.com/p.png)\n\n<iframe srcdoc='<script>parent.hit=4</script>'></iframe>",
];

const rich =
  "# Title\n\nSome **bold** and `code`.\n\n```js\nlet a = 1 < 2;\n```\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n- [x] done\n- item\n";

function prepared(last: string, times: number) {
  if (last.includes("hostile")) return { pieces: hostile };
  if (last.includes("slow")) return { pieces: Array.from({ length: 600 }, (_, i) => `word${i} `), everyMs: 20 };
  if (last.includes("rich")) return { pieces: rich.match(/[\s\S]{1,3}/g)! };
  if (last.includes("wide"))
    return { pieces: [`\`\`\`\n${"x".repeat(400)}\n\`\`\`\n\n${"y".repeat(400)}\n\n|${" cell |".repeat(30)}\n|${"---|".repeat(30)}\n`] };
  return { pieces: ["Answer ", `${times} `, "to: ", last] };
}

describeInChromium("web chat", () => {
  let browser: Browser;
  let server: Listening;
  let model: Pretended;
  let page: Page;
  let complaints: string[];
  beforeAll(async () => {
    model = pretend(prepared);
    [browser, server] = await Promise.all([launch(), serveModels({ pretend: model.model, second: model.model })]);
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await server?.close(0);
  });
  afterEach(async () => {
    await page?.context().close();
  });
  const open = async (options = {}): Promise<void> => {
    ({ page, complaints } = await openPage(browser, server.url, options));
  };
  const shownTexts = (): Promise<string[]> => page.locator(".bubble, .answer .markdown").allInnerTexts();

  it("sends by Enter, streams, and tells tokens and speed", async () => {
    await open();
    await say(page, "Hello");
    expect(await answered(page)).toMatch(/^Answer \d+ to: Hello$/);
    expect(await page.locator(".answer .facts").textContent()).toContain("4 tokens · 13 tokens/s · pretend");
    expect(model.asked.at(-1)!.messages).toEqual([{ role: "user", content: "Hello" }]);
    await say(page, "Again");
    await page.locator(".answer").nth(1).locator(".actions").waitFor();
    expect(model.asked.at(-1)!.messages.map(m => m.role)).toEqual(["user", "assistant", "user"]);
    expect(await page.title()).toBe("Hello · Lathe");
    expect(complaints).toEqual([]);
  });

  it("lets a message wait for the list of models", async () => {
    await open();
    await page.route("**/v1/models", async route => {
      await new Promise(resolve => setTimeout(resolve, 300));
      await route.continue();
    });
    await page.reload();
    await say(page, "Early");
    expect(await answered(page)).toMatch(/to: Early$/);
  });

  it("shows an answer while it grows, and stops it on the server too", async () => {
    await open();
    const left = model.left;
    await say(page, "slow please");
    await page.getByText("word5").waitFor();
    expect(await page.locator(".answer").getAttribute("aria-busy")).toBe("true");
    await page.getByRole("button", { name: "Stop" }).click();
    expect(await answered(page)).toMatch(/^word0 word1 /);
    expect(await page.locator(".answer").textContent()).toContain("Stopped.");
    expect(await page.locator(".answer .facts").textContent()).toMatch(/about \d+ tokens/);
    await until(() => model.left === left + 1);
    await say(page, "slow once more");
    await page.getByText("word3").last().waitFor();
    await page.keyboard.press("Escape");
    await until(() => model.left === left + 2);
  });

  it("branches by regenerating and by editing, and keeps all of it over a reload", async () => {
    await open();
    await say(page, "First");
    const one = await answered(page);
    await page.getByRole("button", { name: "Regenerate answer" }).click();
    await page.getByText("2/2").waitFor();
    const two = await answered(page);
    expect(two).not.toBe(one);
    await page.getByRole("button", { name: "Version before" }).click();
    expect(await answered(page)).toBe(one);

    await page.getByLabel("Message", { exact: true }).press("ArrowUp");
    await page.getByLabel("Edited message").fill("Changed");
    await page.keyboard.press("Enter");
    await page.getByText("to: Changed").waitFor();
    await answered(page);
    expect(model.asked.at(-1)!.messages).toEqual([{ role: "user", content: "Changed" }]);
    await page.reload();
    await page.getByText("to: Changed").waitFor();
    expect(await shownTexts()).toEqual(["Changed", expect.stringMatching(/to: Changed$/)]);
    await page.getByRole("button", { name: "Version before" }).click();
    expect(await shownTexts()).toEqual(["First", one]);
  });

  it("runs nothing that an answer brings, and loads nothing from elsewhere", async () => {
    await open();
    const requests: string[] = [];
    page.on("request", r => requests.push(r.url()));
    await say(page, "hostile");
    const text = await answered(page);
    expect(text).toContain("<script>window.hit = 1</script>");
    expect(text).toContain('<img src=x onerror="window.hit = 2">');
    expect(text).toContain("<b onclick=1>bold</b>");
    expect(await page.evaluate(() => (window as { hit?: number }).hit)).toBeUndefined();
    expect(await page.locator(".answer :is(script, img, iframe, b)").count()).toBe(0);
    expect(await page.locator(".answer a").evaluateAll(all => all.map(a => (a as HTMLAnchorElement).href))).toEqual([
      "https://example.com/",
      "https://example.com/p.png",
    ]);
    expect(requests.filter(u => !u.startsWith(server.url))).toEqual([]);
    // The policy stands behind it: even code of the page could not make markup of a text.
    const refusedMarkup = await page.evaluate(() => {
      try {
        document.body.insertAdjacentHTML("beforeend", "<i>x</i>");
        return false;
      } catch {
        return true;
      }
    });
    expect(refusedMarkup).toBe(true);
  });

  it("draws Markdown the same in pieces as whole", async () => {
    await open();
    await say(page, "rich");
    await answered(page);
    const drawn = page.locator(".answer .markdown");
    const live = await drawn.innerHTML();
    expect(await drawn.getByRole("heading", { name: "Title" }).count()).toBe(1);
    expect(await drawn.locator("pre code").textContent()).toBe("let a = 1 < 2;");
    expect(await drawn.locator("td.to-right").textContent()).toBe("2");
    await page.reload();
    await answered(page);
    expect(await drawn.innerHTML()).toBe(live);
  });

  it("sends changed settings only, and explains their defaults", async () => {
    await open();
    await page.keyboard.press("Control+,");
    const dialog = page.getByRole("dialog", { name: "Settings" });
    expect(await dialog.textContent()).toMatch(/Default: 0\.8\.[\s\S]*Default: 0\.95\.[\s\S]*Default: 40\./);
    await dialog.getByLabel("Temperature").fill("0.3");
    await dialog.getByLabel("Instructions").fill("Be brief.");
    await dialog.getByLabel("Top-p").fill("7");
    await dialog.getByText("It must be a number from 0 to 1.").waitFor();
    await page.keyboard.press("Escape");
    await say(page, "Hello");
    await answered(page);
    const { messages, options } = model.asked.at(-1)!;
    expect(messages[0]).toEqual({ role: "system", content: "Be brief." });
    expect(options).toMatchObject({ temperature: 0.3 });
    expect(options).not.toHaveProperty("topP");
    await page.reload();
    await page.getByRole("button", { name: "Settings, 2 changed" }).click();
    expect(await page.getByLabel("Temperature").inputValue()).toBe("0.3");
  });

  it("attaches text files and refuses others", async () => {
    await open();
    const picker = page.locator(".composer input[type=file]");
    await picker.setInputFiles([
      { name: "notes.md", mimeType: "text/markdown", buffer: Buffer.from("a\n```\nb\n```\n") },
      { name: "picture.png", mimeType: "image/png", buffer: Buffer.from([0x89, 0x50, 0, 0xff]) },
      { name: "big.txt", mimeType: "text/plain", buffer: Buffer.alloc(300 * 1024, "x") },
    ]);
    await page.getByText('"picture.png" is not a text file').waitFor();
    await page.getByText('"big.txt" has 300 KiB; an attachment may have 256 KiB').waitFor();
    await say(page, "Read this");
    await answered(page);
    expect(model.asked.at(-1)!.messages[0].content).toBe("notes.md:\n````\na\n```\nb\n```\n````\n\nRead this");
  });

  it("exports conversations and imports them into another browser", async () => {
    await open();
    await say(page, "Keep me");
    await answered(page);
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Export all conversations" }).click(),
    ]);
    const path = await download.path();
    expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ format: "lathe-conversations", version: 1 });
    const other = await openPage(browser, server.url);
    await other.page.locator(".sidebar input[type=file]").setInputFiles(path);
    await other.page.getByRole("link", { name: "Keep me" }).click();
    expect(await answered(other.page)).toContain("to: Keep me");
    await other.page.getByRole("button", { name: "Delete Keep me" }).click();
    await other.page.getByRole("button", { name: "Delete", exact: true }).click();
    await other.page.reload();
    await other.page.getByText("The model runs on the machine").waitFor();
    expect(await other.page.getByRole("link", { name: "Keep me" }).count()).toBe(0);
    await other.page.context().close();
  });

  it("fits a phone: no sideways scrolling, and the list is a drawer", async () => {
    await open({ viewport: { width: 390, height: 760 }, hasTouch: true, isMobile: true });
    await say(page, "wide");
    await answered(page);
    const widths = () =>
      page.evaluate(() => [document.documentElement.scrollWidth, document.querySelector(".thread")!.scrollWidth, innerWidth]);
    expect(await widths()).toEqual([390, 390, 390]);
    await page.getByRole("button", { name: "Conversations", exact: true }).tap();
    await page.getByRole("link", { name: "wide" }).tap();
    await page.getByRole("button", { name: "Settings" }).tap();
    expect(await page.getByRole("dialog").evaluate(d => d.scrollWidth <= d.clientWidth)).toBe(true);
    expect(await widths()).toEqual([390, 390, 390]);
  });

  it("keeps the chosen model and colours", async () => {
    await open({ colorScheme: "light" });
    await page.getByLabel("Model").selectOption("second");
    const ground = () => page.evaluate(() => getComputedStyle(document.body.querySelector(".writing")!).backgroundColor);
    const light = await ground();
    await page.getByRole("radio", { name: "Dark" }).check({ force: true });
    const dark = await ground();
    expect(dark).not.toBe(light);
    await page.reload();
    expect(await ground()).toBe(dark);
    await say(page, "Hello");
    await answered(page);
    expect(await page.locator(".answer .facts").textContent()).toContain("second");
  });

  it("asks for a key where the server wants one, and shows the server's own sentences", async () => {
    const locked = await serveModels({ pretend: model.model }, { keys: ["open sesame"] });
    ({ page, complaints } = await openPage(browser, locked.url));
    await page.getByRole("dialog", { name: "Key of the server" }).waitFor();
    await page.getByLabel("Key", { exact: true }).fill("open sesame");
    await page.keyboard.press("Enter");
    await page.getByText("4,096 tokens").waitFor();
    await say(page, "x".repeat(9000));
    await page.getByText("The prompt has at least 9000 tokens and the context of this model holds 4096").waitFor();
    await locked.close(0);
    await say(page, "Hello");
    await page.getByText("The server cannot be reached.").waitFor();
  });
});

describeInChromium("web chat with the bundled model", () => {
  it("continues a text, as that model has no form for conversations", async () => {
    await using model = await load("models/stories.gguf", { threads: 1 });
    const [browser, server] = await Promise.all([launch(), serveModels({ stories: model })]);
    try {
      const { page, complaints } = await openPage(browser, server.url);
      await page.getByText("512 tokens").waitFor();
      await page.keyboard.press("Control+,");
      await page.getByLabel("Temperature").fill("0");
      await page.getByLabel("Longest answer, in tokens").fill("24");
      await page.keyboard.press("Escape");
      await say(page, "Once upon a time");
      const text = await answered(page);
      const own = await model.generate("Once upon a time", { temperature: 0, maxTokens: 24 });
      expect(text).toBe(own.text.trim());
      expect(await page.locator(".answer .facts").textContent()).toMatch(/^24 tokens · [\d.]+ tokens\/s/);
      await page.getByText("This model has no form for conversations").waitFor();
      expect(complaints.filter(c => !c.includes("status of 400"))).toEqual([]);
    } finally {
      await browser.close();
      await server.close(0);
    }
  });
});
