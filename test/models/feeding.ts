/** Ways to feed a text to an engine. */
import type { Engine } from "../fixtures/engine.ts";

/** The rows of a text in a sequence of its own, `chunk` tokens a step; `source` is what it answers, in models that read first. */
export function fed(engine: Engine, ids: readonly number[], chunk: number, origin = 0, source?: readonly number[]): Float32Array[] {
  const s = engine.stepper.newSequence(origin, source);
  const rows = engine.feed(s, ids, chunk);
  s.close();
  return rows;
}

/** The rows of `ids`, with another sequence's tokens before, between and after them in every step. */
export function besideAnother({ stepper }: Engine, ids: readonly number[], origin = 0, source?: readonly number[]): Float32Array[] {
  const [own, other] = [stepper.newSequence(origin, source), stepper.newSequence(0, source && [...source, ...source].reverse())];
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
