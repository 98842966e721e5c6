/**
 * How one model speaks, found from its chat template: its syntax of tool calls, the marks around its thoughts (TOKENIZERS 11.3) and those around its
 * words.
 */
import { callMarksOf, syntaxOf, type ToolSyntax } from "./syntaxes.ts";

/** Marks around thoughts. */
export interface Thoughts {
  readonly open: string;
  readonly close: string;
  /** Stands behind the opening mark and is no thought. */
  readonly label?: string;
}

/** What most reasoning models put around their thoughts; looked for whatever the template says. */
const THINK: Thoughts = { open: "<think>", close: "</think>" };
const thoughts: readonly Thoughts[] = [
  THINK,
  { open: "[THINK]", close: "[/THINK]" },
  { open: "<|START_THINKING|>", close: "<|END_THINKING|>" },
  { open: "<seed:think>", close: "</seed:think>" },
  { open: "<|channel>", close: "<channel|>", label: "thought" },
  { open: "<thought>", close: "</thought>" },
  { open: "<|inner_prefix|>", close: "<|inner_suffix|>" },
  { open: "◁think▷", close: "◁/think▷" },
];

/** Marks around an answer's words, which say nothing. */
const silent = [
  "<|START_RESPONSE|>",
  "<|END_RESPONSE|>",
  "<|START_TEXT|>",
  "<|END_TEXT|>",
  "<response>",
  "</response>",
  "<answer>",
  "</answer>",
];

/** How one model speaks. */
export interface Manner {
  readonly syntax?: ToolSyntax;
  readonly thoughts: readonly Thoughts[];
  readonly silent: readonly string[];
}

/** How the model of a template speaks. `syntax` in place of the template's own. */
export function mannerOf(template: string, syntax?: ToolSyntax): Manner {
  const shown = (mark: string): boolean => template.includes(mark);
  return {
    syntax: syntax ?? syntaxOf(template),
    thoughts: thoughts.filter(t => t === THINK || shown(t.open) || shown(t.close)),
    // Both kinds of pairs, so that a template that speaks of an <answer> loses none.
    silent: silent.filter((mark, i) => shown(mark) && shown(silent[i ^ 1])),
  };
}

/** All marks of a manner that may be tokens of their own. */
export function marksOf({ syntax, thoughts: own, silent: quiet }: Manner): string[] {
  return [...(syntax ? callMarksOf(syntax) : []), ...own.flatMap(t => [t.open, t.close]), ...quiet];
}

/** The thoughts that a prompt with this end leaves the model in the middle of. */
export function openThoughts({ thoughts: own }: Manner, ending: string): Thoughts | undefined {
  const end = ending.trimEnd();
  return own.find(t => end.endsWith(t.open) || (t.label !== undefined && end.endsWith(t.open + t.label)));
}
