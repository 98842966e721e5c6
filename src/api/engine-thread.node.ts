/** The engine's own thread in Node: loads one model, runs the scheduler turn by turn, and lets messages in between turns. */
import { parentPort } from "node:worker_threads";
import { type Loaded, loadModel } from "../engine/load.node.ts";
import { profileSteps } from "../engine/profile.ts";
import { LatheError } from "../errors.ts";
import { startCompiler } from "./compiler.node.ts";
import { embedTexts } from "./embed.ts";
import type { FromEngine, Profile, ToEngine, WireError } from "./protocol.ts";
import { type Events, Scheduler } from "./scheduler.ts";
import { Signals } from "./signals.ts";

/** In one message, in order. */
let unsent: FromEngine[] = [];
function post(): void {
  if (!unsent.length) return;
  parentPort!.postMessage(unsent);
  unsent = [];
}
/** Travels with whatever else the same turn brings: a message for every token would cost both threads more than what it says. */
function tell(message: FromEngine): void {
  if (unsent.push(message) === 1) queueMicrotask(post);
}
function send(message: FromEngine): void {
  unsent.push(message);
  post();
}

function wire(e: unknown): WireError {
  if (e instanceof LatheError) return e.toJSON();
  const error = e as Error;
  return {
    code: "engine.failed",
    message: `The engine failed: ${error.message}; this is a fault in Lathe.`,
    details: { stack: error.stack },
  };
}

let loaded: Loaded | undefined;
let loading: Promise<void> | undefined;
let scheduler: Scheduler | undefined;
let pumping = false;
/** Whether the team can compute; the model is told to be loaded before, since its first request takes a while to come. */
let ready = false;
let signals = new Signals();

function pump(): void {
  if (pumping || !ready || !scheduler?.busy) return;
  pumping = true;
  setImmediate(() => {
    pumping = false;
    if (scheduler?.turn()) pump(); // otherwise the next message does
  });
}

async function load({ spec, signals: block }: Extract<ToEngine, { kind: "load" }>): Promise<void> {
  const begun = performance.now();
  signals = new Signals(block);
  loaded = await loadModel(spec, (done, total) => {
    if (signals.stopped) throw new LatheError("model.closed", "The model was closed while it was loading.");
    send({ kind: "progress", stage: "pack", done, total });
  });
  const { stepper, team, pasts } = loaded;
  const events: Events = {
    prompt: (run, done, total) => tell({ kind: "prompt", run, done, total }),
    token: (run, token) => tell({ kind: "token", run, token }),
    forced: (run, bytes) => tell({ kind: "forced", run, bytes }),
    finished: (run, result) => tell({ kind: "finished", run, ...result }),
    scored: (run, logprobs) => tell({ kind: "scored", run, logprobs }),
    failed: (run, error) => tell({ kind: "failed", run, error: wire(error) }),
  };
  scheduler = new Scheduler(stepper, events, { store: pasts, coming: signals, compiler: startCompiler, wake: pump });
  const begin = (): void => {
    ready = true;
    pump();
  };
  loaded.ready.then(begin, begin); // a team that has failed says so at every step
  const info = {
    context: spec.plan.context,
    threads: team.size,
    target: loaded.backend.name,
    vocabulary: stepper.network.vocabulary,
    seconds: (performance.now() - begun) / 1000,
    warnings: loaded.warnings,
    weightBytes: loaded.weightBytes,
    workBytes: stepper.plan.workBytes,
    pageBytes: stepper.network.pageBytes,
    memoryBytes: loaded.weightBytes + stepper.plan.workBytes + stepper.plan.pageCapacity * stepper.network.pageBytes,
    output: stepper.network.output,
    noModules: stepper.noModules,
    columns: stepper.network.columns,
    answerStart: stepper.network.reader?.start,
  };
  send({ kind: "loaded", info });
}

/** Runs of `embed` that are under way. */
const embedding = new Set<number>();

/** One step after the other, with messages in between. */
async function embed(run: number, texts: readonly Int32Array[]): Promise<void> {
  const total = texts.reduce((n, t) => n + t.length, 0);
  embedding.add(run);
  try {
    await loaded!.ready;
    const work = embedTexts(loaded!.stepper, texts, signals.endComes);
    while (embedding.has(run)) {
      const turn = work.next();
      if (turn.done) return send({ kind: "embedded", run, vectors: turn.value });
      send({ kind: "prompt", run, done: turn.value, total });
      await new Promise(resolve => setImmediate(resolve));
    }
    work.return([]);
  } finally {
    embedding.delete(run);
  }
}

/** Times steps, and lists the kernels' code where it is asked for. */
async function profile({ code, ...request }: Extract<ToEngine, { kind: "profile" }>): Promise<Profile> {
  await loaded!.ready;
  scheduler!.forget();
  const { backend, stepper } = loaded!;
  const listings = code ? stepper.plan.kernels.map(k => [k.name, backend.list(k).join("\n")] as const) : [];
  return { ...(await profileSteps(loaded!, request)), code: Object.fromEntries(listings) };
}

/** Gives back all that would outlive this thread. */
async function close(): Promise<void> {
  embedding.clear();
  await loading?.catch(() => {});
  scheduler?.close();
  scheduler = undefined;
  await loaded?.close();
  send({ kind: "closed" });
}

async function handle(message: ToEngine): Promise<void> {
  switch (message.kind) {
    case "load":
      loading = load(message);
      return loading;
    case "open":
      return scheduler?.open(message.session, message.from);
    case "drop":
      return scheduler?.drop(message.session);
    case "vocabulary":
      return scheduler?.setVocabulary(message.vocabulary);
    case "run":
      return scheduler?.add(message);
    case "cancel":
      embedding.delete(message.run);
      return scheduler?.cancel(message.run);
    case "taken":
      return scheduler?.taken(message.run, message.count);
    case "jump":
      return scheduler?.jump(message.run, message.ids);
    case "score":
      return scheduler?.score(message.run, message.tokens);
    case "embed":
      return embed(message.run, message.texts);
    case "profile":
      return send({ kind: "profiled", run: message.run, profile: await profile(message) });
    case "ask":
      loaded!.team.requireWhole(); // who asks how it is must hear of it, also while nothing is computed
      return send({ kind: "status", run: message.run, status: scheduler!.status() });
    case "close":
      return close();
  }
}

parentPort?.on("message", (message: ToEngine) => {
  signals.handled(message);
  handle(message)
    .catch(e => send({ kind: "failed", run: "run" in message ? message.run : undefined, error: wire(e) }))
    .finally(pump);
});
