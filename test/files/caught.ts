/** Runs something that must fail in the typed way, and says how it did. */
import { expect } from "vitest";
import { type ErrorCode, LatheError } from "../../src/errors.ts";

/** Expects a LatheError with `code`, one sentence and plain details; returns it for further checks. */
export async function caught(code: ErrorCode, action: () => unknown): Promise<LatheError> {
  const error = await Promise.resolve()
    .then(action)
    .then(
      () => new Error("nothing was thrown"),
      cause => cause,
    );
  if (!(error instanceof LatheError)) throw error;
  expect(`${error.code}: ${error.message}`).toMatch(new RegExp(`^${code}: `));
  expect(error.message).toMatch(/^[^\n]{20,600}\.$/);
  expect(structuredClone(error.details)).toEqual(JSON.parse(JSON.stringify(error.details)));
  return error;
}
