/**
 * llama.cpp's record of small random models of many architectures: probabilities after every token. And the engine against itself: a prompt
 * whole, in pieces, token by token, and beside another sequence gives the same logits in every bit.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { architectures } from "../../src/models/index.ts";
import { type Engine, openEngine, sameRows } from "../fixtures/engine.ts";
import { describeShared } from "../shared.ts";
import { kinds, todo, tolerance } from "./oracle.ts";

interface Causal {
  readonly architecture: string;
  readonly kind: string;
  readonly settings: { readonly n_ctx: number; readonly start_position: number };
  readonly prompt: readonly number[];
  readonly greedy: readonly number[];
  readonly top: readonly (readonly [id: number, probability: number][])[];
}

/** The greatest distance between recorded and own probabilities. */
function distance(top: Causal["top"], rows: readonly Float32Array[]): number {
  let worst = 0;
  top.forEach((list, i) => {
    const most = rows[i].reduce((m, x) => Math.max(m, x), Number.NEGATIVE_INFINITY);
    const total = rows[i].reduce((sum, x) => sum + Math.exp(x - most), 0);
    for (const [id, p] of list) {
      const off = Math.abs(Math.exp(rows[i][id] - most) / total - p);
      if (!(off <= worst)) worst = off;
    }
  });
  return worst;
}

function fed(engine: Engine, ids: readonly number[], chunk: number): Float32Array[] {
  const s = engine.stepper.newSequence();
  const rows = engine.feed(s, ids, chunk);
  s.close();
  return rows;
}

/** The rows of `ids`, with another sequence's tokens before, between and after them in every step. */
function besideAnother({ stepper }: Engine, ids: readonly number[]): Float32Array[] {
  const [own, other] = [stepper.newSequence(), stepper.newSequence()];
  const rows: Float32Array[] = [];
  for (let at = 0; at < ids.length; at += 5) {
    const batch = ids.slice(at, at + 5).flatMap((id, i) => {
      const mine = { id, sequence: own, wanted: true };
      return i % 2 ? [mine] : [{ id: ids[ids.length - 1 - at - i], sequence: other, wanted: false }, mine];
    });
    rows.push(...stepper.step(batch).map(r => r.slice()));
  }
  own.close();
  other.close();
  return rows;
}

describeShared("architectures as llama.cpp runs them", "arch-oracle", folder => {
  const names = readdirSync(folder).flatMap(f => (f.endsWith(".gguf") ? [f.slice(0, -5)] : []));
  const record = (name: string): Causal => JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
  const runs = (name: string): boolean => !todo.has(name) && kinds.causal(record(name));

  it("the list of what does not run yet names files that are there, and nothing that runs is missing from the tests", () => {
    expect([...todo.keys()].filter(name => !names.includes(name))).toEqual([]);
    expect(names.filter(name => !todo.has(name) && !architectures.has(record(name).architecture))).toEqual([]);
  });

  it.each(names.filter(runs))("%s", async name => {
    const { prompt, greedy, settings, top } = record(name);
    const ids = [...prompt, ...greedy];
    const engine = await openEngine(join(folder, `${name}.gguf`), {
      context: settings.n_ctx || kinds.context(name),
      maxTokens: ids.length,
    });
    try {
      const whole = fed(engine, ids, ids.length);
      expect(distance(top, whole)).toBeLessThan(tolerance(name));
      for (const chunk of [11, 1]) expect(sameRows(fed(engine, ids, chunk), whole), `in pieces of ${chunk}`).toBe(true);
      expect(sameRows(besideAnother(engine, ids), whole), "beside another sequence").toBe(true);
    } finally {
      await engine.close();
    }
  });
});
