/** Prompts and answers of mixed lengths, the same for every engine: token ids from a seed, so that no two prompts begin alike. */
import { random32 } from "../weights.mjs";

/** Lengths that take turns: tokens of prompts and of answers. The mean request reads 60 tokens and writes 60. */
const PROMPTS = [16, 32, 64, 128];
const ANSWERS = [32, 48, 64, 96];
/** All pairs of these, which come once each in every block of requests: otherwise the mixture of some dozens would be chance. */
const PAIRS = PROMPTS.flatMap(prompt => ANSWERS.map(answer => [prompt, answer]));

/** Ids of ordinary tokens: not the control tokens and single bytes that vocabularies begin with. @param {number} vocabulary */
export const ordinary = vocabulary => (vocabulary > 1024 ? 300 : 8);

/** A source of requests. @param {number} seed @param {number} vocabulary @param {number} [most] tokens of prompt and answer together */
export function workload(seed, vocabulary, most = Number.POSITIVE_INFINITY) {
  const next = random32(seed);
  const lowest = ordinary(vocabulary);
  const ids = count => Array.from({ length: count }, () => lowest + (next() % (vocabulary - lowest)));
  const scale = Math.min(1, most / (PROMPTS.at(-1) + ANSWERS.at(-1)));
  const scaled = n => Math.max(2, Math.floor(n * scale));
  let block = [];
  const request = () => {
    if (!block.length) block = [...PAIRS];
    const [[prompt, answer]] = block.splice(next() % block.length, 1);
    return { prompt: ids(scaled(prompt)), answer: scaled(answer) };
  };
  return {
    /** A prompt of so many tokens. */
    ids,
    next,
    /** @returns {{ prompt: number[], answer: number }} */
    request,
  };
}

/** Fields of a completion that writes exactly so many tokens where the model does not end by itself. */
export const completion = ({ prompt, answer }, more = {}) => ({ prompt, max_tokens: answer, temperature: 0, ...more });
