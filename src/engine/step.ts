/**
 * The one entry to compute: a step evaluates new tokens of any number of sequences and gives the logits of those rows that are wanted. Nothing
 * else runs the model. Which tokens share a step never changes a result (docs/architecture.md, "one order of sums").
 */
import { LatheError } from "../errors.ts";
import { PAGE } from "../kernels/attend.ts";
import { segmentFields } from "../kernels/segments.ts";
import { idOf } from "../kv/marks.ts";
import { PagePool, type PageStore, Sequence, type Slot } from "../kv/pages.ts";
import { SourceText } from "../kv/sources.ts";
import { StatePool, type StateSegment } from "../kv/states.ts";
import type { Network } from "../nn/arch.ts";
import { type Region, vars } from "../nn/graph.ts";
import type { Rotation } from "../nn/step.ts";
import type { Arena } from "../runtime/arena.ts";
import { hindrance, moveTokens } from "./place.ts";
import type { Plan } from "./plan.ts";

export interface StepToken {
  /** A mark (kv/marks.ts) is kept and changes nothing: modules are computed as sequences of their own. */
  readonly id: number;
  /** The token is appended to it. */
  readonly sequence: Sequence;
  /** Whether the logits after this token are asked for. */
  readonly wanted: boolean;
  /** Whether the sequence should be able to go back to just before this token at no cost (kv/states.ts). */
  readonly checkpoint?: boolean;
}

/** Runs programs; a team of threads, or one thread. */
export interface Runner {
  readonly variables: Float64Array;
  /** False: ended before its end, because `interrupted` said so. */
  run(program: number, interrupted?: () => boolean): boolean;
  profile(program: number, times: Float64Array): void;
}

/** Tokens between checkpoints of a state, and most checkpoints of a sequence. */
const CHECKPOINTS = { interval: 256, most: 16 };

/** A step that can run. */
interface Begun {
  /** Indices of the tokens whose logits are. */
  readonly wanted: readonly number[];
  /** Lengths before it. */
  readonly before: ReadonlyMap<Sequence, number>;
}

/** Where a step's tokens go: a slot for each, and the segments of each sequence's state. */
interface Places {
  readonly slots: readonly Slot[];
  /** Lengths before. */
  readonly before: ReadonlyMap<Sequence, number>;
  readonly segments: ReadonlyMap<Sequence, readonly StateSegment[]>;
}

/** A bidirectional network computes a text in one step or not at all. */
function requireWhole(tokens: readonly StepToken[]): void {
  for (const { sequence } of tokens) {
    if (sequence.length === 0) continue;
    const message =
      "This model reads a text from its first token to its last in one step, and a part of this one was read before; use a new sequence.";
    throw new LatheError("option.invalid", message, { length: sequence.length });
  }
}

export class Stepper {
  readonly plan: Plan;
  readonly network: Network;
  readonly store: PageStore;
  readonly #arena: Arena;
  readonly #runner: Runner;

  constructor(plan: Plan, network: Network, arena: Arena, runner: Runner) {
    this.plan = plan;
    this.network = network;
    this.#arena = arena;
    this.#runner = runner;
    const { address } = plan.step.pages;
    const { pageBytes } = network;
    this.store = {
      pool: new PagePool(plan.pageCapacity),
      pageTokens: PAGE,
      states: plan.stateCapacity ? { pool: new StatePool(plan.stateCapacity), ...CHECKPOINTS } : undefined,
      clear: page => void arena.bytes(address + page * pageBytes, pageBytes).fill(0),
      copy: (from, to) => arena.bytes(address + to * pageBytes, pageBytes).set(arena.bytes(address + from * pageBytes, pageBytes)),
    };
  }

  /** An empty sequence, whose first token stands at position `origin`; models that read a text first answer `source`. */
  newSequence(origin = 0, source?: ArrayLike<number>): Sequence {
    if (origin && this.network.longestContext !== undefined) throw new RangeError("learned positions begin at 0");
    const text = source && this.network.reader && new SourceText(Array.from(source), new Sequence(this.store));
    return new Sequence(this.store, undefined, origin, text);
  }

  /** Why modules cannot be used with this model, if so. */
  get noModules(): string | undefined {
    return hindrance(this.network, this.plan);
  }

  /**
   * Appends a module's tokens to the target without computing them: `source` begins with the same ids, without marks. Throws
   * "memory.insufficient"; the target is then as before.
   */
  place(source: Sequence, target: Sequence, tokens: readonly number[]): void {
    if (this.noModules !== undefined || source.origin !== 0) throw new RangeError("a module that cannot be moved");
    if (source.length < tokens.length || tokens.some((t, i) => source.token(i) !== idOf(t))) throw new RangeError("another module");
    target.adopt(tokens);
    moveTokens(this.plan, this.#arena, source, target, tokens.length);
  }

  /**
   * Evaluates the tokens, in order. At most `options.maxTokens`, of which `maxWanted` wanted. Gives one row of `network.columns` numbers (logits) for
   * each wanted token, valid until the next step. If pages or states run out, sequences are left as they were.
   */
  step(tokens: readonly StepToken[], times?: Float64Array): Float32Array[] {
    const begun = this.#begin(tokens);
    if (times) this.#runner.profile(0, times);
    else this.#runner.run(0);
    return this.#end(begun);
  }

  /**
   * As `step`, unless `interrupted`, which is asked after each launch, says that the step need not come to its end: then, where states can be had
   * to go back to, it gives undefined within milliseconds, and sequences are left as they were.
   */
  attempt(tokens: readonly StepToken[], interrupted: () => boolean): Float32Array[] | undefined {
    const begun = this.#begin(tokens, true);
    const revocable = [...begun.before.keys()].every(s => s.revocable);
    if (this.#runner.run(0, revocable ? interrupted : undefined)) return this.#end(begun);
    for (const [sequence, length] of begun.before) sequence.retract(length);
    return undefined;
  }

  #begin(tokens: readonly StepToken[], revocable = false): Begun {
    const { maxTokens, maxWanted } = this.plan.options;
    const wanted = tokens.flatMap((t, i) => (t.wanted ? [i] : []));
    if (!tokens.length || tokens.length > maxTokens || wanted.length > maxWanted) throw new RangeError(`a step of ${tokens.length} tokens`);
    if (this.network.bidirectional) requireWhole(tokens);
    if (this.network.reader) for (const { sequence } of tokens) this.#read(sequence.source);
    const { slots, segments, before } = this.#append(tokens, revocable);
    this.#fill(tokens, slots, wanted);
    if (this.store.states) this.#fillSegments(tokens, segments);
    this.#runner.variables[vars.tokens] = tokens.length;
    this.#runner.variables[vars.wanted] = wanted.length;
    return { wanted, before };
  }

  #end({ wanted, before }: Begun): Float32Array[] {
    for (const sequence of before.keys()) sequence.settle();
    const { region, stride } = this.plan.logits;
    return wanted.map((_, i) => this.#arena.f32(region.address + i * stride, this.network.columns));
  }

  /** Computes the keys and values of a text that is answered, in one step of its own, unless they are there. */
  #read(source: SourceText | undefined): void {
    if (!source) {
      const message = "This model answers a text that it reads first, and there is none here; use generate with a prompt.";
      throw new LatheError("option.invalid", message);
    }
    if (source.read) return;
    const { maxTokens } = this.plan.options;
    if (source.tokens.length > maxTokens) {
      const message = `The prompt has ${source.tokens.length} tokens, and this model reads at most ${maxTokens}; shorten it or load with a larger context.`;
      throw new LatheError("context.overflow", message, { tokens: source.tokens.length, most: maxTokens });
    }
    const tokens = source.tokens.map((id): StepToken => ({ id, sequence: source.sequence, wanted: false }));
    this.#fill(tokens, this.#append(tokens).slots, []);
    this.#runner.variables[vars.tokens] = tokens.length;
    this.#runner.run(1);
  }

  #append(tokens: readonly StepToken[], revocable = false): Places {
    const before = new Map<Sequence, number>();
    for (const { sequence } of tokens) if (!before.has(sequence)) before.set(sequence, sequence.length);
    try {
      const slots = tokens.map(t => t.sequence.append(t.id));
      const keep = (s: Sequence): number[] =>
        slots.flatMap(({ position }, i) => (tokens[i].checkpoint && tokens[i].sequence === s ? [position] : []));
      const segments = new Map([...before.keys()].map(s => [s, s.segments(keep(s), revocable)] as const));
      return { slots, segments, before };
    } catch (e) {
      for (const [sequence, length] of before) sequence.retract(length);
      throw e;
    }
  }

  #words = (region: Region, length: number): Int32Array => this.#arena.i32(region.address, length);

  #fillSegments(tokens: readonly StepToken[], segments: Places["segments"]): void {
    const { step } = this.plan;
    const order = this.#words(step.order, tokens.length);
    const table = this.#words(step.segments, step.segments.bytes / 4);
    const rows = new Map([...segments.keys()].map(s => [s, [] as number[]] as const));
    for (const [i, t] of tokens.entries()) rows.get(t.sequence)!.push(i);
    order.set([...rows.values()].flat());
    let [first, n] = [0, 0];
    for (const { count, from, to } of [...segments.values()].flat()) {
      const at = (segmentFields.bytes / 4) * n++;
      table[at + segmentFields.first / 4] = first;
      table[at + segmentFields.count / 4] = count;
      table[at + segmentFields.from / 4] = from;
      table[at + segmentFields.to / 4] = to;
      first += count;
    }
    this.#runner.variables[vars.segments] = n;
  }

  #fill(tokens: readonly StepToken[], slots: readonly Slot[], wanted: readonly number[]): void {
    const { step } = this.plan;
    const n = tokens.length;
    const words = (region: Region, length = n): Int32Array => this.#words(region, length);
    const [ids, positions, starts, ends, origins] = [step.ids, step.positions, step.starts, step.ends, step.origins].map(r => words(r));
    const [pageIds, places] = [step.pageIds, step.places].map(r => words(r));
    const table = words(step.pageTable, step.pageTable.bytes / 4);
    const [sourceStarts, sourceLasts] = [step.sourceStarts, step.sourceLasts].map(r => words(r));
    const begin = new Map<Sequence, number>();
    let end = 0;
    const list = (sequence: Sequence): void => {
      if (begin.has(sequence)) return;
      begin.set(sequence, end);
      table.set(sequence.pages, end);
      end += sequence.pages.length;
    };
    tokens.forEach((t, i) => {
      list(t.sequence);
      const source = t.sequence.source?.sequence;
      if (source) {
        list(source);
        sourceStarts[i] = begin.get(source)!;
        sourceLasts[i] = source.length - 1;
      }
      ids[i] = idOf(t.id);
      positions[i] = slots[i].position;
      starts[i] = begin.get(t.sequence)!;
      ends[i] = t.sequence.length;
      origins[i] = t.sequence.origin;
      pageIds[i] = slots[i].page;
      places[i] = slots[i].place;
    });
    words(step.wanted, wanted.length).set(wanted);
    const absolute = slots.map((slot, i) => slot.position + tokens[i].sequence.origin);
    for (const [{ at }, region] of this.plan.scalars) this.#arena.f32(region.address, n).set(absolute.map(at));
    for (const [rotation, region] of this.plan.rotations) this.#turn(rotation, region.address, absolute);
  }

  /** Cosines, then sines, of each token's angles. */
  #turn({ frequencies, magnitude, of = p => p }: Rotation, address: number, positions: readonly number[]): void {
    const pairs = frequencies.length;
    const angles = this.#arena.f32(address, 2 * pairs * positions.length);
    positions.forEach((position, i) => {
      for (let p = 0; p < pairs; p++) {
        const angle = of(position) * frequencies[p];
        angles[2 * pairs * i + p] = Math.cos(angle) * magnitude;
        angles[2 * pairs * i + pairs + p] = Math.sin(angle) * magnitude;
      }
    });
  }
}
