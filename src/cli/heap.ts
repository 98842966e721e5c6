/** How much of its memory JavaScript may fill with what nobody needs any more, before it is collected. */
import { setFlagsFromString } from "node:v8";

/** Per cent of what is in use. V8's own choice goes up to several times as much. */
const GARBAGE_PERCENT = 50;

/**
 * For programs that run for long beside a model, whose weights are what memory is for. Connections that come and go live just long enough to be
 * taken for something that stays, so that garbage would otherwise be most of a busy server's heap.
 */
export function keepHeapSmall(): void {
  setFlagsFromString(`--heap-growing-percent=${GARBAGE_PERCENT}`);
}
