/**
 * Brings a model into memory: binds the network (bind.ts), checks that it fits, reads and packs the weights on all threads, traces the plan and
 * compiles its kernels. Gives a stepper. Runs on the engine's own thread.
 */
import { debuglog } from "node:util";
import { LatheError } from "../errors.ts";
import { GROUP, ROW_PADDING, type WeightFormat } from "../formats/packed.ts";
import { PAGE } from "../kernels/attend.ts";
import { pack, packName } from "../kernels/pack.ts";
import type { PastStore } from "../kv/past-store.ts";
import { packedBytes, packedRows, paddedRows, type Source, type TensorRecord, type Weight } from "../nn/source.ts";
import type { Arena } from "../runtime/arena.ts";
import { askedTarget, backendFor } from "../runtime/backend.node.ts";
import type { Backend, Compiled, Numerics, TargetName } from "../runtime/compile.ts";
import type { PackTask, ReadTask } from "../runtime/member.ts";
import { collectGarbage, enableRelaxedSimd, unoptimised } from "../runtime/platform.node.ts";
import { Team } from "../runtime/team.node.ts";
import { type Bindable, bind, memoryNeeded } from "./bind.ts";
import { copyPath, formatIn, openCopy } from "./packed-copy.node.ts";
import { openPasts } from "./pasts.node.ts";
import { makePlan, type PlanOptions, pagesFor, programsOf, schedules } from "./plan.ts";
import { arenaFor } from "./room.node.ts";
import { Stepper } from "./step.ts";
import { tuned } from "./tune.node.ts";
import { openWeights, readTensor, type WeightFiles, type WeightPlaces } from "./weight-files.node.ts";

/** Seen with NODE_DEBUG=lathe. */
const debug = debuglog("lathe");
/** Source bytes of one packing task, about. */
const TASK_BYTES = 1 << 20;
/** Bytes of made tensors that are in memory at a time, about, while they are packed. */
const STAGED_BYTES = 16 << 20;
/** So many bytes of weights are packed sooner than another thread has started. */
const SMALL_BYTES = 16 << 20;
/** Bytes of one task of reading a packed copy. */
const READ_BYTES = 4 << 20;

export interface LoadSpec extends Bindable, WeightPlaces {
  readonly target: TargetName | "auto";
  readonly threads: number;
  readonly memory: number;
  readonly plan: PlanOptions;
  readonly numerics?: Numerics;
  /** Where pasts are kept that leave memory, and how many bytes of them. */
  readonly cache?: { readonly dir: string; readonly bytes: number };
  /** Whether a packed copy beside the model is used where there is one. Default true; a folder has none. */
  readonly copy?: boolean;
  /** 64-bit addresses. Default: where 32 bits do not suffice and the runtime has them. */
  readonly memory64?: boolean;
}

export interface Loaded {
  readonly stepper: Stepper;
  readonly team: Team;
  /** Settles when all threads have what they need: nothing may be computed before. Rejects where one has failed, as steps then do. */
  readonly ready: Promise<void>;
  readonly arena: Arena;
  readonly backend: Backend;
  /** The plan's kernels. */
  readonly compiled: Compiled;
  readonly seconds: { readonly pack: number; readonly compile: number };
  readonly weightBytes: number;
  /** What the user should know: one sentence each. */
  readonly warnings: readonly string[];
  /** Where `spec.cache` asks for it. */
  readonly pasts?: PastStore;
  /** Ends the threads and gives back what the compiled kernels take. */
  readonly close: () => Promise<void>;
}

type Progress = (done: number, total: number) => void;

/**
 * On the target that was asked for, or the best one here. Machine code that turns out to be wrong on this processor makes way for WebAssembly.
 * @throws LatheError target.faulty where nothing but machine code was asked for; model.*, memory.insufficient, file.changed, target.unavailable.
 */
export async function loadModel(spec: LoadSpec, progress: Progress, open = backendFor): Promise<Loaded> {
  try {
    return await loadOn(spec, progress, open);
  } catch (e) {
    if (!(e instanceof LatheError) || e.code !== "target.faulty" || askedTarget(spec.target) !== "auto") throw e;
    const loaded = await loadOn({ ...spec, target: "wasm" }, progress, open);
    const warning = `The machine code of kernel "${e.details.kernel}" does not compute what it should on this processor, so WebAssembly runs instead; please report this.`;
    return { ...loaded, warnings: [warning] };
  }
}

async function loadOn(spec: LoadSpec, progress: Progress, open: typeof backendFor): Promise<Loaded> {
  enableRelaxedSimd();
  const { source, network } = bind(spec);
  const need = memoryNeeded(source, network, spec.plan.context);
  const arena = await arenaFor(spec, need, "This model");
  // First of all, because threads take a while to start.
  const team = Team.start(askedTarget(spec.target) === "interp" ? 1 : spec.threads, arena);
  let backend: Backend | undefined;
  const close = async (): Promise<void> => {
    await team.close();
    backend?.close();
  };
  try {
    backend = await open(spec.target, arena, spec.numerics);
    if (arena.memory64 && !backend.outside) requireIndexable(source, pagesFor(spec.plan.context) * network.pageBytes);
    const begun = performance.now();
    const constants = new Map<string, Float32Array>();
    const files = await openWeights(spec);
    try {
      await loadVectors(source, files, arena);
      await bringWeights(source.weights, spec, files, arena, team, backend, progress);
      for (const name of network.constants) constants.set(name, await readFinite(spec.tensors.get(name)!, files));
    } finally {
      await files.close();
    }
    const packed = performance.now();
    const mostPages = arena.memory64 && !backend.outside ? Math.floor(INDEXABLE / network.pageBytes) : Number.POSITIVE_INFINITY;
    const options = { ...spec.plan, cacheTokens: Math.min(spec.plan.cacheTokens, mostPages * PAGE) };
    const forms = [...new Set(source.weights.map(w => w.format.packed))];
    const schedule = await tuned(schedules(backend.name, backend.machine), forms, need.weights, backend, arena);
    const plan = unoptimised(() => makePlan(network, source.states, arena, options, schedule, name => constants.get(name)!));
    const compiled = backend.compile(plan.kernels);
    const ready = team.setKernels(compiled).then(() => team.setPrograms(programsOf(plan)));
    ready.catch(() => {}); // whoever waits for it hears; a team that is closed before has nobody
    // Later, when the first answer is under way: it takes ten milliseconds or so.
    setTimeout(collectGarbage, 1000).unref();
    const seconds = { pack: (packed - begun) / 1000, compile: (performance.now() - packed) / 1000 };
    const stepper = new Stepper(plan, network, arena, team);
    const pasts =
      spec.cache && openPasts(spec.cache, spec.parts, stepper, { arena, states: source.states, backend, numerics: spec.numerics });
    return { stepper, team, ready, arena, backend, compiled, seconds, weightBytes: need.weights, warnings: [], pasts, close };
  } catch (e) {
    await close();
    throw e;
  }
}

/** WebAssembly's kernels reach into an operand with signed 32-bit indices. Those wrap around a 32-bit memory and are right there; a 64-bit one they leave. */
const INDEXABLE = 2 ** 31 - 1;

function requireIndexable(source: Source, cache: number): void {
  const needed = Math.max(cache, ...source.weights.map(packedBytes));
  if (needed <= INDEXABLE) return;
  const message =
    "One tensor, or the keys and values of the context, takes more than 2 GiB, which is not supported; use a shorter context.";
  throw new LatheError("memory.insufficient", message, { needed, available: INDEXABLE, suggestion: "use a shorter context" });
}

async function readFinite(tensor: TensorRecord, files: WeightFiles): Promise<Float32Array> {
  const values = await readTensor(tensor, files);
  if (!values.every(Number.isFinite)) throw notFinite(tensor.name);
  return values;
}

async function loadVectors(source: Source, files: WeightFiles, arena: Arena): Promise<void> {
  for (const v of source.vectors) {
    const values = await readFinite(v.tensor, files);
    v.address = arena.allocate(4 * Math.ceil(v.length / 32) * 32, "This model");
    const { order } = v;
    const ordered = order ? values.map((_, i) => values[i - (i % order.length) + order[i % order.length]]) : values;
    arena.f32(v.address, v.length).set(ordered);
  }
}

const notFinite = (tensor: string): LatheError =>
  new LatheError("gguf.malformed", `Tensor ${tensor} contains infinite or undefined weights; the file is damaged, so download it again.`, {
    tensor,
  });

/** Rows of one task: about TASK_BYTES, whole groups and whole stretches of the row order; one part where these are padded. */
function rowsPerTask(w: Weight): number {
  if (w.partRows !== undefined) return w.partRows;
  let unit = ROW_PADDING;
  while (unit % (w.order?.length ?? 1)) unit += ROW_PADDING;
  return unit * Math.max(1, Math.floor(TASK_BYTES / (rowBytes(w) * unit)));
}
const rowBytes = (w: Weight): number => (w.tensor.bytes - (w.format.trailer ?? 0)) / w.outputs;

/** `constants`: where the format's constants lie, if it has any. */
function tasksOf(w: Weight, format: WeightFormat, worst: number, constants: number | undefined): PackTask[] {
  const perTask = rowsPerTask(w);
  const blocks = w.inputs / format.packed.inputs;
  return Array.from({ length: Math.ceil(w.outputs / perTask) }, (_, i) => {
    const first = i * perTask;
    const rows = Math.min(perTask, w.outputs - first);
    const groups = paddedRows(rows) / GROUP;
    const group = (i * paddedRows(perTask)) / GROUP;
    const target = w.address + group * blocks * format.packed.bytes;
    return {
      part: w.tensor.part,
      offset: w.tensor.offset + first * rowBytes(w),
      bytes: rows * rowBytes(w),
      rowBytes: rowBytes(w),
      rows,
      paddedRows: paddedRows(rows),
      order: w.order,
      padding: format.padding,
      kernel: packName(format),
      grid: groups,
      args: [target, worst + group * 4, blocks, rowBytes(w), rowBytes(w) / blocks, ...(constants === undefined ? [] : [constants])],
    };
  });
}

/** Puts what packing looks into into memory: constants of formats once, trailers of tensors each. */
async function placeConstants(weights: readonly Weight[], files: WeightFiles, arena: Arena): Promise<ReadonlyMap<Weight, number>> {
  const place = (bytes: Uint8Array): number => {
    const at = arena.allocate(bytes.length, "This model");
    arena.bytes(at, bytes.length).set(bytes);
    return at;
  };
  const shared = new Map<WeightFormat, number>();
  const placed = new Map<Weight, number>();
  for (const w of weights) {
    const { constants, trailer } = w.format;
    if (trailer) placed.set(w, place(await files.read(w.tensor.part, w.tensor.offset + w.tensor.bytes - trailer, trailer)));
    if (!constants) continue;
    const at = shared.get(w.format) ?? place(constants());
    shared.set(w.format, at);
    placed.set(w, at);
  }
  return placed;
}

/** Maps the packed copy or reads it, where the model has one that fits; else packs the weights. */
async function bringWeights(
  weights: readonly Weight[],
  spec: LoadSpec,
  files: WeightFiles,
  arena: Arena,
  team: Team,
  backend: Backend,
  progress: Progress,
): Promise<void> {
  const copy =
    spec.copy === false || spec.folder !== undefined ? { reason: "not asked for" } : openCopy(copyPath(spec.parts), weights, spec.parts);
  if ("reason" in copy) {
    debug("no packed copy: %s", copy.reason);
    return packWeights(weights, files, arena, team, backend, progress);
  }
  const { entries } = copy.header;
  const mapped = backend.outside?.mapFile(copy.path, copy.bytes);
  if (backend.outside && mapped === undefined) {
    debug("the packed copy cannot be mapped");
    return packWeights(weights, files, arena, team, backend, progress);
  }
  if (mapped !== undefined) arena.count(copy.bytes, "This model");
  const tasks = weights.flatMap((w, i) => {
    const { form, offset, bytes } = entries[i];
    w.format = formatIn(w, form)!;
    w.address = mapped === undefined ? arena.allocate(bytes, "This model") : mapped + offset;
    return mapped === undefined ? readTasks(offset, bytes, w.address) : [];
  });
  const total = entries.reduce((sum, e) => sum + e.bytes, 0);
  const done = (bytes: number): void => progress(Math.min(bytes, total), total);
  if (tasks.length) await team.pack(tasks, [copy.path], () => 0, done);
  done(total);
}

/** Reading in pieces that all members take. */
const readTasks = (offset: number, bytes: number, target: number): ReadTask[] =>
  Array.from({ length: Math.ceil(bytes / READ_BYTES) }, (_, i) => {
    const at = i * READ_BYTES;
    return { part: 0, offset: offset + at, bytes: Math.min(READ_BYTES, bytes - at), target: target + at };
  });

type Pending = { readonly weight: Weight; readonly worst: number };

export async function packWeights(
  weights: readonly Weight[],
  files: WeightFiles,
  arena: Arena,
  team: Team,
  backend: Backend,
  progress: Progress,
): Promise<void> {
  const total = weights.reduce((sum, w) => sum + w.tensor.bytes, 0);
  const place = (list: readonly Weight[]): Pending[] => {
    const sizes = list.map(w => Math.ceil(packedBytes(w) / 64) * 64);
    let at = room(
      sizes.reduce((sum, n) => sum + n, 0),
      arena,
      backend,
    );
    return list.map((weight, i) => {
      weight.address = at;
      at += sizes[i];
      return { weight, worst: arena.allocate(4 * (packedRows(weight) / GROUP), "This model") };
    });
  };
  const run = async (list: readonly Pending[]): Promise<void> => {
    const kernels = [...new Map(list.map(({ weight: { format } }) => [format.packed.name + format.name, pack(format)])).values()];
    const members = total > SMALL_BYTES ? team.size : 1;
    await team.setKernels(backend.compile(kernels), members);
    await arena.scratch(async () => {
      const own = list.map(p => p.weight);
      const constants = await placeConstants(own, files, arena);
      const tasks = list.flatMap(({ weight, worst }) => tasksOf(weight, weight.format, worst, constants.get(weight)));
      const bytes = Math.max(...tasks.map(t => 2 * t.paddedRows * t.rowBytes)) + 64;
      const areas = Array.from({ length: members }, () => arena.allocate(bytes, "This model"));
      const told = (done: number): void => progress(Math.min(done, total), total);
      await packTasks(tasks, files, arena, team, areas, told);
    });
  };
  if (backend.machine?.dots === "quads") for (const w of weights) w.format = w.format.quads ?? w.format;
  progress(0, total);
  if (!weights.length) return;
  const list = place(weights);
  await run(list);
  const again: Weight[] = [];
  for (const { weight, worst } of list) {
    const magnitude = arena.i32(worst, packedRows(weight) / GROUP).reduce((m, x) => Math.max(m, x), 0);
    if (magnitude >= weight.format.infinite) throw notFinite(weight.tensor.name);
    if (weight.format.fallback && magnitude >= weight.format.limit!) {
      weight.format = weight.format.fallback;
      again.push(weight);
    }
  }
  if (again.length) await run(place(again));
}

/** Address of room for weights: outside of the arena where the backend has that, so that they may take more than its addresses reach. */
function room(bytes: number, arena: Arena, { outside }: Backend): number {
  if (!outside) return arena.allocate(bytes, "This model");
  arena.count(bytes, "This model");
  return outside.reserve(bytes);
}

/** Packs what lies in files, then what is made, a piece after the other through memory, on as many members as there are `areas`. `told` gets the bytes of both. */
async function packTasks(
  tasks: readonly PackTask[],
  files: WeightFiles,
  arena: Arena,
  team: Team,
  areas: readonly number[],
  told: (done: number) => void,
): Promise<void> {
  const isMade = (task: PackTask): boolean => task.part >= files.paths.length;
  const stored = tasks.filter(task => !isMade(task));
  let before = 0;
  const pack = async (list: readonly PackTask[]): Promise<void> => {
    const rank = (i: number): number => areas[i];
    await team.pack(list, files.paths, rank, done => told(before + done), areas.length);
    before += list.reduce((sum, { bytes }) => sum + bytes, 0);
  };
  if (stored.length) await pack(stored);
  const made = tasks.filter(isMade);
  if (!made.length) return;
  const room = Math.max(STAGED_BYTES, ...made.map(({ bytes }) => bytes));
  const start = arena.allocate(room, "This model");
  for (let next = 0; next < made.length; ) {
    const wave: PackTask[] = [];
    for (let at = 0; next < made.length && at + made[next].bytes <= room; next++) {
      const task = made[next];
      const bytes = await files.read(task.part, task.offset, task.bytes);
      arena.bytes(start + at, task.bytes).set(bytes);
      wave.push({ ...task, from: start + at });
      at += task.bytes;
    }
    await pack(wave);
  }
}
