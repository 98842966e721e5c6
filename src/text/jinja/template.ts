/**
 * Chat templates: `parseTemplate(source).render(context)`. The language is Jinja2 as Hugging Face's chat templates use it; the result says
 * for each piece of text whether it came from the template or from the data. Everything that can go wrong is a `template.failed`.
 * Owns no chat conventions: messages, roles and tokens are `chat.ts`.
 */
import { LatheError } from "../../errors.ts";
import type { Stmt } from "./ast.ts";
import { Budget, Failure } from "./budget.ts";
import { ContextReader } from "./context.ts";
import { Interpreter } from "./interpreter.ts";
import { parse } from "./parser.ts";
import type { Segment } from "./text.ts";

export { type TrustedText, trusted } from "./context.ts";
export type { Segment } from "./text.ts";

export interface RenderOptions {
  /** What `strftime_now` tells, in local time; by default the present. */
  readonly now?: Date;
  /** Steps that one rendering may take; 1,000,000 by default. */
  readonly maxSteps?: number;
}

export interface Rendered {
  readonly text: string;
  /** The text in pieces of one origin each. Only trusted pieces may become control tokens. */
  readonly segments: readonly Segment[];
}

export interface Template {
  readonly source: string;
  /**
   * Renders with plain JSON-like data. Strings of the context are untrusted unless wrapped by `trusted`.
   * Fails with `template.failed` when the template raises an exception, does something impossible or exceeds its budget.
   */
  render(context: Readonly<Record<string, unknown>>, options?: RenderOptions): Rendered;
}

/** Parses a template; fails with `template.failed`, naming the line, where it is not valid. */
export function parseTemplate(source: string): Template {
  const body = guarded(
    () => parse(source),
    () => 1,
  );
  return { source, render: (context, options) => render(source, body, context, options) };
}

function render(source: string, body: readonly Stmt[], context: Readonly<Record<string, unknown>>, options: RenderOptions = {}): Rendered {
  let interpreter: Interpreter | undefined;
  const text = guarded(
    () => {
      const reader = new ContextReader();
      const names = reader.read(context);
      interpreter = new Interpreter(new Budget(source.length + reader.characters, options.maxSteps), options.now ?? new Date());
      return interpreter.run(body, names);
    },
    () => interpreter?.line,
  );
  return { text: text.text, segments: text.segments() };
}

/** Turns a failure of the interpreter, or of the host's stack under it, into the error that callers know. */
function guarded<T>(run: () => T, line: () => number | undefined): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof Failure) throw failed(error.message, error.line ?? line(), error);
    if (error instanceof RangeError && /call stack/i.test(error.message)) throw failed("it is nested too deeply.", line(), error);
    throw error;
  }
}

function failed(reason: string, line: number | undefined, cause: Error): LatheError {
  const place = line === undefined ? "" : ` at line ${line}`;
  return new LatheError("template.failed", `The chat template failed${place}: ${reason}`, { reason, line }, { cause });
}
