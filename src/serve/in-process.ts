/** The server without a port: a loaded model that answers requests of every dialect inside the program, as `model.fetch`. */
import type { Model } from "../api/model.ts";
import { createApp } from "./app.ts";
import { Catalog } from "./catalog.ts";

/** Answers requests to any host: nothing comes from outside. The model stays the caller's, who closes it. */
export function fetchOf(model: Model): (request: Request) => Promise<Response> {
  const { path, name } = model.info;
  const file = path
    .split(/[\\/]/)
    .at(-1)!
    .replace(/\.gguf$/i, "");
  const entry = {
    name: file,
    aliases: [name],
    created: Math.floor(Date.now() / 1000),
    load: async () => model,
    bytes: async () => 0,
  };
  const app = createApp({ catalog: new Catalog([entry]), hosts: ["*"], origins: ["*"] });
  return request => app.fetch(request);
}
