/** Vectors and orders of texts: `/v1/embeddings`, `/api/embed`, `/v1/rerank`. Bodies are checked; computing them is refused by name so far. */
import { z } from "zod";
import { LatheError } from "../../errors.ts";
import { checked, readJson } from "../body.ts";
import { fields, limits, longText, optional, tokenId } from "../fields.ts";
import type { Route } from "../route.ts";
import { ollamaError } from "./ollama.ts";
import { openaiError } from "./openai-shapes.ts";

const tokens = z
  .array(tokenId)
  .min(1)
  .max(2 ** 20);
const input = z
  .union([longText, tokens, z.array(longText).min(1).max(limits.inputs), z.array(tokens).min(1).max(limits.inputs)])
  .describe(`a text, a list of token ids, or up to ${limits.inputs} of either`);

const embeddingsSchema = z.object({
  input,
  model: optional(fields.model),
  encoding_format: optional(z.enum(["float", "base64"])).describe("how numbers are written"),
  dimensions: optional(z.int().min(1).max(65_536)).describe("only the first so many numbers"),
  user: optional(fields.user),
});
const embedSchema = z.object({ input, model: optional(fields.model), dimensions: optional(z.int().min(1).max(65_536)) });
const rerankSchema = z.object({
  query: longText.describe("what is looked for"),
  documents: z.array(longText).min(1).max(limits.inputs).describe("texts to be put in order"),
  model: optional(fields.model),
  top_n: optional(z.int().min(1).max(limits.inputs)).describe("only the best so many"),
});

const refused = (path: string, about: string, schema: z.ZodType, fail: Route["fail"]): Route => ({
  method: "POST",
  path,
  scope: "user",
  about: `${about}; answers 501 until the engine embeds`,
  schema,
  fail,
  handle: async ({ request }) => {
    checked(schema, await readJson(request));
    throw new LatheError("request.unsupported", "This server does not compute embeddings or orders of texts yet.");
  },
});

export const embeddingRoutes: readonly Route[] = [
  refused("/v1/embeddings", "vectors of texts (OpenAI)", embeddingsSchema, openaiError),
  refused("/api/embed", "vectors of texts (Ollama)", embedSchema, ollamaError),
  refused("/v1/rerank", "texts in the order in which they fit a query", rerankSchema, openaiError),
];
