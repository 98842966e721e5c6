/**
 * The tokens that may still be chosen in one step, with their values (logits, adjusted). A step begins with the whole vocabulary, without
 * a copy; whoever edits or selects moves to buffers owned here, which are reused, so that a step allocates nothing. The caller's logits
 * are never written to. Ties are always ordered by id, the lowest first.
 */
import { expMinus, maximum, weightSum } from "./probability.ts";

const SLOTS = 64 * 40; // of 1/64 each; beyond a distance of 40 weights are 0

interface Buffer {
  values: Float32Array;
  ids: Int32Array;
}

export class Candidates {
  /** [count] values; read-only unless obtained from `editable()`. */
  values: Float32Array = new Float32Array(0);
  /** [count] token ids. */
  ids: Int32Array = new Int32Array(0);
  count = 0;
  /** Whether the largest value comes first. */
  sorted = false;
  /** [SLOTS] the weights of the candidates at each distance from the top. */
  readonly #masses = new Float64Array(SLOTS);
  #everyId: Int32Array = new Int32Array(0);
  /** Two, so that a selection can be read from one and written to the other. */
  readonly #buffers: Buffer[] = [0, 1].map(() => ({ values: new Float32Array(0), ids: new Int32Array(0) }));

  /** All tokens: `values[id]` is the logit of `id` until something selects. */
  reset(logits: Float32Array): void {
    if (this.#everyId.length < logits.length) this.#everyId = new Int32Array(logits.length).map((_, i) => i);
    this.#become(logits, this.#everyId, logits.length, false);
  }

  /** The largest value; -Infinity where no token is left. */
  max(): number {
    if (this.sorted) return this.count > 0 ? this.values[0] : -Infinity;
    return maximum(this.values, this.count);
  }

  /** The values, to write to. The order counts as lost when `keepsOrder` is false. */
  editable(keepsOrder: boolean): Float32Array {
    if (!this.#buffers.some(b => b.values === this.values)) {
      const { values } = this.#spare(this.count);
      values.set(this.values.subarray(0, this.count));
      this.values = values;
    }
    this.sorted &&= keepsOrder;
    return this.values;
  }

  /** Keeps the first `count`. */
  truncate(count: number): void {
    this.count = Math.min(this.count, count);
  }

  /** Keeps the tokens whose bits are set, of the whole vocabulary. */
  keepBits(bits: Uint32Array): void {
    const { values, count } = this;
    const out = this.#spare(count);
    let size = 0;
    const words = Math.min(bits.length, (count + 31) >> 5);
    for (let w = 0; w < words; w++) {
      for (let word = bits[w]; word !== 0; word &= word - 1) {
        const id = w * 32 + 31 - Math.clz32(word & -word);
        if (id >= count) break;
        out.values[size] = values[id];
        out.ids[size++] = id;
      }
    }
    this.#become(out.values, out.ids, size, false);
  }

  /** Keeps the values of at least `least`, in their order. */
  keepFrom(least: number): void {
    const { values, ids, count } = this;
    const out = this.#spare(count);
    let size = 0;
    for (let i = 0; i < count; i++) {
      if (values[i] < least) continue;
      out.values[size] = values[i];
      out.ids[size++] = ids[i];
    }
    this.#become(out.values, out.ids, size, this.sorted);
  }

  /** Keeps the `k` largest, sorted; never one of -Infinity. One pass with a heap of k, whose root is the worst one kept. */
  keepLargest(k: number): void {
    if (this.sorted) {
      this.truncate(k);
      return;
    }
    const { values, ids, count } = this;
    const out = this.#spare(Math.min(k, count));
    let size = 0;
    let i = 0;
    for (; i < count && size < k; i++) {
      if (values[i] === -Infinity) continue;
      out.values[size] = values[i];
      out.ids[size++] = ids[i];
    }
    makeHeap(out, size);
    let bar = out.values[0];
    for (; i < count; i++) {
      if (values[i] < bar || (values[i] === bar && ids[i] > out.ids[0])) continue;
      out.values[0] = values[i];
      out.ids[0] = ids[i];
      sink(out, 0, size);
      bar = out.values[0];
    }
    sortHeap(out, size);
    this.#become(out.values, out.ids, size, true);
  }

  /**
   * Keeps the fewest largest whose weights e^(value - top) add up to at least `share` of all weights. Where the candidates are not sorted
   * this stays linear: it adds up weights by distance from the top, and sorts only the slot in which the share is reached.
   */
  keepMass(share: number): void {
    const top = this.max();
    if (this.sorted) this.truncate(massCount(this, this.count, top, 0, share * weightSum(this.values, this.count, top)));
    else this.#keepMassUnsorted(share, top);
  }

  #keepMassUnsorted(share: number, top: number): void {
    const { values, ids, count } = this;
    const slotOf = (value: number) => (top - value < 40 ? ((top - value) * 64) | 0 : SLOTS - 1);
    this.#masses.fill(0);
    let total = 0;
    for (let i = 0; i < count; i++) {
      const weight = expMinus(top - values[i]);
      this.#masses[slotOf(values[i])] += weight;
      total += weight;
    }
    const wanted = share * total;
    let slot = 0;
    let reached = 0;
    while (slot < SLOTS - 1 && reached + this.#masses[slot] < wanted) reached += this.#masses[slot++];

    const out = this.#spare(count); // what is surely kept grows from the front, the slot to sort from the back
    let [front, back] = [0, count];
    for (let i = 0; i < count; i++) {
      const own = slotOf(values[i]);
      if (own > slot || values[i] === -Infinity) continue;
      const at = own < slot ? front++ : --back;
      out.values[at] = values[i];
      out.ids[at] = ids[i];
    }
    const border = { values: out.values.subarray(back, count), ids: out.ids.subarray(back, count) };
    makeHeap(border, count - back);
    sortHeap(border, count - back);
    const kept = massCount(border, count - back, top, reached, wanted);
    out.values.copyWithin(front, back, back + kept);
    out.ids.copyWithin(front, back, back + kept);
    this.#become(out.values, out.ids, front + kept, false);
  }

  #become(values: Float32Array, ids: Int32Array, count: number, sorted: boolean): void {
    this.values = values;
    this.ids = ids;
    this.count = count;
    this.sorted = sorted;
  }

  /** The buffer that is not in use, with room for `count`. */
  #spare(count: number): Buffer {
    const buffer = this.#buffers.find(b => b.values !== this.values)!;
    if (buffer.values.length < count) {
      buffer.values = new Float32Array(count);
      buffer.ids = new Int32Array(count);
    }
    return buffer;
  }
}

/** A step runs to its end before another begins, so one set of buffers serves every sampler of a thread. */
export const workspace = new Candidates();

/** Whether entry a belongs nearer to the root than entry b: the smaller value, or the higher id of two equal ones. */
function isWorse({ values, ids }: Buffer, a: number, b: number): boolean {
  return values[a] < values[b] || (values[a] === values[b] && ids[a] > ids[b]);
}

function swap({ values, ids }: Buffer, a: number, b: number): void {
  const [value, id] = [values[a], ids[a]];
  values[a] = values[b];
  ids[a] = ids[b];
  values[b] = value;
  ids[b] = id;
}

/** Makes a heap of the first `size` entries, with the worst at the root. */
function makeHeap(buffer: Buffer, size: number): void {
  for (let at = (size >> 1) - 1; at >= 0; at--) sink(buffer, at, size);
}

/** Sorts a heap, the best entry first. */
function sortHeap(buffer: Buffer, size: number): void {
  for (let last = size - 1; last > 0; last--) {
    swap(buffer, 0, last); // the worst of those left goes to the end
    sink(buffer, 0, last);
  }
}

/** How many sorted values, of `count`, it takes until `reached` has grown to `wanted`; all where it does not, and at least one. */
function massCount({ values }: Pick<Buffer, "values">, count: number, top: number, reached: number, wanted: number): number {
  for (let i = 0; i < count; i++) {
    reached += expMinus(top - values[i]);
    if (reached >= wanted) return i + 1;
  }
  return count;
}

/** Restores the heap of the first `size` entries below `at`. */
function sink(buffer: Buffer, at: number, size: number): void {
  for (;;) {
    let child = 2 * at + 1;
    if (child >= size) return;
    if (child + 1 < size && isWorse(buffer, child + 1, child)) child++;
    if (!isWorse(buffer, child, at)) return;
    swap(buffer, at, child);
    at = child;
  }
}
