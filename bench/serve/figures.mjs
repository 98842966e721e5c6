/** Figures with their goals: medians, spreads, quantiles, and the table and the file that a run ends with. */
import { digits, summary } from "../report.mjs";

/**
 * @typedef {{ scenario: string, name: string, unit: string, values: number[], atLeast?: number, atMost?: number, note?: string }} Figure
 * `values`: one for each repetition; the median is held against the goal.
 */

/** The value below which the part `q` of the list lies (nearest rank). @param {number[]} list */
export function quantile(list, q) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))] : Number.NaN;
}

/** @param {Figure} f */
function line(f) {
  const { median, min, max, count } = summary(f.values);
  const goal = f.atLeast !== undefined ? `>= ${digits(f.atLeast)}` : f.atMost !== undefined ? `<= ${digits(f.atMost)}` : "";
  const met = f.atLeast !== undefined ? median >= f.atLeast : f.atMost !== undefined ? median <= f.atMost : undefined;
  const spread = count > 1 ? `${digits(median)} (${digits(min)}-${digits(max)})` : digits(median);
  return `| ${f.scenario} | ${f.name} | ${spread} ${f.unit} | ${goal} | ${met === undefined ? "" : met ? "yes" : "NO"} | ${f.note ?? ""} |`;
}

/** @param {Figure[]} figures */
export function table(figures) {
  const head = "| scenario | figure | median (least-most) | goal | met | |\n|---|---|---:|---:|---|---|";
  return [head, ...figures.map(line)].join("\n");
}

/** Whether every figure that has a goal reaches it. @param {Figure[]} figures */
export const allMet = figures => figures.every(f => !line(f).includes("| NO |"));
