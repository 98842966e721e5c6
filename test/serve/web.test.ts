/** How the web chat's files are sent: types, policy, caching, and only files that are there. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { Catalog } from "../../src/serve/catalog.ts";

describe("files of the web chat", () => {
  const app = createApp({ catalog: new Catalog([]), keys: ["secret"], web: true });
  const get = (path: string, headers: Record<string, string> = {}) => app.fetch(new Request(`http://localhost${path}`, { headers }));
  let html = "";
  beforeAll(async () => {
    html = await (await get("/")).text();
  });
  afterAll(() => app.service.catalog.close());

  it("sends the page without a key, under a policy without inline or foreign code", async () => {
    const r = await get("/");
    expect(r.status).toBe(200);
    expect(r.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(r.headers.get("x-content-type-options")).toBe("nosniff");
    const policy = r.headers.get("content-security-policy")!;
    expect(policy).toContain("default-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe|https?:|data:|\*/);
    expect(html).not.toMatch(/<script(?![^>]*\bsrc="\/)|<style| style=| on\w+=|https?:\/\//);
  });

  it("lets hashed files be kept for ever and asks again for the page", async () => {
    const files = Array.from(html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g), m => m[1]);
    expect(files.map(f => f.split(".").at(-1)).sort()).toEqual(["css", "js"]);
    for (const file of files) {
      const r = await get(file);
      expect(r.headers.get("cache-control")).toContain("immutable");
      expect(r.headers.get("content-type")).toBe(file.endsWith(".js") ? "text/javascript; charset=utf-8" : "text/css; charset=utf-8");
      expect((await r.bytes()).length).toBe(Number(r.headers.get("content-length")));
    }
    const page = await get("/");
    expect(page.headers.get("cache-control")).toBe("no-cache");
    expect((await get("/", { "if-none-match": page.headers.get("etag")! })).status).toBe(304);
  });

  it("sends no other file", async () => {
    for (const path of ["/../../package.json", "/..%2f..%2fpackage.json", "/assets/%2e%2e/index.html", "/assets/", "/index.htm", "/%00"]) {
      expect((await get(path)).status, path).toBe(404);
    }
  });

  it("may be linked to from other pages, which may still not read what the server answers", async () => {
    const linked = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
    expect((await get("/", linked)).status).toBe(200);
    expect((await get("/", { ...linked, "sec-fetch-dest": "iframe" })).status).toBe(403);
    expect((await get("/v1/models", { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" })).status).toBe(403);
  });

  it("is not there unless asked for", async () => {
    const without = createApp({ catalog: new Catalog([]) });
    expect((await without.fetch(new Request("http://localhost/"))).status).toBe(404);
  });
});
