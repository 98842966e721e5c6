/** A request among others: its answer is the same as alone, to the last bit of its log-probabilities, and holds nothing of theirs. */
import { comeBackLater, complete } from "./client.mjs";
import { leaving } from "./load.mjs";
import { completion, workload } from "./workload.mjs";

/** Different requests that are compared. */
const PROBES = 48;
const ANSWER = 24;
/** Requests side by side, at most; the number changes while the crowd runs. */
const WIDEST = 32;
const SAME_WIDTH = 64;

/** Texts that no model writes by itself. @param {number} i */
const canary = i => `zqx${(7919 * (i + 1)).toString(36)}kjw`;

/** Half greedy, half drawn with a seed; each with log-probabilities, which show a difference before a token does. A third are held to a grammar. */
const probe = (source, i) => {
  const drawn = i % 2 ? { temperature: 1, top_p: 0.95 } : {};
  const held = i % 3 === 2 ? { grammar: "root ::= [A-Za-z ,.]+" } : {};
  return completion({ prompt: source.ids(8 + ((5 * i) % 90)), answer: ANSWER }, { logprobs: 0, seed: 1000 + i, ...drawn, ...held });
};

const fingerprintOf = answer => JSON.stringify([answer.text, answer.logprobs, answer.usage?.completion_tokens]);

async function answered(place, body, signal) {
  const answer = await complete(place, body, { signal });
  if (!answer.ended || answer.failure) throw new Error(`a probe failed: ${answer.failure ?? answer.status}`);
  return answer;
}

/**
 * Requests with the answers that they get alone.
 * @param {import("./scenarios.mjs").Setting} setting @param {{ seed: number, count: number }} how
 */
export async function probesOf({ server, signal, say }, { seed, count }) {
  const source = workload(seed, server.vocabulary, server.context);
  const bodies = Array.from({ length: count }, (_, i) => probe(source, i));
  const alone = [];
  for (const [i, body] of bodies.entries()) {
    say(`alone: ${i} of ${count}`);
    alone.push(fingerprintOf(await answered(server.place, { ...body, cache_salt: `alone ${i}` }, signal)));
  }
  return { source, bodies, alone };
}

/**
 * Sends probes again and again, `width` at a time, and compares them with what they are alone. Half have a salt of their own and compute all,
 * half go on from what is cached of each other; one in eight is left before its end.
 * @param {import("./scenarios.mjs").Setting} setting @param {Awaited<ReturnType<typeof probesOf>>} probes
 * @param {{ width: () => number, until: (compared: number) => boolean, seen?: (text: string) => void }} how
 */
export async function crowded({ server, signal }, { source, bodies, alone }, { width, until, seen }) {
  const counts = { compared: 0, differing: 0, left: 0, widths: new Set() };
  let [sent, now, failed] = [0, width(), false];
  const client = async i => {
    while (!until(counts.compared) && !signal.aborted && !failed) {
      if (i >= now) {
        await new Promise(done => setTimeout(done, 5));
        continue;
      }
      if (++sent % SAME_WIDTH === 0) now = width();
      counts.widths.add(now);
      const own = source.next() % bodies.length;
      const salt = source.next() % 2 ? { cache_salt: `crowd ${sent}` } : {};
      const leave = new AbortController();
      const leaves = source.next() % 8 === 0;
      const after = source.next() % 12;
      const onPiece = a => leaves && a.times.length > after && leave.abort();
      const answer = await complete(
        server.place,
        { ...bodies[own], ...salt },
        { signal: AbortSignal.any([leave.signal, signal]), onPiece },
      );
      seen?.(answer.text);
      if (answer.aborted) counts.left++;
      else if (answer.status === 429) await comeBackLater(answer, signal);
      else if (answer.status !== 200 || answer.failure) throw new Error(`a probe failed: ${answer.failure ?? answer.status}`);
      else {
        counts.compared++;
        if (fingerprintOf(answer) !== alone[own]) counts.differing++;
      }
    }
  };
  const fail = e => {
    failed = true;
    throw e;
  };
  await Promise.all(Array.from({ length: WIDEST }, (_, i) => client(i).catch(fail)));
  return counts;
}

/** @param {import("./scenarios.mjs").Setting} setting */
export async function crowd(setting) {
  const { server, signal, say, add, options } = setting;
  const probes = await probesOf(setting, { seed: 499 + options.seed, count: PROBES });
  const { source } = probes;
  const { leave, both } = leaving(signal);
  let others = 0;
  const leaked = [];
  const seen = (text, own) => {
    for (const [found] of text.matchAll(/zqx[0-9a-z]+kjw/g)) if (own === undefined || found !== canary(own)) leaked.push(found);
  };
  /** Has prompts and answers of its own, long ones too: pages run out. */
  const neighbour = async () => {
    while (!both.aborted) {
      const own = others++;
      const prompt = `${canary(own)} said ${canary(own)} and ${canary(own)}. `.repeat(1 + (source.next() % 4));
      const body = { prompt, max_tokens: 1 + (source.next() % 48), temperature: source.next() % 2, seed: source.next() };
      // Some leave in the middle of their answers.
      const patience = AbortSignal.timeout(50 + (source.next() % 4000));
      const answer = await complete(server.place, body, { signal: AbortSignal.any([both, patience]) });
      if (answer.status === 429) await comeBackLater(answer, both);
      else if (answer.status !== 200 && !answer.aborted) throw new Error(`a neighbour was refused: ${answer.status}`);
      seen(answer.text, own);
    }
  };
  const neighbours = Promise.all([neighbour(), neighbour(), neighbour()]);
  neighbours.catch(() => {}); // is awaited below
  try {
    const width = () => 1 + (source.next() % WIDEST);
    const until = compared => {
      if (compared % 50 === 0) say(`crowd: ${compared} of ${options.requests}`);
      return compared >= options.requests;
    };
    const { compared, differing, left, widths } = await crowded(setting, probes, { width, until, seen: text => seen(text) });
    const widest = [Math.min(...widths), Math.max(...widths)].join(" to ");
    const note = `${compared} compared, ${left} left, ${others} neighbours, ${widest} at a time`;
    add("crowd", "answers that differ from the answer alone", "", [differing], { atMost: 0, note });
    add("crowd", "others' canaries in answers", "", [leaked.length], { atMost: 0 });
  } finally {
    leave();
    await neighbours;
  }
}
