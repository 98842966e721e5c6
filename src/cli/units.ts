/** Numbers as people read them, and columns that line up. No colour here and no output. */
import { stripVTControlCharacters } from "node:util";

const binary = ["B", "KiB", "MiB", "GiB", "TiB"];

/** 6291456 -> "6.0 MiB". */
export function bytes(n: number): string {
  let unit = 0;
  while (n >= 1024 && unit < binary.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${unit === 0 || n >= 100 ? n.toFixed(0) : n.toFixed(1)} ${binary[unit]}`;
}

/** 5639424 -> "5.64 M". */
export function large(n: number): string {
  for (const [size, unit] of [
    [1e12, "T"],
    [1e9, "B"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (n >= size) return `${(n / size).toPrecision(3)} ${unit}`;
  }
  return String(n);
}

/** A speed, with as many digits as mean something. */
export const rate = (n: number): string => (n >= 1000 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2));

/** Milliseconds -> "58 ms" or "1.24 s". */
export const duration = (ms: number): string => (ms < 1000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(2)} s`);

export const counted = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? "" : "s"}`;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const widthOf = (cell: string): number => [...stripVTControlCharacters(cell)].length;

/** Rows of cells as lines; columns named in `right` are set to the right. Trailing blanks are cut. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, widthOf(cell));
  }
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => {
        const blank = " ".repeat(widths[i] - widthOf(cell));
        return right.includes(i) ? blank + cell : cell + blank;
      })
      .join("  ")
      .trimEnd();
  return `${rows.map(line).join("\n")}\n`;
}
