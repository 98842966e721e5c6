/**
 * Five times as many requests as a server can answer, in simulated time: a server that reads and writes in steps, as one with a model of a
 * billion parameters does on two cores, clients that ask without end, and what they are told against what then happens.
 */
import { describe, expect, it } from "vitest";
import type { LatheError } from "../../src/errors.ts";
import { Admission, defaultAdmission, type Ticket } from "../../src/serve/admission.ts";
import { Random } from "../fixtures/random.ts";

const [PROMPTS, ANSWERS] = [
  [16, 32, 64, 128],
  [32, 48, 64, 96],
];
/** Rows of a step, tokens of prompts that it reads beside them, and the milliseconds that it takes: a constant and so much for each. */
const [ROWS, CHUNK, STEP_MS, TOKEN_MS] = [16, 48, 30, 2];

interface Work {
  readonly ticket: Ticket;
  readonly prompt: number;
  /** Tokens after which the answer ends, which may be fewer than were asked for. */
  readonly answer: number;
  read: number;
  written: number;
}

class Simulated {
  readonly #random: Random;
  readonly #ends: number;
  #clock = 0;
  readonly admission = new Admission(defaultAdmission, () => this.#clock);
  readonly #all: Work[] = [];
  /** Tokens of answers that have ended. */
  useful = 0;
  readonly seen: { at: number; cost: number; told?: number }[] = [];

  /** `ends`: the part of what it may write that an answer has, about. */
  constructor(seed: number, ends = 1) {
    this.#random = new Random(seed);
    this.#ends = ends;
  }
  get seconds(): number {
    return this.#clock / 1000;
  }
  get requests(): number {
    return this.#all.length;
  }

  arrive(at = this.#clock): void {
    const now = this.#clock;
    this.#clock = at;
    const [prompt, most] = [this.#random.pick(PROMPTS), this.#random.pick(ANSWERS)];
    const answer = this.#ends === 1 ? most : Math.ceil(most * this.#ends * (0.5 + this.#random.unit()));
    const cost = prompt + most;
    try {
      const ticket = this.admission.enter("a", cost);
      this.#all.push({ ticket, prompt, answer, read: 0, written: 0 });
      this.seen.push({ at: at / 1000, cost });
    } catch (e) {
      this.seen.push({ at: at / 1000, cost, told: (e as LatheError).details["retryAfter"] as number });
    }
    this.#clock = now;
  }

  /** One step; the time at which it began, in milliseconds. */
  step(): number {
    const begun = this.#clock;
    const present = this.#all.slice(0, 2 * ROWS);
    const writing = present.filter(w => w.read === w.prompt).slice(0, ROWS);
    let room = CHUNK;
    const reading = present.flatMap(w => {
      const count = Math.min(room, w.prompt - w.read);
      room -= count;
      return count ? [{ w, count }] : [];
    });
    const tokens = writing.length + CHUNK - room;
    this.#clock += (STEP_MS + TOKEN_MS * tokens) * (0.9 + 0.2 * this.#random.unit());
    for (const { w, count } of reading) {
      w.read += count;
      w.ticket.did(count);
    }
    for (const w of writing) {
      w.ticket.did(1);
      if (++w.written < w.answer) continue;
      this.#all.splice(this.#all.indexOf(w), 1);
      w.ticket.leave(true);
      this.useful += w.written;
    }
    return begun;
  }
}

/** The peak with as many clients as a step has rows for, then `over` times as many requests. */
function overloaded(seed: number, { over = 5, seconds = 120, ends = 1 } = {}) {
  const server = new Simulated(seed, ends);
  const closed = (until: number): void => {
    while (server.seconds < until) {
      while (server.requests < ROWS) server.arrive();
      server.step();
    }
  };
  closed(20);
  const [tokens, before] = [server.useful, server.seen.length];
  closed(50);
  const peak = (server.useful - tokens) / 30;
  const every = 30_000 / (server.seen.length - before) / over;
  const [first, useful, from] = [server.seen.length, server.useful, server.seconds];
  let next = 1000 * from;
  while (server.seconds < from + seconds) {
    server.step();
    for (; next < 1000 * server.seconds; next += every) server.arrive(next);
  }
  return { peak, goodput: (server.useful - useful) / seconds, seen: server.seen.slice(first) };
}

type Seen = Simulated["seen"];
const takenPart = (seen: Seen): number => seen.filter(r => r.told === undefined).length / seen.length;

/** The part of refusals that told the time until one was taken that asked for as much, in whole seconds, within a factor of two. */
function toldWell(seen: Seen): number {
  const waits = seen.flatMap(({ at, cost, told }) => {
    const next = told && seen.find(r => r.at > at && r.told === undefined && r.cost >= cost);
    return next ? [{ told, truly: Math.max(1, next.at - at) }] : [];
  });
  return waits.filter(w => w.told <= 2 * w.truly && w.truly <= 2 * w.told).length / waits.length;
}

describe("five times as many requests as can be answered", () => {
  it("are told when one of their size will be taken, are answered as fast, and are not chosen by size", { timeout: 20_000 }, () => {
    for (const seed of [1, 2, 3]) {
      const { peak, goodput, seen } = overloaded(seed);
      expect(seen.filter(r => r.told).length).toBeGreaterThan(500);
      expect(toldWell(seen)).toBeGreaterThan(0.9);
      expect(goodput).toBeGreaterThan(0.95 * peak);
      const [small, large] = [seen.filter(r => r.cost < 100), seen.filter(r => r.cost >= 160)];
      expect(takenPart(large)).toBeGreaterThan(0.6 * takenPart(small));
    }
  });

  it("also where answers end earlier than they may, and at twice as many", { timeout: 20_000 }, () => {
    expect(toldWell(overloaded(4, { ends: 0.5 }).seen)).toBeGreaterThan(0.9);
    expect(toldWell(overloaded(5, { over: 2, seconds: 300 }).seen)).toBeGreaterThan(0.85);
  });
});
