/**
 * Names and addresses as somebody makes them who wants to be read or written elsewhere, and the sources, manifests and folders that hold them.
 * Owns what is made from a seed; what may come of it is judged by who tries it.
 */
import type { Random } from "../fixtures/random.ts";

/** What a store is confronted with, in one attempt. */
export interface HostileCase {
  /** What is asked for. */
  readonly name: string;
  readonly endpoint: string;
  /** What the source lists. */
  readonly files: readonly { readonly path: string; readonly oid: unknown; readonly size: unknown }[];
  /** Where each request for a file is led, if anywhere; and where the list goes on. */
  readonly location: string | undefined;
  readonly link: string | undefined;
  /** Links that lie in the store afterwards: `at` is a file's name, or the end of one that is there. */
  readonly links: readonly { readonly at: string; readonly to: string }[];
  readonly manifest: unknown;
  /** Where an index says that weights are, and what is linked in that folder. */
  readonly shards: readonly string[];
}

const PARTS = [
  "..",
  ".",
  "",
  "C:",
  "\\\\host\\share",
  "~",
  "$HOME",
  "%2e%2e",
  "%2e%2e%2f%2e%2e%2f",
  "%252e%252e",
  "..%5c",
  "%00",
  "\u0000",
  "\n",
  "\u001b[2J",
  "\u202e",
  "．．",
  "／",
  "․․",
  "ﬀ",
  "K",
  "ı",
  "é",
  "e\u0301",
  "\ud800",
  "\udc00x",
  "con",
  "NUL",
  "aux.x",
  "COM1",
  "lpt9.y",
  "COM¹",
  "conin$",
  ".locks",
  ".hidden",
  "manifest.json",
  "secret",
  "secret.gguf",
  "etc",
  "blobs",
  "x.gguf.part",
  "x.gguf.journal",
  "a b",
  "a.",
  "a ",
  "a:b",
  "a:$DATA",
  "-rf",
  "*?<>|",
  "__proto__",
  "x".repeat(300),
  "é".repeat(200),
];
const JOINTS = ["/", "/", "/", "\\", "", "%2f", "%5C", ":", "//", "\u2215"];
const SUFFIXES = [
  ".gguf",
  ".gguf",
  ".gguf",
  ".GGUF",
  "-Q8_0.gguf",
  "-00001-of-00001.gguf",
  "-00001-of-00002.gguf",
  ".safetensors",
  "",
  ".",
];
const ADDRESSES = [
  "https://cdn.example/m.gguf",
  "https://cdn.example/m.gguf",
  "//cdn.example/m.gguf",
  "/m.gguf",
  "../../../m.gguf",
  "file:///etc/passwd",
  "ftp://cdn.example/m.gguf",
  "data:,GGUF",
  "javascript:0",
  "http://127.0.0.1/m.gguf",
  "https://localhost/m.gguf",
  "https://x.localhost./m.gguf",
  "https://0x7f.1/m.gguf",
  "https://2130706433/m.gguf",
  "https://[::1]/m.gguf",
  "https://[::ffff:10.0.0.1]/m.gguf",
  "https://169.254.169.254/latest",
  "https://192.168.0.1/m.gguf",
  "https://[fe80::1]/m.gguf",
  "https://[fd00::1]/m.gguf",
  "https://user:pass@cdn.example/m.gguf",
  "https://hub.example@cdn.example/m.gguf",
  "https://hub.example.cdn.example/m.gguf",
  "https://cdn.example:99999/",
  "https://",
  "\\\\cdn.example\\m",
];

/** Three in five are plain, so that there is something to get. */
function hostileName(r: Random): string {
  if (r.below(5) < 3) return `${r.pick(["m", "sub/m", "Model.v1"])}${r.pick(SUFFIXES.slice(0, 7))}`;
  let text = "";
  for (let n = 1 + r.below(5); n > 0; n--) text += r.pick(PARTS) + r.pick(JOINTS);
  const whole = text + r.pick(["", "m", "secret"]) + r.pick(SUFFIXES);
  return r.below(6) === 0 ? whole.toUpperCase() : whole;
}

const REAL = "real"; // replaced by what the content has
const DIGESTS = [
  REAL,
  REAL,
  REAL,
  undefined,
  null,
  7,
  "",
  "0".repeat(64),
  "F".repeat(64),
  "0".repeat(63),
  "../../secret",
  `${"0".repeat(64)}/`,
];
const SIZES = [REAL, REAL, REAL, REAL, REAL, REAL, 0, -1, 1.5, 2 ** 53, "64", null];

/** Where links lead: out of the store, to what is and to what is not there, and round. */
const TARGETS = [
  "../../../secret.gguf",
  "../../../outside",
  "../../../new.gguf",
  "../../../outside/new.gguf",
  "/etc/passwd",
  "/dev/zero",
  ".",
];
const PLACES = [".gguf", ".gguf.part", ".gguf.journal", "manifest.json", "folder", "name"];

function asked(r: Random): string {
  return r.pick([
    () => "hf:org/repo",
    () => "hf:org/repo",
    () => `hf:org/repo:${hostileName(r)}`,
    () => `hf:org/repo@${r.pick(["v1", "..", "a/b", "a/../b", "%2e"])}`,
    () => `hf:${r.pick(PARTS)}/${r.pick(PARTS)}`,
    () => "https://files.example/m-Q8_0.gguf",
    () => `https://files.example/${hostileName(r)}`,
    () => `${r.pick(["http", "https", "file", "ftp"])}://files.example/${hostileName(r)}?${r.pick(["", "a=../..", "%00"])}`,
  ])();
}

/** @param r seeded */
export function hostileCase(r: Random): HostileCase {
  const many = <T>(n: number, make: () => T): T[] => Array.from({ length: n }, make);
  const file = () => ({
    name: hostileName(r).replace(/^sub\//, ""),
    bytes: r.pick(SIZES),
    sha256: r.pick(DIGESTS),
    url: r.pick(ADDRESSES),
  });
  return {
    name: asked(r),
    endpoint: r.pick(["https://hub.example", "https://hub.example/", "http://hub.example", "http://127.0.0.1:1"]),
    files: many(1 + r.below(3), () => ({ path: hostileName(r), oid: r.pick(DIGESTS), size: r.pick(SIZES) })),
    location: r.below(2) ? r.pick(ADDRESSES) : undefined,
    link: r.below(10) ? undefined : r.pick(ADDRESSES),
    links: r.below(2) ? [] : many(1 + r.below(2), () => ({ at: r.pick(PLACES), to: r.pick(TARGETS) })),
    manifest: r.below(8)
      ? {
          version: 1,
          name: asked(r),
          quant: "",
          architecture: r.pick(["", "llama", "../x"]),
          files: many(1 + r.below(2), file),
          begun: "",
          completed: "x",
        }
      : r.pick([null, [], {}, { version: 1, files: [file()] }]),
    shards: many(1 + r.below(3), () => (r.below(2) ? hostileName(r) : `m-${r.below(3)}.safetensors`)),
  };
}

export const isReal = (value: unknown): boolean => value === REAL;
