/**
 * What one rendering may spend: steps, characters touched, the size of any one text, depth. A chat template comes from a file that nobody
 * vouches for, so every loop, repetition and copy of the interpreter is charged here before it happens.
 * Owns `Failure`, the one way in which a template fails inside the interpreter; `template.ts` turns it into a `LatheError`.
 */

/** A template that cannot go on. Thrown inside the interpreter only; the line is added where the failure leaves it. */
export class Failure extends Error {
  readonly line: number | undefined;

  constructor(message: string, line?: number) {
    super(message);
    this.line = line;
  }
}

export function fail(message: string, line?: number): never {
  throw new Failure(message, line);
}

/** A step stands for some 100 ns of the slowest machine that is measured, a character of work for 1 ns; whatever takes longer is charged more. */
const MAX_STEPS = 1_000_000;
/** Elements of one `range()`; the same number as in the sandbox of Jinja2. */
export const MAX_RANGE = 100_000;
/** Levels of expressions, statements and macro calls inside one another; measured to fit a small thread's stack. */
const MAX_DEPTH = 600;
/** Levels of lists and dicts inside one another when they are printed or compared. */
export const MAX_NESTING = 100;
const MIB = 1 << 20;

export class Budget {
  /** Characters that any one text, the output included, may have. */
  readonly maxText: number;
  #steps: number;
  #work: number;
  #depth = 0;

  /** `input`: characters of the template and of all texts in the context. Fewer steps allow less text in proportion. */
  constructor(input: number, steps: number = MAX_STEPS) {
    this.maxText = 4 * input + MIB;
    this.#steps = steps;
    // Real templates look at each message a few dozen times (startswith, split, strip, concatenation).
    this.#work = Math.round((64 * input + 8 * MIB) * (steps / MAX_STEPS));
  }

  /** Charges `count` steps: one for each node evaluated and for each element made or visited. */
  step(count = 1): void {
    this.#steps -= count;
    if (this.#steps < 0) fail("The template takes too many steps.");
  }

  /** Charges for characters that are read or copied. */
  work(characters: number): void {
    this.#work -= characters;
    if (this.#work < 0) fail("The template processes too much text.");
  }

  /** Charges for `added` characters that bring a text to `total`. Call it before the text is made. */
  grow(total: number, added: number): void {
    if (total > this.maxText) fail("The template makes a text that is too long.");
    this.work(added);
  }

  enter(): void {
    if (++this.#depth > MAX_DEPTH) fail("The template is nested too deeply.");
  }

  leave(): void {
    this.#depth--;
  }
}
