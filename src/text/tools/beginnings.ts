/** Where calls begin in an answer that is free to make none: what is looked for in it, so that what follows can be held to the family's form. */
import { openingOf } from "./call-forms.ts";
import type { Manner } from "./manner.ts";
import type { ForcedForm, ToolSyntax } from "./syntaxes.ts";

export interface Beginnings {
  /** Each begins calls wherever it comes outside of thoughts, and is the first of what the form writes. */
  readonly anywhere: readonly string[];
  /** Where nothing marks calls they come before any words: what could be one as far as it goes is one when it holds one of these. */
  readonly first: readonly string[];
  /** After these it is as if no words had come. */
  readonly anew: readonly string[];
}

/** Of calls of these tools. */
export function beginningsOf({ syntax, silent }: Manner & { syntax: ToolSyntax }, form: ForcedForm, names: readonly string[]): Beginnings {
  const opening = openingOf(form);
  const marks = (syntax.open ?? []).filter(mark => opening.startsWith(mark)).sort((a, b) => b.length - a.length);
  if (opening !== "") return { anywhere: [marks[0] ?? opening], first: [], anew: [] };
  // As readers of bare calls have it: only a known name makes one.
  const first = names.map(name => ("named" in form.call ? name + form.call.named : JSON.stringify(name)));
  return { anywhere: [], first, anew: [...(syntax.open ?? []), ...(form.between ? [form.between] : []), ...silent] };
}
