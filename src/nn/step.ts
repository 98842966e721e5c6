/**
 * What one step of the engine gives to a graph: where the token rows, their positions and their pages lie, and how small tables are asked for.
 * The engine makes it before tracing and fills its regions before each run.
 */
import type { Packed } from "../formats/packed.ts";
import type { AttendSchedule, Kept } from "../kernels/attend.ts";
import type { MatmulSchedule } from "../kernels/matmul.ts";
import type { Graph, Region } from "./graph.ts";

/** Angles: position * frequency[i] for pair i; cosines and sines are multiplied by `magnitude`. */
export interface Rotation {
  readonly frequencies: Float64Array;
  readonly magnitude: number;
  /** The position whose angles a token gets; default its own. */
  readonly of?: (position: number) => number;
}

/** A number for each token, from its position (temperature of attention). */
export interface Scalars {
  readonly at: (position: number) => number;
}

/** Where a layer's keys and values lie in every page. */
export interface HeadLayout {
  /** Byte offset of the first head. */
  readonly cache: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
  /** The first values of a key, which are rotated; 0 for none. */
  readonly ropeDim: number;
  readonly rotation?: Rotation;
}

export type Schedule = (packed: Packed) => MatmulSchedule;

export interface Step {
  readonly graph: Graph;
  readonly schedule: Schedule;
  readonly attendSchedule: AttendSchedule;
  /** Tokens of the longest sequence that the plan is for. */
  readonly context: number;
  /** i32 a token. `starts`: where its sequence begins in the page table; `ends`: tokens of its sequence after this step; `origins`: what its first position stands for. */
  readonly ids: Region;
  readonly positions: Region;
  readonly starts: Region;
  readonly ends: Region;
  readonly origins: Region;
  /** i32 a token: where the pages of the text that its sequence answers begin in the page table, and the position of its last token. */
  readonly sourceStarts: Region;
  readonly sourceLasts: Region;
  readonly pageIds: Region;
  readonly places: Region;
  /** i32: the numbers 0, 1, 2 ... and the rows whose output is wanted. */
  readonly numbers: Region;
  readonly wanted: Region;
  readonly pageTable: Region;
  readonly pages: Region;
  readonly pageBytes: number;
  /** How keys and values lie in pages. */
  readonly kept: Kept;
  /** Told by whoever writes pages, while the graph is traced. */
  readonly heads: HeadLayout[];
  /** What makes keys and values depend on where a text stands, besides their rotation; told likewise. */
  readonly tied: Set<string>;
  /** i32: the step's rows, sequence after sequence; then the segments of their states (kernels/segments.ts). */
  readonly order: Region;
  readonly segments: Region;
  /** f32 a token: cosines, then sines, of a rotation; the engine fills them. The same object gives the same region. */
  readonly rotation: (r: Rotation) => Region;
  /** f32 a token; the engine fills them. The same object gives the same region. */
  readonly scalars: (s: Scalars) => Region;
  /** Memory that holds these values, padded with zeros to a multiple of 32. */
  readonly table: (values: ArrayLike<number>) => Region;
  /** Values of a small tensor that was bound with `Source.constant`. */
  readonly values: (tensor: string) => Float32Array;
}
