/** Prompts on disk through the library: the next program has them, whether the last one closed the model or was killed; and wrong folders are told. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, it } from "vitest";
import { load } from "../../src/api/load.node.ts";
import { caught } from "../files/caught.ts";
import { stories } from "../fixtures/models.ts";
import { temporaryFolder } from "../fixtures/temporary.ts";

const home = temporaryFolder("cache");
const story =
  "Once upon a time, there was a little girl named Lily. She loved to play outside in the park with her dog and her friend. ".repeat(2);

async function ask(dir: string | undefined, client?: string): Promise<{ text: string; cached: number; prompt: number }> {
  await using model = await load(stories, { cacheDir: dir, cacheDisk: "64MiB" });
  const { text, usage } = await model.generate(story, { temperature: 0, maxTokens: 20, client });
  return { text, cached: usage.cachedTokens, prompt: usage.promptTokens };
}

const computed = ask(undefined);

it("are there for the next program, with the same answer", async () => {
  const dir = join(home, "new", "folder");
  const plain = await computed;
  expect(await ask(dir)).toEqual(plain);
  expect(await ask(dir)).toEqual({ ...plain, cached: plain.prompt - 1 });
  expect((await ask(dir, "another client")).cached).toBe(0);
}, 60_000);

it("are whole or absent when the program was killed while it closed", async () => {
  const dir = join(home, "killed");
  const plain = await computed;
  const library = pathToFileURL(join(import.meta.dirname, "../../dist/index.js")).href;
  for (const ms of [0, 5]) {
    const body = `
      import { load } from ${JSON.stringify(library)};
      const model = await load(${JSON.stringify(stories)}, { cacheDir: ${JSON.stringify(dir)} });
      await model.generate(${JSON.stringify(story)}, { temperature: 0, maxTokens: 2 });
      console.log("closing");
      await model.close();`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", body]);
    const ended = once(child, "exit");
    await once(child.stdout, "data");
    setTimeout(() => child.kill("SIGKILL"), ms);
    await ended;
    const { text, cached } = await ask(dir);
    expect(text).toBe(plain.text);
    expect([0, plain.prompt - 1]).toContain(cached);
    expect(readdirSync(dir).filter(f => !f.endsWith(".past"))).toEqual([]);
    rmSync(dir, { recursive: true });
  }
}, 60_000);

it("need a folder that can be written, and sizes that are sizes", async () => {
  const file = join(home, "file");
  writeFileSync(file, "");
  await caught("file.write-failed", () => load(stories, { cacheDir: join(file, "sub") }));
  await caught("option.invalid", () => load(stories, { cacheDir: home, cacheDisk: "much" }));
});
