/**
 * Conversations as JSON: what is exported, and the check of everything that comes in, be it from a file or from what an older page stored.
 * Nothing unchecked gets past this file.
 */
import { type AnswerFacts, type Attachment, type Conversation, type Message, newId } from "./tree.ts";

/** Limits of what this browser keeps. Reaching one is said, and nothing is dropped silently. */
export const limits = { conversations: 300, textPerConversation: 4 * 2 ** 20, messages: 4000, importBytes: 64 * 2 ** 20 } as const;

const FORMAT = "lathe-conversations";

export const exported = (conversations: readonly Conversation[]): string =>
  JSON.stringify({ format: FORMAT, version: 1, conversations }, null, 1);

type Fields = Record<string, unknown>;
const isFields = (v: unknown): v is Fields => typeof v === "object" && v !== null && !Array.isArray(v);
const isId = (v: unknown): v is string => typeof v === "string" && /^[0-9a-f]{16}$/.test(v);
const isText = (v: unknown): v is string => typeof v === "string" && v.length <= limits.textPerConversation;
const isNumber = (v: unknown): v is number => typeof v === "number" && Number.isFinite(v) && v >= 0 && v < 1e15;
const listOf = (v: unknown, most: number): readonly unknown[] => (Array.isArray(v) ? v.slice(0, most) : []);

const finishes = ["stop", "length", "stopped", "error"] as const;

function answerFrom(v: unknown): AnswerFacts | undefined {
  if (!isFields(v)) return undefined;
  const number = (key: string): number | undefined => (isNumber(v[key]) ? (v[key] as number) : undefined);
  const text = (key: string): string | undefined => (isText(v[key]) ? (v[key] as string).slice(0, 2000) : undefined);
  return {
    model: text("model") ?? "",
    finish: finishes.find(f => f === v["finish"]),
    error: text("error"),
    promptTokens: number("promptTokens"),
    cachedTokens: number("cachedTokens"),
    tokens: number("tokens"),
    counted: v["counted"] === true,
    tokensPerSecond: number("tokensPerSecond"),
    firstMs: number("firstMs"),
  };
}

const fileFrom = (v: unknown): Attachment | undefined =>
  isFields(v) && isText(v["name"]) && isText(v["text"]) ? { name: v["name"].slice(0, 120), text: v["text"] } : undefined;

function messageFrom(v: unknown, known: ReadonlySet<string>): Message | undefined {
  if (!isFields(v) || !isId(v["id"]) || known.has(v["id"]) || !isText(v["text"]) || !isNumber(v["at"])) return undefined;
  const { id, parent, role, text, at } = v;
  if (parent !== "" && !(isId(parent) && known.has(parent))) return undefined;
  if (role !== "user" && role !== "assistant") return undefined;
  const files = listOf(v["files"], 64)
    .map(fileFrom)
    .filter(f => f !== undefined);
  return {
    id,
    parent,
    role,
    text,
    at,
    ...(files.length ? { files } : {}),
    ...(role === "assistant" ? { answer: answerFrom(v["answer"]) } : {}),
  };
}

/** A conversation from anything; undefined where it is none. Messages that do not fit are left out, and with them what follows them. */
export function conversationFrom(v: unknown): Conversation | undefined {
  if (!isFields(v) || !isId(v["id"]) || !isText(v["title"]) || !isNumber(v["created"]) || !isNumber(v["updated"])) return undefined;
  const known = new Set<string>();
  const messages: Message[] = [];
  for (const given of listOf(v["messages"], limits.messages)) {
    const m = messageFrom(given, known);
    if (!m) continue;
    known.add(m.id);
    messages.push(m);
  }
  const chosen = Object.entries(isFields(v["chosen"]) ? v["chosen"] : {}).filter(
    ([k, to]) => (k === "" || known.has(k)) && isId(to) && known.has(to),
  );
  const { id, title, created, updated } = v;
  return { id, title: title.slice(0, 200), created, updated, messages, chosen: Object.fromEntries(chosen) as Record<string, string> };
}

/** The conversations of an exported file, with new ids so that nothing is overwritten; or one sentence that says why there are none. */
export function imported(json: string): readonly Conversation[] | string {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return "That file is no valid JSON.";
  }
  if (!isFields(value) || value["format"] !== FORMAT) return "That file is no export of conversations from Lathe.";
  if (value["version"] !== 1) return "That export was written by a newer version of Lathe.";
  const found = listOf(value["conversations"], limits.conversations)
    .map(conversationFrom)
    .filter(c => c !== undefined && c.messages.length > 0) as Conversation[];
  return found.length ? found.map(c => ({ ...c, id: newId() })) : "That export holds no conversation.";
}
