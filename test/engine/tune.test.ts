/** The tuner's bookkeeping: when it tries, what it keeps, and that damaged memory of it is harmless. Which schedule wins is the machine's affair. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { schedules } from "../../src/engine/plan.ts";
import { tuned } from "../../src/engine/tune.node.ts";
import { weightFormats } from "../../src/formats/index.ts";
import { Arena } from "../../src/runtime/arena.ts";
import { type Backend, webAssembly } from "../../src/runtime/compile.ts";

let folder: string;
const saved = { ...process.env };
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lathe-tune-"));
  process.env.XDG_CACHE_HOME = folder;
  delete process.env.LATHE_TUNE;
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  process.env = { ...saved };
});

const { packed } = weightFormats.get("TQ2_0")!;
const large = 2 ** 30;

/** WebAssembly that says it is machine code and counts what it is asked to compile. */
function counting(arena: Arena): { backend: Backend; compiled: string[] } {
  const compiled: string[] = [];
  const wasm = webAssembly(arena);
  const compile: Backend["compile"] = kernels => {
    compiled.push(...kernels.map(k => k.name));
    return wasm.compile(kernels);
  };
  return { backend: { ...wasm, name: "native", compile }, compiled };
}
const answers = () => join(folder, "lathe", readdirSync(join(folder, "lathe"))[0]);

it("tries once, keeps the answer, and tries again when it is damaged", async () => {
  const arena = new Arena({ budget: 2 ** 28, memory64: false });
  const first = counting(arena);
  const chosen = (await tuned(schedules("native"), [packed], large, first.backend, arena)).matmul(packed);
  expect(first.compiled.length).toBe(14); // four tiles of tokens; three of groups and three distances, and the default with less effort
  expect(JSON.parse(readFileSync(answers(), "utf8"))).toEqual({ [packed.name]: chosen });
  expect(arena.used).toBe(0);

  const second = counting(arena);
  expect((await tuned(schedules("native"), [packed], large, second.backend, arena)).matmul(packed)).toEqual(chosen);
  expect(second.compiled).toEqual([]);

  for (const damage of ["{", "[7]", `{"${packed.name}":{"tokens":1e9,"groups":2}}`, `{"${packed.name}":null}`]) {
    writeFileSync(answers(), damage);
    const again = counting(arena);
    await tuned(schedules("native"), [packed], large, again.backend, arena);
    expect(again.compiled.length).toBe(14);
  }
});

it("does not try for small models, other targets, or when it is switched off", async () => {
  const arena = new Arena({ budget: 2 ** 28, memory64: false });
  const { backend, compiled } = counting(arena);
  const defaults = schedules("native");
  expect(await tuned(defaults, [packed], 2 ** 20, backend, arena)).toBe(defaults);
  expect(await tuned(defaults, [packed], large, { ...backend, name: "wasm" }, arena)).toBe(defaults);
  process.env.LATHE_TUNE = "off";
  expect(await tuned(defaults, [packed], large, backend, arena)).toBe(defaults);
  expect(compiled).toEqual([]);
});
