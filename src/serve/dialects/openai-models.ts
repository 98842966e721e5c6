/** `/v1/models`: what this server has, in the form of OpenAI's protocol. */
import { json, type Route } from "../route.ts";
import type { Service } from "../service.ts";
import { openaiError } from "./openai-shapes.ts";

const shown = (m: ReturnType<Service["catalog"]["list"]>[number]): object => ({
  id: m.name,
  object: "model",
  created: m.created,
  owned_by: "lathe",
  status: { value: m.state },
  ...(m.model ? { meta: { context: m.model.info.context, architecture: m.model.info.architecture, size: m.model.info.fileBytes } } : {}),
});

export const openaiModels: readonly Route[] = [
  {
    method: "GET",
    path: "/v1/models",
    scope: "user",
    about: "the models of this server (OpenAI)",
    fail: openaiError,
    handle: ({ service }) => json({ object: "list", data: service.catalog.list().map(shown) }),
  },
  {
    method: "GET",
    path: "/v1/models/:name{.+}",
    scope: "user",
    about: "one of them",
    fail: openaiError,
    handle: ({ service, params }) => {
      const name = service.catalog.resolve(params["name"]);
      return json(shown(service.catalog.list().find(m => m.name === name)!));
    },
  },
];
