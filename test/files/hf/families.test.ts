/** Every family: a stored model is turned back into the checkpoint that it would come from, converted, and must come out as it was. */
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { bind } from "../../../src/engine/bind.ts";
import { closeGguf } from "../../../src/files/gguf.ts";
import { bytesOf, type LazyTensor } from "../../../src/files/hf/lazy.ts";
import { openModelFile } from "../../../src/files/open.node.ts";
import type { SafetensorsEntry } from "../../../src/files/safetensors-write.ts";
import { rowBytes } from "../../../src/formats/types.ts";
import { ModelFolder } from "../../fixtures/models.ts";
import { toy, VOCABULARY } from "../../models/toy.ts";
import { toys } from "../../models/toys.ts";
import { describeShared } from "../../shared.ts";
import { type Checkpoint, type Meta, type Origin, type Plain, tensorsOf } from "./checkpoints.ts";
import { converted, modelFiles } from "./memory-folder.ts";
import { origins, usual } from "./origins.ts";
import { toyOrigins } from "./toy-origins.ts";

const entry = (name: string, t: Plain): SafetensorsEntry => ({
  name,
  dtype: t.dtype,
  shape: t.shape,
  data: new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength),
});

/** Names of parameters that have no end of their own. */
const bare: Readonly<Record<string, string>> = {
  "self_attn.sinks.weight": "self_attn.sinks",
  "e_score_correction.bias": "e_score_correction_bias",
};

function renamed(tensors: Checkpoint, origin: Origin): SafetensorsEntry[] {
  return [...tensors].map(([name, t]) => {
    if (name.startsWith("=")) return entry(name.slice(1), t);
    const dot = name.lastIndexOf(".");
    const own = origin.name(name.slice(0, dot));
    if (own === undefined) throw new Error(`${origin.file}: no name for ${name}`);
    const full = own + name.slice(dot);
    const end = Object.keys(bare).find(b => full.endsWith(b));
    return entry(end ? full.slice(0, -end.length) + bare[end] : full, t);
  });
}

async function original(path: string): Promise<{ keys: ReadonlyMap<string, unknown>; meta: Meta; tensors: Checkpoint }> {
  const gguf = await openModelFile(path);
  try {
    const architecture = String(gguf.metadata.get("general.architecture"));
    const keys = new Map<string, unknown>();
    for (const [key, value] of gguf.metadata) if (key.startsWith(`${architecture}.`)) keys.set(key.slice(architecture.length + 1), value);
    return { keys: keys.set("architecture", architecture), meta: key => keys.get(key) as number, tensors: await tensorsOf(gguf) };
  } finally {
    await closeGguf(gguf);
  }
}

/** A tensor as loading reads it: where it lies, or made, the second half of the rows first. */
async function inPieces(tensor: LazyTensor): Promise<Buffer> {
  const { type, shape, at } = tensor;
  const row = rowBytes(type, shape[shape.length - 1]);
  const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
  if (at) return Buffer.from(await at.source.read(at.offset, rows * row));
  const first = row * Math.ceil(rows / 2);
  const last = first < rows * row ? (await bytesOf(tensor, first, rows * row - first)).slice() : new Uint8Array();
  return Buffer.concat([await bytesOf(tensor, 0, first), last]);
}

/** Turns a model back, converts it and compares. `asked`: the keys that matter; default all that the model has. */
async function there(path: string, origin: Origin, vocabulary: number, asked?: ReadonlySet<string>): Promise<void> {
  const { keys, meta, tensors } = await original(path);
  origin.given?.(tensors);
  const checkpoint: Checkpoint = new Map(tensors);
  origin.undo?.(checkpoint, meta);
  const config = {
    architectures: [origin.architecture],
    torch_dtype: "float32",
    ...usual(meta),
    vocab_size: vocabulary,
    ...origin.config?.(meta, tensors),
  };
  const out = await converted(await modelFiles(config, renamed(checkpoint, origin), vocabulary));

  expect([...out.names].sort()).toEqual([...tensors.keys()].sort());
  for (const [name, t] of tensors) {
    const found = out.tensor(name);
    const bytes = new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength);
    const isWide = found.type === "F32" && t.dtype === "F16";
    expect({ name, type: found.type, shape: found.shape }).toEqual({
      name,
      type: isWide ? "F32" : t.dtype,
      shape: [...t.shape].reverse(),
    });
    if (origin.near?.includes(name)) {
      for (const [i, value] of new Float32Array(found.bytes.buffer).entries()) expect(value / t.data[i]).toBeCloseTo(1, 5);
    } else if (!isWide) expect(Buffer.compare(found.bytes, bytes), name).toBe(0);
  }
  for (const [name, tensor] of out.conversion.tensors) expect(Buffer.compare(await inPieces(tensor), out.tensor(name).bytes), name).toBe(0);
  const architecture = String(keys.get("architecture"));
  expect(out.metadata.get("general.architecture")).toBe(architecture);
  const own = new Map(
    [...out.metadata].filter(([k]) => k.startsWith(`${architecture}.`)).map(([k, v]) => [k.slice(architecture.length + 1), v]),
  );
  const expected = [...keys.keys()].filter(k => k !== "architecture" && !origin.without?.includes(k) && (!asked || asked.has(k)));
  const besides = [...(origin.besides ?? []), ...(asked ? ["vocab_size"] : [])];
  const extra = [...own.keys()].filter(k => !keys.has(k) && !besides.includes(k));
  expect({ extra, missing: expected.filter(k => !own.has(k)) }).toEqual({ extra: [], missing: [] });
  for (const key of expected) {
    const [found, wanted] = [own.get(key), keys.get(key)];
    if (typeof wanted === "number" && !Number.isInteger(wanted)) expect(Math.abs((found as number) / wanted - 1), key).toBeLessThan(2e-7);
    else expect(found, key).toEqual(wanted);
  }
}

describeShared("converting checkpoints", "arch-oracle", folder => {
  it.each(origins.map(o => [o.file, o] as const))("%s", async (_, origin) => {
    await there(join(folder, `${origin.file}.gguf`), origin, 288);
  });
});

/** Metadata that notes what is read of it. */
class Noted extends Map<string, unknown> {
  readonly read = new Set<string>();
  override get(key: string): unknown {
    this.read.add(key);
    return super.get(key);
  }
}

/** Keys of a model that its network reads, without the architecture in front, but for those that say what holds without them. */
async function askedOf(path: string): Promise<Set<string>> {
  const gguf = await openModelFile(path);
  await closeGguf(gguf);
  const architecture = String(gguf.metadata.get("general.architecture"));
  const noted = new Noted(gguf.metadata);
  noted.read.clear();
  bind({ architecture, metadata: noted, tensors: gguf.tensors });
  const own = (key: string): unknown => gguf.metadata.get(`${architecture}.${key}`);
  const head = Number(own("embedding_length")) / Number(own("attention.head_count"));
  const said = { "attention.key_length": head, "attention.value_length": head, "rope.dimension_count": head, "rope.freq_base": 10000 };
  const usual = Object.entries(said).filter(([key, value]) => own(key) === value);
  const read = [...noted.read].flatMap(key => (key.startsWith(`${architecture}.`) ? [key.slice(architecture.length + 1)] : []));
  return new Set(read.filter(key => usual.every(([name]) => name !== key)));
}

describe("converting checkpoints of toys", () => {
  const folder = new ModelFolder();
  afterAll(() => folder.remove());
  it.each(toyOrigins.map(o => [o.file, o] as const))("%s", async (_, origin) => {
    const path = await folder.write(toy(origin.file, toys[origin.file][origin.variation]));
    await there(path, origin, VOCABULARY, await askedOf(path));
  });
});

describe("the table of families", () => {
  it("has an origin for every family that is stored", () => expect(origins.length).toBeGreaterThan(30));
});
