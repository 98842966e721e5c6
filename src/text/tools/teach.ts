/**
 * Tools for models whose chat template knows none: what the tools are and how to call them is said in the system message, calls and results
 * become plain text. The form is Hermes', which many small models have seen.
 */
import type { ChatMessage, ChatToolCall } from "../chat.ts";
import { CALL } from "./syntaxes.ts";

const [open, close] = CALL;

const lesson = (tools: readonly unknown[]): string =>
  [
    "You can call these tools:",
    ...tools.map(t => JSON.stringify(t)),
    `To call one, write its name and its arguments as JSON: ${open}{"name": "...", "arguments": {...}}${close}. The result is told to you afterwards.`,
  ].join("\n");

const spelled = ({ function: { name, arguments: given } }: ChatToolCall): string =>
  `${open}\n{"name": ${JSON.stringify(name)}, "arguments": ${typeof given === "string" ? given : JSON.stringify(given)}}\n${close}`;

const textOf = (content: ChatMessage["content"]): string =>
  typeof content === "string" ? content : (content ?? []).map(p => p.text ?? "").join("");

/** The same conversation without tool calls, tool roles and results of their own kind. */
export function taught(messages: readonly ChatMessage[], tools: readonly unknown[]): ChatMessage[] {
  const system = messages[0]?.role === "system" ? textOf(messages[0].content) : "";
  const rest = system ? messages.slice(1) : messages;
  const out: ChatMessage[] = [{ role: "system", content: [system, lesson(tools)].filter(Boolean).join("\n\n") }];
  for (const message of rest) {
    const { tool_calls: calls, ...own } = message;
    if (calls?.length) out.push({ ...own, content: [textOf(message.content), ...calls.map(spelled)].filter(Boolean).join("\n") });
    else if (message.role !== "tool") out.push(message);
    else {
      const text = `<tool_response>\n${textOf(message.content)}\n</tool_response>`;
      const last = out.at(-1)!;
      // Results of one round are one turn: many templates want the roles to take turns.
      if (last.role === "user" && out.length > 1 && textOf(last.content).endsWith("</tool_response>"))
        out[out.length - 1] = { role: "user", content: `${textOf(last.content)}\n${text}` };
      else out.push({ role: "user", content: text });
    }
  }
  return out;
}
