/**
 * The answer's text while it comes, and the ways to read it that all syntaxes share. Readers are generators that stop where they need more text and
 * go on when it is there: what they decide depends on the text alone, never on how it was cut. No unit is looked at again but the few that may begin
 * a mark.
 */
import { JsonCheck } from "./json-check.ts";
import { coded, isCode, spelled } from "./marks.ts";

/** Reads on when there is more text; its value is what was read. */
export type Reading<T> = Generator<undefined, T, undefined>;

const isSpace = (c: string): boolean => /\s/.test(c);

export class Scanner {
  readonly #codes: ReadonlyMap<string, string>;
  /** What has come and was not read. */
  #text = "";
  #ended = false;
  /** The first half of a character whose second has not come. */
  #half = "";
  /** What was read since `hold`, for the case that it was no call; kept only then. */
  #raw: string[] | undefined;

  /** `codes`: marks that are tokens, by what they are written as. */
  constructor(codes: ReadonlyMap<string, string>) {
    this.#codes = codes;
  }

  push(text: string): void {
    const all = this.#half + text;
    const whole = (all.charCodeAt(all.length - 1) & 0xfc00) === 0xd800 ? all.length - 1 : all.length;
    this.#half = all.slice(whole);
    this.#text += all.slice(0, whole);
  }

  finish(): void {
    this.#text += this.#half;
    this.#ended = true;
  }

  /** Begins to keep what is read; `before` was read already. */
  hold(before = ""): void {
    this.#raw = [before];
  }

  /** What was read since `hold`. */
  get raw(): string {
    return this.#raw?.join("") ?? "";
  }

  /** Keeps no more of what is read. */
  release(): void {
    this.#raw = undefined;
  }

  /** Reads units that are there. */
  #take(units: number): string {
    const part = spelled(this.#text.slice(0, units), this.#codes);
    this.#text = this.#text.slice(units);
    this.#raw?.push(part);
    return part;
  }

  readonly #spellings = new Map<string, string>();

  /** A mark as it comes: it, or parts of it, may be tokens. */
  #spelling = (mark: string): string => {
    let known = this.#spellings.get(mark);
    if (known === undefined) this.#spellings.set(mark, (known = coded(mark, this.#codes)));
    return known;
  };

  readonly #finders = new Map<string, RegExp>();

  /** The first of the marks in the text that is there, in one pass. */
  #first(marks: readonly string[], text = this.#text): { at: number; mark: string } | undefined {
    if (marks.length === 0) return undefined;
    const key = marks.join("\0");
    let finder = this.#finders.get(key);
    if (!finder) {
      const each = marks.map(m => `(${this.#spelling(m).replace(/[.*+?^${}()|[\]\\]/g, "\\$&")})`);
      this.#finders.set(key, (finder = new RegExp(each.join("|"))));
    }
    const found = finder.exec(text);
    return found ? { at: found.index, mark: marks[found.findIndex((group, i) => i > 0 && group !== undefined) - 1] } : undefined;
  }

  /** Units at the end that may begin a mark. */
  #tail(marks: readonly string[]): number {
    const text = this.#text;
    let most = 0;
    for (const mark of marks) {
      const own = this.#spelling(mark);
      for (let n = Math.min(text.length, own.length - 1); n > most; n--) if (text.endsWith(own.slice(0, n))) most = n;
    }
    return most;
  }

  /** Gives out everything before the first of the marks and reads it too; undefined where the text ends before one comes. */
  *until(marks: readonly string[], give: (text: string) => void): Reading<string | undefined> {
    for (;;) {
      const found = this.#first(marks);
      give(this.#take(found ? found.at : this.#text.length - (this.#ended ? 0 : this.#tail(marks))));
      if (found) {
        this.#take(this.#spelling(found.mark).length);
        return found.mark;
      }
      if (this.#ended) return undefined;
      yield;
    }
  }

  /** The text before the first of the marks, which is left; undefined, and nothing read, where there is none within `most` units. */
  *before(marks: readonly string[], most = 200): Reading<string | undefined> {
    const longest = marks.reduce((n, m) => Math.max(n, m.length), 0);
    for (;;) {
      const found = this.#first(marks, this.#text.slice(0, most + longest));
      if (found && found.at <= most) return this.#take(found.at);
      if (found || this.#ended || this.#text.length > most + longest) return undefined;
      yield;
    }
  }

  /** Reads the longest of the marks that is next; undefined, and nothing read, where none is. */
  *starts(marks: readonly string[]): Reading<string | undefined> {
    for (;;) {
      const text = this.#text;
      const mayCome = !this.#ended && marks.some(m => this.#spelling(m).length > text.length && this.#spelling(m).startsWith(text));
      if (mayCome) {
        yield;
        continue;
      }
      let mark: string | undefined;
      for (const m of marks) if (m.length > (mark?.length ?? 0) && text.startsWith(this.#spelling(m))) mark = m;
      if (mark !== undefined) this.#take(this.#spelling(mark).length);
      return mark;
    }
  }

  /** The next unit, not read; empty at the end. A mark that is a token is its whole text. */
  *peek(): Reading<string> {
    while (this.#text === "" && !this.#ended) yield;
    return spelled(this.#text.slice(0, 1), this.#codes);
  }

  /** The next unit that is neither white space nor a bracket that opens a list; nothing is read. Empty at the end. */
  *glance(): Reading<string> {
    for (;;) {
      const next = /[^\s[]/.exec(this.#text);
      if (next || this.#ended) return next ? spelled(next[0], this.#codes) : "";
      yield;
    }
  }

  /** Reads units as long as they are fit. */
  *while(fits: (unit: string) => boolean): Reading<string> {
    let out = "";
    for (;;) {
      let n = 0;
      while (n < this.#text.length && fits(this.#text[n])) n++;
      out += this.#take(n);
      if (this.#text !== "" || this.#ended) return out;
      yield;
    }
  }

  space = (): Reading<string> => this.while(isSpace);

  /** Reads one JSON value and gives it out as it comes; false where it is none or the text ends in it. */
  *json(give: (text: string) => void): Reading<boolean> {
    const check = new JsonCheck();
    let before = 0;
    for (;;) {
      const text = this.#text;
      for (let i = 0; i < text.length; i++) {
        const unit = text.charCodeAt(i);
        const verdict = this.#codes.size && isCode(unit, before) ? "bad" : check.push(text[i]);
        before = unit;
        if (verdict === "more") continue;
        give(this.#take(verdict === "done" ? i + 1 : i));
        return verdict !== "bad";
      }
      give(this.#take(text.length));
      if (this.#ended) return check.complete;
      yield;
    }
  }
}
