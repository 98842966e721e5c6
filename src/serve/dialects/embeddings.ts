/** Vectors and orders of texts: `/v1/embeddings`, `/api/embed`, `/v1/rerank`. */
import { z } from "zod";
import type { Model } from "../../api/model.ts";
import { LatheError } from "../../errors.ts";
import { checked, readJson } from "../body.ts";
import { fields, limits, longText, optional, tokenIds } from "../fields.ts";
import { type Call, json, type Route } from "../route.ts";
import { ollamaError } from "./ollama.ts";
import { openaiError } from "./openai-shapes.ts";

const tokens = tokenIds(1, 2 ** 20);
const input = z
  .union([longText, tokens, z.array(longText).min(1).max(limits.inputs), z.array(tokens).min(1).max(limits.inputs)])
  .describe(`a text, a list of token ids, or up to ${limits.inputs} of either`);

const dimensions = optional(z.int().min(1).max(65_536)).describe("only the first so many numbers, at unit length again");

const embeddingsSchema = z.object({
  input,
  model: optional(fields.model),
  encoding_format: optional(z.enum(["float", "base64"])).describe("how numbers are written"),
  dimensions,
  user: optional(fields.user),
});
const embedSchema = z.object({ input, model: optional(fields.model), dimensions });
const rerankSchema = z.object({
  query: longText.describe("what is looked for"),
  documents: z.array(longText).min(1).max(limits.inputs).describe("texts to be put in order"),
  model: optional(fields.model),
  top_n: optional(z.int().min(1).max(limits.inputs)).describe("only the best so many"),
});

const wrong = (message: string, field: string): LatheError => new LatheError("request.invalid", message, { field });

/** @throws LatheError request.unsupported for token ids: models read texts with marks of their own around them. */
function textsOf(given: z.output<typeof input>): readonly string[] {
  if (typeof given === "string") return [given];
  if (given.every(t => typeof t === "string")) return given;
  throw new LatheError("request.unsupported", "This server embeds texts, not token ids; send the texts.", { field: "input" });
}

/** Computes on a leased model, admitted like everything else. `work` gives what is answered. */
async function computed(
  call: Call,
  name: string | undefined,
  texts: readonly string[],
  work: (model: Model) => Promise<object>,
): Promise<Response> {
  const { service, caller, request } = call;
  using lease = await service.catalog.lease(name, request.signal);
  const tokens = texts.reduce((sum, t) => sum + lease.model.tokenizer.count(t), 0);
  const ticket = service.admission.enter(caller.tenant, tokens);
  service.metrics.add("requests_total");
  try {
    const answer = await work(lease.model);
    service.metrics.add("prompt_tokens_total", tokens);
    return json({ ...answer, model: lease.name });
  } finally {
    ticket.leave(true);
  }
}

/** The first so many numbers, at unit length again. */
function cut(vector: Float32Array, dimensions: number | undefined): Float32Array {
  if (dimensions === undefined || dimensions === vector.length) return vector;
  if (dimensions > vector.length) throw wrong(`This model's vectors have ${vector.length} numbers.`, "dimensions");
  const short = vector.subarray(0, dimensions);
  const length = Math.hypot(...short);
  return length ? short.map(x => x / length) : short;
}

const counted = ({ tokenizer }: Model, texts: readonly string[]): number => texts.reduce((sum, t) => sum + tokenizer.encode(t).length, 0);

async function embeddings(call: Call): Promise<Response> {
  const body = checked(embeddingsSchema, await readJson(call));
  const texts = textsOf(body.input);
  return computed(call, body.model, texts, async model => {
    const vectors = await model.embed(texts, { signal: call.request.signal });
    const shown = (v: Float32Array): unknown => {
      const short = cut(v, body.dimensions);
      return body.encoding_format === "base64" ? Buffer.from(Float32Array.from(short).buffer).toString("base64") : [...short];
    };
    const tokens = counted(model, texts);
    return {
      object: "list",
      data: vectors.map((v, index) => ({ object: "embedding", index, embedding: shown(v) })),
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    };
  });
}

async function embed(call: Call): Promise<Response> {
  const body = checked(embedSchema, await readJson(call));
  const texts = textsOf(body.input);
  return computed(call, body.model, texts, async model => {
    const vectors = await model.embed(texts, { signal: call.request.signal });
    const total_duration = Math.round((performance.now() - call.begun) * 1e6);
    return { embeddings: vectors.map(v => [...cut(v, body.dimensions)]), total_duration, prompt_eval_count: counted(model, texts) };
  });
}

async function rerank(call: Call): Promise<Response> {
  const body = checked(rerankSchema, await readJson(call));
  const { query, documents } = body;
  return computed(call, body.model, [query, ...documents], async model => {
    const order = await model.rerank(query, documents, { signal: call.request.signal });
    const best = [...order].sort((a, b) => b.score - a.score || a.index - b.index).slice(0, body.top_n);
    const tokens = documents.length * counted(model, [query]) + counted(model, documents);
    return {
      object: "list",
      results: best.map(({ index, score }) => ({ index, relevance_score: score, document: { text: documents[index] } })),
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    };
  });
}

const post = { method: "POST", scope: "user" } as const;

export const embeddingRoutes: readonly Route[] = [
  {
    ...post,
    path: "/v1/embeddings",
    about: "vectors of texts (OpenAI)",
    schema: embeddingsSchema,
    fail: openaiError,
    handle: embeddings,
  },
  { ...post, path: "/api/embed", about: "vectors of texts (Ollama)", schema: embedSchema, fail: ollamaError, handle: embed },
  {
    ...post,
    path: "/v1/rerank",
    about: "texts in the order in which they fit a query",
    schema: rerankSchema,
    fail: openaiError,
    handle: rerank,
  },
];
