/**
 * From anything thrown to an HTTP status and a message that is safe to show: errors of Lathe say what to do; anything else is a fault and
 * its text stays in the log. Owns the one table of codes and statuses, which every dialect dresses in its own words.
 */
import { type ErrorCode, LatheError } from "../errors.ts";

/** By code, or by the noun before the dot. Client errors first; what is missing is a 500. */
const statuses: Readonly<Record<string, number>> = {
  prompt: 400,
  option: 400,
  template: 400,
  grammar: 400,
  schema: 400,
  regex: 400,
  constraint: 400,
  "request.invalid": 400,
  "server.denied": 403,
  "server.not-found": 404,
  "store.not-found": 404,
  "context.overflow": 413,
  "request.too-large": 413,
  "server.busy": 429,
  "request.unsupported": 501,
  "memory.insufficient": 503,
  "server.closing": 503,
  "model.closed": 503,
};

export interface Failure {
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
  /** The field of the request that is wrong. */
  readonly field?: string;
  /** Seconds after which it is worth trying again. */
  readonly retryAfter?: number;
}

/** Errors about the server's own files say where those are; clients get the kind alone. */
const inward = /^(file|store|gguf|remote|engine|kernel|target|tokenizer|model)\./;

export function failureOf(thrown: unknown): Failure {
  if (!(thrown instanceof LatheError)) {
    return { status: 500, code: "engine.failed", message: "The server failed on this request; its log says more." };
  }
  const { code, details } = thrown;
  const status = Number(details["status"] ?? statuses[code] ?? statuses[code.split(".")[0]] ?? 500);
  const message = status === 500 && inward.test(code) ? `The model cannot be used (${code}); the server's log says more.` : thrown.message;
  const field = details["field"] ?? details["option"];
  const retryAfter = details["retryAfter"];
  return {
    status,
    code,
    message,
    field: typeof field === "string" ? field : undefined,
    retryAfter: typeof retryAfter === "number" ? retryAfter : undefined,
  };
}
