/**
 * The server as a function from request to response: one table of routes, guards before it, errors after it. Runs with a port (listen.ts) and
 * without one (in-process.ts).
 */
import type { Readable } from "node:stream";
import { Hono } from "hono";
import { LatheError } from "../errors.ts";
import { anthropicCount, anthropicMessages } from "./dialects/anthropic.ts";
import { embeddingRoutes } from "./dialects/embeddings.ts";
import { ollamaChat, ollamaGenerate } from "./dialects/ollama.ts";
import { ollamaModels } from "./dialects/ollama-models.ts";
import { openaiChat } from "./dialects/openai-chat.ts";
import { openaiCompletions } from "./dialects/openai-completions.ts";
import { openaiModels } from "./dialects/openai-models.ts";
import { openaiResponses, responseRoutes } from "./dialects/openai-responses.ts";
import { openaiError } from "./dialects/openai-shapes.ts";
import { tokenRoutes } from "./dialects/tokens.ts";
import { type Failure, failureOf } from "./failure.ts";
import { generationRoute } from "./generation.ts";
import { crossOrigin, Guard, type GuardOptions } from "./guard.ts";
import { healthRoutes, Watchdog, type WatchOptions } from "./health.ts";
import { type Call, json, type Route } from "./route.ts";
import { Service, type ServiceOptions } from "./service.ts";
import { webRoutes } from "./web.ts";

export interface AppOptions extends ServiceOptions, GuardOptions, WatchOptions {
  /** Also sends the web chat, at `/`. Default: no. */
  readonly web?: boolean;
}

export interface App {
  readonly service: Service;
  readonly watchdog: Watchdog;
  readonly routes: readonly Route[];
  /** `source`: where the request's body comes from, if it is better read there than from the request. */
  readonly fetch: (request: Request, source?: Readable) => Promise<Response>;
}

/** Every route of the server. */
const routesOf = (watchdog: Watchdog): readonly Route[] => [
  generationRoute(openaiChat),
  generationRoute(openaiCompletions),
  generationRoute(openaiResponses),
  ...responseRoutes,
  ...openaiModels,
  generationRoute(anthropicMessages),
  anthropicCount,
  generationRoute(ollamaChat),
  generationRoute(ollamaGenerate),
  ...ollamaModels,
  ...embeddingRoutes,
  ...tokenRoutes,
  ...healthRoutes(watchdog),
];

export function createApp(options: AppOptions): App {
  const service = new Service(options);
  const watchdog = new Watchdog(service, options);
  const guard = new Guard(options);
  const routes = [...routesOf(watchdog), ...(options.web ? webRoutes() : [])];
  const hono = new Hono<{ Bindings: { source?: Readable } }>();
  for (const route of routes) {
    hono.on(route.method, route.path, c =>
      answered(route, { request: c.req.raw, source: c.env.source, params: c.req.param() }, service, guard),
    );
  }
  hono.notFound(c => refused(openaiError, noRoute(routes, c.req.path), service, "none"));
  const fetch = async (request: Request, source?: Readable): Promise<Response> =>
    guarded(request, guard, service, () => hono.fetch(request, { source }));
  return { service, watchdog, routes, fetch };
}

/** Hosts and origins, for known and unknown routes alike. */
async function guarded(request: Request, guard: Guard, service: Service, next: () => Response | Promise<Response>): Promise<Response> {
  let origin: string | undefined;
  try {
    guard.checkHost(request);
    origin = guard.checkOrigin(request);
  } catch (e) {
    return refused(openaiError, e, service, "none");
  }
  const preflight = request.method === "OPTIONS" && origin !== undefined;
  const response = preflight ? new Response(null, { status: 204 }) : await next();
  response.headers.set("x-content-type-options", "nosniff");
  if (origin !== undefined) for (const [k, v] of Object.entries(crossOrigin(origin))) response.headers.set(k, v);
  return response;
}

async function answered(
  route: Route,
  asked: Pick<Call, "request" | "source" | "params">,
  service: Service,
  guard: Guard,
): Promise<Response> {
  const begun = performance.now();
  try {
    const caller = route.scope === "open" ? { tenant: "none" } : guard.caller(asked.request);
    if (service.draining && route.scope === "user" && route.method === "POST") {
      throw new LatheError("server.closing", "The server is shutting down; try again soon.", { retryAfter: 5 });
    }
    const response = await route.handle({ ...asked, service, caller, begun });
    service.metrics.responded(route.path, response.status);
    service.log({ event: "request", route: route.path, status: response.status, ms: Math.round(performance.now() - begun) });
    return response;
  } catch (e) {
    return refused(route.fail, e, service, route.path);
  }
}

function refused(fail: (f: Failure) => object, thrown: unknown, service: Service, route: string): Response {
  const failure = failureOf(thrown);
  service.metrics.responded(route, failure.status);
  service.log({ event: "refused", route, status: failure.status, code: failure.code });
  const headers: Record<string, string> = failure.retryAfter === undefined ? {} : { "retry-after": String(failure.retryAfter) };
  if (failure.status === 401) headers["www-authenticate"] = "Bearer";
  if (failure.status === 408) headers["connection"] = "close"; // the rest of the body is not waited for
  return json(fail(failure), failure.status, headers);
}

function noRoute(routes: readonly Route[], path: string): LatheError {
  const known = routes.find(r => r.path === path);
  const message = known ? `That path takes ${known.method}.` : "There is no such path on this server.";
  return new LatheError("request.invalid", message, { status: known ? 405 : 404 });
}
