/** Leaving early: breaking off, aborting at every stage, closing under way, and what is left usable afterwards. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { load } from "../../src/api/load.node.ts";
import type { Model } from "../../src/api/model.ts";
import type { Part, Run } from "../../src/api/run.ts";
import { caught } from "../files/caught.ts";
import { stories } from "../fixtures/models.ts";

const greedy = { temperature: 0, ignoreEnd: true } as const;
let model: Model;
beforeAll(async () => {
  model = await load(stories, { threads: 2, context: 256, cacheTokens: 512, batchTokens: 16 });
}, 60_000);
afterAll(() => model.close());

const long = (): number[] => Array.from({ length: 200 }, (_, i) => 300 + i);

/** What a promise was rejected with. */
const reasonOf = (p: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(p).then(
    () => "it was not rejected",
    (e: unknown) => e,
  );

/** Reads parts until one of `type` has come `count` times, then calls `act`, then reads on. */
async function readUntil(run: Run, type: Part["type"], count: number, act: () => void): Promise<void> {
  let seen = 0;
  for await (const part of run) if (part.type === type && ++seen === count) act();
}

/** A full answer still comes, and pages are not used up. */
async function stillAnswers(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    const r = await model.generate("Once", { ...greedy, maxTokens: 5 });
    expect(r.tokens).toHaveLength(5);
  }
}

describe("breaking off an iteration", () => {
  it("cancels quietly, and the result tells what there was", async () => {
    const run = model.generate("Once", greedy);
    let text = "";
    for await (const part of run) {
      if (part.type === "text") text += part.text;
      if (text.length > 20) break;
    }
    const result = await run;
    expect(result.finish).toBe("cancelled");
    expect(result.text).toBe(text);
    await stillAnswers();
  });

  it("before it began computes nothing and settles the run", async () => {
    for (const run of [model.generate("Once", greedy), model.session().generate("Once", greedy)]) {
      await run[Symbol.asyncIterator]().return?.();
      expect(await run).toMatchObject({ finish: "cancelled", text: "", tokens: [] });
    }
  });

  it("in the middle of the prompt leaves the session usable", async () => {
    using session = model.session();
    const run = session.generate(long(), greedy);
    for await (const part of run) {
      expect(part.type).toBe("prompt");
      break;
    }
    expect(await run).toMatchObject({ finish: "cancelled", text: "", tokens: [] });
    expect([...session.tokens]).toEqual(long());
    const again = await session.generate("", { ...greedy, maxTokens: 4 });
    const fresh = await model.generate(long(), { ...greedy, maxTokens: 4 });
    expect(again.tokens).toEqual(fresh.tokens);
  });

  it("keeps in the session what was read, not what the engine had run ahead", async () => {
    using session = model.session();
    const run = session.generate("Once", greedy);
    let count = 0;
    for await (const part of run) if (part.type === "text" && ++count === 3) break;
    const { tokens } = await run;
    const past = [...session.tokens];
    expect(past.slice(-tokens.length)).toEqual(tokens.map(t => t.id));
    const more = await session.generate("", { ...greedy, maxTokens: 6 });
    const fresh = await model.generate(past, { ...greedy, maxTokens: 6 });
    expect(more.tokens).toEqual(fresh.tokens);
  });
});

describe("an abort signal", () => {
  it("that has already fired stops everything before it begins", async () => {
    const signal = AbortSignal.abort(new Error("too late"));
    await expect(load(stories, { signal })).rejects.toBe(signal.reason);
    await expect(model.score([1, 2], { signal })).rejects.toBe(signal.reason);
    expect(await reasonOf(model.generate("Once", { signal }))).toBe(signal.reason);
  });

  it("ends loading at every stage, with its reason", async () => {
    for (const when of ["at once", "header", "pack"]) {
      const controller = new AbortController();
      const reason = new Error(when);
      const loading = load(stories, { signal: controller.signal, onProgress: p => p.stage === when && controller.abort(reason) });
      if (when === "at once") controller.abort(reason);
      expect(await reasonOf(loading)).toBe(reason);
    }
  });

  it("ends the prompt, with its reason and an empty partial text", async () => {
    const controller = new AbortController();
    using session = model.session();
    const run = session.generate(long(), { ...greedy, salt: "of its own", signal: controller.signal });
    const reading = readUntil(run, "prompt", 2, () => controller.abort(new Error("enough")));
    const reason = await reasonOf(reading);
    expect(reason).toBe(controller.signal.reason);
    expect(reason).toHaveProperty("partial", "");
    expect(await reasonOf(run)).toBe(reason);
    expect((await session.generate("", { ...greedy, maxTokens: 2 })).tokens).toHaveLength(2);
  });

  it("ends the answer at once, with its reason and the text so far", async () => {
    for (const reason of [undefined, new Error("enough"), "just a text"]) {
      const controller = new AbortController();
      const run = model.generate("Once", { ...greedy, signal: controller.signal });
      let text = "";
      let after = 0;
      const reading = (async () => {
        for await (const part of run) {
          if (controller.signal.aborted) after++;
          if (part.type === "text") text += part.text;
          if (text.length > 30) controller.abort(reason);
        }
      })();
      const error = await reasonOf(reading);
      expect(error).toBe(controller.signal.reason);
      expect(after).toBe(0);
      if (typeof error === "object") expect(error).toHaveProperty("partial", text);
    }
    await stillAnswers();
  });

  it("ends an awaited answer", async () => {
    const controller = new AbortController();
    const run = model.generate("Once", { ...greedy, signal: controller.signal });
    setTimeout(() => controller.abort(), 30);
    const error = await reasonOf(run);
    expect(error).toMatchObject({ name: "AbortError", partial: expect.any(String) });
    await stillAnswers();
  });

  it("ends a scoring, and fires in vain when all is over", async () => {
    const controller = new AbortController();
    const scoring = model.score(long(), { signal: controller.signal, onProgress: () => controller.abort(new Error("enough")) });
    expect(await reasonOf(scoring)).toBe(controller.signal.reason);
    const late = new AbortController();
    const result = await model.generate("Once", { ...greedy, maxTokens: 2, signal: late.signal });
    late.abort();
    expect(result.finish).toBe("length");
  });
});

describe("closing", () => {
  it("a model under way ends its runs with model.closed, and a second time does nothing", async () => {
    const own = await load(stories, { threads: 2, context: 256 });
    const session = own.session();
    const runs = [session.generate("Once", greedy), own.generate("Lily", greedy), own.generate(long(), greedy)];
    const reading = readUntil(runs[0], "text", 5, () => void own.close());
    await caught("model.closed", () => reading);
    for (const run of runs) await caught("model.closed", () => run);
    await Promise.all([own.close(), own.close()]);
    session.close();
    await caught("model.closed", () => own.session());
    await caught("model.closed", () => own.generate("Once"));
    await caught("model.closed", () => session.generate("Once"));
    await caught("model.closed", () => own.score([1, 2]));
    expect(own.tokenizer.encode("Once").length).toBeGreaterThan(0); // lives on this side
  });

  it("happens at the end of a block", async () => {
    let kept: Model;
    {
      await using own = await load(stories, { threads: 1, context: 64 });
      using session = own.session();
      await session.generate("Once", { ...greedy, maxTokens: 2 });
      kept = own;
    }
    await caught("model.closed", () => kept.generate("Once"));
  });

  it("a session frees its pages and ends its run", async () => {
    for (let i = 0; i < 3; i++) {
      // Two sessions fill the cache; were their pages not freed, the next ones would find none.
      const pair = [model.session(), model.session()];
      await Promise.all(pair.map(s => s.generate(long(), { ...greedy, maxTokens: 2 })));
      for (const s of pair) s.close();
      for (const s of pair) s.close();
      await caught("model.closed", () => pair[0].generate("Once"));
      await caught("model.closed", () => pair[1].fork());
    }
    await stillAnswers();
  });
});

describe("when the cache is full", () => {
  it("the later run is sent back and computed again, and all are answered as if alone", async () => {
    const own = await load(stories, { threads: 1, context: 128, cacheTokens: 192 });
    const alone = await own.generate("Once", greedy);
    const sessions = [own.session(), own.session()];
    const runs = sessions.map(s => s.generate("Once", greedy));
    for (const r of await Promise.all(runs)) expect(r).toMatchObject({ finish: "context", tokens: alone.tokens });
    expect((await own.status()).preempted).toBeGreaterThan(0);
    // Sessions that answer nothing hold no pages that others need; what they lose is computed again.
    const third = await own.generate("Lily", { ...greedy, maxTokens: 100 });
    expect(third.tokens).toHaveLength(100);
    await own.close();
  });
});
