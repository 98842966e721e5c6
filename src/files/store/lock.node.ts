/**
 * Locks between processes, for work that must not be done twice at once. Owns a protocol that needs nothing but exclusive creation of files,
 * and survives holders that are killed.
 *
 * The files of a lock are numbered. The highest number is the lock: held while the process named in it lives, free when it says so. Who wants
 * it creates the next number, which only one can, and then looks whether somebody was ahead. So a dead holder's file is never taken away
 * under a new holder, which is where locks of a single file go wrong.
 */
import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { writing } from "./system.node.ts";

const free = "free";
const heartbeatMs = 30_000;
/** A holder that was silent for so long is dead, whatever its process number says: another process may have that number now. */
const silentMs = 300_000;
/** A file is created before its holder is written into it. */
const unwrittenMs = 10_000;
const lookAgainMs = 200;

export interface LockOptions {
  /** Called once, where somebody else holds the lock. */
  readonly onWait?: () => void;
  readonly signal?: AbortSignal;
}

export class Lock {
  readonly #path: string;
  readonly #number: number;
  readonly #heart: NodeJS.Timeout;

  private constructor(path: string, number: number) {
    this.#path = path;
    this.#number = number;
    this.#heart = setInterval(() => void utimes(fileOf(path, number), new Date(), new Date()).catch(() => undefined), heartbeatMs);
    this.#heart.unref();
  }

  /** Takes the lock at `path` if it is free. */
  static async take(path: string): Promise<Lock | undefined> {
    await writing(dirname(path), () => mkdir(dirname(path), { recursive: true }));
    const highest = await highestOf(path);
    if (highest > 0 && (await isHeld(fileOf(path, highest)))) return undefined;
    const number = highest + 1;
    const mine = fileOf(path, number);
    try {
      const file = await open(mine, "wx", 0o600);
      await file.writeFile(JSON.stringify({ pid: process.pid, host: hostname(), id: randomUUID() }));
      await file.close();
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "EEXIST") return undefined;
      return writing(mine, () => Promise.reject(cause));
    }
    if ((await highestOf(path)) !== number) {
      await rm(mine, { force: true });
      return undefined;
    }
    for (const older of await numbersOf(path)) if (older < number) await rm(fileOf(path, older), { force: true });
    return new Lock(path, number);
  }

  /** Waits until the lock is free and takes it. @throws the signal's reason */
  static async wait(path: string, { onWait, signal }: LockOptions = {}): Promise<Lock> {
    for (let told = false; ; told = true) {
      signal?.throwIfAborted();
      const lock = await Lock.take(path);
      if (lock) return lock;
      if (!told) onWait?.();
      await sleep(lookAgainMs * (0.5 + Math.random()), undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }

  /** False where this process was silent for so long that another one has taken the lock. */
  async held(): Promise<boolean> {
    return (await highestOf(this.#path)) === this.#number;
  }

  async release(): Promise<void> {
    clearInterval(this.#heart);
    // Not removed: the number must go on counting.
    if (await this.held()) await writeFile(fileOf(this.#path, this.#number), free).catch(() => undefined);
  }
}

const fileOf = (path: string, number: number): string => `${path}.${number}`;

async function numbersOf(path: string): Promise<number[]> {
  const prefix = `${basename(path)}.`;
  const names = await readdir(dirname(path));
  return names.filter(n => n.startsWith(prefix) && /^\d{1,15}$/.test(n.slice(prefix.length))).map(n => Number(n.slice(prefix.length)));
}

const highestOf = async (path: string): Promise<number> => Math.max(0, ...(await numbersOf(path)));

async function isHeld(file: string): Promise<boolean> {
  let text: string;
  let age: number;
  try {
    text = await readFile(file, "utf8");
    age = Date.now() - (await stat(file)).mtimeMs;
  } catch {
    return true; // it has just made room for a higher number
  }
  if (text === free) return false;
  if (age > silentMs) return false;
  let holder: { pid?: unknown; host?: unknown };
  try {
    holder = JSON.parse(text) as typeof holder;
  } catch {
    return age < unwrittenMs;
  }
  return holder.host !== hostname() || isAlive(holder.pid);
}

function isAlive(pid: unknown): boolean {
  if (!Number.isSafeInteger(pid) || (pid as number) <= 0) return false;
  try {
    process.kill(pid as number, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** The lock of a name, among others in `folder`. */
export const lockPath = (folder: string, name: string): string => join(folder, ".locks", name);
