/**
 * Machine code that earlier processes of this user have compiled, in the user's cache folder: one file for each kernel, named by what it was
 * made from. It is going to be run, so only files are believed that belong to this user, that nobody else may write, and whose checksum is
 * right; everything else counts as absent. Losing a file costs time only. LATHE_CODE_CACHE=off leaves the folder alone.
 */
import { createHash, randomUUID } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Bytes that all files may take, and that one may. */
const ROOM = 64 << 20;
const MOST_BYTES = 4 << 20;
/** A file that is used is marked as such when its last mark is so old, in milliseconds. */
const MARK = 24 * 3600 * 1000;
const SUM_BYTES = 32;

const sha256 = (...parts: readonly (string | Uint8Array)[]): Buffer => {
  const hash = createHash("sha256");
  for (const p of parts) hash.update(p);
  return hash.digest();
};

/** Of this user, and written by nobody else. */
const isOwn = ({ uid, mode }: Stats): boolean => uid === process.getuid?.() && (mode & 0o022) === 0;

export class CodeFiles {
  readonly #folder: string;
  readonly #compiler: string;
  readonly #room: number;

  /** `compiler`: what tells versions of the compiler apart. The folder is made where it is missing. Throws where it is not this user's own. */
  constructor(folder: string, compiler: string, room = ROOM) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const info = lstatSync(folder);
    if (!info.isDirectory() || !isOwn(info)) throw new Error(`${folder} is not this user's own`);
    this.#folder = folder;
    this.#compiler = compiler;
    this.#room = room;
  }

  #name = (key: string): string => sha256(this.#compiler, "\n", key).toString("hex");

  /** The code that was kept under `key`. */
  read(key: string): Uint8Array | undefined {
    const name = this.#name(key);
    let file: number;
    try {
      file = openSync(join(this.#folder, name), constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch {
      return undefined;
    }
    try {
      const info = fstatSync(file);
      if (!info.isFile() || !isOwn(info) || info.size <= SUM_BYTES || info.size > MOST_BYTES) return undefined;
      const bytes = new Uint8Array(info.size);
      if (readSync(file, bytes, 0, bytes.length, 0) !== bytes.length) return undefined;
      const code = bytes.subarray(SUM_BYTES);
      if (!sha256(name, code).equals(bytes.subarray(0, SUM_BYTES))) return undefined;
      if (Date.now() - info.mtimeMs > MARK) utimesSync(join(this.#folder, name), new Date(), new Date());
      return code;
    } catch {
      return undefined;
    } finally {
      closeSync(file);
    }
  }

  /** Keeps code under `key`, if that can be done. */
  write(key: string, code: Uint8Array): void {
    const name = this.#name(key);
    const temporary = join(this.#folder, `${name}.${randomUUID()}.tmp`);
    try {
      writeFileSync(temporary, Buffer.concat([sha256(name, code), code]), { mode: 0o600, flag: "wx" });
      renameSync(temporary, join(this.#folder, name));
    } catch {
      rmSync(temporary, { force: true });
    }
  }

  /** Removes what was not used longest, until the rest takes half of the room; nothing as long as all fit. */
  trim(): void {
    const files = readdirSync(this.#folder).flatMap(name => {
      const path = join(this.#folder, name);
      const info = statSync(path, { throwIfNoEntry: false });
      return info ? [{ path, size: info.size, used: info.mtimeMs }] : [];
    });
    let total = files.reduce((sum, f) => sum + f.size, 0);
    if (total <= this.#room) return;
    for (const { path, size } of files.sort((a, b) => a.used - b.used)) {
      if (total <= this.#room / 2) return;
      rmSync(path, { force: true });
      total -= size;
    }
  }
}

/** Put in where files are bundled: the checksum of the compiler in them. */
declare const LATHE_COMPILER: string | undefined;

/** A checksum of the files below `root` that turn a kernel's text into code: no version of the compiler meets what another has made. */
export function compilerVersion(root: URL): string {
  const hash = createHash("sha256");
  for (const folder of ["ir/", "lower/", "target/x64/"]) {
    const path = fileURLToPath(new URL(folder, root));
    for (const name of readdirSync(path).sort()) if (name.endsWith(".js")) hash.update(name).update(readFileSync(join(path, name)));
  }
  return hash.digest("hex");
}

const ownVersion = (): string =>
  typeof LATHE_COMPILER === "undefined" ? compilerVersion(new URL("../../", import.meta.url)) : LATHE_COMPILER;

let opened: { readonly files: CodeFiles | undefined } | undefined;

/** This user's files; undefined where there shall be or can be none. */
export function codeFiles(): CodeFiles | undefined {
  if (!opened) {
    let files: CodeFiles | undefined;
    try {
      const root = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
      // Windows has no owners and modes of this kind.
      if (process.env.LATHE_CODE_CACHE !== "off" && process.getuid) files = new CodeFiles(join(root, "lathe", "code"), ownVersion());
    } catch {
      // a folder that cannot be had: everything is compiled
    }
    opened = { files };
  }
  return opened.files;
}
