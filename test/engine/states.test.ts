/**
 * Models with recurrent layers: against the float64 reference, and the engine against itself. A prompt whole, in pieces, token by token, beside
 * others, after forks at every position and after going back gives the same logits in every bit; and a session that is used again answers as a
 * fresh one does.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hybridLogits } from "../../reference/hybrids.ts";
import { type Events, Scheduler } from "../../src/api/scheduler.ts";
import type { StepToken } from "../../src/engine/step.ts";
import { architectures } from "../../src/models/index.ts";
import { caught } from "../files/caught.ts";
import { distance, type Engine, openEngine, sameRows } from "../fixtures/engine.ts";
import { toyModel, toys } from "../fixtures/hybrids.ts";
import { ModelFolder } from "../fixtures/models.ts";
import { Random } from "../fixtures/random.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());

const random = new Random(81);
const prompt = Array.from({ length: 40 }, () => random.below(64));
const other = Array.from({ length: 40 }, () => random.below(64));

const runs = Object.entries(toys).filter(([, toy]) => architectures.has(toy.architecture));

describe.each(runs)("%s", (_, toy) => {
  let engine: Engine;
  let truth: Float32Array[];
  const { content, reference } = toyModel(toy);
  const fed = (ids: readonly number[], chunk: number): Float32Array[] => {
    const s = engine.stepper.newSequence();
    const rows = engine.feed(s, ids, chunk);
    s.close();
    return rows;
  };
  beforeAll(async () => {
    // The other targets run these families in test/models; here it is the states that count.
    engine = await openEngine(await folder.write(content), { maxTokens: 48, target: "wasm" });
    truth = fed(prompt, 1);
  }, 30_000);
  afterAll(() => engine.close());

  it("is what the float64 reference computes", () => {
    const exact = hybridLogits(toy.architecture, reference, prompt).map(row => Float64Array.from(row));
    expect(distance(truth, exact)).toBeLessThan(2e-5);
  });

  it("does not depend on the pieces of the prompt", () => {
    for (const chunk of [3, 17, 40]) expect(sameRows(fed(prompt, chunk), truth), `pieces of ${chunk}`).toBe(true);
  });

  it("does not depend on steps that were broken off, with states to go back to or without", () => {
    const s = engine.stepper.newSequence();
    const rows: Float32Array[] = [];
    const taken: number[] = [];
    const { pool } = engine.stepper.store.states!;
    for (let asked = 0; rows.length < prompt.length; asked++) {
      const batch = prompt.slice(rows.length, rows.length + 7).map((id): StepToken => ({ id, sequence: s, wanted: true }));
      let left = asked % 2 ? 1e9 : random.below(engine.stepper.plan.program.length / 2);
      if (rows.length > 20) for (let slot = pool.tryTake(); slot !== undefined; slot = pool.tryTake()) taken.push(slot);
      const found = engine.stepper.attempt(batch, () => left-- <= 0);
      expect(found === undefined).toBe(asked % 2 === 0 && taken.length === 0);
      if (found) rows.push(...found.map(r => r.slice()));
    }
    expect(sameRows(rows, truth)).toBe(true);
    for (const slot of taken) pool.release(slot);
    s.close();
  });

  it("does not depend on who else is in the step, or on the order of tokens of different sequences", () => {
    const [s, t] = [engine.stepper.newSequence(), engine.stepper.newSequence()];
    const rows: Float32Array[] = [];
    for (let first = 0; first < prompt.length; first += 8) {
      const batch = prompt.slice(first, first + 8).flatMap((id, i): StepToken[] => {
        const mine = { id, sequence: s, wanted: true };
        return i % 3 === 1 ? [mine] : [{ id: other[first + i], sequence: t, wanted: false }, mine];
      });
      rows.push(...engine.stepper.step(batch).map(r => r.slice()));
    }
    expect(sameRows(rows, truth)).toBe(true);
    for (const q of [s, t]) q.close();
  });

  it("is the same after a fork at every position, for both sides", () => {
    const s = engine.stepper.newSequence();
    for (let at = 0; at < 20; at++) {
      const f = s.fork();
      engine.feed(f, other.slice(0, 3)); // goes its own way before the other goes on
      expect(sameRows(engine.feed(s, [prompt[at]]), [truth[at]]), `position ${at}`).toBe(true);
      const again = f.fork();
      engine.feed(f, [1]);
      expect(sameRows(engine.feed(again, other.slice(3, 5)), fed([...prompt.slice(0, at), ...other.slice(0, 5)], 48).slice(-2))).toBe(true);
      for (const q of [f, again]) q.close();
    }
    s.close();
    expect(engine.stepper.store.states!.pool.used).toBe(0);
  });

  it("is the same after going back, from wherever it can go back to", () => {
    const s = engine.stepper.newSequence();
    const batch = prompt.slice(0, 30).map((id, i): StepToken => ({ id, sequence: s, wanted: true, checkpoint: i % 11 === 7 }));
    expect(sameRows(engine.stepper.step(batch), truth.slice(0, 30)), "checkpoints change nothing").toBe(true);
    const back = [29, 20, 18, 12, 6].map(length => {
      const kept = s.truncate(length);
      expect(sameRows(engine.feed(s, prompt.slice(kept, 30), 9), truth.slice(kept, 30)), `back to ${length}`).toBe(true);
      return kept;
    });
    expect(back).toEqual([29, 18, 18, 7, 0]);
    s.close();
  });
});

describe("steps that cannot be made", () => {
  it("leave every sequence as it was, and the next step is right", async () => {
    const { content } = toyModel(toys["falcon-h1"]);
    const engine = await openEngine(await folder.write(content), { context: 64, cacheTokens: 64 });
    const whole = engine.stepper.newSequence();
    const truth = engine.feed(whole, prompt);
    whole.close();
    const s = engine.stepper.newSequence();
    engine.feed(s, prompt.slice(0, 20));
    const { pool } = engine.stepper.store.states!;
    while (pool.tryTake() !== undefined); // somebody else has all others
    const late = engine.stepper.newSequence();
    const batch = [20, 21].map((i): StepToken => ({ id: prompt[i], sequence: s, wanted: true }));
    await caught("memory.insufficient", () => engine.stepper.step([...batch, { id: 3, sequence: late, wanted: true }]));
    expect([s.length, late.length, pool.used]).toEqual([20, 0, pool.capacity - 1]);
    expect(sameRows(engine.feed(s, prompt.slice(20)), truth.slice(20))).toBe(true);
    await engine.close();
  });
});

describe("a session that is used again", () => {
  const sampling = { temperature: 0 };

  /** Runs prompts one after the other in one session and gives, for each, the answer and how many tokens were not evaluated again. */
  function answers(engine: Engine, prompts: readonly (readonly number[])[], length: number): { ids: number[]; cached: number }[] {
    const out: { ids: number[]; cached: number }[] = [];
    const events: Events = {
      prompt: () => {},
      token: (run, { id }) => {
        out[run].ids.push(id);
        scheduler.taken(run, 1);
      },
      finished: (run, { usage }) => {
        out[run].cached = usage.cachedTokens;
      },
      scored: () => {},
      forced: () => {},
      failed: (_, error) => {
        throw error;
      },
    };
    const scheduler = new Scheduler(engine.stepper, events);
    scheduler.open(0);
    prompts.forEach((tokens, run) => {
      out.push({ ids: [], cached: -1 });
      scheduler.add({ run, session: 0, tokens: Int32Array.from(tokens), sampling, maxTokens: length, stopIds: [] });
      while (scheduler.busy) scheduler.turn();
    });
    scheduler.drop(0);
    return out;
  }

  it.each(["falcon-h1", "lfm2", "jamba", "qwen35"])("%s: answers as a fresh one, and evaluates little again", async name => {
    const engine = await openEngine(await folder.write(toyModel(toys[name]).content), { maxTokens: 16 });
    const fresh = (tokens: readonly number[]): number[] => answers(engine, [tokens], 6)[0].ids;
    const [first] = answers(engine, [prompt], 6);
    const asked = [
      prompt,
      prompt, // the same again: all but the last token is kept
      [...prompt, ...first.ids, 5, 6], // the conversation goes on: the last id of an answer has not been evaluated
      prompt.slice(0, 25), // an earlier place
      other,
    ];
    const all = answers(engine, asked, 6);
    expect(all.map(a => a.cached)).toEqual([0, 39, 45, 0, 0]);
    all.forEach((a, i) => {
      expect(a.ids).toEqual(fresh(asked[i]));
    });
    await engine.close();
  });
});
