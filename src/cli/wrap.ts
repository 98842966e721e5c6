/**
 * Breaks streamed text between words at the edge of a terminal. The word that is being written is held back until its end is known. Scripts
 * that are written without spaces are left to the terminal, which breaks them anywhere.
 */

/** Characters that fill two columns: East Asian ones and most emoji. */
const wide = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{1f300}-\u{1faff}]/u;

const widthOf = (text: string): number => [...text].reduce((sum, c) => sum + (wide.test(c) ? 2 : 1), 0);

export class Wrapped {
  readonly #columns: () => number;
  #word = "";
  #column = 0;

  /** `columns`: how wide the terminal is now. */
  constructor(columns: () => number) {
    this.#columns = columns;
  }

  /** Whether the cursor is somewhere in a line. */
  get inLine(): boolean {
    return this.#column > 0;
  }

  /** What can be printed now. */
  push(text: string): string {
    let out = "";
    for (const piece of text.split(/(\s)/)) {
      if (piece === "") continue;
      if (/\s/.test(piece)) out += this.end() + this.#space(piece);
      else this.#word += piece;
      if (wide.test(this.#word) || this.#word.length > this.#columns()) out += this.end();
    }
    return out;
  }

  /** What is held back. */
  end(): string {
    const word = this.#word;
    const width = widthOf(word);
    const columns = this.#columns();
    const breaks = this.#column > 0 && this.#column + width > columns && width <= columns && !wide.test(word);
    this.#word = "";
    this.#column = breaks ? width : (this.#column + width) % columns || (width ? columns : this.#column);
    return (breaks ? "\n" : "") + word;
  }

  #space(space: string): string {
    if (space === "\n") this.#column = 0;
    else if (this.#column >= this.#columns())
      return ""; // the break that follows stands for it
    else this.#column += space === "\t" ? 8 - (this.#column % 8) : 1;
    return space;
  }
}
