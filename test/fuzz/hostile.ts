/**
 * Sources, manifests and folders whose names want to lead elsewhere (hostile-names.ts): whatever is pulled, found, checked, opened and removed, no
 * call of the file system leads out of the store's folder, and no request goes where it may not. There is no network: `fetch` is answered here.
 */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, sep } from "node:path";
import { LatheError } from "../../src/errors.ts";
import { closeGguf } from "../../src/files/gguf.ts";
import { ggufBytes } from "../../src/files/gguf-write.ts";
import { openModelFolder } from "../../src/files/hf/open.node.ts";
import { safetensorsBytes } from "../../src/files/safetensors-write.ts";
import { safeFileName } from "../../src/files/store/address.ts";
import { openNamedModel } from "../../src/files/store/named.node.ts";
import { locate, type PullOptions, pull } from "../../src/files/store/pull.node.ts";
import { Store } from "../../src/files/store/store.node.ts";
import { Random } from "../fixtures/random.ts";
import { type HostileCase, hostileCase, isReal } from "./hostile-names.ts";
import type { Target } from "./targets.ts";
import { within } from "./walls.ts";

const TOKEN = "hf_canary";
const TENSOR = { name: "a", dtype: "F32", shape: [1], data: new Uint8Array(4) } as const;

const own = async () => {
  const content = await ggufBytes({ metadata: new Map(), tensors: [] } as never);
  return { content, sha256: createHash("sha256").update(content).digest("hex"), shard: await safetensorsBytes({ tensors: [TENSOR] }) };
};
let made: ReturnType<typeof own> | undefined;

/** Hosts that a server elsewhere may not lead to, as URLs spell them: written down apart from the list that is tried. */
const inward =
  /^(localhost|.*\.localhost)\.?$|^(0|10|127)\.|^169\.254\.|^192\.168\.|^\[(::1?|f[cd].*|fe[89ab].*|::ffff:(0*a|7f|a9fe|c0a8|ac1).*)\]$/;

/** The network of one case. `wrong`: what was asked for that may not be. */
function network({ files, location, link, endpoint, name }: HostileCase, content: Uint8Array, sha256: string) {
  const wrong: string[] = [];
  const local = inward.test(new URL(endpoint).hostname) || (URL.canParse(name) && inward.test(new URL(name).hostname));
  const list = files.map(({ path, oid, size }) => {
    const bytes = isReal(size) ? content.length : size;
    return { type: "file", path, size: bytes, lfs: { size: bytes, oid: isReal(oid) ? sha256 : oid } };
  });
  const answer = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(String(input));
    const headers = new Headers(init.headers);
    if (!/^https?:$/.test(url.protocol)) wrong.push(`a request by ${url.protocol}`);
    if (url.username || url.password) wrong.push("a request with a password");
    if (!local && inward.test(url.hostname)) wrong.push(`a request to ${url.hostname}`);
    if (headers.has("authorization") && url.origin !== new URL(endpoint).origin) wrong.push(`the token for ${url.origin}`);
    if (url.pathname.startsWith("/api/models/")) {
      const more: Record<string, string> = link && !url.search.includes("cursor") ? { link: `<${link}>; rel="next"` } : {};
      return new Response(JSON.stringify(list), { headers: more });
    }
    const led = url.hostname === "files.example" || url.pathname.includes("/resolve/");
    if (location !== undefined && led) return new Response(null, { status: 302, headers: { location } });
    const [, first = 0, last = content.length - 1] = (/^bytes=(\d+)-(\d+)$/.exec(headers.get("range") ?? "") ?? []).map(Number);
    const to = Math.min(last, content.length - 1);
    const range = `bytes ${first}-${to}/${content.length}`;
    return new Response(content.slice(first, to + 1), { status: 206, headers: { "content-range": range, etag: '"e"' } });
  };
  return { wrong, answer };
}

/** A refusal is as good as an answer. */
async function tried<T>(action: () => Promise<T>): Promise<T | LatheError> {
  try {
    return await action();
  } catch (problem) {
    if (problem instanceof LatheError) return problem;
    throw problem;
  }
}

/** Names in a folder of the store that no model may have: all but plain ones lead somewhere, or hide. */
function checkNames(models: string): void {
  for (const id of readdirSync(models).filter(n => n !== ".locks"))
    for (const name of readdirSync(join(models, id))) {
      const plain =
        name === "manifest.json" || safeFileName(name.replace(/\.(part|journal)$/, "")) === name.replace(/\.(part|journal)$/, "");
      if (!plain || Buffer.byteLength(name) > 255 || basename(name) !== name) throw new Error(`a file called ${JSON.stringify(name)}`);
    }
}

/** Puts links into every model's folder; one that is in the way is replaced. */
function plant(models: string, links: HostileCase["links"]): void {
  for (const id of readdirSync(models).filter(n => n !== ".locks")) {
    const folder = join(models, id);
    for (const { at, to } of links) {
      const link = (path: string): void => {
        rmSync(path, { recursive: true, force: true });
        symlinkSync(to, path);
      };
      if (at === "folder") {
        rmSync(folder, { recursive: true });
        symlinkSync(to.replace("../", ""), folder);
        break;
      }
      const first = readdirSync(folder).find(n => n.endsWith(".gguf")) ?? "m.gguf";
      link(join(folder, at === "name" ? "m-00002-of-00002.gguf" : at === "manifest.json" ? at : first + at.slice(".gguf".length)));
    }
  }
}

/** Everything that is done with what the store holds. */
async function used(store: Store, name: string, options: PullOptions, inside: string): Promise<void> {
  for (const model of await store.list()) {
    if (!model.path.startsWith(inside)) throw new Error(`${model.path} is outside`);
    await store.check(model);
    for (const known of [model.name, model.id, name]) {
      await tried(async () => locate(known, options));
      await tried(async () =>
        closeGguf(await openNamedModel(known.startsWith("hf:") || known.includes("://") ? known : `hf:${known}`, options)),
      );
    }
  }
  await tried(() => store.remove(name));
}

/** What is known of every name is written where a model's is. */
function writeManifest(models: string, { manifest, links }: HostileCase, content: Uint8Array, sha256: string): void {
  const folder = join(models, "hostile-0123456789abcdef");
  mkdirSync(folder, { recursive: true });
  const real = JSON.stringify(manifest, (key, value) => (isReal(value) ? (key === "bytes" ? content.length : sha256) : value)) ?? "";
  writeFileSync(join(folder, "manifest.json"), real);
  for (const name of ["m.gguf", "secret.gguf", "m-Q8_0.gguf"]) {
    if (links.length > 0) symlinkSync(links[0].to, join(folder, name));
    else writeFileSync(join(folder, name), content);
  }
}

/** A model folder whose index and links want to lead elsewhere. */
function writeFolder(path: string, { shards, links }: HostileCase, shard: Uint8Array): void {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "config.json"), "{}");
  writeFileSync(
    join(path, "model.safetensors.index.json"),
    JSON.stringify({ weight_map: Object.fromEntries(shards.map((s, i) => [`t${i}`, s])) }),
  );
  for (const [i, name] of ["m-0.safetensors", "m-1.safetensors", "m.safetensors"].entries()) {
    if (i < links.length) symlinkSync(links[i].to, join(path, name));
    else writeFileSync(join(path, name), shard);
  }
}

const text = (one: HostileCase): Uint8Array => new TextEncoder().encode(JSON.stringify(one));

let base: string | undefined;
/** A folder with what nobody may touch, and in it the store's. */
function ground(): string {
  if (base === undefined) {
    base = mkdtempSync(join(tmpdir(), "lathe-walls-"));
    mkdirSync(join(base, "outside"));
    writeFileSync(join(base, "secret.gguf"), "GGUF and a secret");
    process.on("exit", () => base && rmSync(base, { recursive: true, force: true }));
  }
  return base;
}

export const hostileNames: Target = {
  name: "hostile-names",
  kind: "json",
  generate: random => text(hostileCase(random)),
  samples: () => Array.from({ length: 8 }, (_, seed) => text(hostileCase(new Random(seed)))),
  async attempt(input) {
    const one = JSON.parse(new TextDecoder().decode(input)) as HostileCase;
    const { content, sha256, shard } = await (made ??= own());
    const outer = ground();
    const home = join(outer, "home");
    const models = join(home, "models");
    const { wrong, answer } = network(one, content, sha256);
    const options: PullOptions = { home, endpoint: one.endpoint, token: TOKEN, offline: false, retries: 0, backoffMs: 1, parallel: 2 };
    const { fetch } = globalThis;
    let first: unknown;
    mkdirSync(models, { recursive: true });
    try {
      globalThis.fetch = answer;
      await within(outer, home, async () => {
        first = await tried(() => pull(one.name, options));
        checkNames(models);
      });
      plant(models, one.links);
      const store = new Store(home);
      await within(outer, home, async () => {
        await tried(() => pull(one.name, options));
        await used(store, one.name, options, models + sep);
      });
      writeManifest(models, one, content, sha256);
      await within(outer, home, () =>
        used(store, (one.manifest as { name?: string })?.name ?? "x", { ...options, offline: true }, models + sep),
      );
      const folder = join(home, "x", "folder");
      writeFolder(folder, one, shard);
      await within(outer, home, async () => {
        const open = await tried(() => openModelFolder(folder));
        if (!(open instanceof LatheError)) await open.close();
      });
    } finally {
      globalThis.fetch = fetch;
      rmSync(home, { recursive: true, force: true });
    }
    if (wrong.length > 0) throw new Error(`on the network: ${wrong.slice(0, 3).join("; ")}`);
    if (first instanceof LatheError) throw first;
  },
};
