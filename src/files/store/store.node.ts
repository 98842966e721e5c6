/**
 * The folder of stored models: where it is, what is in it, finding by name, checking, removing. Owns the layout:
 *
 *     <home>/models/<name for people>-<hash>/manifest.json     the model exists once this says that it is complete
 *     <home>/models/<name for people>-<hash>/<file>.gguf       whole and verified
 *     <home>/models/<name for people>-<hash>/<file>.gguf.part  with .journal: on its way
 *     <home>/models/.locks/                                    one lock for each folder
 *
 * No link in it is followed: a file that is one is missing, and is replaced by the next pull.
 *
 * The hash is over name and content, so another content of the same name is another folder, and files of two versions never mix.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { LatheError } from "../../errors.ts";
import { atomicWrite } from "../write.node.ts";
import { addressName, parseAddress, type RemoteAddress, safeFileName } from "./address.ts";
import { preferenceOf } from "./choice.ts";
import { Lock, lockPath } from "./lock.node.ts";
import { type Manifest, type ManifestFile, parseManifest } from "./manifest.ts";
import { partialName } from "./partial.node.ts";
import { writing } from "./system.node.ts";

/**
 * Where Lathe keeps what it can fetch again: `LATHE_HOME`, or the platform's folder for caches (XDG base directories on Linux).
 */
export function defaultHome(environment: NodeJS.ProcessEnv = process.env, platform: NodeJS.Platform = process.platform): string {
  const { LATHE_HOME, XDG_CACHE_HOME, LOCALAPPDATA } = environment;
  if (LATHE_HOME) return LATHE_HOME;
  if (platform === "win32") return join(LOCALAPPDATA || join(homedir(), "AppData", "Local"), "lathe");
  if (platform === "darwin") return join(homedir(), "Library", "Caches", "lathe");
  return join(XDG_CACHE_HOME?.startsWith("/") ? XDG_CACHE_HOME : join(homedir(), ".cache"), "lathe");
}

export interface StoredModel {
  /** Of the folder; unique. */
  readonly id: string;
  readonly name: string;
  /** `partial`: being pulled, or interrupted. `damaged`: files are missing or have other sizes than when they were verified. */
  readonly state: "complete" | "partial" | "damaged";
  /** Of the first file, which is what to load. */
  readonly path: string;
  /** Of the whole model, on the disk or not. */
  readonly bytes: number;
  /** On the disk. */
  readonly held: number;
  /** Absent where the manifest cannot be read. */
  readonly manifest?: Manifest;
}

const manifestName = "manifest.json";
const maxManifest = 16 * 2 ** 20;

export class Store {
  readonly folder: string;

  constructor(home: string = defaultHome()) {
    this.folder = join(home, "models");
  }

  /** The folder's name for a model: readable, and different for every name and content. */
  idOf(name: string, content: readonly unknown[]): string {
    const readable = safeFileName(name.replace(/^hf:|^https?:\/\//, "").replace(/[^\w.+-]+/g, "--")).replace(/\.gguf$/, "");
    const hash = createHash("sha256").update(JSON.stringify([name, ...content]));
    return `${readable.slice(0, 80)}-${hash.digest("hex").slice(0, 16)}`;
  }

  pathOf(id: string, file: string): string {
    return join(this.folder, id, file);
  }

  lockOf(id: string): string {
    return lockPath(this.folder, id);
  }

  /** Writes a manifest, making the folder where it is missing. @throws LatheError file.write-failed, store.disk-full */
  async write(id: string, manifest: Manifest): Promise<void> {
    const folder = join(this.folder, id);
    if ((await lstat(folder).catch(() => undefined))?.isSymbolicLink()) {
      const message = `"${folder}" is a link, and models are not written through links; remove it and pull again.`;
      throw new LatheError("file.write-failed", message, { path: folder });
    }
    await writing(folder, () => mkdir(folder, { recursive: true, mode: 0o700 }));
    const bytes = new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`);
    await atomicWrite(join(folder, manifestName), async sink => sink(bytes));
  }

  /** Everything in the store, by name. */
  async list(): Promise<StoredModel[]> {
    const entries = await readdir(this.folder, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT") return [];
      const message = `The model store "${this.folder}" cannot be read (${cause.code}); check its permissions or set LATHE_HOME.`;
      throw new LatheError("file.unreadable", message, { path: this.folder, cause: cause.code }, { cause });
    });
    const ids = entries.filter(e => e.isDirectory() && !e.name.startsWith(".")).map(e => e.name);
    const models = await Promise.all(ids.map(id => this.read(id)));
    return models.filter(m => m !== undefined).sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }

  /** What is in one folder; undefined where there is none. */
  async read(id: string): Promise<StoredModel | undefined> {
    const folder = join(this.folder, id);
    const sizes = await sizesIn(folder);
    if (sizes === undefined) return undefined;
    const held = [...sizes.values()].reduce((sum, s) => sum + s.allocated, 0);
    const small = (sizes.get(manifestName)?.bytes ?? Infinity) <= maxManifest;
    const text = small ? await readFile(join(folder, manifestName), "utf8").catch(() => "") : "";
    const manifest = parseManifest(text);
    if (manifest === undefined) return { id, name: id, state: "damaged", path: folder, bytes: held, held };
    const bytes = manifest.files.reduce((sum, f) => sum + f.bytes, 0);
    const whole = manifest.files.every(f => sizes.get(f.name)?.bytes === f.bytes);
    const state = manifest.completed === undefined ? "partial" : whole ? "complete" : "damaged";
    return { id, name: manifest.name, state, path: join(folder, manifest.files[0].name), bytes, held, manifest };
  }

  /**
   * The complete model that a name means. A name without a choice means whichever model of the repository is here, the preferred one if there
   * are several.
   */
  async find(address: RemoteAddress): Promise<StoredModel | undefined> {
    const found = (await this.list()).filter(m => m.state === "complete" && matches(m, address));
    return found.sort((a, b) => preferenceOf(a.manifest!.quant) - preferenceOf(b.manifest!.quant))[0];
  }

  /**
   * Removes a model, by its name or its folder's, finished or not. Returns what it was; its `held` bytes are free now.
   * @throws LatheError store.not-found; store.busy while it is being pulled
   */
  async remove(name: string): Promise<StoredModel[]> {
    const found = await this.named(name);
    for (const model of found) {
      const lock = await Lock.take(this.lockOf(model.id));
      if (!lock) throw new LatheError("store.busy", `"${model.name}" is being pulled by another process; stop that first.`, { name });
      try {
        // Without its manifest it is no model any more, whatever happens next.
        await writing(model.path, () => rm(this.pathOf(model.id, manifestName), { force: true }));
        await writing(model.path, () => rm(join(this.folder, model.id), { recursive: true, force: true }));
      } finally {
        await lock.release();
      }
    }
    return found;
  }

  /** The models that `remove` would remove. @throws LatheError store.not-found */
  async named(name: string): Promise<StoredModel[]> {
    const all = await this.list();
    const exact = all.filter(m => m.name === name || m.id === name);
    const address = exact.length > 0 ? undefined : parseAddress(name);
    const found = address === undefined || address.kind === "file" ? exact : all.filter(m => matches(m, address));
    const names = new Set(found.map(m => m.name));
    if (names.size === 1) return found;
    if (names.size === 0) throw notStored(name);
    const message = `"${name}" means several stored models; name one of ${[...names].join(", ")}.`;
    throw new LatheError("store.not-found", message, { name, known: [...names] });
  }

  /** Hashes every file of a complete model again. Returns the names of those that are not what was verified. */
  async check(model: StoredModel, progress?: (bytes: number) => void): Promise<string[]> {
    const wrong: string[] = [];
    const sizes = await sizesIn(join(this.folder, model.id));
    for (const file of model.manifest?.files ?? []) {
      const sha256 = sizes?.has(file.name) && (await hashOf(this.pathOf(model.id, file.name), progress).catch(() => undefined));
      if (!sha256 || sha256 !== file.sha256) wrong.push(file.name);
    }
    return wrong;
  }

  /** Bytes of a model's file that are on the disk, whole or on their way. */
  async heldOf(id: string, file: ManifestFile): Promise<{ whole: boolean; bytes: number }> {
    const sizes = (await sizesIn(join(this.folder, id))) ?? new Map<string, never>();
    if (sizes.get(file.name)?.bytes === file.bytes) return { whole: true, bytes: file.bytes };
    return { whole: false, bytes: Math.min(file.bytes, sizes.get(partialName(file.name))?.allocated ?? 0) };
  }
}

export function notStored(name: string): LatheError {
  const pulled = /^hf:|:\/\//.test(name) ? `"lathe pull ${name}" gets it, ` : "";
  const message = `"${name}" is not in the model store; ${pulled}"lathe list" shows what is there.`;
  return new LatheError("store.not-found", message, { name });
}

function matches({ name, manifest }: StoredModel, address: RemoteAddress): boolean {
  if (manifest === undefined) return false;
  if (name === addressName(address)) return true;
  const stored = parsed(name);
  if (stored?.kind !== "hub" || address.kind !== "hub") return false;
  if (stored.repo !== address.repo || stored.revision !== address.revision) return false;
  const { choice } = address;
  return choice === undefined || [stored.choice, manifest.quant].some(c => c?.toLowerCase() === choice.toLowerCase());
}

/** A manifest's name is not trusted to be one. */
function parsed(name: string) {
  try {
    return parseAddress(name);
  } catch {
    return undefined;
  }
}

const isOwnFolder = async (path: string): Promise<boolean> => (await lstat(path).catch(() => undefined))?.isDirectory() ?? false;

/** Of the files that lie in a model's folder; what links there lead to is no part of the store. */
async function sizesIn(folder: string): Promise<Map<string, { bytes: number; allocated: number }> | undefined> {
  const names = (await isOwnFolder(folder)) ? await readdir(folder).catch(() => undefined) : undefined;
  if (names === undefined) return undefined;
  const sizes = new Map<string, { bytes: number; allocated: number }>();
  for (const name of names) {
    const found = await lstat(join(folder, name)).catch(() => undefined);
    // Unfinished files have holes; some systems do not count blocks.
    if (found?.isFile())
      sizes.set(name, { bytes: found.size, allocated: found.blocks ? Math.min(found.size, found.blocks * 512) : found.size });
  }
  return sizes;
}

/** SHA-256 of a file in hexadecimal. */
export async function hashOf(path: string, progress?: (bytes: number) => void, signal?: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path, { highWaterMark: 2 ** 20, signal })) {
    hash.update(piece as Buffer);
    progress?.((piece as Buffer).length);
  }
  return hash.digest("hex");
}
