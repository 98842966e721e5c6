/** From the prompts of the Vercel AI SDK to messages: each part of a message finds its place, and what has none is refused. */
import type { LanguageModelV3Message, LanguageModelV3Prompt, LanguageModelV3ToolResultOutput } from "@ai-sdk/provider";
import { LatheError } from "../errors.ts";
import type { ChatMessage } from "../text/chat.ts";

function unsupported(type: string): LatheError {
  return new LatheError("option.invalid", `Messages cannot have parts of type ${type} here; this model takes text.`, { type });
}

/** Files that are text are text; everything else needs a model that sees or hears. */
function textOf(part: { type: string; text?: string; data?: unknown; mediaType?: string }): string {
  if (part.type === "text") return part.text!;
  if (part.type === "file" && part.mediaType?.startsWith("text/") && part.data instanceof Uint8Array)
    return new TextDecoder().decode(part.data);
  throw unsupported(part.mediaType ?? part.type);
}

function outputText(output: LanguageModelV3ToolResultOutput): string {
  switch (output.type) {
    case "text":
      return output.value;
    case "json":
      return JSON.stringify(output.value);
    case "error-text":
    case "error-json":
      return JSON.stringify({ error: output.value });
    case "execution-denied":
      return JSON.stringify({ error: output.reason ?? "The user did not allow this call." });
    case "content":
      return output.value.map(textOf).join("\n");
  }
}

type Assistant = Extract<LanguageModelV3Message, { role: "assistant" }>;

function assistantMessage({ content }: Assistant): ChatMessage {
  let [text, reasoning] = ["", ""];
  const calls: NonNullable<ChatMessage["tool_calls"]>[number][] = [];
  for (const part of content) {
    if (part.type === "reasoning") reasoning += part.text;
    else if (part.type === "tool-call") {
      const given = typeof part.input === "string" ? part.input : JSON.stringify(part.input ?? {});
      calls.push({ id: part.toolCallId, type: "function", function: { name: part.toolName, arguments: given } });
    } else text += textOf(part);
  }
  return {
    role: "assistant",
    content: text,
    ...(reasoning && { reasoning_content: reasoning }),
    ...(calls.length && { tool_calls: calls }),
  };
}

function converted(message: LanguageModelV3Message): ChatMessage[] {
  switch (message.role) {
    case "system":
      return [{ role: "system", content: message.content }];
    case "user":
      return [{ role: "user", content: message.content.map(textOf).join("\n") }];
    case "assistant":
      return [assistantMessage(message)];
    case "tool":
      return message.content.map(part => {
        if (part.type !== "tool-result") throw unsupported(part.type);
        return { role: "tool", tool_call_id: part.toolCallId, name: part.toolName, content: outputText(part.output) };
      });
  }
}

/** @throws LatheError option.invalid for parts that are neither text, reasoning nor tools. */
export const messagesOf = (prompt: LanguageModelV3Prompt): ChatMessage[] => prompt.flatMap(converted);
