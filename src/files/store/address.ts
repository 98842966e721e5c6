/**
 * How a model is named: a path, `hf:org/repo[@revision][:choice]`, or an http(s) URL. Owns the grammar of these names and the rules that make
 * a file name safe that a server has chosen. Touches neither disk nor network.
 */
import { LatheError } from "../../errors.ts";

/** A name, taken apart. `choice` is a label of a quantisation such as `Q4_K_M`, or the path of a file in the repository. */
export type ModelAddress =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "hub"; readonly repo: string; readonly revision: string; readonly choice: string | undefined }
  | { readonly kind: "url"; readonly url: string };

/** What needs the store or the network. */
export type RemoteAddress = Exclude<ModelAddress, { kind: "file" }>;

const defaultRevision = "main";

/** A segment of a repository's name, a revision or a path: no separators, not `..`, nothing that a URL would need to escape except blanks. */
const segment = /^(?!\.{1,2}$)[\w.+ -]{1,200}$/;
const segmented = (text: string): boolean => text.split("/").every(part => segment.test(part));

/**
 * Takes a name apart. Whatever is neither `hf:...` nor a URL is a path.
 * @throws LatheError option.invalid
 */
export function parseAddress(name: string): ModelAddress {
  if (name.startsWith("hf:")) return hubAddress(name);
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(name)?.[1].toLowerCase();
  if (scheme === undefined) return { kind: "file", path: name };
  if (scheme !== "http" && scheme !== "https") throw invalid(name, "only http and https URLs can be read");
  let url: URL;
  try {
    url = new URL(name);
  } catch {
    throw invalid(name, "it is not a valid URL");
  }
  if (url.username !== "" || url.password !== "") throw invalid(name, "URLs must not contain a user or password");
  url.hash = "";
  return { kind: "url", url: url.href };
}

function hubAddress(name: string): ModelAddress {
  const found = /^hf:([^/@:]+\/[^/@:]+)(?:@([^:]+))?(?::(.+))?$/.exec(name);
  const [, repo = "", revision = defaultRevision, choice] = found ?? [];
  const valid = found && segmented(repo) && segmented(revision) && (choice === undefined || segmented(choice));
  if (!valid) throw invalid(name, "names of models on the Hub look like hf:org/repo, hf:org/repo:Q4_K_M or hf:org/repo@revision:Q4_K_M");
  return { kind: "hub", repo, revision, choice };
}

const invalid = (name: string, why: string): LatheError =>
  new LatheError("option.invalid", `${JSON.stringify(name.slice(0, 300))} does not name a model, because ${why}.`, {
    name: name.slice(0, 300),
  });

/** The one spelling of a name, which `parseAddress` reads back to the same address. */
export function addressName(address: RemoteAddress): string {
  if (address.kind === "url") return address.url;
  const { repo, revision, choice } = address;
  return `hf:${repo}${revision === defaultRevision ? "" : `@${revision}`}${choice === undefined ? "" : `:${choice}`}`;
}

/** Names that mean devices on Windows, whatever follows their first dot. */
const reserved = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/**
 * A file name for what a server calls `path`: its last segment without anything that a file system or a terminal could misunderstand, at
 * most 150 characters, ending in `.gguf`. Names that were plain stay as they are, so parts of a split model keep their numbers.
 */
export function safeFileName(path: string): string {
  let text = path;
  try {
    text = decodeURIComponent(path);
  } catch {} // a stray % is a character like any other
  const last = text.split(/[\\/]/).at(-1)!;
  const plain = last.replace(/[^\w.+-]/g, "_").replace(/^\.+/, "");
  const stem = plain.replace(/\.gguf$/i, "").slice(-140) || "model";
  return `${reserved.test(stem) ? "_" : ""}${stem}.gguf`;
}

/** Whether a text is a SHA-256 in hexadecimal. */
export const isSha256 = (text: unknown): text is string => typeof text === "string" && /^[0-9a-f]{64}$/.test(text);
