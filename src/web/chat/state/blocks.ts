/**
 * Markdown as a list of blocks, for a text that grows: blocks that can no longer change are parsed once and keep their identity, so that a
 * long answer costs what its last blocks cost. HTML is no markup here: it arrives as tokens of type "html" and is shown as the text it is.
 */
import { Lexer, type Token } from "marked";

/** Blocks at the end that more text may still change. */
const UNSETTLED = 3;

const parse = (text: string): Token[] => {
  try {
    return new Lexer({ gfm: true, breaks: true }).lex(text);
  } catch {
    // Nested too deeply for the parser: shown as it is.
    return [{ type: "code", raw: text, text }];
  }
};

export class Blocks {
  #settled: Token[] = [];
  #length = 0;
  #text = "";

  /** The blocks of the text. Where it goes on from the last one, only the end is parsed. `whole`: it grows no more, and is parsed at once. */
  read(text: string, whole: boolean): readonly Token[] {
    const grown = !whole && text.length >= this.#text.length && text.startsWith(this.#text.slice(-64), Math.max(0, this.#text.length - 64));
    if (!grown) {
      this.#settled = [];
      this.#length = 0;
    }
    this.#text = text;
    const rest = parse(text.slice(this.#length));
    if (whole) return rest;
    for (const token of rest.splice(0, Math.max(0, rest.length - UNSETTLED))) {
      this.#settled.push(token);
      this.#length += token.raw.length;
    }
    // What is left was parsed above; only the identity of settled blocks matters to whoever draws them.
    return [...this.#settled, ...rest];
  }
}

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

/** Character references in running text, which Markdown takes over from HTML. */
export const decoded = (text: string): string =>
  text.replace(/&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(amp|lt|gt|quot|apos|nbsp));/g, (all, decimal, hex, name) => {
    if (name) return entities[name];
    const code = decimal ? Number(decimal) : Number.parseInt(hex, 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : all;
  });

/** An address that a link may have; undefined for scripts, local files and whatever else. */
export function safeAddress(href: string): string | undefined {
  try {
    const url = new URL(decoded(href));
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}
