/** From messages to what a model reads: attachments become fenced text, thoughts of earlier answers are left out. */
import type { Attachment, Message } from "./tree.ts";

/** A code fence that the text itself does not contain. */
function fenceFor(text: string): string {
  const longest = Math.max(0, ...Array.from(text.matchAll(/`{3,}/g), m => m[0].length));
  return "`".repeat(Math.max(3, longest + 1));
}

const fenced = ({ name, text }: Attachment): string => {
  const fence = fenceFor(text);
  return `${name}:\n${fence}\n${text.replace(/\n$/, "")}\n${fence}`;
};

/** What reasoning models write before their answer. `open`: the thought has not ended yet. */
export function splitThought(text: string): { thought: string; answer: string; open: boolean } {
  const begin = /^\s*<think>/.exec(text);
  if (!begin) return { thought: "", answer: text, open: false };
  const end = text.indexOf("</think>", begin[0].length);
  if (end < 0) return { thought: text.slice(begin[0].length), answer: "", open: true };
  return { thought: text.slice(begin[0].length, end), answer: text.slice(end + "</think>".length).trimStart(), open: false };
}

/** A message's content as the server gets it. */
export function contentOf(m: Message): string {
  if (m.role === "assistant") return splitThought(m.text).answer;
  return [...(m.files ?? []).map(fenced), m.text].filter(Boolean).join("\n\n");
}

/** A conversation for a model that has no form for conversations and just continues text. */
export const plainText = (system: string, path: readonly Message[]): string =>
  [system, ...path.map(contentOf)].filter(Boolean).join("\n\n");
