/** A request among others: its answer is the same as alone, to the last bit of its log-probabilities, and holds nothing of theirs. */
import { complete } from "./client.mjs";
import { leaving } from "./load.mjs";
import { completion, workload } from "./workload.mjs";

const PROBES = 6;
const CROWD = 10;
const ANSWER = 32;

/** Texts that no model writes by itself. @param {number} i */
const canary = i => `zqx${(7919 * (i + 1)).toString(36)}kjw`;

/** Half greedy, half drawn with a seed; each with log-probabilities, which show a difference before a token does. */
const probe = (source, i) =>
  completion(
    { prompt: source.ids(8 + 5 * i), answer: ANSWER },
    { logprobs: 0, seed: 1000 + i, ...(i % 2 ? { temperature: 1, top_p: 0.95 } : {}), cache_salt: `probe ${i}` },
  );

const fingerprintOf = answer => JSON.stringify([answer.text, answer.logprobs, answer.usage?.completion_tokens]);

/** @param {import("./scenarios.mjs").Setting} setting */
export async function crowd({ server, signal, say, add, options }) {
  const source = workload(500, server.vocabulary, server.context);
  const { place } = server;
  const probes = Array.from({ length: PROBES }, (_, i) => probe(source, i));
  say("crowd: alone");
  const alone = [];
  for (const body of probes) alone.push(await answered(place, body, signal));
  const { leave, both } = leaving(signal);
  let others = 0;
  const leaked = [];
  const seen = (text, own) => {
    for (let i = 0; i < others; i++) if (i !== own && text.includes(canary(i))) leaked.push(canary(i));
  };
  const neighbour = async () => {
    while (!both.aborted) {
      const own = others++;
      const prompt = `${canary(own)} said ${canary(own)} and ${canary(own)}. `.repeat(1 + (source.next() % 4));
      const body = { prompt, max_tokens: 1 + (source.next() % 48), temperature: source.next() % 2, seed: source.next() };
      // Some leave in the middle of their answers.
      const patience = AbortSignal.timeout(50 + (source.next() % 4000));
      const answer = await complete(place, body, { signal: AbortSignal.any([both, patience]) });
      if (answer.status !== 200 && !answer.aborted) throw new Error(`a neighbour was refused: ${answer.status}`);
      seen(answer.text, own);
    }
  };
  const neighbours = Array.from({ length: CROWD }, neighbour);
  let [same, compared] = [0, 0];
  try {
    for (let round = 0; round < options.rounds; round++) {
      say(`crowd: round ${round + 1} of ${options.rounds}`);
      const answers = await Promise.all(
        probes.map(body => answered(place, { ...body, cache_salt: `${body.cache_salt} ${round}` }, signal)),
      );
      for (const [i, answer] of answers.entries()) {
        compared++;
        if (fingerprintOf(answer) === fingerprintOf(alone[i])) same++;
        seen(answer.text, -1);
      }
    }
  } finally {
    leave();
    await Promise.all(neighbours);
  }
  add("crowd", "answers that differ from the answer alone", "", [compared - same], {
    atMost: 0,
    note: `${compared} compared, ${others} neighbours`,
  });
  add("crowd", "others' canaries in answers", "", [leaked.length], { atMost: 0 });
}

async function answered(place, body, signal) {
  const answer = await complete(place, body, { signal });
  if (!answer.ended || answer.failure) throw new Error(`a probe failed: ${answer.failure ?? answer.status}`);
  return answer;
}
