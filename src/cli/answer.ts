/**
 * Prints an answer to stdout while it is written: on a terminal wrapped between words and without control characters, elsewhere exactly as
 * it is. In both cases it ends on a line of its own, also when it is cut short.
 */
import { columns, paint, print, printable } from "./terminal.ts";
import { Wrapped } from "./wrap.ts";

/** The most that is shown of a text that is continued: its end. */
const BEGINNING = 240;

export class AnswerWriter {
  readonly #terminal = Boolean(process.stdout.isTTY);
  readonly #wrapped = new Wrapped(() => columns(process.stdout));
  #continued: string;
  #last = "\n";

  /** `continued`: what the answer continues. Terminals show it first, as an answer reads badly without its beginning. */
  constructor(continued = "") {
    this.#continued = this.#terminal ? continued : "";
  }

  write(text: string): void {
    if (!text) return;
    if (this.#continued) print(this.#beginning());
    this.#last = text;
    print(this.#terminal ? this.#wrapped.push(printable(text)) : text);
  }

  #beginning(): string {
    const all = this.#continued;
    this.#continued = "";
    const end = all.length > BEGINNING ? all.slice(-BEGINNING).replace(/^\S*\s+/, "… ") : all;
    return paint("dim", this.#wrapped.push(printable(end)) + this.#wrapped.end());
  }

  /** Prints what is held back, and a line break where there is none. */
  endLine(): void {
    print(this.#wrapped.end());
    if (!this.#last.endsWith("\n")) print("\n");
    this.#last = "\n";
  }
}
