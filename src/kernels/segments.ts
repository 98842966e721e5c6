/**
 * How kernels with a state go over the tokens of a step. A segment is a run of tokens of one sequence: where its rows begin in the list `order`,
 * how many there are, the slot that its state comes from and the slot where it goes. A state is read from one slot and written to another, so
 * that what a fork or a checkpoint holds is never overwritten and nothing is copied for its sake; both may be the same slot.
 */
import { type Bytes, each, type Slots, type Val } from "../ir/trace.ts";

type Int = Val<"i32", 1>;

/** Bytes of a segment, and where its i32 fields lie. */
export const segmentFields = { first: 0, count: 4, from: 8, to: 12, bytes: 16 } as const;

export interface Segments {
  readonly order: Bytes;
  readonly table: Bytes;
  readonly states: Bytes;
  readonly count: Int;
  /** Bytes of this layer's part of a slot. */
  readonly slotBytes: Int;
}

/** Declares the slots: order, segments, states; number of segments, bytes of a state. */
export const segmentSlots = (s: Slots): Segments => ({
  order: s.in("order"),
  table: s.in("segments"),
  states: s.out("states"),
  count: s.size("segmentCount", 1 << 16),
  slotBytes: s.size("slotBytes"),
});

export interface Segment {
  /** Byte offsets of this unit's part of the state, before and after. */
  readonly from: Int;
  readonly to: Int;
  readonly count: Int;
  /** Row of the segment's token i. */
  readonly row: (i: Int) => Int;
  /** Where the state before token i lies: `from` for the first, then `to`. */
  readonly before: (i: Int) => Int;
}

/** Runs `body` for each segment in order. `own` is the byte offset of the unit's part of a state. */
export function eachSegment(s: Segments, own: Int, body: (segment: Segment) => void): void {
  each(0, s.count, n => {
    const field = (offset: number): Int => s.table.load("i32", 1, n.mul(segmentFields.bytes).add(offset));
    const [first, count] = [field(segmentFields.first), field(segmentFields.count)];
    const from = field(segmentFields.from).mul(s.slotBytes).add(own);
    const to = field(segmentFields.to).mul(s.slotBytes).add(own);
    const row = (i: Int): Int => s.order.load("i32", 1, first.add(i).mul(4));
    body({ from, to, count, row, before: i => i.eq(0).select(from, to) });
  });
}

/** The widest lanes, at most `most`, that divide `n`; 0 where none of 4 or more does. */
export const lanesOf = (n: number, most = 32): number => [32, 16, 8, 4].find(lanes => lanes <= most && n % lanes === 0) ?? 0;
