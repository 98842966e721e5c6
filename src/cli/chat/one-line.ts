/** Streams a text onto one line: every run of white space with a line break in it becomes one space; at the ends it is dropped. */
export class OneLine {
  #held = "";
  #begun = false;

  /** What can be printed now. White space at the end is held back until something follows it. */
  push(text: string): string {
    const all = this.#held + text;
    const end = all.trimEnd().length;
    this.#held = all.slice(end);
    if (end === 0) return "";
    const body = all.slice(0, end).replace(/\s*\n\s*/g, " ");
    const out = this.#begun ? body : body.replace(/^\s+/, "");
    this.#begun = true;
    return out;
  }
}
