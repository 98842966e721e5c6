/**
 * What the commands know of the terminal: which stream takes results (stdout) and which takes everything else (stderr), whether colour is
 * welcome on each, how wide it is, and how to keep a model's output from commanding the terminal. Every byte that a command prints goes
 * through here or through progress.ts.
 */
import { styleText } from "node:util";

export type Style = Parameters<typeof styleText>[0];
export type Stream = NodeJS.WriteStream;

/** Colour: only on terminals, never with NO_COLOR (https://no-color.org), always with FORCE_COLOR. */
export function hasColour(stream: Stream, environment: NodeJS.ProcessEnv = process.env): boolean {
  const { FORCE_COLOR, NO_COLOR, TERM } = environment;
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== "0" && FORCE_COLOR !== "false";
  return Boolean(stream.isTTY) && !NO_COLOR && TERM !== "dumb";
}

const painter = (stream: Stream) => (style: Style, text: string) =>
  text && hasColour(stream) ? styleText(style, text, { validateStream: false }) : text;

/** Styles a text for stdout, or leaves it as it is. */
export const paint = painter(process.stdout);
/** The same for stderr. */
export const paintErr = painter(process.stderr);

/** Columns of a terminal; 80 elsewhere. */
export const columns = (stream: Stream): number => (stream.isTTY && stream.columns > 0 ? stream.columns : 80);

/** Results. */
export function print(text: string): void {
  process.stdout.write(text);
}

/** A line for the person who watches. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** One JSON value: on one line for programs, indented for people. */
export function printJson(value: unknown): void {
  print(`${JSON.stringify(value, null, process.stdout.isTTY ? 2 : undefined)}\n`);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const controls = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Text from a model or a file with its control characters made visible, so that it cannot move the cursor or set the clipboard. */
export function printable(text: string): string {
  return text.replace(controls, c => {
    const code = c.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "␡" : "�";
  });
}

/** A reader that has seen enough (`| head -1`) is no error. */
export function endQuietlyOnClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (e: NodeJS.ErrnoException) => {
      if (e.code === "EPIPE" || e.code === "ERR_STREAM_DESTROYED") process.exit(0);
      throw e;
    });
  }
}
