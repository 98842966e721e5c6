/**
 * The models of a server: loaded when first asked for, kept while used and some time after, and unloaded, the least recently used first, when
 * another needs their memory. A lease keeps a model loaded for as long as a request runs. A model that died is loaded again.
 */
import type { Model } from "../api/model.ts";
import { LatheError } from "../errors.ts";

export interface Entry {
  /** The name by which clients ask for it. */
  readonly name: string;
  readonly aliases: readonly string[];
  /** Unix seconds; what lists show. */
  readonly created: number;
  /** Loads it. */
  readonly load: (signal: AbortSignal) => Promise<Model>;
  /** Bytes of memory that loading takes, about. */
  readonly bytes: () => Promise<number>;
}

export type ModelState = "unloaded" | "loading" | "ready" | "failed";

interface Slot {
  readonly entry: Entry;
  loading: Promise<Model> | undefined;
  model: Model | undefined;
  bytes: number;
  failure: unknown;
  leases: number;
  used: number;
  /** When it may be unloaded; Infinity: never of itself. */
  expires: number;
  timer: ReturnType<typeof setTimeout> | undefined;
  /** How often it had to be loaded again. */
  restarts: number;
}

export interface CatalogOptions {
  /** Milliseconds that an idle model stays loaded. Default: for ever. */
  readonly keepAliveMs?: number;
  /** Bytes that loaded models may take together. Default: no limit of the catalog's own. */
  readonly memory?: number;
  readonly now?: () => number;
}

export interface Lease extends Disposable {
  readonly name: string;
  readonly created: number;
  readonly model: Model;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Catalog {
  readonly #slots: readonly Slot[];
  readonly #keepAliveMs: number;
  readonly #memory: number;
  readonly #now: () => number;
  readonly #closing = new AbortController();

  constructor(entries: readonly Entry[], options: CatalogOptions = {}) {
    const { keepAliveMs = Number.POSITIVE_INFINITY, memory = Number.POSITIVE_INFINITY, now = Date.now } = options;
    this.#keepAliveMs = keepAliveMs;
    this.#memory = memory;
    this.#now = now;
    this.#slots = entries.map(entry => ({
      entry,
      loading: undefined,
      model: undefined,
      bytes: 0,
      failure: undefined,
      leases: 0,
      used: 0,
      expires: Number.POSITIVE_INFINITY,
      timer: undefined,
      restarts: 0,
    }));
  }

  list(): readonly { name: string; created: number; state: ModelState; model?: Model; bytes: number; expires: number; restarts: number }[] {
    return this.#slots.map(s => {
      const { entry, model, bytes, expires, restarts } = s;
      return { name: entry.name, created: entry.created, state: this.#state(s), model, bytes, expires, restarts };
    });
  }

  #state(slot: Slot): ModelState {
    if (slot.model) return "ready";
    if (slot.loading) return "loading";
    return slot.failure === undefined ? "unloaded" : "failed";
  }

  /** The name in the list. @throws LatheError server.not-found; a catalog of one model answers to any name. */
  resolve(name: string | undefined): string {
    return this.#find(name).entry.name;
  }

  #find(name: string | undefined): Slot {
    const wanted = name?.replace(/:latest$/, "");
    const found = this.#slots.find(({ entry }) => [entry.name, ...entry.aliases].some(n => n === name || n === wanted));
    if (found) return found;
    if (this.#slots.length === 1) return this.#slots[0];
    const names = this.#slots.map(s => s.entry.name);
    const what = name === undefined ? "The request names no model" : "There is no model of that name here";
    throw new LatheError("server.not-found", `${what}; this server has: ${names.join(", ")}.`, { field: "model" });
  }

  /** The model, loaded. Dispose the lease when done. `keepAliveMs` replaces the catalog's own. */
  async lease(name: string | undefined, signal?: AbortSignal, keepAliveMs?: number): Promise<Lease> {
    signal?.throwIfAborted();
    if (this.#closing.signal.aborted) throw new LatheError("server.closing", "The server is shutting down.");
    const slot = this.#find(name);
    slot.leases++;
    clearTimeout(slot.timer);
    try {
      const model = slot.model ?? (await abortable(this.#load(slot), signal));
      slot.used = this.#now();
      let open = true;
      const end = (): void => {
        if (open) this.#release(slot, keepAliveMs);
        open = false;
      };
      return { name: slot.entry.name, created: slot.entry.created, model, [Symbol.dispose]: end };
    } catch (e) {
      this.#release(slot, keepAliveMs);
      throw e;
    }
  }

  #release(slot: Slot, keepAliveMs = this.#keepAliveMs): void {
    slot.leases--;
    slot.used = this.#now();
    if (slot.leases > 0) return;
    slot.expires = this.#now() + keepAliveMs;
    if (keepAliveMs > LONGEST_TIMER_MS) return;
    slot.timer = setTimeout(() => void this.#unload(slot), keepAliveMs);
    slot.timer.unref();
  }

  #load(slot: Slot): Promise<Model> {
    slot.loading ??= this.#loadNow(slot).finally(() => {
      slot.loading = undefined;
    });
    return slot.loading;
  }

  async #loadNow(slot: Slot): Promise<Model> {
    try {
      slot.bytes = await slot.entry.bytes();
      await this.#makeRoom(slot);
      slot.model = await slot.entry.load(this.#closing.signal);
      slot.failure = undefined;
      return slot.model;
    } catch (e) {
      slot.failure = e;
      throw e;
    }
  }

  /** Unloads idle models, the least recently used first, until the new one fits. */
  async #makeRoom(slot: Slot): Promise<void> {
    const held = (): number => this.#slots.reduce((sum, s) => sum + (s !== slot && (s.model || s.loading) ? s.bytes : 0), 0);
    while (held() + slot.bytes > this.#memory) {
      const idle = this.#slots.filter(s => s.model && s.leases === 0 && s !== slot).sort((a, b) => a.used - b.used);
      if (!idle.length) {
        const details = { needed: slot.bytes, available: this.#memory - held(), retryAfter: 5 };
        throw new LatheError(
          "memory.insufficient",
          "The models in use leave no memory for this one; try again when they are idle.",
          details,
        );
      }
      await this.#unload(idle[0]);
    }
  }

  async #unload(slot: Slot): Promise<void> {
    clearTimeout(slot.timer);
    const { model } = slot;
    if (!model || slot.leases > 0) return;
    slot.model = undefined;
    await model.close();
  }

  /** Unloads an idle model; false where it is in use. */
  async unload(name: string | undefined): Promise<boolean> {
    const slot = this.#find(name);
    await this.#unload(slot);
    return slot.model === undefined;
  }

  /** Gives up a model that does not answer; its runs fail, and the next lease loads it again. */
  restart(model: Model): void {
    const slot = this.#slots.find(s => s.model === model);
    if (!slot) return;
    slot.model = undefined;
    slot.restarts++;
    // A thread that hangs in machine code may never end: nobody waits for it.
    model.close().catch(() => {});
  }

  /** Loads what should be there from the start. */
  async warm(names: readonly string[]): Promise<void> {
    for (const name of names) (await this.lease(name))[Symbol.dispose]();
  }

  async close(): Promise<void> {
    this.#closing.abort(new LatheError("server.closing", "The server is shutting down."));
    await Promise.all(
      this.#slots.map(async slot => {
        clearTimeout(slot.timer);
        const model = slot.model ?? (await slot.loading?.catch(() => undefined));
        slot.model = undefined;
        await model?.close();
      }),
    );
  }
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
