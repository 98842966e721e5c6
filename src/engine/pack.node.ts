/** Making and checking packed copies. Loading them is load.node.ts's business; the form of the file is packed-copy.node.ts's. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { LatheError } from "../errors.ts";
import { atomicWrite } from "../files/write.node.ts";
import { packedBytes, type Weight } from "../nn/source.ts";
import type { Arena } from "../runtime/arena.ts";
import { backendFor } from "../runtime/backend.node.ts";
import type { Backend } from "../runtime/compile.ts";
import { enableRelaxedSimd } from "../runtime/platform.node.ts";
import { Team } from "../runtime/team.node.ts";
import { bind } from "./bind.ts";
import { type LoadSpec, packWeights } from "./load.node.ts";
import { ALIGNMENT, type CopyHeader, copyPath, encodeHeader, layOut, openCopy, packingOf, sourcesOf } from "./packed-copy.node.ts";
import { arenaFor } from "./room.node.ts";
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
/** Bytes of a weight that are hashed and written at a time. */
const PIECE = 4 << 20;

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
  const need = { weights: weights.reduce((sum, w) => sum + packedBytes(w), 0), cache: 0, work: STAGING };
  const arena = await arenaFor(spec, need, "Packing this model");
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
    const bytesOf = (w: Weight): Iterable<Uint8Array> => pieces(w, arena, backend);
    const sizes = weights.map(w => {
      const hash = createHash("sha256");
      for (const piece of bytesOf(w)) hash.update(piece);
      return { name: w.tensor.name, form: w.format.packed.name, bytes: packedBytes(w), sha256: hash.digest("hex") };
    });
    const to = path ?? copyPath(spec.parts);
    const header = { packing, sources, entries: layOut({ packing, sources }, sizes) };
    const bytes = await writeCopy(to, header, weights.map(bytesOf), progress);
    return { path: to, bytes, weights: weights.length };
  } finally {
    await team.close();
    backend.close();
  }
}

/** A packed weight, piece by piece; each is good until the next is asked for. */
function* pieces(weight: Weight, arena: Arena, { outside }: Backend): Generator<Uint8Array> {
  const total = packedBytes(weight);
  const own = new Uint8Array(outside ? Math.min(PIECE, total) : 0);
  for (let at = 0; at < total; at += PIECE) {
    const bytes = Math.min(PIECE, total - at);
    if (outside) {
      const piece = own.subarray(0, bytes);
      outside.read(weight.address + at, piece);
      yield piece;
    } else yield arena.bytes(weight.address + at, bytes);
  }
}

/** Writes a copy whose weights are these; gives the bytes of the file. */
async function writeCopy(
  path: string,
  header: CopyHeader,
  weights: readonly Iterable<Uint8Array>[],
  progress: PackProgress,
): Promise<number> {
  const total = header.entries.reduce((sum, e) => sum + e.bytes, 0);
  let at = 0;
  await atomicWrite(path, async sink => {
    const put = async (bytes: Uint8Array): Promise<void> => {
      await sink(bytes);
      at += bytes.length;
    };
    await put(encodeHeader(header));
    for (const [i, { offset }] of header.entries.entries()) {
      await put(new Uint8Array(offset - at));
      for (const piece of weights[i]) await put(piece);
      progress("write", Math.min(at, total), total);
    }
    await put(new Uint8Array(2 * ALIGNMENT - (at % ALIGNMENT)));
  });
  return at;
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
