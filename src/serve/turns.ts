/**
 * Turns on the server's thread. What a request needs before it is admitted (its head looked at; then its body read as JSON and checked, its prompt
 * made into tokens) is done for one request in each turn of the event loop, so that a crowd that comes at once holds up neither running answers
 * nor health.
 */

/** Those whose turn has not come, the first first. */
const waiting: (() => void)[] = [];
/** Whether somebody had this turn of the event loop. */
let taken = false;

/** Resolves when it is the caller's turn, which lasts as long as it goes on without waiting: at once where nobody else has it. */
export function turn(): Promise<void> {
  if (taken) return new Promise(resolve => waiting.push(resolve));
  taken = true;
  setImmediate(next);
  return Promise.resolve();
}

function next(): void {
  const first = waiting.shift();
  taken = first !== undefined;
  if (!first) return;
  setImmediate(next);
  first();
}
