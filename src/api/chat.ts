/** The names of conversations, tools and what goes with them: the subpath `lathe/chat`. */
export type { ChatMessage, ChatPart, ChatToolCall } from "../text/chat.ts";
export type { Dropped, Overflow } from "./context.ts";
export { Conversation, type ConversationOptions, type SendOptions } from "./conversation.ts";
export type { ChatOptions } from "./round.ts";
export type { JsonSchema, StandardSchema, ValueOf } from "./standard.ts";
export { type Tool, type ToolCall, type ToolChoice, type ToolContext, tool } from "./tools.ts";
