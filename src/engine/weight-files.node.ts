/**
 * Where the bytes of a model's tensors come from while it is loaded: files, which the members of a team read by themselves, and for a model
 * folder also tensors that are made on the way (put together, reordered, decoded), which only the thread that opened the folder can read.
 */
import { LatheError } from "../errors.ts";
import { decodeFloats } from "../files/hf/floats.ts";
import type { Folder } from "../files/hf/folder.ts";
import { bytesOf, type LazyTensor } from "../files/hf/lazy.ts";
import { openModelFolder } from "../files/hf/open.node.ts";
import type { TensorRecord } from "../nn/source.ts";
import { openParts } from "../runtime/member.node.ts";

export interface WeightFiles {
  /** Files that every thread can open; a tensor's part below their number is one of them. */
  readonly paths: readonly string[];
  /** `length` bytes of a part from byte `offset` on. Throws "file.changed" where they are not there any more. */
  read(part: number, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** What of a load tells where its weights are. */
export interface WeightPlaces {
  /** Paths of the model's files. */
  readonly parts: readonly string[];
  /** The model folder that they lie in, where the model is one. */
  readonly folder?: string;
  readonly tensors: ReadonlyMap<string, TensorRecord>;
}

/** Throws what opening a folder and its tensors throws, and "file.changed" where they are not what `tensors` says. */
export async function openWeights({ parts, folder, tensors }: WeightPlaces): Promise<WeightFiles> {
  const files = readFile(() => openParts(parts));
  let opened: Folder | undefined;
  try {
    opened = folder === undefined ? undefined : await openModelFolder(folder);
    const made = opened ? await madeOf(opened, tensors) : [];
    return {
      paths: parts,
      async read(part, offset, length) {
        const out = new Uint8Array(length);
        const tensor = made[part - parts.length];
        if (tensor) out.set(await bytesOf(tensor, offset, length));
        else readFile(() => files.read(part, offset, out));
        return out;
      },
      async close() {
        files.close();
        await opened?.close();
      },
    };
  } catch (cause) {
    files.close();
    await opened?.close();
    throw cause;
  }
}

/** Values of a whole F32, F16, BF16 or I32 tensor, all at once: for small ones. Throws what `files.read` throws. */
export async function readTensor(
  { type, part, offset, bytes: length }: TensorRecord,
  files: Pick<WeightFiles, "read">,
): Promise<Float32Array> {
  const bytes = await files.read(part, offset, length);
  if (type.name !== "I32") return decodeFloats(type.name, bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: length / 4 }, (_, i) => view.getInt32(4 * i, true));
}

function readFile<T>(action: () => T): T {
  try {
    return action();
  } catch (cause) {
    throw changed("The model file could not be read to its end while loading", cause);
  }
}

const changed = (what: string, cause?: unknown): LatheError =>
  new LatheError("file.changed", `${what}; check that it is complete and not being written to.`, {}, { cause });

/** The tensors that lie in no file, by their parts. */
async function madeOf(folder: Folder, expected: ReadonlyMap<string, TensorRecord>): Promise<readonly LazyTensor[]> {
  const [{ convertTensors }, { placed }] = await Promise.all([import("../files/hf/convert.ts"), import("../files/hf/view.ts")]);
  const { tensors, made } = placed((await convertTensors(folder)).tensors, folder.files);
  const same = tensors.size === expected.size && [...tensors.values()].every(t => alike(t, expected.get(t.name)));
  if (same) return made;
  throw changed(`The model folder "${folder.name}" changed while it was being loaded`);
}

const alike = (a: TensorRecord, b: TensorRecord | undefined): boolean =>
  a.type.name === b?.type.name && String(a.shape) === String(b.shape) && a.part === b.part && a.offset === b.offset;
