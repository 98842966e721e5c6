/** Text that commands read: files, and stdin where it is a pipe. System errors become errors of Lathe that say what to do. */
import { fstatSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { LatheError } from "../errors.ts";
import { note, paintErr } from "./terminal.ts";

/** How long a pipe that was not asked for may be silent. */
const PATIENCE_MS = 2000;

/** A whole file as text; "-" is stdin. @throws LatheError file.not-found, file.unreadable */
export async function readText(path: string): Promise<string> {
  if (path === "-") return readStdin();
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new LatheError("file.not-found", `There is no file "${path}"; check the path.`, { path }, { cause });
    throw new LatheError("file.unreadable", `"${path}" cannot be read (${code}); it must be a readable text file.`, { path }, { cause });
  }
}

/** Everything on stdin, to its end. */
export async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

/** stdin, if something is piped into it; undefined on terminals, for /dev/null, and for pipes that end without a byte. */
export async function readPipedStdin(): Promise<string | undefined> {
  if (!(await hasPipedInput())) return undefined;
  return (await readStdin()) || undefined;
}

/**
 * A file or pipe is read; but build systems and supervisors often leave a pipe open that nobody writes to, and waiting for it would hang for
 * ever. So a silent pipe is given up after a while; `-` waits.
 */
async function hasPipedInput(): Promise<boolean> {
  if (process.stdin.isTTY) return false;
  let kind: ReturnType<typeof fstatSync>;
  try {
    kind = fstatSync(0);
  } catch {
    return false; // closed
  }
  if (kind.isFile()) return true;
  if (!kind.isFIFO() && !kind.isSocket()) return false;
  const spoke = await new Promise<boolean>(resolve => {
    const silent = setTimeout(() => resolve(false), PATIENCE_MS);
    const done = (): void => {
      clearTimeout(silent);
      resolve(true);
    };
    process.stdin.once("readable", done).once("end", done).once("error", done);
  });
  if (spoke) return true;
  process.stdin.removeAllListeners().destroy();
  note(paintErr("dim", "nothing came through the pipe on stdin; starting without a prompt (give - as the prompt to wait for it)"));
  return false;
}
