/** A few hundred requests that are wrong as bytes, on sockets, to a server that is a process; `npm run bench:serve -- --scenario abuse` sends more. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";

const main = join(import.meta.dirname, "..", "..", "bench", "serve", "main.mjs");
const COUNT = 400;

/** A figure of the report. */
interface Figure {
  readonly name: string;
  readonly values: readonly number[];
  readonly atMost?: number;
  readonly note?: string;
}

it("requests that are wrong as bytes are answered or cut off, and nobody else notices", () => {
  const folder = mkdtempSync(join(tmpdir(), "lathe-abuse-"));
  try {
    const json = join(folder, "figures.json");
    const args = [main, "--scenario", "abuse", "--requests", String(COUNT), "--seed", "1000", "--threads", "1", "--json", json];
    execFileSync(process.execPath, args, { stdio: "ignore" });
    const { figures } = JSON.parse(readFileSync(json, "utf8")) as { figures: Figure[] };
    const of = (name: string): Figure => figures.find(f => f.name === name)!;
    const told = of("connections").note!;
    expect(of("connections").values, told).toEqual([COUNT]);
    for (const status of ["200", "400", "404", "413", "431"]) expect(told).toContain(`x ${status}`); // else it would have tried little
    for (const name of [
      "answers that may not be, or none in time",
      "good requests between them that failed",
      "requests still held afterwards",
    ])
      expect(of(name).values, of(name).note).toEqual([0]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
