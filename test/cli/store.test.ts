/** The commands of the model store, as a user runs them, against a local server. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { faultServer } from "../fixtures/fault-server.ts";
import { lathe, start, stories, temporaryFolder } from "./lathe.ts";
import { foreignModel } from "./models.ts";

const server = await faultServer();
const folder = temporaryFolder();
const model = readFileSync(stories);
const url = (): string => `${server.url}/stories-Q8_0.gguf`;
let home = "";
let homes = 0;
let env: NodeJS.ProcessEnv = {};

beforeEach(() => {
  server.reset();
  server.files.set("/stories-Q8_0.gguf", { bytes: model, etag: '"s"' });
  home = `${folder}/home-${homes++}`;
  env = { LATHE_HOME: home, LATHE_OFFLINE: "" };
});
const run = (...args: string[]) => lathe(args, undefined, env);

describe("lathe pull, list, remove", () => {
  it("get a model, show it, run it by its name, and remove it", async () => {
    const pulled = await run("pull", url());
    expect(pulled).toMatchObject({ code: 0, stderr: "" });
    const path = /^ {2}(.*\.gguf)$/m.exec(pulled.stdout)![1];
    expect(readFileSync(path).equals(model)).toBe(true);

    const listed = await run("list");
    expect(listed.stdout).toMatch(/^name +size +quant +architecture +pulled\n/);
    expect(listed.stdout).toMatch(new RegExp(`^${url()} +[\\d.]+ MiB +Q8_0 +llama +\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d$`, "m"));
    const [entry] = JSON.parse((await run("list", "--json", "--check")).stdout);
    expect(entry).toMatchObject({ name: url(), state: "complete", path, bytes: model.length, quant: "Q8_0", wrong: [] });

    server.forget();
    const told = await run("run", url(), "Once", "--max-tokens", "3", "--threads", "1", "--temperature", "0", "--quiet");
    expect(told.code).toBe(0);
    expect(told.stdout.length).toBeGreaterThan(3);
    expect(server.asked.length).toBe(0);

    const removed = await run("remove", url());
    expect(removed.stdout).toMatch(/^removed .*, [\d.]+ MiB are free now\n$/);
    expect(existsSync(path)).toBe(false);
    expect(await run("list")).toMatchObject({ code: 0, stdout: "" });
  });

  it("pull on the way to running where that is asked for, and not otherwise", async () => {
    const quick = ["Once", "--max-tokens", "2", "--threads", "1", "--quiet"];
    const refused = await run("run", url(), ...quick);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toMatch(/lathe pull .*\(store\.not-found\)/);
    expect(server.asked.length).toBe(0);
    expect((await run("run", url(), ...quick, "--pull")).code).toBe(0);
    expect((await run("run", url(), ...quick)).code).toBe(0);
  });

  it("say what --offline cannot do", async () => {
    expect((await run("pull", url(), "--offline")).stderr).toMatch(/\(store\.offline\)/);
    expect((await lathe(["pull", url()], undefined, { ...env, LATHE_OFFLINE: "1" })).stderr).toMatch(/\(store\.offline\)/);
    expect((await run("inspect", url(), "--offline")).stderr).toMatch(/\(store\.offline\)/);
    expect(server.asked.length).toBe(0);
  });

  it("stop on Ctrl-C in good order, and go on", async () => {
    server.pauseMs = 30;
    const stopped = start(["pull", url(), "--parallel", "1"], undefined, env);
    let pressed = false;
    server.onSent = total => {
      if (total > model.length / 2 && !pressed) pressed = stopped.child.kill("SIGINT");
    };
    expect(await stopped.ended).toMatchObject({
      code: 130,
      stdout: "",
      stderr: "stopped; what has come is kept, and the next pull goes on there\n",
    });
    expect((await run("list")).stdout).toMatch(/\d+% here/);
    server.reset();
    server.files.set("/stories-Q8_0.gguf", { bytes: model, etag: '"s"' });
    expect((await run("pull", url(), "--json")).code).toBe(0);
    expect(server.sent).toBeLessThan(model.length);
  });

  it("find damage", async () => {
    const { path } = JSON.parse((await run("pull", url(), "--json")).stdout);
    writeFileSync(path, Buffer.concat([model.subarray(0, -1), Buffer.from([model.at(-1)! ^ 1])]));
    const checked = await run("list", "--check");
    expect(checked.code).toBe(1);
    expect(checked.stdout).toMatch(/damaged$/m);
    expect(checked.stderr).toMatch(/\(store\.damaged\)/);
  });

  it.each([
    [["pull"], "option.invalid", /model/],
    [["pull", "model.gguf"], "option.invalid", /no pulling/],
    [["pull", "hf:org"], "option.invalid", /hf:org\/repo/],
    [["pull", "URL", "--sha256", "abc"], "option.invalid", /--sha256 must be 64 hexadecimal digits/],
    [["pull", "URL", "--parallel", "0"], "option.invalid", /--parallel/],
    [["pull", "hf:org/repo", "--endpoint", "hub"], "option.invalid", /HF_ENDPOINT/],
    [["pull", "NOTHING"], "remote.not-found", /404/],
    [["remove", "hf:org/repo"], "store.not-found", /lathe list/],
    [["run", "hf:org/repo", "Hello"], "store.not-found", /lathe pull hf:org\/repo/],
    [["tokenize", "NOTHING", "--text", "a"], "remote.not-found", /404/],
  ])("%j: %s", async (args, code, says) => {
    const names: Record<string, string> = { URL: url(), NOTHING: `${server.url}/nothing.gguf` };
    const { code: exit, stdout, stderr } = await run(...args.map(a => names[a] ?? a));
    expect({ exit, stdout }).toEqual({ exit: 1, stdout: "" });
    expect(stderr).toMatch(/^error: [^\n]+ \([a-z.-]+\)\n$/);
    expect(stderr).toContain(`(${code})`);
    expect(stderr).toMatch(says);
  });
});

describe("lathe inspect", () => {
  it("reads only the header of a model elsewhere, and says whether it runs here", async () => {
    const there = await run("inspect", url(), "--context", "100");
    expect(there.code).toBe(0);
    expect(there.stdout).toMatch(/^✓ runs on this machine/m);
    expect(server.sent).toBeLessThan(model.length / 4);
    const here = await run("inspect", stories, "--context", "100", "--json");
    const remote = await run("inspect", url(), "--context", "100", "--json");
    const facts = (text: string) => ({ ...JSON.parse(text), path: "", machine: JSON.parse(text).machine.fits });
    expect(facts(remote.stdout)).toEqual(facts(here.stdout));
  });

  it("says what cannot run, before anybody pulls it", async () => {
    server.files.set("/foreign.gguf", { bytes: readFileSync(await foreignModel(folder)) });
    expect((await run("inspect", `${server.url}/foreign.gguf`)).stdout).toMatch(/^✗ The architecture "abacus" is not supported/m);
  });
});
