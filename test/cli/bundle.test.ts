/** The command as users get it, put together in dist/bin, beside the compiled files that it was made from. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const dist = resolve(import.meta.dirname, "../../dist");
const bin = join(dist, "bin");
const changed = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Number.NEGATIVE_INFINITY;
const emitted = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter(f => f.endsWith(".js") && !/^(bin|web)[\\/]/.test(f));
const stale = emitted.some(f => changed(join(dist, f)) > changed(join(bin, "lathe.js")));
const title = stale ? "bundled command (skipped: dist/bin is missing or older than the rest; npm run build makes it)" : "bundled command";

/** What a command prints; the machine's free memory, which changes between two runs, is left out. */
const run = async (main: string, args: readonly string[]): Promise<string> =>
  (await promisify(execFile)(process.execPath, [join(dist, main), ...args])).stdout.replace(/[\d.]+ [KMG]iB free/, "free");

describe.skipIf(stale)(title, () => {
  it.each([
    ["--help"],
    ["--version"],
    ["serve --help"],
    ["inspect models/stories.gguf"],
    ["run a --quiet --temperature 0 --max-tokens 8 --threads 2"],
  ])("lathe %s prints what the files that it was made from print", async line => {
    const [bundled, separate] = await Promise.all(["bin/lathe.js", "cli/lathe.js"].map(main => run(main, line.split(" "))));
    expect(bundled).toBe(separate);
    expect(bundled).not.toBe("");
  });

  it("finds the files that it names by their places", () => {
    const named = readdirSync(bin).flatMap(name => {
      const text = readFileSync(join(bin, name), "utf8");
      const at = pathToFileURL(join(bin, name));
      return [...text.matchAll(/new URL\((["'`])([^"'`]+)\1,\s*import\.meta\.url\)/g)].map(match => new URL(match[2], at));
    });
    expect(named.map(url => url.pathname.split("/").at(-1))).toEqual(expect.arrayContaining(["package.json", "engine-thread.node.js"]));
    expect(named.filter(url => !existsSync(url) && !url.pathname.endsWith("/web/chat/")).map(String)).toEqual([]);
  });
});
