/** Medians, spreads and the tables of a comparison. */

/** @typedef {{ type: string, engine: string, round: number, quiet: boolean, noise: import("./watch.mjs").Noise, result: any }} Run */

export function summary(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted.at(-1), count: sorted.length };
}

export const digits = x => (x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2));

/** A star marks figures for which there was no quiet run. */
const star = (...summaries) => (summaries.every(s => s.quiet) ? "" : "\\*");

const spread = s => (s ? `${digits(s.median)} (${digits(s.min)}-${digits(s.max)})${star(s)}` : "-");

const ratio = (a, b) => (a && b ? `${(a.median / b.median).toFixed(2)}${star(a, b)}` : "-");

/** The runs that count: quiet ones where there are any. @param {Run[]} runs */
export function counted(runs) {
  const quiet = runs.filter(run => run.quiet);
  return quiet.length > 0 ? quiet : runs;
}

/** Summary of one number over the runs of one engine on one type; undefined where there is none. @param {Run[]} runs */
function over(runs, type, engine, read) {
  const used = counted(runs.filter(run => run.type === type && run.engine === engine));
  const values = used.flatMap(run => read(run.result) ?? []);
  return values.length > 0 ? { ...summary(values), quiet: used[0].quiet } : undefined;
}

const table = (head, rows) =>
  [
    `| ${head.join(" | ")} |`,
    `|${head.map((_, i) => (i === 0 ? "---" : "---:")).join("|")}|`,
    ...rows.map(row => `| ${row.join(" | ")} |`),
  ].join("\n");

const distinct = (runs, key) => [...new Set(runs.map(run => run[key]))];

/** Tokens a second of every engine, and how much faster the first engine is than each other one. */
function speedTable(runs, part) {
  const engines = distinct(runs, "engine");
  const [first, ...others] = engines;
  const rows = distinct(runs, "type").map(type => {
    const found = engines.map(engine => over(runs, type, engine, r => r[part].tokensPerSecond));
    return [type, ...found.map(spread), ...others.map((_, i) => ratio(found[0], found[i + 1]))];
  });
  return table([part, ...engines.map(engine => `${engine}, tokens/s`), ...others.map(engine => `${first} : ${engine}`)], rows);
}

/** llama.cpp's own counters leave out sampling and the way through JavaScript. */
function ownTable(runs) {
  const engines = distinct(
    runs.filter(run => run.result.own),
    "engine",
  );
  const rows = distinct(runs, "type").map(type => [
    type,
    ...engines.flatMap(engine => ["prefill", "decode"].map(part => spread(over(runs, type, engine, r => r.own?.[part].tokensPerSecond)))),
  ]);
  const head = engines.flatMap(engine => [`${engine} prefill`, `${engine} decode`]);
  return engines.length > 0 ? table(["own counters, tokens/s", ...head], rows) : "";
}

/** Load time, and peak memory as a multiple of the file. */
function costTable(runs, fileBytes) {
  const engines = distinct(runs, "engine");
  const rows = distinct(runs, "type").map(type => [
    type,
    (fileBytes[type] / 1e6).toFixed(0),
    ...engines.map(engine => spread(over(runs, type, engine, r => r.load.seconds))),
    ...engines.map(engine => {
      const peak = over(runs, type, engine, r => r.memory.peakBytes);
      return peak ? `${(peak.median / 1e6).toFixed(0)} (${(peak.median / fileBytes[type]).toFixed(2)} x)` : "-";
    }),
  ]);
  return table(["load, memory", "file, MB", ...engines.map(e => `${e} load, s`), ...engines.map(e => `${e} peak, MB`)], rows);
}

/** How busy the machine was with other things. @param {Run[]} runs */
function noiseLine(runs) {
  const noise = summary(runs.map(run => run.noise.others + run.noise.stolen));
  const loud = runs.filter(run => !run.quiet).length;
  const kept =
    loud === 0 ? "every run was quiet" : `${loud} of ${runs.length} runs were not quiet; they count only where there is no quiet run (\\*)`;
  return `Other work during the runs: median ${noise.median.toFixed(2)} cores, at most ${noise.max.toFixed(2)}; ${kept}.`;
}

/** @param {Run[]} runs @param {Record<string, number>} fileBytes bytes of the model file of each type */
export function report(runs, fileBytes) {
  const parts = [speedTable(runs, "decode"), speedTable(runs, "prefill"), ownTable(runs), costTable(runs, fileBytes), noiseLine(runs)];
  return parts.filter(Boolean).join("\n\n");
}
