/** What the progress line says while a model is being pulled: how much, how fast, how long still. */
import type { PullProgress } from "../files/store/pull.node.ts";
import type { Status } from "./progress.ts";
import { printable } from "./terminal.ts";
import { bytes } from "./units.ts";

const labels: Readonly<Record<PullProgress["stage"], string>> = {
  wait: "another process is pulling this model",
  fetch: "pulling",
  check: "verifying",
};
/** Speed is that of the last seconds, since connections come and go. */
const windowMs = 5000;

export class TransferStatus {
  #stage: PullProgress["stage"] | undefined;
  #marks: { at: number; done: number }[] = [];

  at({ stage, file, done, total }: PullProgress, now: number = performance.now()): Status {
    if (stage !== this.#stage) this.#marks = [];
    this.#stage = stage;
    const last = this.#marks.at(-1);
    if (last === undefined || now - last.at > 100) this.#marks.push({ at: now, done });
    while (this.#marks.length > 2 && now - this.#marks[0].at > windowMs) this.#marks.shift();
    const first = this.#marks[0];
    const perSecond = now > first.at ? (1000 * (done - first.done)) / (now - first.at) : 0;
    const speed = perSecond > 0 ? `, ${bytes(perSecond)}/s, ${left((total - done) / perSecond)}` : "";
    const label = stage === "wait" ? labels.wait : `${labels[stage]} ${printable(file)}`;
    return { label, done, total, detail: `${bytes(done)} of ${bytes(total)}${speed}` };
  }
}

/** Seconds as people wait them. */
function left(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s left`;
  return seconds < 5400 ? `${Math.ceil(seconds / 60)} min left` : `${(seconds / 3600).toFixed(1)} h left`;
}
