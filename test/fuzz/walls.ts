/**
 * Walls around a folder: while something runs, every call of the file system that names a path is followed to where it really leads, links
 * included, and what lies outside is told. What is around the folder is compared before and after as well.
 */
import fs from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { basename, dirname, join, resolve, sep } from "node:path";

const { readlinkSync, readdirSync, readFileSync, lstatSync } = fs;

/** Calls that act on a link itself. */
const onLinks = new Set(["lstat", "readlink", "rm", "rmdir", "unlink", "rename", "symlink", "lutimes"]);
const onPaths = [
  ...["access", "appendFile", "chmod", "copyFile", "createReadStream", "createWriteStream", "lstat", "mkdir", "mkdtemp", "open", "opendir"],
  ...["readdir", "readFile", "readlink", "rename", "rm", "rmdir", "stat", "statfs", "symlink", "truncate", "unlink", "utimes", "writeFile"],
];
const onTwo = new Set(["copyFile", "rename"]);

let root: string | undefined;
let outside: string[] = [];

/** Where a path leads. */
function led(path: string, follow: boolean, depth = 0): string {
  const parent = dirname(path);
  if (parent === path) return path;
  const at = join(led(parent, true, depth), basename(path));
  if (!follow || depth > 40) return at;
  let to: string;
  try {
    to = readlinkSync(at);
  } catch {
    return at;
  }
  return led(resolve(dirname(at), to), true, depth + 1);
}

function look(name: string, args: readonly unknown[]): void {
  if (root === undefined) return;
  const flags = args[1];
  const follow = !onLinks.has(name) && !(typeof flags === "number" && flags & (fs.constants.O_NOFOLLOW ?? 0));
  for (const path of args.slice(0, onTwo.has(name) ? 2 : 1)) {
    if (typeof path !== "string") continue;
    const at = led(resolve(path), follow);
    if (at !== root && !at.startsWith(root + sep)) outside.push(`${name}(${JSON.stringify(path)}) leads to ${at}`);
  }
}

let built = false;
function build(): void {
  if (built) return;
  built = true;
  const watch = (where: object, name: string, as: string): void => {
    const real = Reflect.get(where, name) as ((...args: unknown[]) => unknown) | undefined;
    if (typeof real !== "function") return;
    const watched = function (this: unknown, ...args: unknown[]): unknown {
      look(as, args);
      return real.apply(this, args);
    };
    Reflect.set(where, name, Object.assign(watched, real));
  };
  for (const name of onPaths) {
    watch(promises, name, name);
    watch(fs, name, name);
    watch(fs, `${name}Sync`, name);
  }
  syncBuiltinESMExports();
}

/** Everything below `folder` besides what is below `but`: names, kinds and contents. */
function seen(folder: string, but: string): string[] {
  return readdirSync(folder).flatMap(name => {
    const path = join(folder, name);
    if (path === but) return [];
    const stat = lstatSync(path);
    if (stat.isDirectory()) return [path, ...seen(path, but)];
    return [`${path} ${stat.mode} ${stat.isFile() ? readFileSync(path, "latin1") : ""}`];
  });
}

/** Runs `action`, which may touch `inner` alone. @throws Error that tells what else, in `outer` or anywhere, it has touched */
export async function within<T>(outer: string, inner: string, action: () => Promise<T>): Promise<T> {
  build();
  const before = seen(outer, inner).join("; ");
  [root, outside] = [inner, []];
  const outcome = await action().then(
    value => () => value,
    cause => () => {
      throw cause;
    },
  );
  root = undefined;
  if (outside.length > 0) throw new Error(`outside of its folder: ${outside.slice(0, 3).join("; ")}`);
  const after = seen(outer, inner).join("; ");
  if (after !== before) throw new Error(`what is beside its folder has changed: ${after.slice(0, 500)}`);
  return outcome();
}
