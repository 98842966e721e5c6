/**
 * The web chat's files, built into `dist/web/chat`, as routes: one for each file that was there when the server was made, so that no path of a
 * request ever becomes a path of the disk. Owns the policy under which browsers run the page.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openaiError } from "./dialects/openai-shapes.ts";
import type { Route } from "./route.ts";

/**
 * Only the page's own files: no inline scripts or styles, nothing from elsewhere, no frames around or inside it. Trusted types without a policy
 * mean that no text can become markup or code at all.
 */
const contentPolicy = [
  "default-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "object-src 'none'",
  "frame-src 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const types: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

/** Names under assets/ contain a hash of the contents. */
const cachedFor = (path: string): string => (path.startsWith("assets/") ? "public, max-age=31536000, immutable" : "no-cache");

const builtFolder = fileURLToPath(new URL("../web/chat/", import.meta.url));

/** None where the page was not built. */
export function webRoutes(folder: string = builtFolder): readonly Route[] {
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).map(path => path.replaceAll("\\", "/"));
  return files.filter(path => types[endingOf(path)]).map(path => fileRoute(path, readFileSync(`${folder}/${path}`)));
}

const endingOf = (path: string): string => path.split(".").at(-1)!;

function fileRoute(path: string, bytes: Uint8Array<ArrayBuffer>): Route {
  const tag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
  const headers = {
    etag: tag,
    "cache-control": cachedFor(path),
    "content-security-policy": contentPolicy,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
  };
  return {
    method: "GET",
    path: path === "index.html" ? "/" : `/${path}`,
    scope: "open",
    about: "the web chat",
    fail: openaiError,
    handle: ({ request }) => {
      const known = (request.headers.get("if-none-match") ?? "").split(/\s*,\s*/).some(t => t.replace(/^W\//, "") === tag);
      if (known) return new Response(null, { status: 304, headers });
      return new Response(bytes, {
        headers: { ...headers, "content-type": types[endingOf(path)], "content-length": String(bytes.length) },
      });
    },
  };
}
