/**
 * Strings that remember where each of their characters comes from: from the template (trusted) or from the data (untrusted).
 * Owns the representation, cutting and building; the operations that templates know (strip, split, ...) are built from these in
 * `string-cut.ts` and `string-case.ts`. Offsets are UTF-16 units here; Python's code-point indices are converted by `unit` and `point`.
 */
import type { Budget } from "./budget.ts";

/** One piece of rendered text. Only trusted pieces may become control tokens. */
export interface Segment {
  readonly text: string;
  readonly trusted: boolean;
}

/** What one piece of a text costs beyond its characters where it is added or changed. */
export const PIECE_COST = 64;
/** What a change of origin costs where a text is changed piece by piece. */
export const CHANGE_COST = 256;
const NONE: readonly number[] = [];
const SURROGATE = /[\ud800-\udbff][\udc00-\udfff]/;

export class Text {
  readonly text: string;
  /** Where the first character comes from. */
  readonly trusted: boolean;
  /** The offsets at which the origin changes, ascending, each inside the text. */
  readonly flips: readonly number[];
  /** Declared safe for HTML: adding it to a plain string escapes that string. */
  readonly markup: boolean;
  /** Offsets of the code points; null when they equal the units. Made when first needed. */
  #points: Uint32Array | null | undefined = undefined;

  constructor(text: string, trusted: boolean, flips: readonly number[] = NONE, markup = false) {
    this.text = text;
    this.trusted = trusted;
    this.flips = flips;
    this.markup = markup;
  }

  static readonly empty = new Text("", true);

  get length(): number {
    return this.text.length;
  }

  /** Where the character at a unit offset comes from. */
  trustAt(offset: number): boolean {
    return this.trusted !== (firstAbove(this.flips, offset) % 2 === 1);
  }

  slice(from: number, to: number = this.text.length): Text {
    if (from <= 0 && to >= this.text.length) return this;
    if (from >= to) return this.markup ? new Text("", true, NONE, true) : Text.empty;
    const first = firstAbove(this.flips, from);
    const last = firstAbove(this.flips, to - 1);
    const flips = first === last ? NONE : this.flips.slice(first, last).map(at => at - from);
    const part = new Text(this.text.slice(from, to), this.trusted !== (first % 2 === 1), flips, this.markup);
    if (this.#points === null) part.#points = null;
    return part;
  }

  /** The pieces of one origin, in order. */
  segments(): Segment[] {
    const out: Segment[] = [];
    let from = 0;
    let trusted = this.trusted;
    for (const to of [...this.flips, this.text.length]) {
      if (to > from) out.push({ text: this.text.slice(from, to), trusted });
      trusted = !trusted;
      from = to;
    }
    return out;
  }

  /**
   * Changes the characters. `local` promises that the length of each character's replacement does not depend on its neighbours; without
   * that promise (title case) a change of length leaves the origins unknown, and then nothing is trusted.
   */
  map(change: (text: string) => string, local = true): Text {
    const whole = change(this.text);
    if (this.flips.length === 0) return new Text(whole, this.trusted, NONE, this.markup);
    const pieces = this.segments();
    let at = 0;
    const ends = pieces.map(piece => (at += change(piece.text).length));
    const aligned = at === whole.length && (local || pieces.every((piece, i) => ends[i] - (ends[i - 1] ?? 0) === piece.text.length));
    return aligned ? new Text(whole, this.trusted, ends.slice(0, -1), this.markup) : new Text(whole, false, NONE, this.markup);
  }

  asMarkup(markup = true): Text {
    return this.markup === markup ? this : new Text(this.text, this.trusted, this.flips, markup);
  }

  /** The first question about code points reads the whole text, and pays for it. */
  #offsets(budget: Budget): Uint32Array | null {
    if (this.#points === undefined) {
      budget.work(this.text.length);
      const wide = SURROGATE.test(this.text);
      if (wide) budget.work(8 * this.text.length);
      this.#points = wide ? codePointOffsets(this.text) : null;
    }
    return this.#points;
  }

  /** Length in code points, as Python counts. */
  points(budget: Budget): number {
    return this.#offsets(budget)?.length ?? this.text.length;
  }

  /** The unit offset of a code point, from 0 to `points`. */
  unit(point: number, budget: Budget): number {
    const offsets = this.#offsets(budget);
    return offsets === null ? point : point < offsets.length ? offsets[point] : this.text.length;
  }

  /** The code point at a unit offset. */
  point(unit: number, budget: Budget): number {
    const offsets = this.#offsets(budget);
    return offsets === null ? unit : firstAbove(offsets, unit - 1);
  }

  /** The character at a code-point index. */
  charAt(point: number, budget: Budget): Text {
    return this.slice(this.unit(point, budget), this.unit(point + 1, budget));
  }
}

/** How many entries are at most `value`: the index of the first one above it. */
function firstAbove(sorted: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const mid = (low + high) >>> 1;
    if (sorted[mid] <= value) low = mid + 1;
    else high = mid;
  }
  return low;
}

function codePointOffsets(text: string): Uint32Array {
  const offsets = new Uint32Array(text.length);
  let count = 0;
  for (let at = 0; at < text.length; at += text.codePointAt(at)! > 0xffff ? 2 : 1) offsets[count++] = at;
  return offsets.slice(0, count);
}

/** Pieces that are kept apart before they are joined. */
const MOST_PIECES = 4096;

/** Collects a text piece by piece, under the budget. Pieces are kept in a list: a chain of `+=` would be a new object for each of them. */
export class TextBuilder {
  readonly #budget: Budget;
  #joined = "";
  #pieces: string[] = [];
  #length = 0;
  #flips: number[] = [];
  #first = true;
  #last = true;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  get length(): number {
    return this.#length;
  }

  add(text: string, trusted: boolean): this {
    if (text.length === 0) return this;
    this.#budget.grow(this.#length + text.length, text.length + PIECE_COST);
    if (this.#length === 0) this.#first = trusted;
    else if (trusted !== this.#last) this.#flips.push(this.#length);
    this.#last = trusted;
    this.#length += text.length;
    if (this.#pieces.push(text) >= MOST_PIECES) this.#join();
    return this;
  }

  #join(): string {
    this.#joined += this.#pieces.join("");
    this.#pieces = [];
    return this.#joined;
  }

  addText(piece: Text): this {
    if (piece.flips.length === 0) return this.add(piece.text, piece.trusted);
    this.#budget.work(PIECE_COST * piece.flips.length);
    for (const { text, trusted } of piece.segments()) this.add(text, trusted);
    return this;
  }

  done(markup = false): Text {
    return new Text(this.#join(), this.#first, this.#flips, markup);
  }
}

/** Two texts in a row. Cheap for the many templates that append to one text in a loop. */
export function concat(budget: Budget, a: Text, b: Text): Text {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  const length = a.length;
  budget.grow(length + b.length, Math.min(length, b.length) + 4 * (a.flips.length + b.flips.length));
  const lastOfA = a.trusted !== (a.flips.length % 2 === 1);
  const seam = lastOfA === b.trusted ? NONE : [length];
  const plain = a.flips.length + b.flips.length + seam.length === 0;
  const flips = plain ? NONE : [...a.flips, ...seam, ...b.flips.map(at => at + length)];
  return new Text(a.text + b.text, a.trusted, flips);
}

export function joinTexts(budget: Budget, parts: readonly Text[], separator: Text = Text.empty): Text {
  const out = new TextBuilder(budget);
  parts.forEach((part, i) => {
    if (i > 0) out.addText(separator);
    out.addText(part);
  });
  return out.done();
}

export function repeatText(budget: Budget, text: Text, count: number): Text {
  if (count <= 0 || text.length === 0) return Text.empty;
  budget.grow(text.length * count, text.length * count);
  if (text.flips.length === 0) return new Text(text.text.repeat(count), text.trusted);
  // A text that ends otherwise than it begins changes its origin at each seam, too.
  const own = text.flips.length % 2 ? [0, ...text.flips] : text.flips;
  budget.work(256 * count * own.length); // each makes a piece of its own wherever the text is written
  const flips: number[] = [];
  for (let i = 0; i < count; i++) for (const at of own) if (at + i > 0) flips.push(i * text.length + at);
  return new Text(text.text.repeat(count), text.trusted, flips);
}

/** Text that the template itself makes: numbers, words such as None, white space. */
export const own = (text: string): Text => new Text(text, true);
