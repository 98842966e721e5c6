/** The library as a caller uses it: load, answer, read the answer in every way, sessions and their forks, stop texts, ends. */

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { load } from "../../src/api/load.node.ts";
import type { Model } from "../../src/api/model.ts";
import type { Token } from "../../src/api/protocol.ts";
import type { Part, Result } from "../../src/api/run.ts";
import { caught } from "../files/caught.ts";
import { argmax, openEngine } from "../fixtures/engine.ts";
import { stories, storiesCheck } from "../fixtures/models.ts";
import { autoTarget } from "../fixtures/target.ts";

const prompt: { text: string; ids: number[] } = JSON.parse(readFileSync(storiesCheck, "utf8")).prompts[1];
const greedy = { temperature: 0, maxTokens: 40, ignoreEnd: true } as const;
let model: Model;
let expected: number[];

beforeAll(async () => {
  const engine = await openEngine(stories, { threads: 2 });
  const s = engine.stepper.newSequence();
  let row = engine.feed(s, prompt.ids, 64, false)[0];
  expected = Array.from({ length: 40 }, () => {
    const id = argmax(row);
    row = engine.feed(s, [id])[0];
    return id;
  });
  await engine.close();
  model = await load(stories, { threads: 2, context: 96 });
}, 60_000);
afterAll(() => model.close());

const ids = (r: Result): number[] => r.tokens.map(t => t.id);
async function parts(run: AsyncIterable<Part>): Promise<Part[]> {
  const all: Part[] = [];
  for await (const part of run) all.push(part);
  return all;
}
const textOf = (all: readonly Part[]): string => all.map(p => (p.type === "text" ? p.text : "")).join("");

describe("load", () => {
  it("tells what was loaded", () => {
    expect(model.info).toMatchObject({ context: 96, threads: 2, target: autoTarget, architecture: "llama", path: stories });
    expect(model.info.vocabulary).toBeGreaterThanOrEqual(model.tokenizer.size);
    expect(model.info.fileBytes).toBe(readFileSync(stories).length);
  });

  it("reports progress from the header to the end, counting up to all bytes", async () => {
    const seen: { stage: string; done: number; total: number }[] = [];
    const own = await load(stories, { threads: 2, onProgress: p => seen.push(p) });
    await own.close();
    expect([seen[0].stage, seen.at(-1)?.stage]).toEqual(["header", "ready"]);
    const packed = seen.filter(p => p.stage === "pack");
    expect(packed.length).toBeGreaterThan(1);
    packed.forEach((p, i) => {
      expect(p.done).toBeGreaterThanOrEqual(i ? packed[i - 1].done : 0);
      expect(p.done).toBeLessThanOrEqual(p.total);
    });
    expect(packed.at(-1)!.done).toBe(packed.at(-1)!.total);
  });
});

describe("an answer", () => {
  it("awaited is the engine's greedy text", async () => {
    const result = await model.generate(prompt.text, greedy);
    expect(ids(result)).toEqual(expected);
    expect(result.text).toBe(model.tokenizer.decode(expected, { continued: true }));
    expect(result).toMatchObject({ finish: "length", usage: { promptTokens: prompt.ids.length, cachedTokens: 0, completionTokens: 40 } });
    expect(result.tokens.every(t => t.logprob <= 0)).toBe(true);
  });

  it("iterated gives prompt parts, text parts and one finish part, which are the awaited result", async () => {
    const run = model.generate(prompt.text, greedy);
    const all = await parts(run);
    expect(all[0]).toMatchObject({ type: "prompt", total: prompt.ids.length });
    expect(all.filter(p => p.type === "finish")).toEqual([all.at(-1)]);
    const { type: _, ...finish } = all.at(-1) as Extract<Part, { type: "finish" }>;
    expect(await run).toEqual(finish);
    expect(await run).toEqual(finish); // as often as one likes
    expect(textOf(all)).toBe(finish.text);
    expect(ids(finish)).toEqual(expected);
  });

  it("awaited by two at once, and read as plain text", async () => {
    const run = model.generate(prompt.text, greedy);
    const [a, b] = await Promise.all([run, run]);
    expect(a).toBe(b);
    let text = "";
    for await (const piece of model.generate(prompt.text, greedy).text) text += piece;
    expect(text).toBe(a.text);
  });

  it("to token ids is the answer to their text", async () => {
    const result = await model.generate(prompt.ids, greedy);
    expect(ids(result)).toEqual(expected);
    expect(ids(await model.generate(Int32Array.from(prompt.ids), greedy))).toEqual(expected);
  });

  it("to nothing but the beginning of a text", async () => {
    const result = await model.generate("", { ...greedy, maxTokens: 3 });
    expect(result.usage.promptTokens).toBe(1);
    expect(result.tokens).toHaveLength(3);
  });

  it("sampled is repeatable by its seed, which the result tells", async () => {
    const options = { temperature: 1, maxTokens: 20, ignoreEnd: true };
    const first = await model.generate(prompt.text, options);
    const again = await model.generate(prompt.text, { ...options, seed: first.settings.seed });
    expect(again.tokens).toEqual(first.tokens);
    expect(again.settings).toEqual(first.settings);
  });

  it('ends with finish "context" where the context is full, whatever was asked', async () => {
    for (const maxTokens of [undefined, 10_000]) {
      const result = await model.generate(prompt.text, { temperature: 0, ignoreEnd: true, maxTokens });
      expect(result.finish).toBe("context");
      expect(prompt.ids.length + result.tokens.length).toBe(96 + 1); // the last token needs no place
    }
  });

  it("ends where the model ends it, unless told not to", async () => {
    const { eos } = model.tokenizer;
    const options = { temperature: 0, maxTokens: 4, logitBias: { [eos!]: 100 } };
    expect(await model.generate(prompt.text, options)).toMatchObject({ finish: "stop", stop: undefined, text: "", tokens: [] });
    const result = await model.generate(prompt.text, { ...options, ignoreEnd: true });
    expect(result).toMatchObject({ finish: "length", text: "" });
    expect(ids(result)).toEqual([eos, eos, eos, eos]);
  });
});

describe("stop texts", () => {
  it("end the answer across the borders of tokens and are not part of it", async () => {
    const whole = await model.generate(prompt.text, greedy);
    for (const k of [3, 11, 20]) {
      const before = model.tokenizer.decode(expected.slice(0, k), { continued: true });
      // From the middle of one token into the next but one.
      const stop = whole.text.slice(before.length - 1, before.length + 4);
      const at = whole.text.indexOf(stop);
      const run = model.generate(prompt.text, { ...greedy, stop: [stop, "never to be seen"] });
      const all = await parts(run);
      const result = await run;
      expect(result).toMatchObject({ text: whole.text.slice(0, at), finish: "stop", stop });
      expect(textOf(all)).toBe(result.text);
    }
  });

  it("that begin and do not come are given out after all", async () => {
    const whole = await model.generate(prompt.text, greedy);
    const last = whole.text.slice(-3);
    const result = await model.generate(prompt.text, { ...greedy, stop: `${last}but never so` });
    expect(result).toMatchObject({ text: whole.text, finish: "length" });
  });
});

describe("sessions", () => {
  it("at once answer as each would alone, bit for bit", async () => {
    const prompts = [prompt.text, "Once", "Lily and Ben saw a big red ball.", ""];
    const options = { maxTokens: 30, temperature: 0.8, seed: 5, ignoreEnd: true };
    const alone: Result[] = [];
    for (const p of prompts) alone.push(await model.generate(p, options));
    const together = await Promise.all(prompts.map(p => model.generate(p, options)));
    together.forEach((r, i) => {
      expect(r.tokens).toEqual(alone[i].tokens);
    });
  });

  it("continue without computing their past again, and as if it had been one prompt", async () => {
    using session = model.session();
    const own = { ...greedy, salt: "of its own" }; // other tests' answers are not gone on from
    const first = await session.generate(prompt.text, { ...own, maxTokens: 12 });
    const past = [...session.tokens];
    expect(past).toEqual([...prompt.ids, ...ids(first)]);
    const second = await session.generate(" Then he", own);
    expect(second.usage.cachedTokens).toBe(past.length - 1); // the last token of an answer was never evaluated
    expect(second.usage.promptTokens).toBe(past.length + model.tokenizer.encode(" Then he", { bos: false }).length);
    const fresh = await model.generate([...past, ...model.tokenizer.encode(" Then he", { bos: false, eos: false })], greedy);
    expect(second.tokens).toEqual(fresh.tokens);
    expect(second.text).toBe(fresh.text);
  });

  it("fork, and go their own ways", async () => {
    using session = model.session();
    await session.generate(prompt.text, { ...greedy, maxTokens: 12 });
    using fork = session.fork();
    const [a, b] = await Promise.all([session.generate(" Then", greedy), fork.generate(" But", greedy)]);
    expect(b.usage.cachedTokens).toBe(a.usage.cachedTokens);
    expect(a.usage.cachedTokens).toBeGreaterThan(20);
    const past = [...prompt.ids, ...expected.slice(0, 12)];
    for (const [result, text] of [
      [a, " Then"],
      [b, " But"],
    ] as const) {
      const fresh = await model.generate([...past, ...model.tokenizer.encode(text, { bos: false, eos: false })], greedy);
      expect(result.tokens).toEqual(fresh.tokens);
    }
  });

  it("answer one prompt at a time, and can be forked only between answers", async () => {
    using session = model.session();
    const run = session.generate(prompt.text, greedy);
    const iterator = run[Symbol.asyncIterator]();
    await iterator.next();
    await caught("session.busy", () => session.generate("a", greedy));
    await caught("session.busy", () => session.fork());
    await iterator.return?.();
    expect(ids(await session.generate("", greedy)).length).toBe(40);
  });

  it("are continued by an empty prompt where they stopped", async () => {
    using session = model.session();
    const first = await session.generate(prompt.text, { ...greedy, maxTokens: 15 });
    const second = await session.generate("", { ...greedy, maxTokens: 25 });
    expect([...ids(first), ...ids(second)]).toEqual(expected);
  });

  it("refuse a prompt that does not fit, and stay usable", async () => {
    using session = model.session();
    const long = new Array<number>(97).fill(prompt.ids[1]);
    const error = await caught("context.overflow", () => session.generate(long, greedy));
    expect(error.details).toEqual({ tokens: 97, context: 96 });
    expect((await session.generate(prompt.text, greedy)).text.length).toBeGreaterThan(0);
    expect((await model.generate(long.slice(1), greedy)).finish).toBe("context"); // exactly full: one token comes out
  });
});

describe("scores", () => {
  it("are the log-probabilities of the answer's own tokens", async () => {
    const result = await model.generate(prompt.text, greedy);
    const scores = await model.score([...prompt.ids, ...ids(result)]);
    expect(scores).toHaveLength(prompt.ids.length + 39);
    result.tokens.forEach((t, i) => {
      expect(scores[prompt.ids.length - 1 + i]).toBeCloseTo(t.logprob, 5);
    });
  });

  it("refuse what is no token, too many and too few", async () => {
    for (const bad of [-1, 1.5, 2 ** 30]) await caught("option.invalid", () => model.score([1, bad]));
    await caught("prompt.empty", () => model.score([1]));
    await caught("context.overflow", () => model.score(new Array(97).fill(1)));
    expect(await model.score(prompt.ids)).toHaveLength(prompt.ids.length - 1);
  });
});

describe("alternatives", () => {
  it("are in the parts and in the result, or in the parts alone where told ones are to be forgotten", async () => {
    const taken = async (forgetTold: boolean) => {
      const run = model.generate(prompt.text, { ...greedy, maxTokens: 12, alternatives: 3, forgetTold });
      const told: Token[] = [];
      for await (const part of run) if (part.type === "text") told.push(...part.tokens);
      return { told, kept: (await run).tokens };
    };
    const [all, few] = [await taken(false), await taken(true)];
    expect(all.told.length).toBeGreaterThan(5);
    expect(few.told).toEqual(all.told);
    for (const { alternatives } of all.told) expect(alternatives).toHaveLength(3);
    expect(all.kept.slice(0, all.told.length)).toEqual(all.told);
    expect(few.kept).toEqual(all.kept.map((t, i) => (i < all.told.length ? { id: t.id, logprob: t.logprob } : t)));
  });
});
