/**
 * The library inside a program: the caller's event loop keeps running, programs end by themselves whatever they leave open, nothing is rejected
 * without a listener, and the engine's death becomes an error.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { type Channel, EngineClient } from "../../src/api/engine-client.ts";
import { load } from "../../src/api/load.node.ts";
import { Model } from "../../src/api/model.ts";
import type { FromEngine, ToEngine } from "../../src/api/protocol.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { caught } from "../files/caught.ts";
import { stories } from "../fixtures/models.ts";

const library = pathToFileURL(join(import.meta.dirname, "../../dist/index.js")).href;

/** Runs a program that has `load`, `LatheError` and `path`; gives its exit code and what it printed. */
function program(body: string): Promise<{ code: number | null; output: string }> {
  const text = `
    import { load, LatheError } from ${JSON.stringify(library)};
    const path = ${JSON.stringify(stories)};
    process.on("unhandledRejection", e => { console.log("unhandled", e); process.exit(9); });
    ${body}`;
  return new Promise(resolve => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", text], { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", d => (output += d));
    const timer = setTimeout(() => child.kill("SIGKILL"), 45_000);
    child.on("exit", code => {
      clearTimeout(timer);
      resolve({ code, output });
    });
  });
}

const greedy = "{ temperature: 0, maxTokens: 5, ignoreEnd: true }";

describe("a program", () => {
  it.each([
    ["that closes nothing", `const m = await load(path); console.log((await m.generate("Once", ${greedy})).tokens.length);`, "5"],
    ["that never reads an answer", `const m = await load(path); m.generate("Once", ${greedy}); m.session(); console.log("done");`, "done"],
    [
      "that leaves in the middle and closes under way",
      `const m = await load(path, { threads: 3 });
       for await (const part of m.generate("Once", { ignoreEnd: true })) if (part.type === "text") break;
       const run = m.session().generate("Once", { ignoreEnd: true });
       const reading = (async () => { for await (const _ of run.text) m.close(); })();
       await reading.catch(e => console.log(e instanceof LatheError, e.code));`,
      "true model.closed",
    ],
    [
      "whose load fails",
      `for (const o of [{ memory: 5 }, { context: 0 }]) await load(path, o).catch(e => console.log(e.code));
       await load("/nowhere.gguf").catch(e => console.log(e.code));`,
      "memory.insufficient option.invalid file.not-found",
    ],
    [
      "that aborts",
      `const c = new AbortController(); const l = load(path, { signal: c.signal }); c.abort(); await l.catch(e => console.log(e.name));
       const m = await load(path); const run = m.generate("Once", { signal: AbortSignal.timeout(50), ignoreEnd: true, maxTokens: 4000 });
       try { for await (const _ of run) { } } catch (e) { console.log(e.name, typeof e.partial); }`,
      "AbortError TimeoutError string",
    ],
  ])("%s ends by itself", async (_, body, expected) => {
    const { code, output } = await program(body);
    expect(output.trim().replaceAll("\n", " ")).toBe(expected);
    expect(code).toBe(0);
  });

  it("with an answer that nobody catches sees the error once", async () => {
    const { code, output } = await program(`const m = await load(path); m.generate("a", { max: 1 }).then(() => {});`);
    expect([code, output.includes("option.unknown")]).toEqual([9, true]);
  });
});

describe("the caller's event loop", () => {
  it("keeps its timers while a long prompt is computed", async () => {
    const model = await load(stories, { threads: 2, context: 1024 });
    const ids = Array.from({ length: 1000 }, (_, i) => 300 + i);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 10);
    const begun = performance.now();
    while (performance.now() - begun < 400) await model.generate(ids, { maxTokens: 1 });
    clearInterval(timer);
    await model.close();
    expect(ticks).toBeGreaterThan(10);
  });
});

/** A channel whose other end is this test. */
function fakeChannel() {
  const posted: ToEngine[] = [];
  let listen!: (m: FromEngine) => void;
  let die!: (cause: unknown) => void;
  const holds: boolean[] = [];
  const channel: Channel = {
    post: m => void posted.push(m),
    onMessage: l => void (listen = l),
    onDeath: l => void (die = l),
    terminate: async () => {},
    hold: alive => void holds.push(alive),
  };
  return { channel, posted, holds, send: (m: FromEngine) => listen(m), die: (cause: unknown) => die(cause) };
}

const tokenizer = {
  size: 9,
  isEndOfGeneration: () => false,
  encode: () => Int32Array.of(1, 2),
  detokenizer: () => ({ push: (id: number) => String(id), end: () => "" }),
} as unknown as Tokenizer;

/** Lets everything that waits for nothing else happen. */
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

describe("the engine's death", () => {
  const spec = {} as Parameters<EngineClient["load"]>[0];

  it("while loading is engine.failed", async () => {
    const { channel, die } = fakeChannel();
    const loading = new EngineClient(channel).load(spec, () => {});
    die(new Error("out of memory"));
    const error = await caught("engine.failed", () => loading);
    expect(error.cause).toBeInstanceOf(Error);
  });

  it("while answering ends the run with engine.failed, and later calls too", async () => {
    const { channel, die, send, holds } = fakeChannel();
    const client = new EngineClient(channel);
    const model = new Model({ context: 100, output: { kind: "logits" } } as Model["info"], tokenizer, new Map(), client);
    const session = model.session();
    const runs = [session.generate("x"), model.generate("y")];
    let text = "";
    const reading = (async () => {
      for await (const part of runs[0]) {
        if (part.type === "text") text += part.text;
        if (text === "7") die(new Error("a crash"));
      }
    })();
    const other = Promise.resolve(runs[1]).catch((e: unknown) => e);
    await turn();
    for (const run of [2, 4]) send({ kind: "token", run, token: { id: 7, logprob: -1 } });
    await caught("engine.failed", () => reading);
    expect(await other).toMatchObject({ code: "engine.failed" });
    expect(text).toBe("7");
    session.close(); // throws nothing
    await caught("engine.failed", () => model.generate("z"));
    await model.close();
    expect(holds.at(-1)).toBe(false); // nothing keeps the process alive
  });

  it("an error of the engine reaches the run that it belongs to", async () => {
    const { channel, send } = fakeChannel();
    const model = new Model({ context: 100, output: { kind: "logits" } } as Model["info"], tokenizer, new Map(), new EngineClient(channel));
    const run = model.session().generate("x");
    const result = Promise.resolve(run).catch((e: unknown) => e);
    await turn();
    const error = { code: "memory.insufficient", message: "All pages are in use; close sessions.", details: { pages: 3 } } as const;
    send({ kind: "failed", run: 2, error });
    expect(await result).toMatchObject(error);
  });
});
