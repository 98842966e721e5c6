/**
 * Pulling a model into the store: what its files are and where they lie (the plan), then one download after the other under a lock, then the
 * manifest that makes them a model. Also the meaning of a name for everything that takes a path.
 */
import { LatheError } from "../../errors.ts";
import { closeGguf, splitName } from "../gguf.ts";
import { openModelFile } from "../open.node.ts";
import { addressName, isSha256, parseAddress, type RemoteAddress, safeFileName } from "./address.ts";
import { choiceOf, chooseModel, modelsIn, quantLabel } from "./choice.ts";
import { download } from "./download.node.ts";
import { HttpClient, type HttpOptions, shown } from "./http.node.ts";
import { defaultEndpoint, fileUrl, listRepo } from "./hub.node.ts";
import { Lock } from "./lock.node.ts";
import type { Manifest, ManifestFile } from "./manifest.ts";
import { probe, type RemoteFile } from "./remote.node.ts";
import { hashOf, notStored, Store, type StoredModel } from "./store.node.ts";

export interface PullProgress {
  /** `wait`: another process is pulling the same model. `check`: bytes are read back and hashed. */
  readonly stage: "wait" | "fetch" | "check";
  readonly file: string;
  /** Bytes of all files together. */
  readonly done: number;
  readonly total: number;
}

/** Where models come from and go to. All have defaults: the environment, then the public Hub and the user's folder for caches. */
export interface StoreOptions extends Pick<HttpOptions, "signal" | "stallMs" | "retries" | "backoffMs"> {
  /** The folder that holds the store. Default `LATHE_HOME`, or the platform's folder for caches. */
  readonly home?: string;
  /** Base URL of the Hub. Default `HF_ENDPOINT`, or the public one. */
  readonly endpoint?: string;
  /** For private and gated repositories; sent to the endpoint alone. Default `HF_TOKEN`. */
  readonly token?: string;
  /** Never touch the network. Default: whether `LATHE_OFFLINE` or `HF_HUB_OFFLINE` is set. */
  readonly offline?: boolean;
}

export interface PullOptions extends StoreOptions {
  /** What the file must hash to, in hexadecimal; only for models of one file. */
  readonly sha256?: string;
  /** Connections at once. Default 4. */
  readonly parallel?: number;
  /** Bytes that are verified together. Default 1 MiB. */
  readonly chunkBytes?: number;
  readonly onProgress?: (progress: PullProgress) => void;
}

/** A model as its source describes it. */
interface Plan {
  readonly name: string;
  readonly quant: string;
  readonly files: readonly ManifestFile[];
  /** What distinguishes this content from another one of the same name. */
  readonly content: readonly unknown[];
}

export { Store, type StoredModel } from "./store.node.ts";

/** How often the source may change under a pull before that is an error. */
const maxRestarts = 2;

const isOn = (value: string | undefined): boolean => value !== undefined && !["", "0", "false", "no", "off"].includes(value.toLowerCase());

export const isOffline = ({ offline }: StoreOptions): boolean =>
  offline ?? (isOn(process.env["LATHE_OFFLINE"]) || isOn(process.env["HF_HUB_OFFLINE"]));

export function endpointOf({ endpoint = process.env["HF_ENDPOINT"] || defaultEndpoint }: StoreOptions): string {
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    const message = `The endpoint of the Hub must be an http or https URL; ${JSON.stringify(endpoint.slice(0, 200))} is not (HF_ENDPOINT).`;
    throw new LatheError("option.invalid", message, { endpoint: endpoint.slice(0, 200) });
  }
  return endpoint.replace(/\/+$/, "");
}

export function clientFor(options: StoreOptions): HttpClient {
  const { signal, stallMs, retries, backoffMs } = options;
  const token = options.token ?? (process.env["HF_TOKEN"] || undefined);
  return new HttpClient({ signal, stallMs, retries, backoffMs, token, tokenOrigin: new URL(endpointOf(options)).origin });
}

/** The address of what is to be pulled. @throws LatheError option.invalid for a path */
export function remoteAddress(name: string): RemoteAddress {
  const address = parseAddress(name);
  if (address.kind !== "file") return address;
  const message = `"${name.slice(0, 300)}" is neither hf:org/repo nor a URL; files on disk need no pulling.`;
  throw new LatheError("option.invalid", message, { name: name.slice(0, 300) });
}

/**
 * Makes sure that a model is in the store, whole and verified, and returns it. Goes on where an earlier call was interrupted; where the source
 * has another content now, that replaces the stored one. Two calls for one model, in one process or two, do the work once.
 *
 * @throws LatheError option.invalid, remote.*, store.*, file.*, gguf.not-gguf; the signal's reason
 */
export async function pull(name: string, options: PullOptions = {}): Promise<StoredModel> {
  const address = remoteAddress(name);
  checkNumbers(options);
  const store = new Store(options.home);
  if (isOffline(options)) return offline(store, address);
  const client = clientFor(options);
  for (let restarts = 0; ; restarts++) {
    try {
      return await pullOnce(client, store, address, options);
    } catch (problem) {
      // What was listed is not what was sent, so the source was changed in between.
      if (!(problem instanceof LatheError) || problem.code !== "file.changed" || restarts === maxRestarts) throw problem;
    }
  }
}

async function pullOnce(client: HttpClient, store: Store, address: RemoteAddress, options: PullOptions): Promise<StoredModel> {
  const { plan, probed } = await planOf(client, address, options);
  const id = store.idOf(plan.name, plan.content);
  const total = plan.files.reduce((sum, f) => sum + f.bytes, 0);
  const waiting = (): void => options.onProgress?.({ stage: "wait", file: plan.files[0].name, done: 0, total });
  const lock = await Lock.wait(store.lockOf(id), { signal: options.signal, onWait: waiting });
  try {
    const stored = await store.read(id);
    if (stored?.state === "complete") return stored;
    return await new Pull(client, store, id, plan, probed, options).run(lock, stored?.manifest);
  } finally {
    await lock.release();
  }
}

function checkNumbers({ sha256, parallel, chunkBytes }: PullOptions): void {
  const refuse = (option: string, accepts: string, value: unknown): never => {
    throw new LatheError("option.invalid", `The pull option "${option}" must be ${accepts}.`, { option, accepts, value });
  };
  const within = (n: number | undefined, from: number, to: number): boolean =>
    n === undefined || (Number.isInteger(n) && n >= from && n <= to);
  if (sha256 !== undefined && !isSha256(sha256.toLowerCase())) refuse("sha256", "64 hexadecimal digits", sha256);
  if (!within(parallel, 1, 64)) refuse("parallel", "an integer from 1 to 64", parallel);
  if (!within(chunkBytes, 2 ** 12, 2 ** 30)) refuse("chunkBytes", "an integer from 4096 to 2^30", chunkBytes);
}

async function offline(store: Store, address: RemoteAddress): Promise<StoredModel> {
  const found = await store.find(address);
  if (found) return found;
  throw notHere(addressName(address));
}

export const notHere = (name: string): LatheError =>
  new LatheError("store.offline", `"${name}" is not in the model store, and the network may not be used; pull it while online.`, { name });

async function planOf(client: HttpClient, address: RemoteAddress, options: PullOptions) {
  const expected = options.sha256?.toLowerCase();
  const probed = new Map<string, RemoteFile>();
  const plan =
    address.kind === "hub" ? await hubPlan(client, address, endpointOf(options)) : await urlPlan(client, address.url, expected, probed);
  if (expected === undefined) return { plan, probed };
  const [only, ...others] = plan.files;
  if (others.length > 0) {
    throw new LatheError("option.invalid", `"${plan.name}" has ${plan.files.length} files, so one SHA-256 does not tell their content.`, {
      name: plan.name,
    });
  }
  if (only.sha256 !== undefined && only.sha256 !== expected) {
    const message = `${shown(only.url)} does not have the expected SHA-256, says its server; check the hash or the name.`;
    throw new LatheError("remote.corrupt", message, { url: shown(only.url), expected, found: only.sha256 });
  }
  return { plan: { ...plan, files: [{ ...only, sha256: expected }] }, probed };
}

export async function hubPlan(client: HttpClient, address: RemoteAddress & { kind: "hub" }, endpoint: string): Promise<Plan> {
  const { repo, revision } = address;
  const models = modelsIn(await listRepo(client, endpoint, repo, revision));
  const model = chooseModel(models, address.choice, repo);
  const files = model.files.map(({ path, bytes, sha256 }) => {
    return { name: safeFileName(path), bytes, sha256, url: fileUrl(endpoint, repo, revision, path) };
  });
  const name = addressName({ ...address, choice: choiceOf(model, models) });
  return { name, quant: model.label, files: distinct(files), content: files.map(f => [f.name, f.bytes, f.sha256]) };
}

const splitPart = /-\d{5}-of-(\d{5})(?=\.gguf$)/i;

/** A URL of one part of a split model means all of them. */
async function urlPlan(client: HttpClient, url: string, expected: string | undefined, probed: Map<string, RemoteFile>): Promise<Plan> {
  const files: ManifestFile[] = [];
  const validators: unknown[] = [];
  for (const part of partsOf(url)) {
    const file = await probe(client, part);
    probed.set(part, file);
    validators.push(file.validator);
    files.push({ name: safeFileName(new URL(part).pathname), bytes: file.bytes, sha256: file.sha256, url: part });
  }
  // A known hash is the content; else the server's word for it must do.
  const content = files.map((f, i) => [f.name, f.bytes, expected ?? f.sha256 ?? validators[i]]);
  return { name: url, quant: quantLabel(files[0].name), files: distinct(files), content };
}

function partsOf(url: string): string[] {
  const at = new URL(url);
  const count = Number(splitPart.exec(at.pathname)?.[1] ?? 1);
  if (count < 2) return [url];
  const whole = at.pathname.replace(splitPart, "");
  return Array.from({ length: count }, (_, i) => {
    at.pathname = splitName(whole, i, count); // not resolved: a path that begins with // would name another server
    return at.href;
  });
}

function distinct(files: readonly ManifestFile[]): readonly ManifestFile[] {
  if (new Set(files.map(f => f.name.toLowerCase())).size === files.length) return files;
  const message = "The files of this model have names that cannot be told apart on every disk; pull another version.";
  throw new LatheError("remote.failed", message, { names: files.map(f => f.name) });
}

/** One pull, under its lock. */
class Pull {
  readonly #client: HttpClient;
  readonly #store: Store;
  readonly #id: string;
  readonly #plan: Plan;
  readonly #probed: ReadonlyMap<string, RemoteFile>;
  readonly #options: PullOptions;

  constructor(client: HttpClient, store: Store, id: string, plan: Plan, probed: ReadonlyMap<string, RemoteFile>, options: PullOptions) {
    this.#client = client;
    this.#store = store;
    this.#id = id;
    this.#plan = plan;
    this.#probed = probed;
    this.#options = options;
  }

  async run(lock: Lock, earlier: Manifest | undefined): Promise<StoredModel> {
    const { name, quant, files } = this.#plan;
    let manifest: Manifest = { version: 1, name, quant, architecture: "", files, begun: earlier?.begun ?? new Date().toISOString() };
    await this.#store.write(this.#id, manifest);
    const verified: ManifestFile[] = [];
    for (const [i, file] of files.entries()) {
      verified.push({ ...file, sha256: await this.#fetch(lock, file, i) });
      manifest = { ...manifest, files: [...verified, ...files.slice(i + 1)] };
      if (i + 1 < files.length) await this.#store.write(this.#id, manifest);
    }
    const architecture = await this.#architecture();
    await this.#store.write(this.#id, { ...manifest, architecture, completed: new Date().toISOString() });
    await this.#removeOthers();
    return (await this.#store.read(this.#id))!;
  }

  /** Downloads one file, if it is not here yet. Returns its SHA-256. */
  async #fetch(lock: Lock, file: ManifestFile, index: number): Promise<string> {
    const { files } = this.#plan;
    const { signal, parallel, chunkBytes, onProgress } = this.#options;
    const path = this.#store.pathOf(this.#id, file.name);
    const before = files.slice(0, index).reduce((sum, f) => sum + f.bytes, 0);
    const total = files.reduce((sum, f) => sum + f.bytes, 0);
    // It got its name when it was verified; where the source tells no hash, the one found then is found again.
    if ((await this.#store.heldOf(this.#id, file)).whole) return file.sha256 ?? hashOf(path, undefined, signal);
    const remote = this.#probed.get(file.url) ?? (await probe(this.#client, file.url));
    checkRemote(remote, file);
    return download(this.#client, remote, path, {
      sha256: file.sha256,
      parallel,
      chunkBytes,
      signal,
      holds: () => lock.held(),
      laterBytes: await this.#missingAfter(index),
      onProgress: (stage, done) => onProgress?.({ stage, file: file.name, done: before + done, total }),
    });
  }

  async #missingAfter(index: number): Promise<number> {
    let sum = 0;
    for (const file of this.#plan.files.slice(index + 1)) sum += file.bytes - (await this.#store.heldOf(this.#id, file)).bytes;
    return sum;
  }

  /** Reads the header. What is no model file at all is not kept; one that this version does not understand is. */
  async #architecture(): Promise<string> {
    try {
      const file = await openModelFile(this.#store.pathOf(this.#id, this.#plan.files[0].name));
      await closeGguf(file);
      const architecture = file.metadata.get("general.architecture");
      return typeof architecture === "string" ? architecture : "";
    } catch (problem) {
      if (problem instanceof LatheError) return "";
      throw problem;
    }
  }

  /** Older contents of the same name, and unfinished ones. What another process works on stays. */
  async #removeOthers(): Promise<void> {
    const others = (await this.#store.list()).filter(m => m.name === this.#plan.name && m.id !== this.#id);
    for (const { id } of others) {
      await this.#store.remove(id).catch(problem => {
        if (!(problem instanceof LatheError) || problem.code !== "store.busy") throw problem;
      });
    }
  }
}

/** Refuses before the download what would be refused after it. */
function checkRemote(remote: RemoteFile, file: ManifestFile): void {
  const { url, bytes, head, sha256 } = remote;
  if (bytes !== file.bytes || (file.sha256 !== undefined && sha256 !== undefined && sha256 !== file.sha256)) {
    const message = `${shown(url)} is not what was announced (${bytes} bytes instead of ${file.bytes}); it may have changed just now, pull again.`;
    throw new LatheError("file.changed", message, { url: shown(url), bytes, expected: file.bytes });
  }
  if (String.fromCharCode(...head) === "GGUF") return;
  throw new LatheError("gguf.not-gguf", `${shown(url)} is not a GGUF file; check the address.`, { url: shown(url) });
}

/** Stored models by name, and pulling where that is allowed. */
export interface LocateOptions extends PullOptions {
  /** Pull what is not stored. Default false. */
  readonly pull?: boolean;
}

/**
 * The path of the file that a name means: a path is itself, other names mean stored models.
 * @throws LatheError store.not-found where it is not stored and `pull` is false; what `pull` throws
 */
export async function locate(name: string, options: LocateOptions = {}): Promise<string> {
  const address = parseAddress(name);
  if (address.kind === "file") return address.path;
  const found = await new Store(options.home).find(address);
  if (found) return found.path;
  if (!options.pull) throw notStored(addressName(address));
  return (await pull(name, options)).path;
}
