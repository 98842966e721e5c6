/**
 * Where the browser keeps things: conversations in IndexedDB, small preferences in local storage, a key in the tab alone. Where a browser
 * forbids that, everything works and is forgotten with the page; `Keep.failed` says so.
 */
import { conversationFrom } from "./portable.ts";
import type { Conversation } from "./tree.ts";

const NAME = "lathe-chat";
const STORE = "conversations";

const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
  return done(request);
}

export class Keep {
  readonly #database = open();
  readonly #others = new BroadcastChannel(NAME);
  readonly #failed: (why: string) => void;

  /** `changed` gets what another tab stored, or its id alone where it was removed there. `failed` gets one sentence. */
  constructor(changed: (id: string, c: Conversation | undefined) => void, failed: (why: string) => void) {
    this.#failed = failed;
    this.#database.catch(() => {}); // told by whoever uses it first
    this.#others.onmessage = async ({ data }) => {
      const id = String(data);
      changed(id, conversationFrom(await done((await this.#store("readonly")).get(id)).catch(() => undefined)));
    };
  }

  #store = async (mode: IDBTransactionMode): Promise<IDBObjectStore> => (await this.#database).transaction(STORE, mode).objectStore(STORE);

  async #change(id: string, change: (store: IDBObjectStore) => IDBRequest): Promise<void> {
    try {
      await done(change(await this.#store("readwrite")));
      this.#others.postMessage(id);
    } catch (e) {
      const full = e instanceof DOMException && e.name === "QuotaExceededError";
      this.#failed(
        full
          ? "This browser has no more room for conversations; export and delete some."
          : "This browser does not let the page keep conversations; they are lost when it is closed.",
      );
    }
  }

  async all(): Promise<readonly Conversation[]> {
    try {
      const found: unknown[] = await done((await this.#store("readonly")).getAll());
      return found.map(conversationFrom).filter(c => c !== undefined);
    } catch {
      this.#failed("This browser does not let the page keep conversations; they are lost when it is closed.");
      return [];
    }
  }
  put = (c: Conversation): Promise<void> => this.#change(c.id, store => store.put(c));
  delete = (id: string): Promise<void> => this.#change(id, store => store.delete(id));
}

/** A preference, or undefined. */
export function preference(name: string): unknown {
  try {
    return JSON.parse(localStorage.getItem(`lathe-${name}`) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}
export function setPreference(name: string, value: unknown): void {
  try {
    localStorage.setItem(`lathe-${name}`, JSON.stringify(value));
  } catch {
    // It then holds for this page alone.
  }
}

/** The server's key: kept while this tab is open, and no longer. */
export function tabKey(): string {
  try {
    return sessionStorage.getItem("lathe-key") ?? "";
  } catch {
    return "";
  }
}
export function setTabKey(key: string): void {
  try {
    sessionStorage.setItem("lathe-key", key);
  } catch {
    // As above.
  }
}
