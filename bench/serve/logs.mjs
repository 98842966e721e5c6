/**
 * Canaries in every place of a request, on every route, at every level of logging: none comes back in what the server writes, in its metrics,
 * or in an error.
 */
import { request } from "node:http";
import { POSTS } from "./routes.mjs";
import { ordinary, workload } from "./workload.mjs";

const LEVELS = [[], ["--log"], ["--log", "--debug"], ["--quiet"]];
const KEY = "zqxkeykjw";
const canary = i => `zqx${(7919 * (i + 1)).toString(36)}kjw`;

/** A canary is put behind these. */
const PREFIXES = ["/v1/models/", "/v1/responses/", "/", "/metrics?q=", "/livez?q="];

/** A request that every route takes. */
const well = c => ({
  model: "stories",
  prompt: c,
  input: c,
  content: c,
  query: c,
  documents: [c],
  tokens: [1],
  messages: [{ role: "user", content: c }],
  max_tokens: 2,
});

/** Other fields than those, some of them wrong. */
const changes = [
  () => ({}),
  () => ({ stream: true }),
  c => ({ temperature: c }),
  c => ({ stop: [c], logit_bias: { [c]: 1 } }),
  c => ({ model: c, messages: [{ role: c, content: c }] }),
  c => ({ messages: [{ role: "user", content: [{ type: c, text: c }] }] }),
  c => ({ prompt: `${c} `.repeat(5000), input: `${c} `.repeat(5000), messages: [{ role: "user", content: `${c} `.repeat(5000) }] }),
];
/** Forms of answers and tools that are wrong: errors say by name what is wrong with them, to whoever sent them. */
const forms = [
  c => ({ grammar: `root ::= ${c}` }),
  c => ({ guided_regex: `(${c}` }),
  c => ({ response_format: { type: "json_schema", json_schema: { name: c, schema: { $ref: `#/${c}` } } } }),
  c => ({ tools: [{ type: "function", function: { name: c, description: c, parameters: { type: c } } }] }),
];
const raw = [c => `{"prompt":"${c}`, c => `["${c}"]`];
const headers = [
  c => ({ "content-type": `text/${c}` }),
  c => ({ authorization: `Bearer ${c}` }),
  c => ({ host: `${c}.example` }),
  c => ({ origin: `https://${c}.example` }),
];

/** Everything that is sent with one canary. @returns {{ body: string, headers?: object, form?: boolean }[]} */
const bodies = c => [
  ...changes.map(change => ({ body: JSON.stringify({ ...well(c), ...change(c) }) })),
  ...forms.map(form => ({ body: JSON.stringify({ ...well("x"), ...form(c) }), form: true })),
  ...raw.map(text => ({ body: text(c) })),
  ...headers.map(own => ({ body: JSON.stringify(well(c)), headers: own(c) })),
];

function sent({ host, port }, method, path, { body, headers = {} }) {
  return new Promise((done, failed) => {
    const all = { authorization: `Bearer ${KEY}`, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers };
    const asked = request({ host, port, path, method, headers: all, agent: false }, response => {
      let text = "";
      response.setEncoding("utf8").on("data", d => (text += d));
      response.on("end", () => done({ status: response.statusCode, text })).on("error", failed);
    });
    asked.on("error", failed);
    asked.end(body);
  });
}

/** @param {import("./scenarios.mjs").Setting} setting */
export async function logs({ start, say, add, options, signal }) {
  const source = workload(970, 1024 + ordinary(1024));
  const found = { said: [], metrics: [], errors: [], named: [] };
  const statuses = {};
  let [made, lines] = [0, 0];
  for (const more of LEVELS) {
    const server = await start({ key: KEY, more: ["--chat-template", "chatml", ...more] });
    const end = made + Math.ceil(options.requests / LEVELS.length);
    while (made < end) {
      signal.throwIfAborted();
      const own = canary(made++);
      // Every canary goes to a route in every place; one in eight is in a path.
      const path = POSTS[made % POSTS.length];
      const asked = made % 8 ? bodies(own).map(what => ["POST", path, what]) : PREFIXES.map(to => ["GET", to + own, { form: true }]);
      for (const [method, to, what] of asked) {
        const { status, text } = await sent(server.place, method, to, what);
        statuses[status] = (statuses[status] ?? 0) + 1;
        if (status < 400 || !text.includes(own)) continue;
        (what.form ? found.named : found.errors).push(
          `${method} ${to.replace(own, "...")} ${what.body?.slice(0, 100) ?? ""}: ${text.slice(0, 300)}`,
        );
      }
      if (source.next() % 16 === 0) {
        const { text } = await sent(server.place, "GET", "/metrics", {});
        if (/zqx\w+kjw/.test(text)) found.metrics.push(own);
      }
      say(`logs: ${made} of ${options.requests}`);
    }
    await server.signalled(more.length ? "SIGTERM" : "SIGABRT");
    const said = server.said();
    lines += said.split("\n").length;
    found.said.push(...(said.match(/.*zqx\w+kjw.*/g) ?? []), ...(said.match(/.*\/[\w.-]+\.gguf.*/g) ?? []));
  }
  const all = Object.entries(statuses).map(([status, n]) => `${n} x ${status}`);
  add("logs", "canaries sent", "", [made], { note: all.join(", ") });
  add("logs", "lines with a canary, a key or a file's path", "", [found.said.length], {
    atMost: 0,
    note: found.said[0]?.slice(0, 200) ?? `${lines} lines`,
  });
  add("logs", "metrics with a canary", "", [found.metrics.length], { atMost: 0 });
  add("logs", "errors that repeat a prompt, a message, a key or a header", "", [found.errors.length], { atMost: 0, note: found.errors[0] });
  add("logs", "errors that name what is wrong with a form or an address", "", [found.named.length]);
  add("logs", "answers that say the server failed (500)", "", [statuses[500] ?? 0], { atMost: 0 });
}
