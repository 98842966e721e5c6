/**
 * Prompts that outlive memory: with the folder of pasts, answers and their probabilities are the same in every bit as without, in the same
 * engine after its memory was given up and in the next one, for full, sliding and recurrent attention; and much of each prompt is not computed.
 */
import { readdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type Events, Scheduler } from "../../src/api/scheduler.ts";
import { type Engine, type EngineOptions, openEngine } from "../fixtures/engine.ts";
import { toyModel, toys } from "../fixtures/hybrids.ts";
import { ModelFolder } from "../fixtures/models.ts";
import { Random } from "../fixtures/random.ts";
import { temporaryFolder } from "../fixtures/temporary.ts";
import { sharedData } from "../shared.ts";

const folder = new ModelFolder();
const home = temporaryFolder("pasts");
afterAll(() => folder.remove());

interface Told {
  readonly tokens: { id: number; logprob: number }[];
  cached: number;
}

class Asked {
  readonly scheduler: Scheduler;
  readonly #engine: Engine;
  readonly #told: Told[] = [];
  constructor(engine: Engine) {
    this.#engine = engine;
    const events: Events = {
      prompt: () => {},
      token: (run, { id, logprob }) => {
        this.#told[run].tokens.push({ id, logprob });
        this.scheduler.taken(run, 1);
      },
      finished: (run, { usage }) => {
        this.#told[run].cached = usage.cachedTokens;
      },
      scored: () => {},
      forced: () => {},
      failed: (_, error) => {
        throw error;
      },
    };
    this.scheduler = new Scheduler(engine.stepper, events, { store: engine.pasts });
  }
  ask(prompt: readonly number[], client = ""): Told {
    const run = this.#told.length;
    this.#told.push({ tokens: [], cached: -1 });
    this.scheduler.open(run);
    const rest = { sampling: { temperature: 0 }, maxTokens: 8, stopIds: [], client };
    this.scheduler.add({ run, session: run, tokens: Int32Array.from(prompt), ...rest });
    while (this.scheduler.busy) this.scheduler.turn();
    this.scheduler.drop(run);
    return this.#told[run];
  }
  /** All memory of prompts is given up. */
  forget(): this {
    this.scheduler.forget();
    expect(this.#engine.stepper.store.pool.used).toBe(0);
    return this;
  }
}

const random = new Random(17);
const ids = (n: number): number[] => Array.from({ length: n }, () => random.below(60));
const document = ids(330);
const prompts = [[...document, 5, 6], [...document, 9], document.slice(0, 300), [...document.slice(0, 270), ...ids(50)]];

const shared = (name: string) => async (): Promise<string> => sharedData(`arch-oracle/${name}.gguf`)!;
const toy = (name: string) => (): Promise<string> => folder.write(toyModel(toys[name]).content);
const models: Readonly<Record<string, { path: () => Promise<string>; cached: readonly number[]; needs?: string }>> = {
  "llama, Q4_0": { path: () => folder.model({ type: "Q4_0", context: 512 }), cached: [331, 330, 299, 270] },
  "gemma2: sliding windows": { path: shared("gemma2"), needs: "gemma2", cached: [331, 330, 299, 270] },
  "deepseek2: latent keys": { path: shared("deepseek2"), needs: "deepseek2", cached: [331, 330, 299, 270] },
  // The last state before the first token that differs: of a prompt's end, or of a multiple of 256.
  "falcon-h1": { path: toy("falcon-h1"), cached: [331, 256, 256, 256] },
  lfm2: { path: toy("lfm2"), cached: [331, 256, 256, 256] },
  qwen35: { path: toy("qwen35"), cached: [331, 256, 256, 256] },
};

describe.each(Object.entries(models))("%s", (name, { path, cached, needs }) => {
  const absent = needs !== undefined && sharedData(`arch-oracle/${needs}.gguf`) === undefined;
  it.skipIf(absent)(
    "answers the same with pasts from the folder, and says what it took from there",
    async () => {
      const file = await path();
      const dir = join(home, name.replace(/\W+/g, "-"));
      const options: EngineOptions = { context: 512, target: "wasm" };
      const plain = await openEngine(file, options);
      const alone = new Asked(plain);
      const truth = prompts.map(p => alone.forget().ask(p).tokens);
      await plain.close();

      const cache = { dir, bytes: 1e9 };
      const first = await openEngine(file, { ...options, cache });
      const same = new Asked(first);
      expect(same.ask(prompts[0])).toEqual({ tokens: truth[0], cached: 0 });
      prompts.forEach((p, i) => {
        expect(same.forget().ask(p), `prompt ${i}`).toEqual({ tokens: truth[i], cached: cached[i] });
      });
      expect(same.forget().ask(prompts[1], "someone else").cached).toBe(0);
      same.scheduler.close();
      await first.close();

      const second = await openEngine(file, { ...options, cache });
      const later = new Asked(second);
      expect(later.ask(prompts[0])).toEqual({ tokens: truth[0], cached: 331 });
      for (const f of readdirSync(dir)) truncateSync(join(dir, f), 2000);
      prompts.forEach((p, i) => {
        expect(later.forget().ask(p).tokens, `damaged, prompt ${i}`).toEqual(truth[i]);
      });
      await second.close();
    },
    60_000,
  );
});

it("another rounding or another model of the same shape finds nothing; another context with the same angles does", async () => {
  const cache = { dir: join(home, "other"), bytes: 1e9 };
  const file = await folder.model({ type: "Q8_0", context: 512 });
  const cachedBy = async (options: EngineOptions, path = file): Promise<number> => {
    const engine = await openEngine(path, { context: 512, ...options, cache });
    const asked = new Asked(engine);
    const { cached } = asked.ask(prompts[0]);
    asked.scheduler.close();
    await engine.close();
    return cached;
  };
  expect(await cachedBy({ target: "wasm" })).toBe(0);
  expect(await cachedBy({ target: "wasm" })).toBe(331);
  expect(await cachedBy({ target: "wasm", context: 400 })).toBe(331);
  expect(await cachedBy({ target: "wasm", numerics: "strict" })).toBe(0);
  expect(await cachedBy({ target: "wasm", kept: "f16" })).toBe(0);
  expect(await cachedBy({ target: "wasm" }, await folder.model({ type: "Q8_0", context: 512, seed: 2 }))).toBe(0);
}, 60_000);
