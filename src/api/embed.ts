/**
 * Embeddings on the engine's thread: texts are put into steps as they fit, whole where the network needs them whole, and the rows of their
 * tokens become one vector each. Which texts share a step changes nothing.
 */
import { pool } from "../engine/pool.ts";
import type { Stepper, StepToken } from "../engine/step.ts";
import { LatheError } from "../errors.ts";
import type { Sequence } from "../kv/pages.ts";
import type { Output } from "../nn/output.ts";

type Embedding = Extract<Output, { kind: "embedding" }>;

/** Refuses networks that give logits. */
export function embeddingOf(output: Output): Embedding {
  if (output.kind === "embedding") return output;
  const message = "This model gives text and no embeddings (its file names no pooling); load an embedding model, or use generate or chat.";
  throw new LatheError("option.invalid", message, { output: output.kind });
}

/** Which tokens' rows the pooling needs. */
function wanted({ pooling, token }: Embedding, position: number, length: number): boolean {
  if (pooling === "last" || (pooling === "rank" && token === "last")) return position === length - 1;
  return pooling === "mean" || pooling === "none" || position === 0;
}

interface Text {
  readonly ids: Int32Array;
  readonly sequence: Sequence;
  readonly rows: Float32Array[];
  done: number;
}

/**
 * Gives one vector for each text, in order; yields after each step the number of tokens that are done. Where `interrupted` says so in the middle
 * of a step it yields as well, and does the step once more if it is asked to go on.
 */
export function* embedTexts(stepper: Stepper, texts: readonly Int32Array[], interrupted = () => false): Generator<number, Float32Array[]> {
  const output = embeddingOf(stepper.network.output);
  const { maxTokens } = stepper.plan.options;
  const vectors: Float32Array[] = [];
  let done = 0;
  for (let at = 0; at < texts.length; ) {
    const batch: Text[] = [];
    let room = maxTokens;
    while (at < texts.length && (texts[at].length <= room || !batch.length)) {
      batch.push({ ids: texts[at], sequence: stepper.newSequence(), rows: [], done: 0 });
      room -= texts[at++].length;
    }
    try {
      for (const tokens of compute(stepper, output, batch, interrupted)) {
        done += tokens;
        yield done;
      }
      for (const text of batch) vectors.push(pool(output, text.rows).slice());
    } finally {
      for (const { sequence } of batch) sequence.close();
    }
  }
  return vectors;
}

/** Steps over a batch: one step, unless a single text is longer than that. Gives the tokens of each; 0 where one was broken off. */
function* compute(stepper: Stepper, output: Embedding, batch: readonly Text[], interrupted: () => boolean): Generator<number> {
  const most = stepper.plan.options.maxTokens;
  if (stepper.network.bidirectional && batch[0].ids.length > most) {
    const message = `The text has ${batch[0].ids.length} tokens, and this model reads a text in one step of at most ${most}; cut it, or load with a larger context.`;
    throw new LatheError("context.overflow", message, { tokens: batch[0].ids.length, most });
  }
  while (batch.some(t => t.done < t.ids.length)) {
    const step: StepToken[] = [];
    const owners: Text[] = [];
    for (const text of batch) {
      const end = Math.min(text.ids.length, text.done + most - step.length);
      for (; text.done < end; text.done++) {
        const needed = wanted(output, text.done, text.ids.length);
        step.push({ id: text.ids[text.done], sequence: text.sequence, wanted: needed });
        if (needed) owners.push(text);
      }
    }
    let rows = stepper.attempt(step, interrupted);
    if (!rows) {
      yield 0;
      rows = stepper.step(step);
    }
    rows.forEach((row, i) => {
      owners[i].rows.push(row.slice());
    });
    yield step.length;
  }
}
