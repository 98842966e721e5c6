/** Hosts, origins, methods and kinds of content in 2,000 combinations, against a plain list of what may be. */
import { expect, it } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { Catalog } from "../../src/serve/catalog.ts";
import { Random } from "../fixtures/random.ts";

const [OWN, FRIEND] = ["localhost:1", "https://good.example"];
/** Each with whether the server goes by it. */
const hosts: readonly (readonly [string, boolean])[] = [
  [OWN, true],
  ["127.0.0.1:1", true],
  ["127.8.9.10", true],
  ["[::1]:1", true],
  ["LOCALHOST", true],
  ["box.lan:1", true],
  ["a.localhost:80", true],
  ["evil.example", false],
  ["localhost.evil.example:1", false],
  ["127.0.0.1.evil.example", false],
  ["evil.example:127", false],
  ["box.lan.evil.example", false],
  ["192.168.0.1", false],
  ["0.0.0.0", false],
  ["[::2]:1", false],
  ["a.localhost.evil.example", false],
  ["xlocalhost", false],
  ["2130706433", false],
];
/** Each with the hosts whose own pages it names; `true`: allowed by name; `null`: not sent. */
const origins: readonly (readonly [string | null, boolean | string])[] = [
  [null, true],
  [FRIEND, true],
  ["HTTPS://GOOD.EXAMPLE", true],
  ["http://localhost:1", OWN],
  ["http://127.0.0.1:1", "127.0.0.1:1"],
  ["http://box.lan:1", "box.lan:1"],
  ["http://localhost:2", false],
  ["https://localhost:1", false],
  ["http://good.example", false],
  ["https://good.example.evil.example", false],
  ["https://good.example:444", false],
  ["https://evil.example", false],
  ["null", false],
  ["", false],
  ["file://", false],
  ["https://good.example/", false],
  ["*", false],
];
const sites = [null, null, null, "same-origin", "none", "same-site", "cross-site"] as const;
const methods = ["GET", "POST", "DELETE", "OPTIONS", "PUT", "HEAD"] as const;
/** Each with whether a body so named is JSON. */
const kinds: readonly (readonly [string | null, boolean])[] = [
  ["application/json", true],
  ["application/json; charset=utf-8", true],
  ["APPLICATION/JSON", true],
  ["application/vnd.x+json", true],
  ["text/plain", false],
  ["text/plain; application/json", false],
  ["application/x-www-form-urlencoded", false],
  ["multipart/form-data; boundary=x", false],
  ["application/jsonp", false],
  ["", false],
  [null, false],
];

it("2,000 requests: none from elsewhere is read or changes anything, and no page learns that it was answered", async () => {
  const app = createApp({ catalog: new Catalog([]), origins: [FRIEND], hosts: ["box.lan"] });
  const random = new Random(2000);
  const seen = new Map<number, number>();
  for (let i = 0; i < 2000; i++) {
    // Half of them at a host that is known, so that what comes behind it is reached.
    const [host, knows] = random.pick(random.below(2) ? hosts.filter(h => h[1]) : hosts);
    const [origin, may] = random.pick(random.below(2) ? origins.slice(0, 2) : origins);
    const [site, method] = [random.pick(sites), random.pick(methods)];
    const [kind, isJson] = random.pick(kinds);
    const headers = Object.entries({ host, origin, "sec-fetch-site": site, "content-type": kind }).filter(
      (entry): entry is [string, string] => entry[1] !== null,
    );
    const path = method === "POST" ? "/tokenize" : "/v1/models";
    const body = method === "POST" ? Buffer.from('{"content":"x"}') : undefined;
    const response = await app.fetch(new Request(`http://127.0.0.1:1${path}`, { method, headers, body }));
    const told = JSON.stringify({ headers, method, status: response.status });
    const foreign = origin === null ? site === "same-site" || site === "cross-site" : !(may === true || may === host);
    const answered = knows && !foreign;
    // What is not from here gets 403, whatever it asks for; what is from here gets anything else.
    expect(response.status === 403, told).toBe(!answered);
    expect(response.headers.get("access-control-allow-origin"), told).toBe(answered && origin !== null ? origin : null);
    expect(response.headers.get("access-control-allow-credentials"), told).toBeNull();
    if (answered && method === "POST" && !isJson) expect(response.status, told).toBe(400);
    if (answered && method === "POST" && isJson) expect(response.status, told).toBe(404); // there is no model here
    if (answered && method === "GET") expect(response.status, told).toBe(200);
    if (answered && method === "OPTIONS" && origin !== null) expect(response.status, told).toBe(204);
    seen.set(response.status, (seen.get(response.status) ?? 0) + 1);
  }
  for (const status of [200, 204, 400, 403, 404]) expect(seen.get(status) ?? 0, JSON.stringify([...seen])).toBeGreaterThan(10);
});
