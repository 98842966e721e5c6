/**
 * The HTTP interface of the Hugging Face Hub, as far as models need it: the files of a repository at a revision with their sizes and SHA-256,
 * and the URL of each. What comes from the server is checked field by field.
 */
import { LatheError } from "../../errors.ts";
import { isSha256 } from "./address.ts";
import type { RepoFile } from "./choice.ts";
import { bodyText, type HttpClient, shown } from "./http.node.ts";

export const defaultEndpoint = "https://huggingface.co";

/** Far more than repositories have. */
const maxPages = 64;
const maxPageBytes = 16 * 2 ** 20;

const escaped = (path: string): string => path.split("/").map(encodeURIComponent).join("/");

export const fileUrl = (endpoint: string, repo: string, revision: string, path: string): string =>
  `${endpoint}/${escaped(repo)}/resolve/${encodeURIComponent(revision)}/${escaped(path)}`;

/** All files of a repository. @throws LatheError remote.*; the signal's reason */
export async function listRepo(client: HttpClient, endpoint: string, repo: string, revision: string): Promise<RepoFile[]> {
  const files: RepoFile[] = [];
  let url: string | undefined = `${endpoint}/api/models/${escaped(repo)}/tree/${encodeURIComponent(revision)}?recursive=1`;
  for (let page = 0; url !== undefined; page++) {
    const at: string = url;
    if (page === maxPages) throw nonsense(at, "lists more files than any repository has");
    const { entries, next } = await client.retrying(at, async () => {
      const reply = await client.request(at, { accept: "application/json" });
      return { entries: entriesOf(await bodyText(reply, at, maxPageBytes), at), next: nextPage(reply.headers, at) };
    });
    files.push(...entries);
    url = next;
  }
  return files;
}

function entriesOf(text: string, url: string): RepoFile[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    throw nonsense(url, "does not answer with JSON");
  }
  if (!Array.isArray(list)) throw nonsense(url, "does not answer with a list of files");
  return list.flatMap((entry: unknown): RepoFile[] => {
    const { type, path, size, lfs } = (typeof entry === "object" && entry !== null ? entry : {}) as Record<string, unknown>;
    if (type !== "file" || !isPath(path)) return [];
    const large = (typeof lfs === "object" && lfs !== null ? lfs : {}) as Record<string, unknown>;
    const bytes = large["size"] ?? size;
    if (!Number.isSafeInteger(bytes) || (bytes as number) < 0) throw nonsense(url, "lists a file without a size");
    return [{ path, bytes: bytes as number, ...(isSha256(large["oid"]) ? { sha256: large["oid"] } : {}) }];
  });
}

/** The next page of a long list (RFC 8288), on the same server. */
function nextPage(headers: Headers, url: string): string | undefined {
  const link = /<([^>]+)>\s*;\s*rel="?next"?/.exec(headers.get("link") ?? "")?.[1];
  if (link === undefined) return undefined;
  const next = URL.canParse(link, url) ? new URL(link, url) : undefined;
  if (next?.origin !== new URL(url).origin) throw nonsense(url, "continues its list on another server");
  return next.href;
}

/** Paths as repositories have them: printable, and nothing that leads up. Others are not offered, whatever they would mean. */
const isPath = (path: unknown): path is string =>
  typeof path === "string" && /^\P{C}{1,1024}$/u.test(path) && !path.split("/").some(part => /^\.{0,2}$/.test(part));

const nonsense = (url: string, what: string): LatheError =>
  new LatheError("remote.failed", `${shown(url)} ${what}; check HF_ENDPOINT, or try again later.`, { url: shown(url) });
