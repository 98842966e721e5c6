/**
 * Who may talk to the server at all: allowed hosts against DNS rebinding, allowed origins against foreign web pages, keys against everybody
 * else. Checked before routing and before a body is read.
 */
import { timingSafeEqual } from "node:crypto";
import { LatheError } from "../errors.ts";
import { type Caller, fingerprint } from "./service.ts";

export interface GuardOptions {
  /** Keys, any of which opens the server; none: no key is asked for. */
  readonly keys?: readonly string[];
  /** Host names by which the server may be addressed besides loopback names; "*": any. */
  readonly hosts?: readonly string[];
  /** Origins of web pages that may use it, such as `https://chat.example`; "*": any. Pages of the server itself always may. */
  readonly origins?: readonly string[];
}

const loopback = /^(localhost|[\w-]+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Whether only this machine can reach a server that listens there. */
export const isLoopback = (host: string): boolean => loopback.test(host.includes(":") && !host.startsWith("[") ? `[${host}]` : host);

/** A host header without its port. */
const nameOf = (host: string): string => host.toLowerCase().replace(/:\d{1,5}$/, "");

export class Guard {
  readonly #keys: readonly string[];
  readonly #hosts: readonly string[];
  readonly #origins: readonly string[];

  constructor({ keys = [], hosts = [], origins = [] }: GuardOptions) {
    this.#keys = keys.map(fingerprint);
    this.#hosts = hosts.map(h => h.toLowerCase());
    this.#origins = origins.map(o => o.toLowerCase());
  }

  /** @throws LatheError server.denied */
  checkHost(request: Request): void {
    const host = nameOf(request.headers.get("host") ?? new URL(request.url).host);
    if (loopback.test(host) || this.#hosts.includes("*") || this.#hosts.includes(host)) return;
    throw new LatheError("server.denied", "This server does not go by that host name; allow it with --allow-host.", { status: 403 });
  }

  /** The origin to be allowed in the answer; undefined where the request comes from no page. @throws LatheError server.denied */
  checkOrigin(request: Request): string | undefined {
    const origin = request.headers.get("origin");
    const site = request.headers.get("sec-fetch-site");
    if (origin === null) {
      if (site === null || site === "same-origin" || site === "none") return undefined;
      // Following a link to a page here is no use of it by the page that had the link: it cannot read what comes.
      if (
        request.method === "GET" &&
        request.headers.get("sec-fetch-mode") === "navigate" &&
        request.headers.get("sec-fetch-dest") === "document"
      ) {
        return undefined;
      }
      throw new LatheError("server.denied", "Pages of other sites may not use this server.", { status: 403 });
    }
    const own = `${new URL(request.url).protocol}//${request.headers.get("host") ?? new URL(request.url).host}`;
    if (origin.toLowerCase() === own.toLowerCase()) return origin;
    if (this.#origins.includes("*") || this.#origins.includes(origin.toLowerCase())) return origin;
    throw new LatheError("server.denied", "Pages of that origin may not use this server; allow it with --allow-origin.", { status: 403 });
  }

  /** @throws LatheError server.denied with status 401 */
  caller(request: Request): Caller {
    if (!this.#keys.length) return { tenant: "local" };
    const bearer = /^Bearer\s+(.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
    const given = bearer ?? request.headers.get("x-api-key");
    // Hashes are compared, so that the time says nothing of how much of a key is right.
    const hash = Buffer.from(fingerprint(given ?? ""));
    const known = this.#keys.filter(key => timingSafeEqual(Buffer.from(key), hash));
    if (given && known.length) return { tenant: known[0].slice(0, 32) };
    const message = given ? "The key is wrong." : "This server asks for a key: Authorization: Bearer <key>, or x-api-key.";
    throw new LatheError("server.denied", message, { status: 401 });
  }
}

/** What a page of that origin is allowed. There are no cookies and no credentials. */
export const crossOrigin = (origin: string): Record<string, string> => ({
  "access-control-allow-origin": origin,
  "access-control-allow-methods": "GET, POST, DELETE",
  "access-control-allow-headers": "authorization, content-type, x-api-key, anthropic-version, anthropic-beta",
  "access-control-max-age": "600",
  vary: "origin",
});
