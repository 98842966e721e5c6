/** Total speed of one stream and of eight, beside llama.cpp with eight sequences in one context; the three take turns. */
import { fork } from "node:child_process";
import { join } from "node:path";
import { closedLoop } from "./load.mjs";
import { watchOthers } from "./server.mjs";
import { workload } from "./workload.mjs";

const CLIENTS = 8;
/** Seconds after which all streams are at different places of their answers: eight first prompts at once take llama.cpp so long. */
const WARM_SECONDS = 6;
/** Tokens that a sequence of the workload has at most, prompt and answer. */
const MOST = 128 + 96;

/** llama.cpp in a process of its own. @returns {Promise<{ about: any, run: (seed: number) => Promise<number>, stop: () => void }>} */
async function startPeer({ model, isa, threads, seconds }) {
  const each = MOST + 32;
  const child = fork(join(import.meta.dirname, "peer.mjs"), [model, isa, threads, CLIENTS, each].map(String), { stdio: "inherit" });
  const next = () =>
    new Promise((done, failed) => {
      child.once("message", done);
      child.once("exit", code => failed(new Error(`llama.cpp ended with ${code}`)));
    });
  const about = await next();
  const run = async seed => {
    child.send({ clients: CLIENTS, warmSeconds: WARM_SECONDS, seconds, seed });
    return (await next()).tokensPerSecond;
  };
  return { about, run, pid: child.pid, stop: () => child.kill("SIGKILL") };
}

/** @param {import("./scenarios.mjs").Setting} setting */
export async function streams({ server, signal, say, add, options }) {
  const { seconds, rounds, peer: isa, model, threads } = options;
  const speeds = { one: [], eight: [], peer: [] };
  const peer = isa === "none" ? undefined : await startPeer({ model, isa, threads, seconds });
  add("streams", "1 stream", "tokens/s", speeds.one);
  add("streams", "8 streams", "tokens/s", speeds.eight);
  const ratios = add("streams", "8 streams : 1 stream", "x", [], { atLeast: 2.5 });
  if (peer) add("streams", `llama.cpp ${peer.about.release}, ${peer.about.isa}, 8 sequences`, "tokens/s", speeds.peer);
  const beside = peer && add("streams", "8 streams : llama.cpp's 8", "x", [], { atLeast: 3 });
  const noise = add("streams", "other work meanwhile", "cores", []);
  try {
    for (let round = 0; round < rounds; round++) {
      const lathe = async clients => {
        const source = workload(100 + round, server.vocabulary, server.context);
        const window = await closedLoop({
          place: server.place,
          source,
          clients,
          seconds,
          warm: clients > 1 ? WARM_SECONDS : undefined,
          signal,
        });
        if (window.failed.length) throw new Error(`${window.failed.length} requests failed: ${window.failed[0].failure}`);
        return window.tokensPerSecond;
      };
      const others = watchOthers([server.pid, ...(peer ? [peer.pid] : [])]);
      say(`streams: round ${round + 1} of ${rounds}`);
      speeds.one.push(await lathe(1));
      speeds.eight.push(await lathe(CLIENTS));
      ratios.push(speeds.eight[round] / speeds.one[round]);
      if (peer) {
        speeds.peer.push(await peer.run(100 + round));
        if (speeds.peer[round] > 0) beside.push(speeds.eight[round] / speeds.peer[round]);
      }
      noise.push(others());
    }
  } finally {
    peer?.stop();
  }
}
