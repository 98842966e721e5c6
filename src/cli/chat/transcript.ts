/** `/save`: a conversation as JSON or Markdown, by the file's ending. A file is whole or not written. */
import { homedir } from "node:os";
import { join } from "node:path";
import type { Conversation, Turn } from "./conversation.ts";

const headings: Readonly<Record<Turn["role"], string>> = { system: "System", user: "You", assistant: "Model" };

export function markdown(model: string, turns: readonly Turn[], messages: boolean): string {
  if (!messages)
    return `# ${model}\n\n${turns.map(t => (t.role === "user" ? `**${t.content.trim()}**` : t.content.trim())).join("\n\n")}\n`;
  return `# ${model}\n${turns.map(t => `\n## ${headings[t.role]}\n\n${t.content.trim()}\n`).join("")}`;
}

/** Writes it and gives the path. @throws LatheError file.write-failed */
export async function saveTranscript(file: string, { model, turns, messages }: Conversation): Promise<string> {
  const { atomicWrite } = await import("../library.ts");
  const path = file.startsWith("~/") ? join(homedir(), file.slice(2)) : file;
  const { name } = model.info;
  const text = /\.json$/i.test(path) ? `${JSON.stringify({ model: name, messages: turns }, null, 2)}\n` : markdown(name, turns, messages);
  await atomicWrite(path, async write => write(new TextEncoder().encode(text)));
  return path;
}
