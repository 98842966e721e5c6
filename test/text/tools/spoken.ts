/** Answers read by the parser, for the tests of this folder: events put together so that only what they say is compared, not how it was cut. */
import type { Spoken } from "../../../src/text/tools/events.ts";
import { type Manner, mannerOf } from "../../../src/text/tools/manner.ts";
import { AnswerParser, type ParserOptions } from "../../../src/text/tools/parser.ts";
import { chosenSyntax } from "../../../src/text/tools/syntaxes.ts";

export type Options = Partial<ParserOptions>;

/** The manner of a syntax, whatever template teaches it; with the marks around thoughts that `template` shows. */
export const manner = (name: string | undefined, template = ""): Manner => ({
  ...mannerOf(template),
  syntax: name === undefined ? undefined : chosenSyntax(name),
});

export function spoken(pieces: readonly string[], options: Options): Spoken[] {
  const parser = new AnswerParser({ ...manner(undefined), ...options });
  const all = [...pieces.flatMap(p => parser.push(p)), ...parser.end()];
  const out: Spoken[] = [];
  for (const part of all) {
    const last = out.at(-1);
    if (last && "text" in last && "text" in part && part.type === last.type) out[out.length - 1] = { ...last, text: last.text + part.text };
    else out.push(part);
  }
  return out;
}
export const whole = (text: string, options: Options): Spoken[] => spoken([text], options);

/** Without how calls came; texts that then stand side by side are one. */
export function told(parts: readonly Spoken[]): object[] {
  const out: { text?: string }[] = [];
  for (const p of parts) {
    const last = out.at(-1);
    if (p.type === "tool-call") out.push({ call: p.name, ...(p.id !== undefined && { id: p.id }), arguments: p.arguments } as object);
    else if (p.type === "text" && last?.text !== undefined) last.text += p.text;
    else if (p.type === "text" || p.type === "reasoning") out.push({ [p.type]: p.text });
  }
  return out;
}
