/**
 * One line of progress on stderr, drawn over itself and erased at the end. It exists only on terminals, waits a moment before it appears
 * (most things are over by then), and takes no input, so that Ctrl-C and readline stay with their owners.
 */
import { columns, paintErr, type Stream } from "./terminal.ts";

const APPEARS_AFTER_MS = 150;
const REDRAWS_EACH_MS = 60;
const WIDEST_BAR = 32;

export interface Status {
  /** What is being done: "packing". */
  readonly label: string;
  readonly done: number;
  readonly total: number;
  /** Numbers beside the bar: "210 of 580 MiB". */
  readonly detail?: string;
}

let shown: ProgressLine | undefined;

/** Erases whatever progress is on the screen: before an error, or when leaving at once. */
export const clearProgress = (): void => shown?.clear();

/** The line as it is drawn, never wider than the terminal: narrow ones lose the detail first, then the bar. */
export function progressText({ label, done, total, detail = "" }: Status, width: number): string {
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const percent = `${Math.floor(100 * share)}%`.padStart(4);
  const room = width - 1 - label.length - percent.length - 3;
  const withDetail = detail && room - detail.length - 2 >= 8;
  const bar = Math.min(WIDEST_BAR, room - (withDetail ? detail.length + 2 : 0));
  if (bar < 4) return `${label}${percent}`.slice(0, Math.max(0, width - 1));
  const full = Math.round(bar * share);
  const drawn = `${paintErr("cyan", "━".repeat(full))}${paintErr("dim", "─".repeat(bar - full))}`;
  return `${label} ${drawn} ${percent}${withDetail ? `  ${paintErr("dim", detail)}` : ""}`;
}

export class ProgressLine {
  readonly #stream: Stream;
  readonly #active: boolean;
  readonly #begun = performance.now();
  #drawn = 0;
  #visible = false;

  constructor(options: { quiet?: boolean } = {}, stream: Stream = process.stderr) {
    this.#stream = stream;
    this.#active = Boolean(stream.isTTY) && process.env["TERM"] !== "dumb" && !options.quiet;
  }

  show(status: Status): void {
    const now = performance.now();
    if (!this.#active || now - this.#begun < APPEARS_AFTER_MS || now - this.#drawn < REDRAWS_EACH_MS) return;
    this.#drawn = now;
    this.#visible = true;
    shown = this;
    this.#stream.write(`\r${progressText(status, columns(this.#stream))}\x1b[K`);
  }

  clear(): void {
    if (this.#visible) this.#stream.write("\r\x1b[K");
    this.#visible = false;
    if (shown === this) shown = undefined;
  }
}
