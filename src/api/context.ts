/**
 * What happens when a prompt does not fit: nothing is dropped unless the caller chose how, and what was dropped is told. Pure functions over
 * token ids and messages.
 */
import { LatheError } from "../errors.ts";
import type { ChatMessage } from "../text/chat.ts";

/**
 * `error` refuses the prompt. `shift` drops the oldest: turns of a conversation, tokens of a text. `middle` keeps the beginning and the end. System
 * messages, the text's first token and the last turn always stay.
 */
export type Overflow = "error" | "shift" | "middle";
export const overflows: readonly Overflow[] = ["error", "shift", "middle"];

/** What a prompt left out because the context had no room for it. */
export interface Dropped {
  /** Tokens that the prompt has less than it would have had. */
  readonly tokens: number;
  /** The messages that the model was not shown, oldest first; none where the prompt is a text. */
  readonly messages: readonly ChatMessage[];
}

/** The ids of a prompt, and what they lack. */
export interface Fitted {
  readonly ids: readonly number[];
  /** The text that they answer, in models that read one first. */
  readonly source?: readonly number[];
  readonly dropped?: Dropped;
  /** The answer begins in the middle of thoughts, which end with this. */
  readonly until?: string;
}

/** Tokens of a context that a prompt may have when something is dropped for it: the answer keeps `maxTokens`, at most half; a quarter by default. */
export function promptRoom(context: number, maxTokens: number | undefined): number {
  return Math.max(1, context - Math.min(maxTokens ?? Math.floor(context / 4), Math.floor(context / 2)));
}

export function overflowed(tokens: number, context: number, why = "shorten it or load with a larger context"): LatheError {
  const message = `The prompt has ${tokens} tokens and the context holds ${context}; ${why}.`;
  return new LatheError("context.overflow", message, { tokens, context });
}

/** The ids that are kept of a text. `head`: first tokens that stay. */
export function fitText(ids: readonly number[], room: number, policy: Overflow, head: number): Fitted {
  if (policy === "error" || ids.length <= room) return { ids };
  const kept = Math.min(room, policy === "shift" ? head : Math.max(head, Math.ceil(room / 2)));
  const end = ids.length - (room - kept);
  return { ids: [...ids.slice(0, kept), ...ids.slice(end)], dropped: { tokens: end - kept, messages: [] } };
}

const isSystem = (m: ChatMessage): boolean => m.role === "system" || m.role === "developer";

/** Turns: a user's message and all that follows up to the next one. */
function turnsOf(messages: readonly ChatMessage[]): ChatMessage[][] {
  const turns: ChatMessage[][] = [];
  for (const message of messages) {
    const before = turns.at(-1);
    if (!before || (message.role === "user" && before.at(-1)!.role !== "user")) turns.push([message]);
    else before.push(message);
  }
  return turns;
}

/** In which order turns go; never the last one. */
function order(turns: number, policy: Overflow): number[] {
  const left = Array.from({ length: Math.max(0, turns - 1) }, (_, i) => i);
  return policy === "shift" ? left : Array.from(left, () => left.splice(Math.floor(left.length / 2), 1)[0]);
}

/**
 * The prompt of a conversation with as few whole turns dropped as make it fit. `render` gives the ids of messages.
 * @throws LatheError context.overflow where the last turn alone does not fit.
 */
export function fitMessages(
  messages: readonly ChatMessage[],
  render: (messages: readonly ChatMessage[]) => readonly number[],
  { context, room, policy }: { context: number; room: number; policy: Overflow },
): Fitted {
  const all = render(messages);
  if (policy === "error" || all.length <= room) return { ids: all };
  const first = messages.findIndex(m => !isSystem(m));
  const system = messages.slice(0, Math.max(0, first));
  const turns = turnsOf(messages.slice(system.length));
  const gone = order(turns.length, policy);
  const without = (n: number): ChatMessage[] => {
    const dropped = new Set(gone.slice(0, n));
    return [...system, ...turns.filter((_, i) => !dropped.has(i)).flat()];
  };
  let [low, high] = [0, gone.length]; // `low` dropped turns are too few
  let ids = high === 0 ? all : render(without(high));
  if (ids.length > context) throw overflowed(ids.length, context, "its last turn alone is too long, so nothing was dropped");
  if (high === 0) return { ids };
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    const tried = render(without(middle));
    if (tried.length > room) low = middle;
    else [high, ids] = [middle, tried];
  }
  const dropped = new Set(gone.slice(0, high));
  return { ids, dropped: { tokens: all.length - ids.length, messages: turns.filter((_, i) => dropped.has(i)).flat() } };
}
