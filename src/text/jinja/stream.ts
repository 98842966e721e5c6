/** The tokens of a template as a parser reads them: one at a time with one token of lookahead, and the failures of not finding one. */
import { fail } from "./budget.ts";
import type { Token, TokenKind } from "./lexer.ts";

/** Brackets, tags and expressions inside one another, while parsing. Real templates stay below 20. */
const MAX_NESTED = 100;

const describe = (token: Token): string => (token.kind === "end" ? "the end of the template" : `'${token.text}'`);

export class TokenStream {
  readonly #tokens: readonly Token[];
  #at = 0;
  #nested = 0;
  /** All names read so far: what a macro mentions is what was added while its body was read. */
  readonly mentioned: Set<string>[] = [];

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get current(): Token {
    return this.#tokens[this.#at];
  }

  get line(): number {
    return this.current.line;
  }

  look(): Token {
    return this.#tokens[Math.min(this.#at + 1, this.#tokens.length - 1)];
  }

  next(): Token {
    const token = this.current;
    if (token.kind !== "end") this.#at++;
    return token;
  }

  is(kind: TokenKind, text?: string): boolean {
    return this.current.kind === kind && (text === undefined || this.current.text === text);
  }

  isOperator(text: string): boolean {
    return this.is("operator", text);
  }

  isName(...texts: readonly string[]): boolean {
    return this.current.kind === "name" && texts.includes(this.current.text);
  }

  skip(kind: TokenKind, text: string): boolean {
    if (!this.is(kind, text)) return false;
    this.next();
    return true;
  }

  skipOperator(text: string): boolean {
    return this.skip("operator", text);
  }

  expect(kind: TokenKind, text?: string): Token {
    if (!this.is(kind, text)) this.fail(`expected ${text === undefined ? `a ${kind}` : `'${text}'`}, got ${describe(this.current)}`);
    return this.next();
  }

  fail(message: string): never {
    return fail(message, this.line);
  }

  unexpected(): never {
    return this.fail(`unexpected ${describe(this.current)}`);
  }

  /** Runs a part of the parser that can contain itself. */
  nest<T>(parse: () => T): T {
    if (++this.#nested > MAX_NESTED) this.fail("The template is nested too deeply.");
    const result = parse();
    this.#nested--;
    return result;
  }

  /** Notes that the template mentions a name. */
  mention(name: string): void {
    for (const set of this.mentioned) set.add(name);
  }
}
