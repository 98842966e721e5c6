/** How SentencePiece treats spaces: collapses them, puts one before (or after) the text, writes them as U+2581. */

export interface SpaceRules {
  /** Runs of spaces become one, and those at both ends go. */
  readonly collapse: boolean;
  /** A space before the text, or after it where `suffix` is set; not where the text is empty. */
  readonly add: boolean;
  readonly suffix: boolean;
  /** Spaces are written as U+2581. */
  readonly escape: boolean;
}

/** `first`: the text begins here; a text that goes on after a special token gets no second space. */
export function spaced(text: string, { collapse, add, suffix, escape: escapes }: SpaceRules): string {
  let result = text;
  if (collapse) result = collapsed(text);
  if (result !== "" && add) result = suffix ? `${result} ` : ` ${result}`;
  return escapes ? result.replaceAll(" ", "▁") : result;
}

/** Without an expression: a run of spaces takes linear time whatever follows it. */
function collapsed(text: string): string {
  return text
    .split(" ")
    .filter(part => part !== "")
    .join(" ");
}
