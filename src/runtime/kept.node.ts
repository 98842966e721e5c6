/**
 * Small answers about this processor that are worth keeping from one process to the next: JSON files in the user's cache folder. What is there
 * may be missing, damaged or somebody else's, and what cannot be written is found out again the next time.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { cpuName } from "./platform.node.ts";

/** The file of this processor (and of the level that LATHE_CPU keeps code to). `version` changes when old answers are worthless. */
export function keptPath(kind: string, version: number): string {
  const root = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const name = `${cpuName()} ${process.env.LATHE_CPU ?? ""}`.replace(/[^A-Za-z0-9]+/g, "-").toLowerCase();
  return join(root, "lathe", `${kind}-${version}-${name}.json`);
}

/** What the file says, of whatever form; undefined where there is nothing to be read. */
export function readKept(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** Best effort: a folder that cannot be written to is no error. */
export function keep(path: string, value: unknown): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.${process.pid}.tmp`, `${JSON.stringify(value, null, 1)}\n`);
    renameSync(`${path}.${process.pid}.tmp`, path);
  } catch {
    // the next process tries again
  }
}
