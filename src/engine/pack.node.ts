/** Making and checking packed copies. Loading them is load.node.ts's business; the form of the file is packed-copy.node.ts's. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { LatheError } from "../errors.ts";
import { atomicWrite } from "../files/write.node.ts";
import { packedBytes } from "../nn/source.ts";
import { Arena } from "../runtime/arena.ts";
import { backendFor } from "../runtime/backend.node.ts";
import { enableRelaxedSimd } from "../runtime/platform.node.ts";
import { Team } from "../runtime/team.node.ts";
import { hasMemory64 } from "../target/wasm/features.ts";
import { bind } from "./bind.ts";
import { type LoadSpec, packWeights } from "./load.node.ts";
import { ALIGNMENT, copyPath, encodeHeader, layOut, openCopy, packingOf, sha256, sourcesOf } from "./packed-copy.node.ts";
import { openWeights } from "./weight-files.node.ts";

export type PackSpec = Pick<LoadSpec, "architecture" | "metadata" | "tensors" | "parts" | "target" | "threads" | "memory">;
export type PackProgress = (stage: "pack" | "hash" | "write" | "check", done: number, total: number) => void;

export interface PackedCopy {
  readonly path: string;
  readonly bytes: number;
  readonly weights: number;
}

/** SHA-256 of each file, told as bytes are read. */
async function wholeHashes(parts: readonly string[], told: (bytes: number) => void): Promise<string[]> {
  const hashes: string[] = [];
  for (const path of parts) {
    const hash = createHash("sha256");
    for await (const piece of createReadStream(path, { highWaterMark: 1 << 22 })) {
      hash.update(piece as Buffer);
      told((piece as Buffer).length);
    }
    hashes.push(hash.digest("hex"));
  }
  return hashes;
}

/** Room for the rows under way, besides the packed weights. */
const STAGING = 256 << 20;

/**
 * Packs a model's weights into a file. It is there whole or not at all.
 * @throws LatheError as loading does, and file.write-failed.
 */
export async function packModel(spec: PackSpec, path: string | undefined, progress: PackProgress): Promise<PackedCopy> {
  enableRelaxedSimd();
  const { source } = bind(spec);
  const { weights } = source;
  const packing = packingOf(weights);
  const identities = sourcesOf(spec.parts);
  const sourceBytes = identities.reduce((sum, s) => sum + s.bytes, 0);
  let hashed = 0;
  const whole = await wholeHashes(spec.parts, bytes => progress("hash", (hashed += bytes), sourceBytes));
  const need = weights.reduce((sum, w) => sum + packedBytes(w), 0) + STAGING;
  const arena = new Arena({ budget: spec.memory, memory64: need > 2 ** 32 - 2 ** 20 && hasMemory64() });
  arena.require(need, "Packing this model");
  const backend = await backendFor(spec.target, arena);
  const team = Team.start(backend.name === "interp" ? 1 : spec.threads, arena);
  try {
    const files = await openWeights(spec);
    try {
      await packWeights(weights, files, arena, team, backend, (done, total) => progress("pack", done, total));
    } finally {
      await files.close();
    }
    const sources = identities.map((s, i) => ({ ...s, whole: whole[i] }));
    if (JSON.stringify(sourcesOf(spec.parts)) !== JSON.stringify(identities)) throw changed(spec.parts[0]);
    const sizes = weights.map(w => {
      const bytes = packedBytes(w);
      return { name: w.tensor.name, form: w.format.packed.name, bytes, sha256: sha256(arena.bytes(w.address, bytes)) };
    });
    const entries = layOut({ packing, sources }, sizes);
    const total = entries.reduce((sum, e) => sum + e.bytes, 0);
    const to = path ?? copyPath(spec.parts);
    let at = 0;
    await atomicWrite(to, async sink => {
      const put = async (bytes: Uint8Array): Promise<void> => {
        await sink(bytes);
        at += bytes.length;
      };
      await put(encodeHeader({ packing, sources, entries }));
      for (const [i, { offset, bytes }] of entries.entries()) {
        await put(new Uint8Array(offset - at));
        await put(arena.bytes(weights[i].address, bytes));
        progress("write", Math.min(at, total), total);
      }
      await put(new Uint8Array(2 * ALIGNMENT - (at % ALIGNMENT)));
    });
    return { path: to, bytes: at, weights: weights.length };
  } finally {
    await team.close();
    backend.close();
  }
}

const changed = (path: string): LatheError =>
  new LatheError("file.changed", `"${path}" changed while it was being packed; do it again when nothing writes to it.`, { path });

/**
 * Reads all of a copy and of the files it was made from, and compares them with the checksums that it carries.
 * @throws LatheError store.damaged, with the reason, where anything is not as it was.
 */
export async function checkModel(spec: PackSpec, path: string | undefined, progress: PackProgress): Promise<PackedCopy> {
  const { weights } = bind(spec).source;
  const file = path ?? copyPath(spec.parts);
  const refuse = (reason: string): LatheError =>
    new LatheError("store.damaged", `The packed copy "${file}" cannot be used: ${reason}; make a new one with "lathe pack".`, {
      path: file,
      reason,
    });
  const copy = openCopy(file, weights, spec.parts);
  if ("reason" in copy) throw refuse(copy.reason);
  const { sources, entries } = copy.header;
  const total = copy.bytes + sources.reduce((sum, s) => sum + s.bytes, 0);
  let done = 0;
  const told = (bytes: number): void => progress("check", (done += bytes), total);
  for (const { name, offset, bytes, sha256: expected } of entries) {
    const hash = createHash("sha256");
    for await (const piece of createReadStream(file, { start: offset, end: offset + bytes - 1, highWaterMark: 1 << 22 })) {
      hash.update(piece as Buffer);
      told((piece as Buffer).length);
    }
    if (hash.digest("hex") !== expected) throw refuse(`the weights of ${name} are damaged`);
  }
  const whole = await wholeHashes(spec.parts, told);
  if (whole.some((hash, i) => hash !== sources[i].whole)) throw refuse("it was made from other files");
  return { path: file, bytes: copy.bytes, weights: entries.length };
}
