/** `pack` in Node: makes or checks a model's packed copy on a thread of its own, so that the caller's stays free. */
import { Worker } from "node:worker_threads";
import type { PackedCopy, PackSpec } from "../engine/pack.node.ts";
import { LatheError } from "../errors.ts";
import { closeGguf } from "../files/gguf.ts";
import { openModelFile } from "../files/open.node.ts";
import { locate } from "../files/store/pull.node.ts";
import { Door } from "../runtime/native/door.node.ts";
import { availableMemory, defaultThreads } from "../runtime/platform.node.ts";
import { fromWire } from "./engine-client.ts";
import { ofNetwork, textOf } from "./load.node.ts";
import { parseBytes } from "./options.ts";
import type { FromPacker, ToPacker } from "./pack-thread.node.ts";

export interface PackOptions {
  /** Where the copy is written, or lies. Default: beside the model, where loading finds it. */
  readonly out?: string;
  /** Read an existing copy and its model completely, and compare them with the checksums. */
  readonly check?: boolean;
  readonly threads?: number;
  readonly memory?: number | string;
  readonly target?: PackSpec["target"];
  /** Bytes of the stage: `hash` of the source, `pack`, `write`, `check`. */
  readonly onProgress?: (progress: { readonly stage: string; readonly done: number; readonly total: number }) => void;
  readonly signal?: AbortSignal;
}

/** @throws LatheError what loading throws; file.write-failed; with `check` store.damaged; the signal's reason when aborted. */
export async function pack(name: string, options: PackOptions = {}): Promise<PackedCopy> {
  const path = await locate(name, { signal: options.signal });
  const gguf = await openModelFile(path);
  try {
    const spec: PackSpec = {
      architecture: textOf(gguf, "general.architecture", ""),
      metadata: ofNetwork(gguf),
      tensors: gguf.tensors,
      parts: gguf.parts.map(p => p.name),
      target: options.target ?? "auto",
      threads: options.threads ?? defaultThreads(),
      memory: parseBytes(options.memory ?? availableMemory()) ?? availableMemory(),
    };
    return await onThread(spec, options);
  } finally {
    await closeGguf(gguf);
  }
}

async function onThread(spec: PackSpec, { out, check = false, onProgress, signal }: PackOptions): Promise<PackedCopy> {
  signal?.throwIfAborted();
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const door = new Door();
  const worker = new Worker(new URL("./pack-thread.node.js", import.meta.url), { workerData: door.data, execArgv: [] });
  // The thread ends by itself soon after, and tidies up.
  const abort = (): void => void Atomics.store(stop, 0, 1);
  try {
    return await new Promise<PackedCopy>((resolve, reject) => {
      signal?.addEventListener("abort", abort, { once: true });
      worker.postMessage({ spec, out, check, stop } satisfies ToPacker);
      worker.on("error", cause => reject(new LatheError("engine.failed", "The packing thread died; try again.", {}, { cause })));
      worker.on("exit", () => reject(new LatheError("engine.failed", "The packing thread ended before its work was done; try again.")));
      worker.on("message", (m: FromPacker) => {
        if (m.kind === "progress") onProgress?.(m);
        else if (m.kind === "done") resolve(m.copy);
        else reject(signal?.aborted ? signal.reason : fromWire(m.error));
      });
    });
  } finally {
    signal?.removeEventListener("abort", abort);
    await door.shut();
    await worker.terminate();
  }
}
