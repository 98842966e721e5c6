/** The thread on which a packed copy is made or checked. */
import { parentPort } from "node:worker_threads";
import { checkModel, type PackedCopy, type PackProgress, type PackSpec, packModel } from "../engine/pack.node.ts";
import { LatheError } from "../errors.ts";
import type { WireError } from "./protocol.ts";

export type FromPacker =
  | { readonly kind: "progress"; readonly stage: string; readonly done: number; readonly total: number }
  | { readonly kind: "done"; readonly copy: PackedCopy }
  | { readonly kind: "failed"; readonly error: WireError };

export interface ToPacker {
  readonly spec: PackSpec;
  readonly out?: string;
  readonly check: boolean;
  /** Anything but 0: stop. */
  readonly stop: Int32Array;
}

const send = (message: FromPacker): void => parentPort!.postMessage(message);

async function work({ spec, out, check, stop }: ToPacker): Promise<void> {
  const progress: PackProgress = (stage, done, total) => {
    if (Atomics.load(stop, 0)) throw new Error("stopped");
    send({ kind: "progress", stage, done, total });
  };
  try {
    send({ kind: "done", copy: await (check ? checkModel : packModel)(spec, out, progress) });
  } catch (e) {
    const { message, stack } = e as Error;
    const fault: WireError = {
      code: "engine.failed",
      message: `Packing failed: ${message}; this is a fault in Lathe.`,
      details: { stack },
    };
    send({ kind: "failed", error: e instanceof LatheError ? e.toJSON() : fault });
  }
}

parentPort?.once("message", work);
