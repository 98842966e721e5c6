/**
 * Who is served first: by priority, then by who has had least (virtual token counters, Sheng et al. 2024, https://arxiv.org/abs/2401.00588), then
 * by arrival. Who gives way when pages run out: the lowest priority, the latest first, so that the first of all is never sent back and ends.
 * Pure: knows neither runs nor clocks.
 */

export interface Ranked {
  /** Whose share it takes. */
  readonly client: string;
  readonly priority: number;
  /** Counts arrivals. */
  readonly arrival: number;
}

/** What a token of an answer counts, where one of a prompt counts 1: it takes a row of its own in a step. */
const ANSWER_WEIGHT = 2;

export class Fairness {
  readonly #served = new Map<string, number>();
  readonly #active = new Map<string, number>();

  /** A request of that client has come. Who was away cannot save up: it begins where the least served of the others is. */
  enter(client: string): void {
    const count = this.#active.get(client) ?? 0;
    if (count === 0) {
      const least = Math.min(...[...this.#active.keys()].map(c => this.#served.get(c) ?? 0));
      if (Number.isFinite(least)) this.#served.set(client, Math.max(this.#served.get(client) ?? 0, least));
    }
    this.#active.set(client, count + 1);
  }

  leave(client: string): void {
    const count = (this.#active.get(client) ?? 1) - 1;
    if (count > 0) this.#active.set(client, count);
    else this.#active.delete(client);
    if (this.#active.size === 0) this.#served.clear(); // nobody is ahead of anybody
  }

  serve(client: string, promptTokens: number, answerTokens: number): void {
    this.#served.set(client, (this.#served.get(client) ?? 0) + promptTokens + ANSWER_WEIGHT * answerTokens);
  }

  served = (client: string): number => this.#served.get(client) ?? 0;

  /** Order of service, for sorting. */
  order = (a: Ranked, b: Ranked): number =>
    b.priority - a.priority || (a.client === b.client ? 0 : this.served(a.client) - this.served(b.client)) || a.arrival - b.arrival;
}

/** Order of keeping pages, for sorting: the last gives way first. */
export const keepOrder = (a: Ranked, b: Ranked): number => b.priority - a.priority || a.arrival - b.arrival;
