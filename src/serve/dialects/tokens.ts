/** `/tokenize` and `/detokenize`, by the field names of llama.cpp's server and of vLLM. */
import { z } from "zod";
import { LatheError } from "../../errors.ts";
import { checked, readJson } from "../body.ts";
import { fields, longText, optional, tokenIds } from "../fields.ts";
import { Namer } from "../perform.ts";
import { json, type Route } from "../route.ts";
import { openaiError } from "./openai-shapes.ts";

/** Longest text that is tokenised for the asking; on this thread, so that it must not take long. */
const MOST_UNITS = 2 ** 20;

const tokenizeSchema = z.object({
  content: optional(longText.max(MOST_UNITS)).describe("the text"),
  prompt: optional(longText.max(MOST_UNITS)).describe("the same, by another name"),
  model: optional(fields.model),
  add_special: optional(z.boolean()).describe("put the tokens that begin a text first, where the model wants them (default: false)"),
  parse_special: optional(z.boolean()).describe("control tokens that are spelt in the text become those tokens (default: false)"),
  with_pieces: optional(z.boolean()).describe("tell each token's text besides its id"),
});

const detokenizeSchema = z.object({
  tokens: tokenIds(0, 2 ** 20).describe("token ids"),
  model: optional(fields.model),
});

export const tokenRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/tokenize",
    scope: "user",
    about: "the tokens of a text",
    schema: tokenizeSchema,
    fail: openaiError,
    handle: async call => {
      const { service, request } = call;
      const body = checked(tokenizeSchema, await readJson(call));
      const text = body.content ?? body.prompt;
      if (text === undefined) throw new LatheError("request.invalid", 'The field "content" is missing.', { field: "content" });
      using lease = await service.catalog.lease(body.model, request.signal);
      const { tokenizer, info } = lease.model;
      const ids = [...tokenizer.encode(text, { special: body.parse_special, bos: body.add_special ? undefined : false, eos: false })];
      const namer = Namer.of(lease.model);
      const tokens = body.with_pieces ? ids.map(id => ({ id, piece: namer.name({ id, logprob: 0 }).text })) : ids;
      return json({ tokens, count: ids.length, max_model_len: info.context });
    },
  },
  {
    method: "POST",
    path: "/detokenize",
    scope: "user",
    about: "the text of tokens",
    schema: detokenizeSchema,
    fail: openaiError,
    handle: async call => {
      const { service, request } = call;
      const body = checked(detokenizeSchema, await readJson(call));
      using lease = await service.catalog.lease(body.model, request.signal);
      const wrong = body.tokens.find(id => id >= lease.model.tokenizer.size);
      if (wrong !== undefined) throw new LatheError("request.invalid", `Token ${wrong} is not in the vocabulary.`, { field: "tokens" });
      const content = lease.model.tokenizer.decode(body.tokens);
      return json({ content, prompt: content });
    },
  },
];
