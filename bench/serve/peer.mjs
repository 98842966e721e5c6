/**
 * The same closed loop on llama.cpp (through node-llama-cpp): so many sequences in one context, each of which takes the next request when it has
 * written its answer. Runs as a child process that is told when to work, so that engines can take turns.
 */
import { loadPeer, mappedVariants } from "../peers.mjs";
import { workload } from "./workload.mjs";

const [, , model, isa, threads, sequences, tokensEach] = process.argv;

const { getLlama, LlamaLogLevel } = await loadPeer(isa);
const llama = await getLlama({
  gpu: false,
  build: "never",
  maxThreads: Number(threads),
  logLevel: LlamaLogLevel.error,
  progressLogs: false,
});
const loaded = await llama.loadModel({ modelPath: model });
const context = await loaded.createContext({
  sequences: Number(sequences),
  contextSize: Number(tokensEach),
  batchSize: 512,
  threads: Number(threads),
});
const all = Array.from({ length: Number(sequences) }, () => context.getSequence());
const vocabulary = [...loaded.iterateAllTokens()].length;

/** One request on one sequence; tells when each token came. */
async function answer(sequence, { prompt, answer: most }, times, stopped) {
  await sequence.clearHistory();
  let made = 0;
  for await (const _token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    times.push(performance.now());
    if (++made === most || stopped()) break;
  }
}

async function closedLoop({ clients, warmSeconds, seconds, seed }) {
  const source = workload(seed, vocabulary);
  const times = [];
  const from = performance.now() + 1000 * warmSeconds;
  const to = from + 1000 * seconds;
  const stopped = () => performance.now() >= to;
  const client = async sequence => {
    while (!stopped()) await answer(sequence, source.request(), times, stopped);
  };
  await Promise.all(all.slice(0, clients).map(client));
  return times.filter(t => t >= from && t < to).length / seconds;
}

process.on("message", async order => process.send({ tokensPerSecond: await closedLoop(order) }));
process.on("disconnect", () => process.exit(0));
process.send({ ready: true, isa: mappedVariants().join("+"), release: llama.llamaCppRelease.release, threads: context.currentThreads });
