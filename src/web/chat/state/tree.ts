/**
 * A conversation as a tree: every message knows the one before it, and where several follow the same message one of them is chosen. Editing and
 * regenerating add a branch and never change what was said. Values are immutable: each function returns a new conversation.
 */

export interface Attachment {
  readonly name: string;
  readonly text: string;
}

/** What is known of an answer besides its text. */
export interface AnswerFacts {
  readonly model: string;
  /** Why it ended; undefined while it is written, or where the page was closed before its end. */
  readonly finish?: "stop" | "length" | "stopped" | "error";
  /** The server's sentence, where it failed. */
  readonly error?: string;
  /** Tokens of the prompt, and those of them that were computed before. */
  readonly promptTokens?: number;
  readonly cachedTokens?: number;
  /** Tokens of the answer; counted by the page (`counted`) where the server could not tell any more. */
  readonly tokens?: number;
  readonly counted?: boolean;
  readonly tokensPerSecond?: number;
  /** Milliseconds from the question to the first text. */
  readonly firstMs?: number;
}

export interface Message {
  readonly id: string;
  /** The message before it; empty for the first of a conversation. */
  readonly parent: string;
  readonly role: "user" | "assistant";
  readonly text: string;
  /** Unix milliseconds. */
  readonly at: number;
  readonly files?: readonly Attachment[];
  readonly answer?: AnswerFacts;
}

export interface Conversation {
  readonly id: string;
  readonly title: string;
  /** Unix milliseconds. */
  readonly created: number;
  readonly updated: number;
  /** In the order in which they were added: a parent before its children. */
  readonly messages: readonly Message[];
  /** By a message's id, or "" for the beginning: the id of the one that follows it in what is shown. */
  readonly chosen: Readonly<Record<string, string>>;
}

/** Sixteen random characters; also where a page has no secure context and hence no randomUUID. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, b => b.toString(16).padStart(2, "0")).join("");
}

export const newConversation = (now: number): Conversation => ({
  id: newId(),
  title: "",
  created: now,
  updated: now,
  messages: [],
  chosen: {},
});

/** The messages that follow the same message, oldest first. */
export const following = (c: Conversation, parent: string): readonly Message[] => c.messages.filter(m => m.parent === parent);

/** What is shown: from the beginning along the chosen branches. */
export function shownPath(c: Conversation): readonly Message[] {
  const next = new Map<string, Message>();
  for (const m of c.messages) {
    // The newest, unless another is chosen; a message can only follow an earlier one, so the walk below ends.
    const picked = next.get(m.parent);
    if (!picked || picked.id !== c.chosen[m.parent]) next.set(m.parent, m);
  }
  const path: Message[] = [];
  for (let m = next.get(""); m; m = next.get(m.id)) path.push(m);
  return path;
}

/** The messages from the beginning to this one, whatever is chosen. */
export function pathTo(c: Conversation, id: string): readonly Message[] {
  const byId = new Map(c.messages.map(m => [m.id, m]));
  const path: Message[] = [];
  for (let m = byId.get(id); m; m = byId.get(m.parent)) path.unshift(m);
  return path;
}

const TITLE_LENGTH = 60;
function titleOf(text: string): string {
  const line = text.trim().replace(/\s+/g, " ");
  return line.length > TITLE_LENGTH ? `${line.slice(0, TITLE_LENGTH).replace(/\s+\S*$/, "")}…` : line;
}

/** With one more message, which is then the one that is shown after its parent. */
export function withMessage(c: Conversation, message: Message): Conversation {
  const title = c.title || (message.role === "user" ? titleOf(message.text || message.files?.[0]?.name || "") : "");
  return {
    ...c,
    title,
    updated: message.at,
    messages: [...c.messages, message],
    chosen: { ...c.chosen, [message.parent]: message.id },
  };
}

/** With some of a message's fields replaced. */
export const withChange = (c: Conversation, id: string, change: Partial<Pick<Message, "text" | "answer">>): Conversation => ({
  ...c,
  messages: c.messages.map(m => (m.id === id ? { ...m, ...change } : m)),
});

/** Shows the sibling that is so many places after this message; stays where there is none. */
export function withSibling(c: Conversation, message: Message, step: number): Conversation {
  const siblings = following(c, message.parent);
  const to = siblings[siblings.findIndex(m => m.id === message.id) + step];
  return to ? { ...c, chosen: { ...c.chosen, [message.parent]: to.id } } : c;
}

/** UTF-16 units of all texts, which is nearly all that a conversation takes. */
export const sizeOf = (c: Conversation): number =>
  c.messages.reduce((sum, m) => sum + m.text.length + (m.files ?? []).reduce((s, f) => s + f.text.length, 0), 0);
