/**
 * Texts that stand as they are between marks, as the arguments of calls do that are written as elements: every text may come that a formula allows
 * and that does not hold the mark which ends it.
 */
import type { Expr, Grammar } from "../grammar.ts";
import { Product } from "./product.ts";

export interface RawEnd {
  /** Ends the text where it first comes. */
  readonly mark: string;
  /** Must stand before the mark and is no part of the text. */
  readonly before: string;
}

/** What is read of the mark and what comes before it: it belongs to the text unless the mark is completed. */
interface State {
  /** Of the text before. */
  readonly product: number;
  readonly held: string;
}

/** A text of bytes, one character each. */
const bytesOf = (text: string): string => String.fromCharCode(...new TextEncoder().encode(text));

/** `content`: one of some texts, or what a product accepts, which `key` names. The end is part of what is read. */
export function rawText(grammar: Grammar, content: readonly string[] | Product, end: RawEnd, key: string): Expr {
  if (!(content instanceof Product)) {
    const fit = content.filter(text => !(text + end.before).includes(end.mark));
    return grammar.seq(grammar.literals(fit), grammar.text(end.before + end.mark));
  }
  return new RawRules(grammar, content, end, key).expr();
}

class RawRules {
  readonly #grammar: Grammar;
  readonly #product: Product;
  readonly #mark: string;
  readonly #whole: string;
  readonly #key: string;

  constructor(grammar: Grammar, content: Product, end: RawEnd, key: string) {
    this.#grammar = grammar;
    this.#product = content;
    this.#key = key;
    this.#mark = bytesOf(end.mark);
    this.#whole = bytesOf(end.before + end.mark);
  }

  expr(): Expr {
    return this.#rest({ product: this.#product.start, held: "" });
  }

  #run(product: number, bytes: string): number {
    let state = product;
    for (let i = 0; i < bytes.length; i++) state = this.#product.step(state, bytes.charCodeAt(i));
    return state;
  }

  /** The state after a byte; undefined where nothing allowed can come of it. */
  #step({ product, held }: State, byte: number): State | "end" | undefined {
    const read = held + String.fromCharCode(byte);
    let from = 0;
    while (from < read.length && !this.#whole.startsWith(read.slice(from)) && !this.#mark.startsWith(read.slice(from))) from++;
    const next = { product: this.#run(product, read.slice(0, from)), held: read.slice(from) };
    const accepts = this.#product.accepts(next.product);
    if (next.held === this.#whole) return accepts ? "end" : undefined;
    if (next.held === this.#mark) return undefined;
    const canEnd = accepts && this.#whole.startsWith(next.held);
    return canEnd || this.#product.alive(this.#run(next.product, next.held)) ? next : undefined;
  }

  #rest(state: State): Expr {
    const grammar = this.#grammar;
    return grammar.lazy(`raw ${this.#key}:${state.product}:${state.held}`, () => {
      const groups = new Map<string, { next: State | "end"; ranges: [number, number][] }>();
      for (let byte = 0; byte < 256; byte++) {
        const next = this.#step(state, byte);
        if (next === undefined) continue;
        const key = next === "end" ? "end" : `${next.product}:${next.held}`;
        const group = groups.get(key);
        if (group) group.ranges.push([byte, byte]);
        else groups.set(key, { next, ranges: [[byte, byte]] });
      }
      return grammar.anyOf(
        [...groups.values()].map(({ next, ranges }) =>
          grammar.seq(grammar.ranges(ranges), next === "end" ? grammar.empty : this.#rest(next)),
        ),
      );
    });
  }
}
