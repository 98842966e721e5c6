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
/** The part of the limits that is kept for those who were refused before. Up to as much, it is the same to a client's turn how much is asked. */
const TURNS = 1 / 8;
/** Sizes of requests that have turns of their own: so many to each doubling. */
const SIZES = 2;
/** Seconds for which a turn is kept beyond the time that was told: who does not come then lets others go first. */
const GRACE = 2;

/** Before anything has been measured. */
const FIRST_RATE = 50;
/** Of the old rate that a measurement of this many seconds leaves 1/e, and the shortest that is made. */
const [MEMORY_SECONDS, LEAST_SECONDS] = [20, 0.25];
/** Of what was expected, the part that is still expected of a request that goes on beyond it. */
const BEYOND = 1 / 16;

export class Ticket {
  readonly client: string;
  readonly cost: number;
  readonly #work: (tokens: number) => void;
  readonly #leave: (t: Ticket) => void;
  #done = 0;
  #here = true;
  /** `work` is told each part of the cost that is done with. */
  constructor(client: string, cost: number, work: (tokens: number) => void, leave: (t: Ticket) => void) {
    this.client = client;
    this.cost = cost;
    this.#work = work;
    this.#leave = leave;
  }
  /** Tokens that are expected still. */
  get left(): number {
    return Math.max(this.cost - this.#done, this.cost * BEYOND);
  }
  /** So many more tokens are read or written. */
  did(tokens: number): void {
    const before = this.left;
    this.#done += tokens;
    if (this.#here && this.left < before) this.#work(before - this.left);
  }
  /** `ended`: it came to its end, so that what was expected beyond that is done with too; not so where it was broken off. A second call does nothing. */
  leave(ended: boolean): void {
    if (!this.#here) return;
    this.#here = false;
    if (ended) this.#work(this.left);
    this.#leave(this);
  }
}

/** A size of requests of which one was refused: the first that comes of that size has its turn. */
interface Turn {
  readonly client: string;
  readonly size: number;
  cost: number;
  /** When it lapses. */
  until: number;
}

const sizeOf = (cost: number): number => Math.floor(SIZES * Math.log2(Math.max(1, cost)));
const sum = (numbers: Iterable<number>): number => {
  let total = 0;
  for (const n of numbers) total += n;
  return total;
};

/** What is there from one client's view. */
interface Seen {
  readonly own: readonly Ticket[];
  readonly ownLeft: number;
  readonly others: boolean;
  /** Requests and tokens of turns before this one. */
  readonly ahead: number;
  readonly aheadLeft: number;
}

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #now: () => number;
  readonly #tickets = new Set<Ticket>();
  /** In the order in which they were refused first. */
  #turns: Turn[] = [];
  #rate = FIRST_RATE;
  #worked = 0;
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
    return sum([...this.#tickets].map(t => t.left));
  }
  /** Outstanding tokens that the server gets done in a second, measured while it had work. */
  get rate(): number {
    return this.#rate;
  }

  /**
   * `cost`: tokens of the prompts plus the expected tokens of the answers. Of each client those sizes go first that were refused first: small
   * requests would else take up all room before there is enough for large ones, and nobody could tell when.
   * @throws LatheError server.busy with `retryAfter`: whole seconds until it is this size's turn.
   */
  enter(client: string, cost: number): Ticket {
    const now = this.#now();
    this.#turns = this.#turns.filter(t => t.until > now);
    const size = sizeOf(cost);
    const turn = this.#turns.find(t => t.client === client && t.size === size);
    const over = this.#tickets.size ? this.#over(cost, this.#seen(client, turn)) : 0;
    if (over > 0) {
      const retryAfter = Math.max(1, Math.min(3600, Math.ceil(this.seconds(over))));
      const until = now + 1000 * (retryAfter + GRACE);
      if (turn) Object.assign(turn, { cost, until });
      else this.#turns.push({ client, size, cost, until });
      const message = `The server is busy with ${this.#tickets.size} requests; try again in ${retryAfter} s.`;
      throw new LatheError("server.busy", message, { retryAfter });
    }
    this.#turns = this.#turns.filter(t => t !== turn);
    if (this.#tickets.size === 0) this.#since = now; // time without work says nothing of the rate
    const ticket = new Ticket(client, cost, this.#work, this.#leave);
    this.#tickets.add(ticket);
    return ticket;
  }

  #seen(client: string, turn: Turn | undefined): Seen {
    const own = [...this.#tickets].filter(t => t.client === client);
    const turns = this.#turns.filter(t => t.client === client);
    const before = turn ? turns.slice(0, turns.indexOf(turn)) : turns;
    const { requests } = this.#limits;
    return {
      own,
      ownLeft: sum(own.map(t => t.left)),
      others: this.#tickets.size > own.length,
      ahead: Math.min(before.length, Math.floor(requests * TURNS)),
      aheadLeft: Math.min(sum(before.map(t => t.cost)), this.#atOnce),
    };
  }

  /** Tokens that may be outstanding in time. */
  get #inTime(): number {
    return Math.min(this.#limits.seconds * this.#rate, this.#limits.tokens);
  }
  get #atOnce(): number {
    return this.#inTime * TURNS;
  }

  /** Tokens that must be done with before so much may enter; none: it may now. */
  #over(cost: number, seen: Seen): number {
    const { requests, tokens, share } = this.#limits;
    const { own, ownLeft, others, ahead, aheadLeft } = seen;
    const part = others ? share : 1;
    // What others hold is no reason to refuse who has hardly anything: room for that is kept beyond the limits.
    const small = others && own.length < requests * KEPT && ownLeft + cost <= tokens * KEPT;
    const all = small ? 0 : this.tokens + aheadLeft + cost - tokens;
    const places = small ? 0 : this.#places([...this.#tickets], ahead, requests);
    const ownPlaces = this.#places(own, ahead, Math.max(1, Math.floor(requests * part)));
    return Math.max(all, ownLeft + aheadLeft + cost - tokens * part, places, ownPlaces, this.#late(cost, seen));
  }

  /**
   * Tokens that must be done with before a client who asks for so much would be in time; none where speed is not known or nobody has to wait.
   * The scheduler serves whoever has had least: of each other client no more goes before than the client has itself.
   */
  #late(cost: number, { own: [first], ownLeft, ahead, aheadLeft }: Seen): number {
    if (this.#rate === FIRST_RATE) return 0;
    const client = first?.client;
    const held = new Map<string, number>();
    for (const t of this.#tickets) if (t.client !== client) held.set(t.client, (held.get(t.client) ?? 0) + t.left);
    const wanted = ownLeft + aheadLeft + Math.max(0, cost - this.#atOnce);
    const before = sum([...held.values()].map(left => Math.min(left, wanted + cost))) + wanted;
    const late = before - this.#limits.seconds * this.#rate;
    return late > 0 ? Math.min(late, this.#places([...this.#tickets], ahead, SIDE_BY_SIDE)) : 0;
  }

  /** Tokens that will be done with when so many of them have left that one more, after those ahead, makes no more than `most`. */
  #places(tickets: readonly Ticket[], ahead: number, most: number): number {
    const leave = tickets.length + ahead + 1 - most;
    if (leave <= 0) return 0;
    // Those that were first are computed side by side, an equal part of the time each.
    const computed = tickets
      .slice(0, SIDE_BY_SIDE)
      .map(t => t.left)
      .sort((a, b) => a - b);
    const last = computed[Math.min(leave, computed.length) - 1];
    const further = Math.max(0, leave - computed.length);
    return sum(computed.map(left => Math.min(left, last))) + (further * sum(computed)) / computed.length;
  }

  /** Seconds until so many tokens are done with at the measured rate. */
  seconds(tokens: number): number {
    return tokens / this.#rate;
  }

  readonly #leave = (ticket: Ticket): void => {
    this.#tickets.delete(ticket);
    this.#measure();
  };

  readonly #work = (tokens: number): void => {
    this.#worked += tokens;
    this.#measure();
  };

  /** What was worked and is too short to be measured is counted with the next. */
  #measure(): void {
    const seconds = (this.#now() - this.#since) / 1000;
    if (seconds < LEAST_SECONDS && this.#tickets.size > 0) return;
    if (this.#worked > 0 && seconds > 0) {
      const measured = this.#worked / seconds;
      const keep = this.#rate === FIRST_RATE ? 0 : Math.exp(-seconds / MEMORY_SECONDS);
      this.#rate = Math.max(0.1, keep * this.#rate + (1 - keep) * measured);
    }
    this.#worked = 0;
    this.#since = this.#now();
  }
}
