/** Ollama's routes about models: `/api/tags`, `/api/show`, `/api/ps`, `/api/version`. */
import { z } from "zod";
import { checked, readJson } from "../body.ts";
import { fields, optional } from "../fields.ts";
import { json, type Route } from "../route.ts";
import { fingerprint, type Service } from "../service.ts";
import { ollamaError } from "./ollama.ts";

type Listed = ReturnType<Service["catalog"]["list"]>[number];

const details = ({ model }: Listed): object => ({
  parent_model: "",
  format: "gguf",
  family: model?.info.architecture ?? "",
  families: model ? [model.info.architecture] : [],
  parameter_size: "",
  quantization_level: "",
});

const shown = (m: Listed): object => ({
  name: m.name,
  model: m.name,
  modified_at: new Date(1000 * m.created).toISOString(),
  size: m.model?.info.fileBytes ?? m.bytes,
  // Names the model within this server; the file itself is not hashed for the asking.
  digest: fingerprint(m.name),
  details: details(m),
});

const FOREVER = "9999-12-31T23:59:59.000Z";
const running = (m: Listed): object => ({
  ...shown(m),
  expires_at: Number.isFinite(m.expires) ? new Date(m.expires).toISOString() : FOREVER,
  size_vram: 0,
  size: m.model!.info.memoryBytes,
  context_length: m.model!.info.context,
});

const showSchema = z.object({
  model: optional(fields.model),
  name: optional(fields.model).describe("the same, by its older name"),
});

const get = { method: "GET", scope: "user", fail: ollamaError } as const;

export const ollamaModels: readonly Route[] = [
  {
    ...get,
    path: "/api/tags",
    about: "the models of this server (Ollama)",
    handle: ({ service }) => json({ models: service.catalog.list().map(shown) }),
  },
  {
    ...get,
    path: "/api/ps",
    about: "those that are loaded (Ollama)",
    handle: ({ service }) =>
      json({
        models: service.catalog
          .list()
          .filter(m => m.model)
          .map(running),
      }),
  },
  {
    ...get,
    scope: "open",
    path: "/api/version",
    about: "the server's version (Ollama)",
    handle: ({ service }) => json({ version: service.version }),
  },
  {
    method: "POST",
    path: "/api/show",
    scope: "user",
    about: "what is known of a model (Ollama)",
    schema: showSchema,
    fail: ollamaError,
    handle: async call => {
      const { service, request } = call;
      const body = checked(showSchema, await readJson(call));
      using lease = await service.catalog.lease(body.model ?? body.name, request.signal);
      const { info, chats } = lease.model;
      const listed = service.catalog.list().find(m => m.name === lease.name)!;
      return json({
        modelfile: "",
        parameters: "",
        template: "",
        details: details(listed),
        model_info: {
          "general.architecture": info.architecture,
          "general.name": info.name,
          [`${info.architecture}.context_length`]: info.context,
          [`${info.architecture}.vocab_size`]: info.vocabulary,
        },
        capabilities: ["completion", ...(chats ? ["tools"] : [])],
      });
    },
  },
];
