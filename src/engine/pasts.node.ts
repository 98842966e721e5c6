/** The folder of pasts of a loaded model: which bytes it keeps, and for which model and machine they are the right ones. */
import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { PAGE } from "../kernels/attend.ts";
import { PastFolder, type PastFolderOptions } from "../kv/past-folder.node.ts";
import type { PastMemory } from "../kv/past-store.ts";
import type { State } from "../nn/source.ts";
import type { Arena } from "../runtime/arena.ts";
import type { Backend, Numerics } from "../runtime/compile.ts";
import { hasRelaxedSimd } from "../target/wasm/features.ts";
import type { Plan } from "./plan.ts";
import { stateBytes } from "./states.ts";
import type { Stepper } from "./step.ts";

/** Changes when pages or states come to mean something else. */
const FORMAT = 1;
/** Pieces of a model's file that its identity is made of, evenly spread, the last at the end. */
const SAMPLES = 64;
const SAMPLE_BYTES = 1 << 16;

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };

/** Size, last change and samples of the model's files. */
function sampled(parts: readonly string[], hash: ReturnType<typeof createHash>): void {
  const sample = Buffer.alloc(SAMPLE_BYTES);
  for (const path of parts) {
    const fd = openSync(path, "r");
    try {
      const { size, mtimeNs } = fstatSync(fd, { bigint: true });
      hash.update(JSON.stringify([Number(size), String(mtimeNs)]));
      const last = Math.max(0, Number(size) - SAMPLE_BYTES);
      for (let i = 0; i < SAMPLES; i++) {
        const read = readSync(fd, sample, 0, SAMPLE_BYTES, Math.floor((last / (SAMPLES - 1)) * i));
        hash.update(sample.subarray(0, read));
      }
    } finally {
      closeSync(fd);
    }
  }
}

interface Made {
  readonly arena: Arena;
  readonly states: readonly State[];
  readonly backend: Backend;
  readonly numerics: Numerics | undefined;
}

/** What the bytes of a page depend on: weights, layout, angles (which the context may choose), how sums are rounded, and this version. */
function identityOf(parts: readonly string[], { rotations, step }: Plan, { states, backend, numerics }: Made): string {
  const hash = createHash("sha256");
  const angles = [...rotations.keys()].map(r => [r.magnitude, ...r.frequencies]);
  const layout = [PAGE, step.kept, step.pageBytes, states.map(s => s.bytes)];
  hash.update(JSON.stringify([FORMAT, version, backend.name, numerics, hasRelaxedSimd(), layout, angles]));
  sampled(parts, hash);
  return hash.digest("hex");
}

/** @throws LatheError file.write-failed. */
export function openPasts(cache: Omit<PastFolderOptions, "identity">, parts: readonly string[], { plan }: Stepper, made: Made): PastFolder {
  const { arena, states } = made;
  const { pages, pageBytes } = plan.step;
  const memory: PastMemory = {
    pageTokens: PAGE,
    pageBytes,
    stateBytes: stateBytes(states),
    page: page => arena.bytes(pages.address + page * pageBytes, pageBytes),
    state: slot => states.map(s => arena.bytes(s.address + slot * s.bytes, s.bytes)),
  };
  return new PastFolder({ ...cache, identity: identityOf(parts, plan, made) }, memory);
}
