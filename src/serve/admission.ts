/**
 * Who may wait: a request is admitted with its tokens counted, or refused at once with the time after which it is worth coming back. Pure
 * code over a clock. What is admitted is ordered by the engine's scheduler; this is only the bound in front of it, per server and per client.
 */
import { LatheError } from "../errors.ts";

export interface AdmissionLimits {
  /** Requests that are admitted at a time, all clients together. */
  readonly requests: number;
  /** Tokens of prompts and answers that may be outstanding; one request alone is never refused for its size. */
  readonly tokens: number;
  /** The part of both that one client may have while others are there. */
  readonly share: number;
  /** Seconds of work that may be outstanding beyond what is computed side by side: who waits longer has often left when its turn comes. */
  readonly seconds: number;
}
export const defaultAdmission: AdmissionLimits = { requests: 256, tokens: 2 ** 18, share: 0.5, seconds: 30 };

/** Requests that are computed side by side, as many as a step gives rows for: these do not wait for each other. */
const SIDE_BY_SIDE = 32;

/** The part of the limits that every client may have whatever others have. */
const KEPT = 1 / 16;

/** Before anything has been measured. */
const FIRST_RATE = 50;
/** Of the old rate that a measurement of this many seconds leaves 1/e. */
const MEMORY_SECONDS = 20;

export class Ticket {
  readonly client: string;
  readonly cost: number;
  readonly #leave: (t: Ticket, spent: number) => void;
  #left = false;
  constructor(client: string, cost: number, leave: (t: Ticket, spent: number) => void) {
    this.client = client;
    this.cost = cost;
    this.#leave = leave;
  }
  /** `spent`: tokens that were computed in truth. A second call does nothing. */
  leave(spent: number): void {
    if (this.#left) return;
    this.#left = true;
    this.#leave(this, spent);
  }
}

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #now: () => number;
  readonly #tickets = new Set<Ticket>();
  #tokens = 0;
  #rate = FIRST_RATE;
  #spent = 0;
  #since: number;

  /** `now` in milliseconds. */
  constructor(limits: AdmissionLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
    this.#since = now();
  }

  get requests(): number {
    return this.#tickets.size;
  }
  /** Tokens outstanding, as they were estimated. */
  get tokens(): number {
    return this.#tokens;
  }
  /** Tokens that the server gets done in a second, measured while it had work. */
  get rate(): number {
    return this.#rate;
  }

  /** `cost`: tokens of the prompts plus the expected tokens of the answers. @throws LatheError server.busy with `retryAfter`. */
  enter(client: string, cost: number): Ticket {
    const { requests, tokens, share } = this.#limits;
    const own = [...this.#tickets].filter(t => t.client === client);
    const ownTokens = own.reduce((sum, t) => sum + t.cost, 0);
    const others = this.#tickets.size > own.length;
    const part = others ? share : 1;
    // What others hold is no reason to refuse who has hardly anything: room for that is kept beyond the limits.
    const small = others && own.length < requests * KEPT && ownTokens + cost <= tokens * KEPT;
    const over = Math.max(small ? 0 : this.#tokens + cost - tokens, ownTokens + cost - tokens * part);
    const crowded = (!small && this.#tickets.size >= requests) || own.length >= Math.max(1, Math.floor(requests * part));
    const late = this.#tooLate(client, ownTokens + cost);
    if (this.#tickets.size > 0 && (over > 0 || crowded || late > 0)) {
      throw this.#busy(Math.max(over, late, this.#tokens / Math.max(1, this.#tickets.size)));
    }
    if (this.#tickets.size === 0) this.#since = this.#now(); // time without work says nothing of the rate
    const ticket = new Ticket(client, cost, (t, spent) => this.#leave(t, spent));
    this.#tickets.add(ticket);
    this.#tokens += cost;
    return ticket;
  }

  /**
   * Tokens that must be done before a client who then has `wanted` of them would be in time; none where speed is not known or nobody has to
   * wait. The scheduler serves whoever has had least: of each other client no more goes before than the client has itself.
   */
  #tooLate(client: string, wanted: number): number {
    if (this.#rate === FIRST_RATE || this.#tickets.size < SIDE_BY_SIDE) return 0;
    const held = new Map<string, number>();
    for (const t of this.#tickets) if (t.client !== client) held.set(t.client, (held.get(t.client) ?? 0) + t.cost);
    const before = [...held.values()].reduce((sum, tokens) => sum + Math.min(tokens, wanted), wanted);
    return Math.max(0, before - this.#limits.seconds * this.#rate);
  }

  /** Seconds until so many tokens are done at the measured rate. */
  seconds(tokens: number): number {
    return tokens / this.#rate;
  }

  #busy(over: number): LatheError {
    const retryAfter = Math.max(1, Math.min(3600, Math.ceil(this.seconds(over))));
    const message = `The server is busy with ${this.#tickets.size} requests; try again in ${retryAfter} s.`;
    return new LatheError("server.busy", message, { retryAfter });
  }

  #leave(ticket: Ticket, spent: number): void {
    this.#tickets.delete(ticket);
    this.#tokens -= ticket.cost;
    this.#spent += spent;
    const seconds = (this.#now() - this.#since) / 1000;
    if (seconds < 0.25 && this.#tickets.size > 0) return; // too short to be measured: counted with the next
    if (this.#spent > 0 && seconds > 0) {
      const keep = Math.exp(-Math.max(seconds, 1) / MEMORY_SECONDS);
      const first = this.#rate === FIRST_RATE;
      this.#rate = Math.max(0.1, first ? this.#spent / seconds : keep * this.#rate + (1 - keep) * (this.#spent / seconds));
    }
    this.#spent = 0;
    this.#since = this.#now();
  }
}
