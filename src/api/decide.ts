/**
 * Decisions instead of text: of a few possible answers to a question about a text, how likely the model is to give each. Nothing is sampled; an
 * answer's weight is the probability of all its tokens after the question, and the weights of all answers are divided by their sum.
 */
import { LatheError } from "../errors.ts";

/** What may be answered. Absent: yes or no. */
export type Answers =
  | { readonly choices: readonly string[]; readonly score?: undefined }
  /** Whole numbers from the first to the last. */
  | { readonly score: readonly [from: number, to: number]; readonly choices?: undefined };

export interface Decision<T> {
  /** The likeliest choice; whether yes is likelier than no; the mean of the scores, weighted by their probabilities. */
  readonly value: T;
  /** Of each answer, in the order in which they were given; their sum is 1. */
  readonly probabilities: readonly { readonly answer: string; readonly probability: number }[];
}

/** Most answers of one question: each is read by the model. */
const MOST = 100;

/** The answers as texts. Throws "option.invalid" where there are fewer than two, too many, or two alike. */
export function answerTexts(answers: Answers | undefined): readonly string[] {
  if (!answers) return ["yes", "no"];
  const refuse = (why: string): LatheError => new LatheError("option.invalid", `${why}; give 2 to ${MOST} different answers.`, { answers });
  if (answers.score) {
    const [from, to] = answers.score;
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || to <= from) throw refuse(`The scores ${from} to ${to} are no range`);
    if (to - from >= MOST) throw refuse(`${to - from + 1} scores are too many`);
    return Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
  }
  const { choices } = answers;
  if (!Array.isArray(choices) || !choices.every(c => typeof c === "string" && c.trim())) throw refuse("A choice is empty or no text");
  if (choices.length < 2 || choices.length > MOST) throw refuse(`There are ${choices.length} choices`);
  if (new Set(choices.map(c => c.trim())).size < choices.length) throw refuse("Two choices are alike");
  return choices;
}

/** What the model reads before an answer. */
export const decisionPrompt = (text: string, question: string, options: readonly string[]): string =>
  `${text}\n\nQuestion: ${question}\nAnswer with one of these and nothing else: ${options.join(", ")}.`;

/** The decision that follows from the natural log-probabilities of the answers. */
export function decided(
  answers: Answers | undefined,
  texts: readonly string[],
  logs: readonly number[],
): Decision<string | number | boolean> {
  const most = Math.max(...logs);
  const weights = logs.map(l => Math.exp(l - most));
  const total = weights.reduce((a, b) => a + b, 0);
  const probabilities = texts.map((answer, i) => ({ answer, probability: weights[i] / total }));
  if (answers?.score) return { value: probabilities.reduce((sum, p) => sum + p.probability * Number(p.answer), 0), probabilities };
  const best = texts[weights.indexOf(1)];
  return { value: answers ? best : best === "yes", probabilities };
}
