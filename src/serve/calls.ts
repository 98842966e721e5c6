/**
 * How the answer to a conversation is to be read: what the model shows of its tools, which of them it must call, and ids for its calls.
 */
import { randomBytes } from "node:crypto";
import type { Model } from "../api/model.ts";
import { type ChatPrompt, type Speech, specsOf } from "../api/speech.ts";
import { LatheError } from "../errors.ts";
import type { Ask, AskPrompt } from "./request.ts";

/** A prompt's tokens; of a conversation also how its answer is read. */
export interface Prepared {
  readonly tokens: Int32Array;
  readonly reading?: { readonly speech: Speech; readonly prompt: ChatPrompt };
}

const LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";
/** Nine letters and digits, which is what the strictest chat templates take. */
export const callId = (): string => Array.from(randomBytes(9), b => LETTERS[b % LETTERS.length]).join("");

const constrained = ({ schema, grammar, regex, choices }: Ask["options"]): boolean =>
  [schema, grammar, regex, choices].some(c => c !== undefined);

/** @throws LatheError request.invalid where the answer is held to a form and to a call. */
export function checkForms({ mustCall, options }: Ask): void {
  if (!mustCall || !constrained(options)) return;
  const message = "An answer cannot be held to a format and to a call of a function at the same time.";
  throw new LatheError("request.invalid", message, { field: "tool_choice" });
}

/** A conversation's prompt. An answer that is held to a form is read as it comes. @throws LatheError template.*, option.invalid. */
export function conversed(model: Model, prompt: Extract<AskPrompt, { kind: "chat" }>, ask?: Ask): Prepared {
  const { messages, tools = [], extra, continueLast } = prompt;
  const specs = specsOf(tools);
  const forced = ask?.mustCall && specs.filter(s => ask.mustCall!.some(f => f.name === s.function.name));
  const stop = ask?.options.stop ?? [];
  const speech = model.speech(
    { specs, forced, maxCalls: ask?.maxCalls, stops: typeof stop === "string" ? [stop] : stop },
    { extra, continueLast },
    ask?.options.modules,
  );
  const own = speech.prompt(messages);
  const tokens = Int32Array.from(own.ids);
  return ask && constrained(ask.options) ? { tokens } : { tokens, reading: { speech, prompt: own } };
}
