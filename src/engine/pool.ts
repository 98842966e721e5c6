/** How the rows of a text's tokens become one vector. */
import type { Output } from "../nn/output.ts";

/** Rows of one text, in order; "mean" is summed in f64 so that the order of texts in a step cannot matter. */
export function pool(output: Extract<Output, { kind: "embedding" }>, rows: readonly Float32Array[]): Float32Array {
  const { pooling, token } = output;
  if (pooling === "last" || (pooling === "rank" && token === "last")) return rows[rows.length - 1];
  if (pooling === "cls" || pooling === "rank") return rows[0];
  const sums = new Float64Array(rows[0].length);
  for (const row of rows) for (let i = 0; i < sums.length; i++) sums[i] += row[i];
  return Float32Array.from(sums, v => v / rows.length);
}
