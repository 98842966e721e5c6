/** Five times more requests than the server can answer, also beside sockets that do nothing: what is useful still gets done, and the rest is refused at once. */
import { quantile } from "./figures.mjs";
import { closedLoop, openLoop } from "./load.mjs";
import { watchOthers } from "./server.mjs";
import { openSockets } from "./sockets.mjs";
import { workload } from "./workload.mjs";

/** Clients at whose number the peak is measured: as many as a step has rows for. */
const PEAK_CLIENTS = 16;
const OVER = 5;
/** Seconds after which a client gives up; what it had got by then counts for nothing. */
const PATIENCE = 60;
/** Seconds until as many first prompts are read and answers are at different places. */
const WARM_SECONDS = 10;
/** Seconds of the peak's window, several blocks of the mixture of lengths. */
const PEAK_SECONDS = 30;
const REFUSED_MS = 50;

async function peakOf({ server, signal }, seed) {
  const source = workload(seed, server.vocabulary, server.context);
  const window = await closedLoop({
    place: server.place,
    source,
    clients: PEAK_CLIENTS,
    seconds: PEAK_SECONDS,
    warm: WARM_SECONDS,
    signal,
  });
  const ended = window.answers.filter(a => a.ended);
  const tokensEach = ended.reduce((sum, a) => sum + a.times.length, 0) / Math.max(1, ended.length);
  return { tokensPerSecond: window.tokensPerSecond, requestsPerSecond: window.tokensPerSecond / tokensEach };
}

/** Goodput under overload, and milliseconds to each refusal. */
async function overloaded({ server, signal, say, options }, peak, seed) {
  const source = workload(seed, server.vocabulary, server.context);
  const rate = OVER * peak.requestsPerSecond;
  const seconds = 60 * options.minutes;
  const onTick = n => say(`overload: ${n} requests, ${rate.toFixed(1)} a second`);
  const { window, refused } = await openLoop({ place: server.place, source, rate, seconds, patience: PATIENCE, signal, onTick });
  const lost = window.answers.filter(a => a.status === 0 && !a.aborted);
  if (lost.length) throw new Error(`${lost.length} connections failed: ${lost[0].failure}`);
  const waits = waitsOf(window.answers, refused);
  const impatient = window.answers.filter(a => a.aborted && a.status !== 429).length;
  return { goodput: window.tokensPerSecond, impatient, refusals: refused.map(a => a.headMs), sent: window.answers.length, waits };
}

/**
 * For each refusal the seconds that it said, and those until one came that asked for as much and was taken. Whole seconds are the header's
 * unit: what is due sooner is told as one.
 */
function waitsOf(answers, refused) {
  const taken = answers.filter(a => a.status === 200).sort((a, b) => a.began - b.began);
  return refused.flatMap(({ began, cost, retryAfter }) => {
    const next = taken.find(a => a.began > began && a.cost >= cost);
    return next ? [{ said: retryAfter, true: Math.max(1, (next.began - began) / 1000) }] : [];
  });
}

/** @param {import("./scenarios.mjs").Setting} setting */
export async function overload(setting) {
  const { server, add, say } = setting;
  const others = watchOthers([server.pid]);
  say("overload: the peak");
  const peak = await peakOf(setting, 400);
  const { goodput, impatient, refusals, sent, waits } = await overloaded(setting, peak, 401);
  say("overload: the peak again");
  // Before and after: a machine that others use as well does not keep its speed for minutes.
  const peaks = [peak, await peakOf(setting, 402)].map(p => p.tokensPerSecond);
  add("overload", "peak, before and after", "tokens/s", peaks);
  add("overload", `goodput at ${OVER} times as many requests`, "tokens/s", [goodput]);
  add("overload", "goodput : peak", "", [(2 * goodput) / (peaks[0] + peaks[1])], { atLeast: 0.9 });
  add("overload", `given up by their clients after ${PATIENCE} s`, "", [impatient]);
  addRefusals(add, "overload", refusals, sent);
  const near = waits.filter(w => w.said <= 2 * w.true && w.true <= 2 * w.said).length / waits.length;
  const [said, truly] = ["said", "true"].map(k => waits.map(w => w[k]));
  const note = `${waits.length} refusals; said ${quantile(said, 0.1)} to ${quantile(said, 0.9)} s, true ${quantile(truly, 0.1).toFixed(1)} to ${quantile(truly, 0.9).toFixed(1)} s`;
  add("overload", "refusals whose Retry-After is within a factor of 2 of the true wait", "", [near], { atLeast: 0.9, note });
  add("overload", "other work meanwhile", "cores", [others()]);
}

/** @param {import("./scenarios.mjs").Setting} setting */
export async function idle(setting) {
  const { server, add, say, options } = setting;
  const others = watchOthers([server.pid]);
  say("idle: the peak without");
  const peak = await peakOf(setting, 400);
  const without = await overloaded(setting, peak, 401);
  say(`idle: opening ${options.sockets} sockets`);
  const sockets = await openSockets(server.place, { count: options.sockets, kinds: ["silent", "head", "body", "kept"] });
  try {
    // Other prompts: of the same ones some would be known by now.
    const beside = await peakOf(setting, 402);
    add("idle", `peak beside ${options.sockets} idle or stalled sockets : without`, "", [beside.tokensPerSecond / peak.tokensPerSecond], {
      atLeast: 0.75,
    });
    const again = await overloaded(setting, peak, 403);
    add("idle", "goodput beside them : without", "", [again.goodput / without.goodput], { atLeast: 0.75 });
    addRefusals(add, "idle", again.refusals, again.sent);
    const [before, after] = [without, again].map(w => quantile(w.refusals, 0.5));
    add("idle", "median until refused beside them : without", "", [after / before], { atMost: 1.25 });
  } finally {
    sockets.close();
  }
  add("idle", "other work meanwhile", "cores", [others()]);
}

function addRefusals(add, scenario, refusals, sent) {
  const note = `${refusals.length} of ${sent} requests`;
  if (!refusals.length) throw new Error(`none of ${sent} requests was refused: this was no overload`);
  add(scenario, "median until refused", "ms", [quantile(refusals, 0.5)], { note });
  add(scenario, "p99 until refused", "ms", [quantile(refusals, 0.99)], { atMost: REFUSED_MS });
  add(scenario, "longest until refused", "ms", [Math.max(...refusals)]);
}
