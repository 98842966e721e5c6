/**
 * Starts the command line as a user does, as a process of its own, and gathers what it says. Knows nothing of the commands. Models are
 * computed on one thread, because test files run beside each other.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll } from "vitest";

const main = resolve(import.meta.dirname, "../../dist/cli/main.js");
export const stories = resolve(import.meta.dirname, "../../models/stories.gguf");

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves when stdout holds what `found` wants, or rejects when the process ends without. */
  until(found: (stdout: string) => boolean): Promise<void>;
}

/** `input`: what comes through a pipe on stdin; null leaves the pipe open. Without it stdin is /dev/null. */
export function start(args: readonly string[], input?: string | null, env: NodeJS.ProcessEnv = {}): Started {
  const { FORCE_COLOR: _, ...inherited } = process.env;
  const child = spawn(process.execPath, [main, ...args], {
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    env: { ...inherited, ...env },
  });
  let stdout = "";
  let stderr = "";
  const watchers = new Set<() => void>();
  child.stdout!.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    for (const watch of watchers) watch();
  });
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  if (typeof input === "string") child.stdin!.end(input);
  const ended = new Promise<Ended>(done => child.on("close", (code, signal) => done({ code, signal, stdout, stderr })));
  const until = (found: (stdout: string) => boolean): Promise<void> =>
    new Promise((done, failed) => {
      const watch = (): void => {
        if (found(stdout)) done();
      };
      watchers.add(watch);
      watch();
      ended.then(e => failed(new Error(`it ended before: ${JSON.stringify(e)}`)));
    });
  return { child, ended, until };
}

export const lathe = (args: readonly string[], input?: string, env?: NodeJS.ProcessEnv): Promise<Ended> => start(args, input, env).ended;

/** The one JSON value on stdout of a command that must succeed. */
export async function latheJson(args: readonly string[], input?: string): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await lathe([...args, "--json"], input);
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** A folder that is removed after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "lathe-cli-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
