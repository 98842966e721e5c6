/**
 * How models write tool calls: the marks around a call, known by the chat template that teaches them. What stands between the marks is JSON in
 * all of these; the names of its keys differ. A new syntax of that kind is a line here (TOKENIZERS 11.1).
 */

export interface ToolSyntax {
  readonly name: string;
  /** Begins one call or a list of calls. Absent: the whole answer is calls, without marks. */
  readonly open?: string;
  /** Ends it; absent where the answer's end does. */
  readonly close?: string;
}

/** In the order in which templates are searched for them: a mark that contains another one comes first. */
export const toolSyntaxes: readonly ToolSyntax[] = [
  { name: "hermes", open: "<tool_call>", close: "</tool_call>" },
  { name: "nemotron", open: "<TOOLCALL>", close: "</TOOLCALL>" },
  { name: "phi-4", open: "<|tool_call|>", close: "<|/tool_call|>" },
  { name: "granite-3", open: "<|tool_call|>" },
  { name: "command-r", open: "<|START_ACTION|>", close: "<|END_ACTION|>" },
  { name: "mistral", open: "[TOOL_CALLS]" },
];

/** Llama 3 and others that answer with nothing but JSON. */
export const bareSyntax: ToolSyntax = { name: "json" };

/** What models without a syntax of their own are taught. */
export const taughtSyntax: ToolSyntax = toolSyntaxes[0];

/** The syntax of a chat template that shows tools to the model; undefined where it shows none, and the model has to be taught. */
export function syntaxOf(template: string): ToolSyntax | undefined {
  if (!/\btools\b/.test(template)) return undefined;
  const marked = toolSyntaxes.find(s => template.includes(s.open!) && (s.close === undefined || template.includes(s.close)));
  return marked ?? bareSyntax;
}

/** The marks of a syntax and of reasoning: control tokens among them must be shown to the parser. */
export const marksOf = (syntax: ToolSyntax | undefined): string[] =>
  [syntax?.open, syntax?.close, THINK.open, THINK.close].filter(m => m !== undefined);

/** What most reasoning models put around their thoughts. */
export const THINK = { open: "<think>", close: "</think>" } as const;
