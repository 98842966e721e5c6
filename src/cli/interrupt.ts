/**
 * Ctrl-C. Unless a command says otherwise it ends the program at once with code 130, as shells expect, after erasing the progress line. A
 * command may tidy up first (a newline after partial text), or take Ctrl-C for itself for a while (chat stops only the answer).
 */
import { clearProgress } from "./progress.ts";

export const INTERRUPTED = 130;

/** Latest last. */
const handlers: (() => void)[] = [];

function leave(): never {
  clearProgress();
  process.exit(INTERRUPTED);
}

export function listenForInterrupts(): void {
  process.on("SIGINT", () => {
    const handler = handlers.at(-1);
    if (handler) handler();
    else leave();
  });
}

function pushed(handler: () => void): Disposable {
  handlers.push(handler);
  return {
    [Symbol.dispose]: () => {
      handlers.splice(handlers.indexOf(handler), 1);
    },
  };
}

/** Ctrl-C calls this and nothing else, until disposed. */
export const onInterrupt = (handler: () => void): Disposable => pushed(handler);

/** Ctrl-C calls this and then ends the program, until disposed. */
export function beforeInterrupted(tidy: () => void): Disposable {
  return pushed(() => {
    clearProgress();
    tidy();
    leave();
  });
}
