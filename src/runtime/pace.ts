/**
 * How many members of a team take part, chosen by measurement. Small models are fastest on few threads, and so is every model where other
 * programs hold cores; large ones want all. The pace times the runs of one kind, tries a neighbouring number now and then, and keeps what is
 * faster. Results never depend on it.
 */

/** A trial is so many runs, of which the first, where members wake up, does not count. */
const TRIAL = 4;
/** Runs from one trial to the next: few at first and when something has changed, then more and more. */
const SOONEST = 6;
const LATEST = 400;
/** Another number must be better by this part. */
const BETTER = 0.95;
/** A run's weight in the running mean, and in the slow one that tells whether something has changed. */
const FAST = 1 / 8;
const SLOW = 1 / 128;
const CHANGED = 1.2;

/** Powers of two, and all. */
export function choices(size: number): readonly number[] {
  const powers = [];
  for (let n = 1; n < size; n *= 2) powers.push(n);
  return [...powers, size];
}

/** One kind of runs. */
export class Pace {
  readonly #choices: readonly number[];
  #chosen: number;
  #mean = 0;
  #slow = 0;
  #trial: { readonly choice: number; runs: number; time: number } | undefined;
  #since = 0;
  #interval = SOONEST;
  #upward = false;

  constructor(size: number) {
    this.#choices = choices(size);
    this.#chosen = this.#choices.length - 1;
  }

  /** Members for the next run. */
  get active(): number {
    return this.#choices[this.#trial?.choice ?? this.#chosen];
  }

  /**
   * How long the run took that followed, in any unit that is the same for all runs of this kind. `long`: so long that fewer members are not
   * worth a trial.
   */
  took(time: number, long = false): void {
    const all = this.#chosen === this.#choices.length - 1 && !this.#trial;
    if (this.#choices.length === 1 || (long && all)) return;
    if (this.#trial) this.#tried(this.#trial, time);
    else this.#usual(time);
  }

  #usual(time: number): void {
    this.#mean = this.#mean ? this.#mean + FAST * (time - this.#mean) : time;
    this.#slow = this.#slow ? this.#slow + SLOW * (time - this.#slow) : time;
    if (this.#mean > CHANGED * this.#slow && this.#interval > SOONEST) this.#expect(SOONEST);
    if (++this.#since >= this.#interval) this.#trial = { choice: this.#neighbour(), runs: 0, time: 0 };
  }

  #tried(trial: { readonly choice: number; runs: number; time: number }, time: number): void {
    if (trial.runs++) trial.time += time;
    const mean = trial.time / (TRIAL - 1);
    // A trial that has already lost ends at once.
    if (trial.runs < TRIAL && mean < this.#mean) return;
    this.#trial = undefined;
    if (mean < BETTER * this.#mean) {
      this.#chosen = trial.choice;
      this.#mean = mean;
      this.#expect(SOONEST);
    } else {
      this.#upward = !this.#upward;
      this.#expect(Math.min(LATEST, 2 * this.#interval));
    }
  }

  /** The next trial comes after that many runs; from now on changes are seen against how things are now. */
  #expect(interval: number): void {
    this.#interval = interval;
    this.#since = 0;
    this.#slow = this.#mean;
  }

  /** The number above or below the chosen one, in turns. */
  #neighbour(): number {
    const last = this.#choices.length - 1;
    if (this.#chosen === 0) return 1;
    if (this.#chosen === last) return last - 1;
    return this.#chosen + (this.#upward ? 1 : -1);
  }
}

/** A pace for each kind of step: by its tokens, to a factor of two. */
export class Paces {
  readonly #size: number;
  readonly #kinds: Pace[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  /** The pace of steps with that many tokens (or whatever the work grows with). */
  of(work: number): Pace {
    const kind = Math.max(0, Math.floor(Math.log2(work)));
    this.#kinds[kind] ??= new Pace(this.#size);
    return this.#kinds[kind];
  }
}
