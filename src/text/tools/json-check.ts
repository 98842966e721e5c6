/** Reads a JSON text unit by unit and knows where the value ends; what is no JSON is known at the first unit that shows it. */

/** `done`: the value ends with this unit; `before`: it ended before it. */
export type Verdict = "more" | "done" | "before" | "bad";

/** Deeper values count as none. */
const DEEPEST = 256;
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const words = ["true", "false", "null"];

type Place = "value" | "first" | "item" | "key" | "colon" | "comma" | "string" | "escape" | "hex" | "number" | "word";

export class JsonCheck {
  #place: Place = "value";
  /** What closes the lists and objects that are open, innermost last. */
  readonly #open: ("}" | "]")[] = [];
  /** The string that is read is a key. */
  #key = false;
  #word = "";
  #digits = 0;

  push(unit: string): Verdict {
    switch (this.#place) {
      case "string":
        return this.#string(unit);
      case "escape":
        this.#place = unit === "u" ? "hex" : "string";
        this.#digits = 0;
        return '"\\/bfnrtu'.includes(unit) ? "more" : "bad";
      case "hex":
        if (++this.#digits === 4) this.#place = "string";
        return /[0-9a-fA-F]/.test(unit) ? "more" : "bad";
      case "number":
      case "word":
        return this.#bare(unit);
    }
    if (unit === " " || unit === "\n" || unit === "\t" || unit === "\r") return "more";
    return this.#between(unit);
  }

  /** Whether the text may end here: true of numbers, whose end shows only in what follows. */
  get complete(): boolean {
    return this.#open.length === 0 && this.#place === "number" && NUMBER.test(this.#word);
  }

  #string(unit: string): Verdict {
    if (unit === "\\") this.#place = "escape";
    else if (unit === '"') {
      if (!this.#key) return this.#valueEnds();
      this.#key = false;
      this.#place = "colon";
    }
    return unit < " " ? "bad" : "more";
  }

  #bare(unit: string): Verdict {
    const number = this.#place === "number";
    if (number ? /[-+.0-9eE]/.test(unit) : /[a-z]/.test(unit)) {
      this.#word += unit;
      if (number) return this.#word.length < 400 ? "more" : "bad";
      if (words.includes(this.#word)) return this.#valueEnds();
      return words.some(w => w.startsWith(this.#word)) ? "more" : "bad";
    }
    if (!number || !NUMBER.test(this.#word)) return "bad";
    return this.#valueEnds() === "done" ? "before" : this.push(unit);
  }

  #between(unit: string): Verdict {
    const place = this.#place;
    const closes = this.#open.at(-1);
    if (unit === closes && (place === "comma" || place === "first")) {
      this.#open.pop();
      return this.#valueEnds();
    }
    if (place === "colon") this.#place = unit === ":" ? "value" : place;
    if (place === "colon") return unit === ":" ? "more" : "bad";
    if (place === "comma") {
      this.#place = closes === "}" ? "key" : "item";
      return unit === "," ? "more" : "bad";
    }
    if (place === "key" || (place === "first" && closes === "}")) {
      this.#place = "string";
      this.#key = true;
      return unit === '"' ? "more" : "bad";
    }
    return this.#value(unit);
  }

  #value(unit: string): Verdict {
    if (unit === "{" || unit === "[") {
      this.#open.push(unit === "{" ? "}" : "]");
      this.#place = "first";
      return this.#open.length > DEEPEST ? "bad" : "more";
    }
    if (unit === '"') this.#place = "string";
    else {
      this.#place = /[a-z]/.test(unit) ? "word" : "number";
      this.#word = unit;
      if (!/[-0-9tfn]/.test(unit)) return "bad";
    }
    return "more";
  }

  #valueEnds(): Verdict {
    this.#place = "comma";
    return this.#open.length === 0 ? "done" : "more";
  }
}
