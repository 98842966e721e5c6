/**
 * Which of many scores are the best. Where scores are equal the answer is a matter of rule: the first ones, or those that the C++ library's partial
 * sort happens to keep, which llama.cpp's records show. That one keeps the best so far in a binary heap with the worst on top: a better score takes
 * the top's place, sinks to the bottom along the worse children (the second of two equal ones) and rises again as far as it must.
 */
import { range } from "./rows.ts";

/** Indices of the `count` best scores, in no particular order. */
export type Best = (scores: readonly number[], count: number) => number[];

export const firstBest: Best = (scores, count) =>
  range(scores.length)
    .sort((a, b) => scores[b] - scores[a] || a - b)
    .slice(0, count);

export const heapBest: Best = (scores, count) => {
  const heap = range(Math.min(count, scores.length));
  const worse = (a: number, b: number): boolean => scores[a] < scores[b];
  const place = (top: number, index: number): void => {
    let at = top;
    for (let right = 2 * at + 2; right <= heap.length; right = 2 * at + 2) {
      const child = right === heap.length || worse(heap[right - 1], heap[right]) ? right - 1 : right;
      heap[at] = heap[child];
      at = child;
    }
    for (let up = (at - 1) >> 1; at > top && worse(index, heap[up]); up = (at - 1) >> 1) {
      heap[at] = heap[up];
      at = up;
    }
    heap[at] = index;
  };
  for (let i = (heap.length - 2) >> 1; i >= 0; i--) place(i, heap[i]);
  for (let i = heap.length; i < scores.length; i++) if (worse(heap[0], i)) place(0, i);
  return heap;
};
