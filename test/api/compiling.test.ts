/**
 * Constraints that are compiled elsewhere: who waits holds up nobody, clients take turns, the queue has an end, errors come before anything is
 * computed, who leaves is forgotten, and what the compiling side loses is not waited for.
 */
import { afterEach, describe, expect, it } from "vitest";
import type { Compiler } from "../../src/api/compile-queue.ts";
import { CompileService, type FromCompiler, type ToCompiler } from "../../src/api/compile-service.ts";
import { Compiling } from "../../src/api/compiling.ts";
import { load } from "../../src/api/load.node.ts";
import type { RunRequest } from "../../src/api/protocol.ts";
import { ScheduledRun } from "../../src/api/scheduled-run.ts";
import { Scheduler } from "../../src/api/scheduler.ts";
import type { ConstraintSource } from "../../src/decode/constrain/source.ts";
import type { Past } from "../../src/kv/prefixes.ts";
import { stories } from "../fixtures/models.ts";
import { simulatedWorld, VOCABULARY } from "./simulated.ts";

/** A compiling side whose messages come through when the test says so. */
class Elsewhere {
  readonly posted: ToCompiler[] = [];
  started = 0;
  ended = 0;
  #service: CompileService | undefined;
  #told: ((message: FromCompiler) => void) | undefined;
  #die: (() => void) | undefined;
  readonly #clock: () => number;

  /** `clock`: what the service takes for the time. */
  constructor(clock: () => number = () => 0) {
    this.#clock = clock;
  }

  start = (): Compiler => {
    this.started++;
    this.#service = new CompileService({ send: m => this.#told?.(m), now: this.#clock });
    return {
      // The tree of the vocabulary is there at once.
      post: message => void (message.kind === "vocabulary" ? this.#service!.handle(message) : this.posted.push(message)),
      onMessage: listener => {
        this.#told = listener;
      },
      onDeath: listener => {
        this.#die = listener;
      },
      terminate: () => void this.ended++,
    };
  };
  die(): void {
    this.posted.length = 0;
    this.#die!();
  }
  /** Handles the next message. */
  next(): ToCompiler | undefined {
    const message = this.posted.shift();
    if (message) this.#service!.handle(message);
    return message;
  }
}

const bytes = Array.from({ length: VOCABULARY }, (_, id) => Uint8Array.of(0x61 + id));
const vocabulary = {
  bytes: Uint8Array.from(bytes.flatMap(b => [...b])),
  offsets: Uint32Array.from(bytes, (_, i) => i + 1),
  ends: [],
  marks: [],
};
const regex = (text: string): ConstraintSource => ({ kind: "regex", text });
const runOf = (run: number, more: Partial<RunRequest>): ScheduledRun => {
  const tokens = Int32Array.of(1);
  const request: RunRequest = { run, session: run, tokens, sampling: { temperature: 0 }, maxTokens: 9, stopIds: [], ...more };
  return new ScheduledRun(request, {} as Past, run, 0);
};

function waitingRoom(elsewhere: Elsewhere) {
  const log: string[] = [];
  const note = (what: string) => (run: ScheduledRun, error?: unknown) =>
    void log.push(`${what} ${run.request.run}${error ? ` ${(error as { code: string }).code}` : ""}`);
  const compiling = new Compiling({ ready: note("ready"), resumed: note("resumed"), failed: note("failed") }, elsewhere.start);
  compiling.setVocabulary(vocabulary);
  let next = 0;
  const enter = (text: string, client = ""): ScheduledRun => {
    const run = runOf(next++, { constraint: regex(text), client });
    compiling.enter(run);
    return run;
  };
  return { compiling, log, enter };
}

const compiled = (m: ToCompiler | undefined): string => (m?.kind === "compile" && m.source.kind === "regex" ? m.source.text : `${m?.kind}`);

describe("the queue", () => {
  it("compiles what is not known, once, and gives what is known at once", () => {
    const elsewhere = new Elsewhere();
    const { log, enter } = waitingRoom(elsewhere);
    const [first, second] = [enter("a+"), enter("a+")];
    expect([first.compiling, second.compiling, first.constraint]).toEqual([true, true, undefined]);
    expect(compiled(elsewhere.next())).toBe("a+");
    expect(log).toEqual(["ready 0", "ready 1"]);
    expect([...first.constraint!.mask()!]).toEqual([1]);
    expect(enter("a+").constraint).toBeDefined();
    expect(elsewhere.posted).toEqual([]);
    expect(elsewhere.started).toBe(1);
  });

  it("serves clients in turns", () => {
    const elsewhere = new Elsewhere();
    const { enter } = waitingRoom(elsewhere);
    for (let n = 0; n < 6; n++) enter(`a{1,${n + 2}}`, "flood");
    for (let n = 0; n < 2; n++) enter(`b{1,${n + 2}}`, "other");
    const order = Array.from({ length: 8 }, () => compiled(elsewhere.next())[0]);
    expect(order.join("")).toBe("aababaaa"); // one was handed over before the other came
  });

  it("has an end, for one client and for all", () => {
    const elsewhere = new Elsewhere();
    const { enter, compiling } = waitingRoom(elsewhere);
    const flood = (client: string): number => {
      for (let n = 0; ; n++) {
        try {
          enter(`a{1,${n + 2}}${client}`, client);
        } catch (e) {
          expect(e).toMatchObject({ code: "server.busy", details: { retryAfter: expect.any(Number) } });
          return n;
        }
      }
    };
    expect(flood("a")).toBe(65); // 64, and the one that was handed over
    expect(flood("b")).toBe(64);
    expect(flood("c")).toBe(64);
    expect(flood("d") + flood("e")).toBe(256 - 65 - 64 - 64);
    expect(compiling.status.waiting).toBe(256);
    while (elsewhere.next());
    expect(compiling.status.waiting).toBe(0);
    enter("b+", "a");
    expect(() => enter("a".repeat(9_000_000), "b")).toThrow(/Too many/);
  });

  it("tells errors, and goes on", () => {
    const elsewhere = new Elsewhere();
    const { enter, log } = waitingRoom(elsewhere);
    enter("(");
    enter("(?=a)");
    enter("a");
    while (elsewhere.next());
    expect(log).toEqual(["failed 0 regex.invalid", "failed 1 regex.unsupported", "ready 2"]);
  });

  it("forgets who has left", () => {
    const elsewhere = new Elsewhere();
    const { enter, compiling, log } = waitingRoom(elsewhere);
    const runs = ["a", "b", "c", "d"].map(text => enter(text));
    for (const run of [runs[0], runs[2]]) compiling.left(run);
    const order = [elsewhere.next(), elsewhere.next(), elsewhere.next(), elsewhere.next()].map(compiled);
    expect(order).toEqual(["a", "b", "d", "undefined"]); // the first was handed over
    expect(log).toEqual(["ready 1", "ready 3"]);
    compiling.close();
    expect(elsewhere.ended).toBe(1);
  });

  it("blames what was compiled when the thread died, and has the rest compiled by another", () => {
    const elsewhere = new Elsewhere();
    const { enter, log } = waitingRoom(elsewhere);
    for (const text of ["a", "b", "c"]) enter(text);
    elsewhere.die();
    expect(log).toEqual(["failed 0 grammar.limit"]);
    while (elsewhere.next());
    expect(log.slice(1)).toEqual(["ready 1", "ready 2"]);
    expect(elsewhere.started).toBe(2);
  });
});

/** Many rules, of which none is written before it is asked for. */
const grammar: ConstraintSource = {
  kind: "grammar",
  text: ["root ::= r0", ...Array.from({ length: 30 }, (_, n) => `r${n} ::= [ab] [a-h] r${n + 1}`), "r30 ::= [a-h]{9}"].join("\n"),
};

/** Runs a scheduler to the end of one run; the compiling side does one thing after each turn. */
function answer(
  elsewhere: Elsewhere | undefined,
  beside: number,
  { now, like, late }: { now?: () => number; like?: ConstraintSource; late?: { turn: number; constraint: ConstraintSource } } = {},
): { ids: number[]; end: string; turns: number } {
  const world = simulatedWorld(64, 4, { maxTokens: 12, maxWanted: 4, context: 60 });
  const out = { ids: [] as number[], end: "", turns: 0 };
  const events = {
    prompt: () => {},
    token: (run: number, { id }: { id: number }) => {
      if (run === 0) out.ids.push(id);
      scheduler.taken(run, 1);
    },
    forced: (run: number) => scheduler.jump(run, []),
    finished: (run: number, { finish }: { finish: string }) => {
      if (run === 0) out.end = finish;
    },
    scored: () => {},
    failed: (run: number, error: unknown) => {
      if (run === 0) out.end = (error as { code: string }).code;
    },
  };
  const scheduler: Scheduler = new Scheduler(world.steps, events, { now: now ?? world.now, compiler: elsewhere?.start });
  scheduler.setVocabulary(vocabulary);
  const add = (run: number, constraint?: ConstraintSource): void => {
    scheduler.open(run);
    const sampling = { temperature: 1.5, seed: 7 };
    scheduler.add({ run, session: run, tokens: Int32Array.of(3, run), sampling, maxTokens: 30, stopIds: [], constraint });
  };
  add(0, grammar);
  for (let run = 1; run <= beside; run++) add(run, like);
  for (; out.end === ""; out.turns++) {
    if (out.turns > 2000) throw new Error("it does not end");
    if (out.turns === late?.turn) add(99, late.constraint);
    if (scheduler.busy) scheduler.turn();
    elsewhere?.next();
  }
  scheduler.close();
  return out;
}

describe("a run whose constraint comes from elsewhere", () => {
  it("answers as one whose constraint was compiled in place, whenever its rules come", () => {
    const own = answer(undefined, 0);
    expect(own.ids.length).toBeGreaterThan(10);
    // A clock that runs fast: the service writes no more than it is asked for.
    let time = 0;
    const slow = new Elsewhere(() => (time += 1000));
    const far = answer(slow, 0);
    expect([far.ids, far.end]).toEqual([own.ids, own.end]);
    expect(far.turns).toBeGreaterThan(own.turns);
    const near = answer(new Elsewhere(), 3);
    expect([near.ids, near.end]).toEqual([own.ids, own.end]);
  });

  it("is not held up for good where finding what is allowed takes longer than the others should wait", () => {
    const own = answer(undefined, 0);
    let time = 0;
    const hurried = answer(undefined, 3, { now: () => (time += 50), like: grammar });
    expect([hurried.ids, hurried.end]).toEqual([own.ids, own.end]);
    expect(hurried.turns).toBeGreaterThan(1.5 * own.turns); // not all four go on in each turn
  });

  it("goes on when the rule that it asks for was on its way already", () => {
    let time = 0;
    let step = 1000;
    const elsewhere = new Elsewhere(() => (time += step));
    const next = elsewhere.next.bind(elsewhere);
    const handled: string[] = [];
    let held = 0;
    elsewhere.next = () => {
      const [first] = elsewhere.posted;
      if (first?.kind === "more") {
        if (++held < 50) return undefined; // meanwhile the run comes to a rule behind it
        step = 0; // all of it is written then
      }
      if (first) handled.push(first.kind);
      return next();
    };
    const { ids, end, turns } = answer(elsewhere, 0);
    const own = answer(undefined, 0);
    expect([ids, end]).toEqual([own.ids, own.end]);
    expect(turns).toBeGreaterThan(40 + own.turns);
    expect(handled).toEqual(["compile", "rule", "more"]); // the first rule was missed at once, the next one came with the rest
  });

  it("does not do anything, and holds up nobody, while it waits", () => {
    const world = simulatedWorld(64, 4, { maxTokens: 12, maxWanted: 4, context: 40 });
    const ended: number[] = [];
    const events = {
      prompt: () => {},
      token: (run: number) => scheduler.taken(run, 1),
      forced: () => {},
      finished: (run: number) => void ended.push(run),
      scored: () => {},
      failed: () => {},
    };
    const elsewhere = new Elsewhere();
    const scheduler: Scheduler = new Scheduler(world.steps, events, { now: world.now, compiler: elsewhere.start });
    scheduler.setVocabulary(vocabulary);
    const request = { sampling: { temperature: 0 }, maxTokens: 3, stopIds: [] };
    scheduler.open(0);
    scheduler.add({ run: 0, session: 0, tokens: Int32Array.of(1), constraint: regex("a"), ...request });
    expect([scheduler.busy, scheduler.status().waiting, scheduler.status().pagesUsed]).toEqual([false, 1, 0]);
    scheduler.open(1);
    scheduler.add({ run: 1, session: 1, tokens: Int32Array.of(2), ...request });
    while (scheduler.busy) scheduler.turn();
    expect(ended).toEqual([1]);
    scheduler.drop(0);
    expect(ended).toEqual([1, 0]);
    expect(elsewhere.next()?.kind).toBe("compile");
    expect(scheduler.busy).toBe(false);
  });

  it.each([1, 2, 3, 5, 8, 13])("goes on where it was when the thread dies of another's source, which comes in turn %s", turn => {
    let time = 0;
    const elsewhere = new Elsewhere(() => (time += 1000));
    const next = elsewhere.next.bind(elsewhere);
    elsewhere.next = () => (compiled(elsewhere.posted[0]) === "deadly" ? void elsewhere.die() : next());
    const own = answer(undefined, 0);
    const { ids, end } = answer(elsewhere, 0, { late: { turn, constraint: regex("deadly") } });
    expect([ids, end, elsewhere.started]).toEqual([own.ids, own.end, 2]);
  });

  it("fails when the thread dies of its own rules", () => {
    let time = 0;
    const elsewhere = new Elsewhere(() => (time += 1000));
    const next = elsewhere.next.bind(elsewhere);
    let handled = 0;
    elsewhere.next = () => (elsewhere.posted.length && ++handled === 4 ? void elsewhere.die() : next());
    expect(answer(elsewhere, 0).end).toBe("grammar.limit");
  });
});

describe("the compiling side", () => {
  it("writes on when it is asked, and forgets what is dropped", () => {
    let time = 0;
    const out: FromCompiler[] = [];
    const service = new CompileService({ send: m => void out.push(m), now: () => (time += 4.5) });
    service.handle({ kind: "compile", job: 1, source: grammar });
    expect(out).toMatchObject([{ kind: "compiled", job: 1, more: true }]);
    for (let n = 0; n < 100 && (out.at(-1) as { more: boolean }).more; n++) service.handle({ kind: "more", job: 1 });
    expect(out.at(-1)).toMatchObject({ kind: "part", job: 1, held: 0, more: false });
    expect(out.length).toBeGreaterThan(10);
    service.handle({ kind: "compile", job: 2, source: { ...grammar } });
    service.handle({ kind: "drop", job: 2 });
    const before = out.length;
    service.handle({ kind: "rule", job: 2, rule: 3 });
    expect(out).toHaveLength(before + 1);
    expect(out.at(-1)).toMatchObject({ kind: "failed", job: 2, error: { code: "grammar.limit" } });
  });
});

describe("a model", () => {
  const open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const model of open.splice(0)) await model.close();
  });

  it("answers free requests while schemas are compiled, and closes while they are", async () => {
    const model = await load(stories, { threads: 1, context: 128 });
    open.push(model);
    const schema = (n: number): object => ({
      type: "object",
      properties: Object.fromEntries(
        Array.from({ length: 12 }, (_, i) => [`p${n}_${i}`, { type: "string", format: "email", maxLength: 60 }]),
      ),
      required: [`p${n}_0`],
    });
    const ask = async (asked: object): Promise<unknown> => {
      try {
        return await model.generate("Once", { schema: asked, maxTokens: 4 });
      } catch (e) {
        return e;
      }
    };
    const flood = Array.from({ length: 20 }, (_, n) => ask(schema(n)));
    const { text } = await model.generate("Once upon a time", { maxTokens: 20, temperature: 0 });
    expect(text.length).toBeGreaterThan(20);
    await model.close();
    for (const end of await Promise.all(flood)) if (end instanceof Error) expect(end).toMatchObject({ code: "model.closed" });
  }, 60_000);
});
