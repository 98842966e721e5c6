/**
 * From anything thrown to one line on stderr and an exit code. Errors that a user can cause have a code and say what to do; the rest are
 * faults in Lathe and say so. Stacks are for --debug.
 */
import { CommanderError } from "commander";
import { type ErrorCode, LatheError } from "../errors.ts";
import { clearProgress } from "./progress.ts";
import { note, paintErr, printable } from "./terminal.ts";

/** `topK` -> `--top-k`. */
const flagOf = (option: string): string => `--${option.replace(/[A-Z]/g, c => `-${c.toLowerCase()}`)}`;

/** The library names options as in TypeScript; on the command line they are flags. */
function messageOf(error: LatheError): string {
  const { option, value, accepts } = error.details;
  if (error.code !== "option.invalid" || typeof option !== "string" || typeof accepts !== "string") return error.message;
  return `${flagOf(option)} must be ${accepts}; it is ${typeof value === "string" ? JSON.stringify(value) : String(value)}.`;
}

/** Commander's complaints, as errors of Lathe. Its suggestions go by similar spelling; an abbreviation (`--temp`) says more. */
function fromCommander(error: CommanderError, flags: readonly string[]): LatheError {
  const code: ErrorCode = /unknown/.test(error.code) ? "option.unknown" : "option.invalid";
  const [first, ...rest] = error.message.replace(/^error: /, "").split("\n");
  const choice = /^option '(--\S+).*' argument '(.*)' is invalid\. Allowed choices are (.*)\.$/.exec(first);
  if (choice) return new LatheError(code, `${choice[1]} must be one of ${choice[3]}; it is "${choice[2]}".`, {}, { cause: error });
  const quotes = error.code === "commander.excessArguments" ? "Put a text of several words in quotes" : "";
  const abbreviated = /unknown option '(--[^']+)'/.exec(first)?.[1];
  const meant = abbreviated && flags.find(flag => flag.startsWith(abbreviated));
  const hint = quotes || (meant && `Did you mean ${meant}?`) || rest.join(" ").replace(/^\((.*)\)$/, "$1");
  const message = `${first[0].toUpperCase()}${first.slice(1).replace(/\.$/, "")}${hint ? `. ${hint.replace(/[.?]?$/, m => m || ".")}` : "; see --help."}`;
  return new LatheError(code, message, {}, { cause: error });
}

function trace(error: unknown): string {
  const causes: string[] = [];
  for (let e = error; e !== undefined && causes.length < 8; e = e instanceof Error ? e.cause : undefined) {
    const details = e instanceof LatheError && Object.keys(e.details).length ? `\ndetails: ${JSON.stringify(e.details)}` : "";
    causes.push((e instanceof Error ? (e.stack ?? String(e)) : String(e)) + details);
  }
  return causes.join("\ncaused by: ");
}

/** Says what went wrong and gives the exit code. `flags`: those of the command in question. */
export function failed(thrown: unknown, debug: boolean, flags: readonly string[] = []): number {
  clearProgress();
  if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0; // --help and --version have printed what they were asked for
  const error = thrown instanceof CommanderError ? fromCommander(thrown, flags) : thrown;
  complain(error);
  if (debug) note(paintErr("dim", printable(trace(error))));
  return 1;
}

/** The one line. Chat uses it for errors that it survives. */
export function complain(error: unknown): void {
  const word = paintErr(["bold", "red"], "error:");
  if (error instanceof LatheError) note(`${word} ${printable(messageOf(error))} ${paintErr("dim", `(${error.code})`)}`);
  else {
    const what = error instanceof Error ? error.message : String(error);
    note(`${word} ${printable(what)}; this is a fault in Lathe, --debug shows where.`);
  }
}
