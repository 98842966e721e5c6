/**
 * Prompt modules: against the float64 reference with a mask in which each module sees itself alone, in any order and at any place; a module at
 * the beginning and a joined one as plain text in every bit; the same bits whatever is cached; with little memory, evictions, other runs
 * beside and pasts on disk; and refusals.
 */
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadReference } from "../../reference/llama.ts";
import { type Events, Scheduler } from "../../src/api/scheduler.ts";
import { moduleTokens } from "../../src/kv/marks.ts";
import { type Engine, type EngineOptions, openEngine } from "../fixtures/engine.ts";
import { toyModel, toys } from "../fixtures/hybrids.ts";
import { ModelFolder, type ModelShape } from "../fixtures/models.ts";
import { Random } from "../fixtures/random.ts";
import { temporaryFolder } from "../fixtures/temporary.ts";
import { describeShared, sharedData } from "../shared.ts";

const folder = new ModelFolder();
const home = temporaryFolder("modules");
afterAll(() => folder.remove());
const random = new Random(29);
const ids = (n: number, below = 60): number[] => Array.from({ length: n }, () => random.below(below));

type Part = readonly number[] | { readonly module: readonly number[] };
const isModule = (p: Part): p is { readonly module: readonly number[] } => "module" in p;
const plain = (parts: readonly Part[]): number[] => parts.flatMap(p => (isModule(p) ? p.module : p));
const marked = (parts: readonly Part[]): number[] => parts.flatMap(p => (isModule(p) ? moduleTokens(p.module) : p));
/** The first position that each token sees. */
function sees(parts: readonly Part[]): number[] {
  const from: number[] = [];
  for (const p of parts) {
    const start = from.length;
    if (isModule(p)) from.push(...p.module.map(() => start));
    else from.push(...p.map(() => 0));
  }
  return from;
}

interface Told {
  readonly tokens: { id: number; logprob: number }[];
  cached: number;
  error?: unknown;
}
class Asked {
  readonly scheduler: Scheduler;
  readonly told: Told[] = [];
  readonly engine: Engine;
  constructor(engine: Engine) {
    this.engine = engine;
    const events: Events = {
      prompt: () => {},
      token: (run, { id, logprob }) => {
        this.told[run].tokens.push({ id, logprob });
        this.scheduler.taken(run, 1);
      },
      finished: (run, { usage }) => {
        this.told[run].cached = usage.cachedTokens;
        this.scheduler.drop(run);
      },
      scored: () => {},
      forced: () => {},
      failed: (run, error) => {
        this.told[run].error = error;
        this.scheduler.drop(run);
      },
    };
    this.scheduler = new Scheduler(engine.stepper, events, { store: engine.pasts });
  }
  add(parts: readonly Part[], options: object = {}): Told {
    const run = this.told.length;
    this.told.push({ tokens: [], cached: -1 });
    this.scheduler.open(run);
    const rest = { sampling: { temperature: 0 }, maxTokens: 6, stopIds: [], ...options };
    this.scheduler.add({ run, session: run, tokens: Int32Array.from(marked(parts)), ...rest });
    return this.told[run];
  }
  finish(): this {
    for (let i = 0; this.scheduler.busy; i++) {
      if (i > 20_000) throw new Error("it does not end");
      this.scheduler.turn();
    }
    return this;
  }
  ask(parts: readonly Part[], options: object = {}): Told {
    const told = this.add(parts, options);
    this.finish();
    return told;
  }
  forget(): this {
    this.scheduler.forget();
    expect(this.engine.stepper.store.pool.used).toBe(0);
    return this;
  }
}

const [a, b, c] = [ids(45), ids(32), ids(77)].map(module => ({ module }));
const prompt = ids(9);
const layouts: Readonly<Record<string, readonly Part[]>> = {
  "one after a text": [[1, 2, 3], a, prompt],
  "two in a row": [[1], a, b, prompt],
  "in another order": [[1], b, c, a, prompt],
  "with text between": [ids(33), c, ids(5), a, prompt],
  "the same twice": [[1], b, b, prompt],
};

describe("against the float64 reference with the mask of the modules", () => {
  const shapes = {
    plain: {},
    "part of a head turns, and factors": { headDim: 24, ropeDim: 16, ropeFactors: true },
    "half of a head is no multiple of the lanes": { headDim: 12, ropeDim: 6 },
    "keys and values as f16": { kept: "f16" },
  } as const;
  it.each(Object.entries<Partial<ModelShape> & Pick<EngineOptions, "kept">>(shapes))("%s", async (_, { kept, ...changes }) => {
    const path = await folder.model({ ...changes, context: 512 });
    const engine = await openEngine(path, { context: 512, target: "wasm", kept });
    const reference = loadReference(path);
    const asked = new Asked(engine);
    const apart: number[] = [];
    for (const [name, parts] of Object.entries(layouts)) {
      const { tokens, error } = asked.forget().ask(parts);
      expect(error, name).toBeUndefined();
      const all = [...plain(parts), ...tokens.map(t => t.id)];
      const last = plain(parts).length - 1;
      const logprob = (rows: Float64Array[], i: number): number => {
        const row = rows[last + i];
        const top = row.reduce((m, x) => Math.max(m, x), Number.NEGATIVE_INFINITY);
        return row[tokens[i].id] - top - Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0));
      };
      const exact = reference.logits(all, sees(parts));
      const causal = reference.logits(all);
      tokens.forEach((t, i) => {
        expect(Math.abs(t.logprob - logprob(exact, i)), `${name}, token ${i}`).toBeLessThan(kept === "f16" ? 3e-3 : 1e-4);
        apart.push(Math.abs(t.logprob - logprob(causal, i)));
      });
    }
    expect(Math.max(...apart)).toBeGreaterThan(1e-2); // the mask makes a difference that would be seen
    await engine.close();
  });
});

describe("whatever is cached", () => {
  it("answers are the same in every bit, and what was not computed is told", async () => {
    const engine = await openEngine(await folder.model({ type: "Q4_0", context: 512 }), { context: 512 });
    const asked = new Asked(engine);
    const alone = (parts: readonly Part[]): Told => asked.forget().ask(parts);
    const truth = Object.values(layouts).map(parts => alone(parts).tokens);
    expect(alone(layouts["two in a row"]).cached).toBe(0);
    asked.forget();
    for (const { module } of [a, b, c]) asked.ask([module], { maxTokens: 0 });
    // At hand from their declaration: all but the first text and the prompt.
    expect(asked.ask(layouts["two in a row"]).cached).toBe(77);
    expect(asked.ask(layouts["in another order"]).cached).toBe(1 + 154);
    Object.values(layouts).forEach((parts, i) => {
      expect(asked.ask(parts).tokens, `${i}, all cached`).toEqual(truth[i]);
    });
    // The same beginning again is shared as it stands: only the prompt's last token is computed.
    expect(asked.ask(layouts["two in a row"]).cached).toBe(1 + 77 + 8);
    expect(asked.ask([[1], a, b, ids(4)]).cached).toBeGreaterThanOrEqual(78);
    expect(asked.ask(layouts["two in a row"], { client: "another" })).toEqual({ tokens: truth[1], cached: 0 });
    await engine.close();
  });

  it("a module at the beginning, and a joined one, are plain text in every bit; others are not", async () => {
    const engine = await openEngine(await folder.model({ type: "Q8_0", context: 512 }), { context: 512 });
    const asked = new Asked(engine);
    const text = asked.ask([[...a.module, ...b.module, ...prompt]]).tokens;
    expect(asked.forget().ask([{ module: [...a.module, ...b.module] }, prompt]).tokens).toEqual(text);
    expect(asked.forget().ask([a, b.module, prompt]).tokens).toEqual(text);
    expect(asked.forget().ask([a, b, prompt]).tokens).not.toEqual(text);
    await engine.close();
  });

  it("on disk too: modules and what was made of them", async () => {
    const path = await folder.model({ context: 512 });
    const cache = { dir: join(home, "d"), bytes: 1e9 };
    const parts = layouts["with text between"];
    const first = await openEngine(path, { context: 512, cache });
    const asked = new Asked(first);
    const { tokens, cached } = asked.ask(parts);
    expect(cached).toBe(0);
    expect(asked.forget().ask(parts)).toEqual({ tokens, cached: plain(parts).length - 1 });
    expect(asked.forget().ask([[3], a, [5]]).cached).toBe(45 - 1); // a module's last token is computed again
    asked.scheduler.close();
    await first.close();
    const second = await openEngine(path, { context: 512, cache });
    expect(new Asked(second).ask(parts)).toEqual({ tokens, cached: plain(parts).length - 1 });
    await second.close();
  });
});

describe("with little memory", () => {
  it("many runs at once, cancelled ones among them, end with their own answers and no page is lost", async () => {
    const path = await folder.model({ context: 256 });
    const roomy = await openEngine(path, { context: 256, cacheTokens: 4096, target: "wasm" });
    const docs = Array.from({ length: 4 }, (_, i) => ({ module: ids(20 + 9 * i) }));
    const asks = Array.from({ length: 24 }, (): Part[] => {
      const list = Array.from({ length: 1 + random.below(3) }, () => docs[random.below(4)]);
      return [ids(1 + random.below(5)), ...list, ids(1 + random.below(9))];
    });
    const alone = new Asked(roomy);
    const truth = asks.map(parts => alone.forget().ask(parts).tokens);
    await roomy.close();
    const tight = await openEngine(path, { context: 256, cacheTokens: 320, target: "wasm" });
    const crowd = new Asked(tight);
    const told = asks.map((parts, i) => crowd.add(parts, { client: `c${i % 2}`, maxTokens: 6 }));
    for (let i = 0; i < 40; i++) crowd.scheduler.turn();
    const gone = [3, 11, 20].filter(i => told[i].cached < 0);
    for (const i of gone) crowd.scheduler.cancel(i);
    crowd.finish();
    told.forEach(({ tokens, error }, i) => {
      expect(error, `run ${i}`).toBeUndefined();
      if (!gone.includes(i)) expect(tokens, `run ${i}`).toEqual(truth[i]);
    });
    crowd.forget();
    await tight.close();
  });

  it("too little for modules and prompt is told, and the next run works", async () => {
    const engine = await openEngine(await folder.model({ context: 256 }), { context: 256, cacheTokens: 256, target: "wasm" });
    const asked = new Asked(engine);
    const large = { module: ids(170) };
    expect(asked.ask([[1], large, [2]]).error).toMatchObject({ code: "memory.insufficient" });
    expect(asked.ask([[1], a, prompt]).error).toBeUndefined();
    asked.forget();
    await engine.close();
  });
});

describeShared("other families", "arch-oracle", () => {
  const open = (name: string): Promise<Engine> =>
    openEngine(sharedData(`arch-oracle/${name}.gguf`)!, { context: 256, cacheTokens: 2048, target: "wasm" });

  // Two ways to the same numbers: a module computed at the beginning of its own text, then moved; and computed in place.
  it.each(["gemma2", "gemma3", "deepseek2", "phi3", "qwen3", "mpt", "gpt-oss"])("%s: moved keys are what they are in place", async name => {
    const engine = await open(name);
    expect(engine.stepper.noModules).toBeUndefined();
    const { stepper } = engine;
    const tokens = c.module;
    const moved = stepper.newSequence();
    engine.feed(moved, [1, 2, 3, 4, 5]);
    const source = stepper.newSequence();
    engine.feed(source, tokens);
    stepper.place(source, moved, moduleTokens(tokens));
    // The same tokens at the same place, with nothing before them that they could see.
    const placed = stepper.newSequence(5);
    engine.feed(placed, tokens);
    const { heads, pages, pageBytes } = stepper.plan.step;
    let [worst, size] = [0, 0];
    for (const h of heads) {
      for (const t of [0, 1, 26, 27, 28, 40, 76]) {
        for (let d = 0; d < h.headDim; d++) {
          const key = (s: typeof moved, position: number): number =>
            engine.arena.f32(pages.address + s.pages[position >> 5] * pageBytes + h.cache + 4 * (32 * d + (position & 31)), 1)[0];
          worst = Math.max(worst, Math.abs(key(moved, 5 + t) - key(placed, t)));
          size = Math.max(size, Math.abs(key(placed, t)));
        }
      }
    }
    expect(size).toBeGreaterThan(0);
    expect(worst / size).toBeLessThan(5e-5);
    await engine.close();
  });

  it.each([
    ["gpt2", "learned"],
    ["llama4", "depends on where"],
    ["mamba", "recurrent"],
    ["bert", "embeddings"],
    ["deepseek32", "more than keys"],
  ])("%s refuses them: %s", async (name, why) => {
    // Learned positions and encoders allow no longer context.
    const engine = await openEngine(sharedData(`arch-oracle/${name}.gguf`)!, { context: 128, maxTokens: 128, target: "wasm" });
    expect(engine.stepper.noModules).toContain(why);
    await engine.close();
  });
});

it("a model with recurrent layers refuses them", async () => {
  const engine = await openEngine(await folder.write(toyModel(toys["falcon-h1"]).content), { target: "wasm" });
  expect(engine.stepper.noModules).toContain("recurrent");
  await engine.close();
});
