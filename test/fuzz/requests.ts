/**
 * Requests to every route of the server that takes a body, made from the routes' own schemas: values at and beyond their limits, wrong types,
 * unknown and repeated fields, texts that are hardly JSON. Whatever comes, the answer is one that the protocol has.
 */

import { join } from "node:path";
import { z } from "zod";
import { load } from "../../src/api/load.node.ts";
import type { Model } from "../../src/api/model.ts";
import { LatheError } from "../../src/errors.ts";
import { type App, createApp } from "../../src/serve/app.ts";
import { Catalog } from "../../src/serve/catalog.ts";
import type { Random } from "../fixtures/random.ts";
import { Random as Seeded } from "../fixtures/random.ts";
import type { Target } from "./targets.ts";

interface Schema {
  readonly type?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxItems?: number;
  readonly maxLength?: number;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}

const catalogOf = (model?: Model): Catalog =>
  new Catalog(model ? [{ name: "stories", aliases: [], created: 1, load: async () => model, bytes: async () => 0 }] : []);

const bodies = createApp({ catalog: catalogOf() }).routes.flatMap(({ path, schema }) =>
  schema ? [{ path, schema: z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Schema }] : [],
);

const wrong = [null, true, -1, 0, 0.5, Number.POSITIVE_INFINITY, 2 ** 53, "", "x", [], {}, [[]], { x: 1 }, "\ud800", "__proto__"];

/** A value that the schema takes, at its limits more often than not; one in twenty is none. */
function value(schema: Schema, random: Random, depth = 4): unknown {
  if (random.below(20) === 0) return random.pick(wrong);
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return value(random.pick(options), random, depth);
  if (schema.enum) return random.pick(schema.enum);
  if (schema.const !== undefined) return schema.const;
  if (schema.type === "boolean") return random.below(2) === 0;
  if (schema.type === "integer" || schema.type === "number") {
    const { minimum = -1e300, maximum = 1e300 } = schema;
    return random.pick([minimum, maximum, minimum - 1, maximum + 1, Math.min(maximum, Math.max(minimum, 1)), minimum + 0.5]);
  }
  if (schema.type === "string") {
    const words = ["A cat", "user", "assistant", "system", "text", "function", "é😀", "<|im_end|>", "root ::= [a-z]+", "(a+)+b"];
    return random.below(30) ? random.pick(words) : "x".repeat(Math.min(20_000, (schema.maxLength ?? 5000) + random.below(2)));
  }
  if (schema.type === "array") {
    const most = Math.min(schema.maxItems ?? 3, random.below(40) ? 3 : 1100);
    return Array.from({ length: random.below(most + 2) }, () => (depth > 0 ? value(schema.items ?? {}, random, depth - 1) : 1));
  }
  if (schema.type === "object" || schema.properties) return object(schema, random, depth);
  return random.pick(wrong);
}

function object({ properties = {}, required = [] }: Schema, random: Random, depth: number): object {
  const chosen = Object.entries(properties).filter(
    ([name]) => (random.below(required.includes(name) ? 40 : 5) !== 0) === required.includes(name),
  );
  const entries = chosen.map(([name, own]): [string, unknown] => [name, depth > 0 ? value(own, random, depth - 1) : 1]);
  if (random.below(10) === 0) entries.push([random.pick(["__proto__", "constructor", "frobnicate", "n"]), random.pick(wrong)]);
  return Object.fromEntries(entries);
}

/** Fields that say how long an answer may be: most requests get a small one, so that they are many. */
const lengths = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/** The path, a line break, the body. */
function made(random: Random): string {
  const { path, schema } = random.pick(bodies);
  const body = object(schema, random, 4) as Record<string, unknown>;
  const most = lengths.find(name => schema.properties && name in schema.properties);
  if (most && random.below(8)) body[most] = 1 + random.below(3);
  if (path.startsWith("/api/") && random.below(8)) body["options"] = { num_predict: 2, ...(body["options"] as object) };
  let text = JSON.stringify(body);
  const choice = random.below(20);
  if (choice === 0) text = text.slice(0, random.below(text.length));
  else if (choice === 1) text = text.replace("{", '{"temperature":1e400,"max_tokens":1,"max_tokens":2,');
  else if (choice === 2) text = text.replace("{", `{"x":${"[".repeat(random.below(4000))}`);
  else if (choice === 3) text = text.replaceAll('"', random.pick(["'", "\u0000", '"\\ud800']));
  return `${path}\n${text}`;
}

let opened: Promise<{ app: App; model: Model }> | undefined;
/** From the repository's root: long runs are compiled to another folder. */
const stories = join(process.cwd(), "models", "stories.gguf");
const server = (): NonNullable<typeof opened> =>
  (opened ??= (async () => {
    const model = await load(stories, { threads: 1, context: 128, chatTemplate: "chatml" }).catch(cause => {
      throw new Error("there is no model to ask", { cause }); // which is no answer to a request
    });
    return { model, app: createApp({ catalog: catalogOf(model) }) };
  })());

/** Milliseconds after which a client leaves; what it would have got is then not looked at. */
const PATIENCE_MS = 300;
const codes = new Set([501, 503]);

export const requests: Target = {
  name: "requests",
  kind: "text",
  beside: 2 ** 22,
  generate: random => new TextEncoder().encode(made(random)),
  samples: () => Array.from({ length: 8 }, (_, seed) => new TextEncoder().encode(made(new Seeded(seed)))),
  async attempt(input) {
    const { app } = await server();
    const text = new TextDecoder().decode(input);
    const at = text.indexOf("\n");
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const request = new Request(`http://localhost${text.slice(0, at)}`, {
      method: "POST",
      body: text.slice(at + 1),
      headers: { "content-type": "application/json" },
      signal,
    });
    const response = await app.fetch(request);
    const { status } = response;
    const answer = await response.text();
    if (signal.aborted) return;
    if (status >= 500 && !codes.has(status)) throw new Error(`status ${status}: ${answer.slice(0, 500)}`);
    if (response.headers.get("content-type")?.startsWith("application/json")) JSON.parse(answer);
    else if (answer.includes('"engine.failed"')) throw new Error(`a stream failed: ${answer.slice(-500)}`);
    if (status >= 400) throw new LatheError("request.invalid", `refused with ${status}`, {});
  },
  async close() {
    await (await opened)?.model.close();
    opened = undefined;
  },
};
