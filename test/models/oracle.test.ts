/**
 * llama.cpp's record of small random models of many architectures: probabilities after every token. And the engine against itself: a prompt
 * whole, in pieces, token by token, and beside another sequence gives the same logits in every bit.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readNumbers } from "../../reference/llama.ts";
import { pool } from "../../src/engine/pool.ts";
import { architectures } from "../../src/models/index.ts";
import { openEngine, sameRows } from "../fixtures/engine.ts";
import { describeShared } from "../shared.ts";
import { besideAnother, fed } from "./feeding.ts";
import { kinds, probabilities, shares, throughReference, todo, tolerance } from "./oracle.ts";

interface Record {
  readonly architecture: string;
  readonly kind: string;
  readonly settings: { readonly n_ctx: number; readonly start_position: number };
  /** What an encoder reads, in models that have one. */
  readonly encoder_tokens?: readonly number[];
  readonly prompt: readonly number[];
  readonly greedy: readonly number[];
  readonly top: readonly (readonly [id: number, probability: number][])[];
  /** Of embeddings and rerankers. */
  readonly sequences: readonly {
    readonly tokens: readonly number[];
    readonly pooled?: readonly number[];
    readonly score?: number | readonly number[];
  }[];
  readonly per_token?: readonly (readonly number[])[];
}

/** The greatest distance between recorded and own probabilities. */
function distance(top: readonly Record["top"][number][], rows: readonly ArrayLike<number>[]): number {
  let worst = 0;
  top.forEach((list, i) => {
    const own = shares(rows[i]);
    for (const [id, p] of list) {
      const off = Math.abs(own[id] - p);
      if (!(off <= worst)) worst = off;
    }
  });
  return worst;
}

/** The greatest distance between own and recorded numbers. */
function furthest(own: readonly ArrayLike<number>[], recorded: readonly (readonly number[])[]): number {
  expect(own.map(r => r.length)).toEqual(recorded.map(r => r.length));
  return Math.max(...recorded.flatMap((row, i) => row.map((v, k) => Math.abs(own[i][k] - v))));
}

/** The record's own statement. */
const EMBEDDING = 1e-3;

describeShared("architectures as llama.cpp runs them", "arch-oracle", folder => {
  const names = readdirSync(folder).flatMap(f => (f.endsWith(".gguf") ? [f.slice(0, -5)] : []));
  const record = (name: string): Record => JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
  const ofKind = (...kinds: string[]): string[] => names.filter(name => !todo.has(name) && kinds.includes(record(name).kind));

  it("the list of what does not run yet names files that are there, and nothing that runs is missing from the tests", () => {
    expect([...todo.keys()].filter(name => !names.includes(name))).toEqual([]);
    expect(names.filter(name => !todo.has(name) && !architectures.has(record(name).architecture))).toEqual([]);
  });

  it.each(ofKind("causal", "encdec"))("%s", async name => {
    const { prompt, greedy, settings, top, encoder_tokens: source } = record(name);
    const ids = [...prompt, ...greedy];
    const engine = await openEngine(join(folder, `${name}.gguf`), {
      context: settings.n_ctx || kinds.context(name),
      maxTokens: ids.length,
    });
    try {
      const origin = settings.start_position;
      const whole = fed(engine, ids, ids.length, origin, source);
      const reference = throughReference.get(name);
      if (reference) {
        const file = readNumbers(join(folder, `${name}.gguf`));
        expect(distance(top, reference.recorded(file, ids))).toBeLessThan(reference.record);
        expect(distance(probabilities(reference.own(file, ids)), whole)).toBeLessThan(tolerance(name));
      } else expect(distance(top, whole)).toBeLessThan(tolerance(name));
      for (const chunk of [11, 1]) expect(sameRows(fed(engine, ids, chunk, origin, source), whole), `in pieces of ${chunk}`).toBe(true);
      expect(sameRows(besideAnother(engine, ids, origin, source), whole), "beside another sequence").toBe(true);
    } finally {
      await engine.close();
    }
  });

  it.each(ofKind("noncausal"))("%s", async name => {
    const { prompt, top } = record(name);
    const engine = await openEngine(join(folder, `${name}.gguf`), { context: 512, maxTokens: 2 * prompt.length });
    try {
      const whole = fed(engine, prompt, prompt.length);
      expect(distance(top, whole)).toBeLessThan(tolerance(name));
      const s = engine.stepper.newSequence();
      engine.feed(s, prompt.slice(0, 5));
      expect(() => engine.feed(s, prompt.slice(5))).toThrow(/one step/);
      s.close();
    } finally {
      await engine.close();
    }
  });

  it.each(ofKind("embed", "rank"))("%s", async name => {
    const { sequences, per_token } = record(name);
    const total = sequences.reduce((n, s) => n + s.tokens.length, 0);
    const engine = await openEngine(join(folder, `${name}.gguf`), { context: kinds.context(name), maxTokens: total });
    try {
      const { output } = engine.stepper.network;
      if (output.kind !== "embedding") return expect.fail("logits where embeddings are expected");
      const alone = sequences.map(s => fed(engine, s.tokens, s.tokens.length));
      if (per_token) expect(furthest(alone[0], per_token)).toBeLessThan(EMBEDDING);
      sequences.forEach(({ pooled, score }, i) => {
        const recorded = pooled ?? [score].flat().map(Number);
        expect(furthest([pool(output, alone[i])], [recorded])).toBeLessThan(EMBEDDING);
      });
      const handles = sequences.map(() => engine.stepper.newSequence());
      const batch = sequences.flatMap((s, i) => s.tokens.map(id => ({ id, sequence: handles[i], wanted: true })));
      expect(sameRows(engine.stepper.step(batch), alone.flat()), "all in one step").toBe(true);
      for (const s of handles) s.close();
    } finally {
      await engine.close();
    }
  });
});
