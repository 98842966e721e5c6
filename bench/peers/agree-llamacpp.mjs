/**
 * llama.cpp's side of agree.mjs, in a process of its own because llama.cpp ends the process where it meets what it does not expect. Reads jobs from
 * the standard input, one JSON object a line: { path, ids, prompt, context, embedding }; answers with one line each:
 * { rows } (logits after every token: `prompt` tokens in one batch, then one a step), { embedding } (pooled, all tokens in one batch) or { error }.
 */
import { createInterface } from "node:readline";
import { loadPeer } from "../peers.mjs";

const F32 = 0;
/** Milliseconds. */
const LOG_DELAY = 60;
const said = [];
const { getLlama, LlamaLogLevel } = await loadPeer("native");
const llama = await getLlama({
  gpu: false,
  build: "never",
  maxThreads: 1,
  progressLogs: false,
  logLevel: LlamaLogLevel.warn,
  logger: (_level, message) => said.push(message.trim()),
});
const { AddonModel, AddonContext, AddonSampler } = llama._bindings;

async function logits(model, context, job) {
  const sampler = new AddonSampler(model);
  sampler.applyConfig({ temperature: 0 });
  const rows = [];
  const evaluate = async (first, ids) => {
    context.initBatch(ids.length);
    const wanted = context.addToBatch(0, first, Uint32Array.from(ids), Uint32Array.from(ids.keys()));
    await context.decodeBatch();
    for (const index of wanted) {
      const [, , , pairs] = await context.sampleToken(index, sampler, false, false, true);
      const row = [];
      for (let i = 0; i < pairs.length; i += 2) row[pairs[i]] = pairs[i + 1];
      rows.push(row);
    }
  };
  await evaluate(0, job.ids.slice(0, job.prompt));
  for (let i = job.prompt; i < job.ids.length; i++) await evaluate(i, [job.ids[i]]);
  sampler.dispose();
  return { rows };
}

async function embedding(context, { ids }) {
  context.initBatch(ids.length);
  context.addToBatch(0, 0, Uint32Array.from(ids), Uint32Array.from(ids.keys()));
  await context.decodeBatch();
  return { embedding: [...context.getEmbedding(ids.length)] };
}

async function answer(job) {
  const model = new AddonModel(job.path, { gpuLayers: 0, useMmap: false, addonExports: llama._bindings });
  if (!(await model.init())) throw new Error("not loaded");
  const context = new AddonContext(model, {
    ...{ contextSize: job.context, batchSize: job.context, sequences: 1, threads: 1 },
    ...{ flashAttention: job.flash ?? false, kvCacheKeyType: F32, kvCacheValueType: F32, swaFullCache: true },
    ...{ embeddings: job.embedding !== false, ranking: job.embedding === "rank" },
  });
  if (!(await context.init())) throw new Error("no context");
  try {
    return await (job.embedding ? embedding(context, job) : logits(model, context, job));
  } finally {
    await context.dispose();
    await model.dispose();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  said.length = 0;
  const result = await answer(JSON.parse(line)).catch(async error => {
    await new Promise(done => setTimeout(done, LOG_DELAY)); // what it logs comes later than its errors
    const why = said.join(" ").replaceAll(/llama_model_load\S*: (error loading model: )?|failed to load model/g, "").trim();
    return { error: why || error.message };
  });
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
process.exit(0);
