/** The team of threads: programs in step, new kernels and programs in between, packing from files, and files that end too early. */
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { each, kernel } from "../../src/ir/trace.ts";
import { Arena } from "../../src/runtime/arena.ts";
import { webAssembly } from "../../src/runtime/compile.ts";
import type { Program } from "../../src/runtime/launch.ts";
import type { PackTask } from "../../src/runtime/member.ts";
import { Team } from "../../src/runtime/team.node.ts";
import { caught } from "../files/caught.ts";
import { openEngine } from "../fixtures/engine.ts";
import { ModelFolder } from "../fixtures/models.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());

/** out[i] = in[i - 1] + in[i + 1] + more, of i32; the neighbours belong to other threads' shares. */
const spread = kernel("spread", s => {
  const [from, to, more] = [s.in("from"), s.out("to"), s.size("more")];
  return unit => {
    const at = unit.add(1).mul(4);
    to.store(
      at,
      from
        .load("i32", 1, at.sub(4))
        .add(from.load("i32", 1, at.add(4)))
        .add(more),
    );
  };
});
/** Copies bytes: a packing kernel. Slots: source, target, bytes a row. */
const copy = kernel("copy", s => {
  const [source, target, bytes] = [s.in("source"), s.out("target"), s.size("bytes", 4096)];
  return row => {
    const at = row.mul(bytes);
    each(0, bytes, i => target.store(at.add(i), source.load("u8", 1, at.add(i))));
  };
});

const N = 40;
const spreadOnce = (from: readonly number[], more: number): number[] =>
  from.map((_, i) => (i === 0 || i > N ? 0 : (from[i - 1] + from[i + 1] + more) | 0));

async function startTeam(threads: number) {
  const arena = new Arena({ budget: 2 ** 26, memory64: false });
  const [a, b] = [arena.allocate(4 * (N + 2), "a"), arena.allocate(4 * (N + 2), "b")];
  const team = Team.start(threads, arena);
  const compiled = webAssembly(arena).compile([spread, copy]);
  await team.setKernels(compiled);
  return { arena, team, a, b };
}

/** There and back; how much is added in the first launch is variable 0, in the second a constant. */
const program = (a: number, b: number, constant: number): Program => [
  { kernel: "spread", grid: N, args: [a, b, { v: 0, mul: 2, add: 1 }], sync: true },
  { kernel: "spread", grid: N, args: [b, a, constant], sync: true },
];

describe.each([1, 2, 3])("a team of %i", threads => {
  it("does what one thread would, through many runs and changes of the program", async () => {
    const { arena, team, a, b } = await startTeam(threads);
    try {
      let expected = Array.from({ length: N + 2 }, (_, i) => (i > 0 && i <= N ? i : 0));
      arena.i32(a, N + 2).set(expected);
      for (let cycle = 0; cycle < 8; cycle++) {
        await team.setPrograms([program(a, b, cycle), program(a, b, 100 + cycle)]);
        for (let run = 0; run < 60; run++) {
          team.variables[0] = run;
          const which = run % 3 === 2 ? 1 : 0;
          if (run % 7 === 0) team.profile(which, new Float64Array(2));
          else team.run(which);
          expected = spreadOnce(spreadOnce(expected, 2 * run + 1), which ? 100 + cycle : cycle);
        }
        expect([...arena.i32(a, N + 2)]).toEqual(expected);
      }
    } finally {
      await team.close();
    }
  });

  it("ends a run behind the launch where it is told to, and does the next ones whole", async () => {
    const { arena, team, a, b } = await startTeam(threads);
    const launches = 12;
    const whole = program(a, b, 1);
    await team.setPrograms([Array.from({ length: launches }, (_, i) => whole[i % 2])]);
    team.variables[0] = 1;
    for (let run = 0; run < 400; run++) {
      const end = run % (launches + 1);
      let expected = Array.from({ length: N + 2 }, (_, i) => (i > 0 && i <= N ? i + run : 0));
      arena.i32(a, N + 2).set(expected);
      let asked = 0;
      expect(team.run(0, () => ++asked === end)).toBe(end === 0 || end >= launches);
      const done = end === 0 || end >= launches ? launches : end;
      for (let i = 0; i < done; i++) expected = spreadOnce(expected, i % 2 ? 1 : 3);
      expect([...arena.i32(done % 2 ? b : a, N + 2)]).toEqual(expected);
    }
    await team.close();
  });

  it("packs every task once, between runs as well, rearranging and padding rows", async () => {
    const { arena, team } = await startTeam(threads);
    const [rows, rowBytes] = [24, 128];
    const path = join(folder.path, `rows${threads}.bin`);
    const file = Uint8Array.from({ length: 10 * rows * rowBytes }, (_, i) => (i * 31 + (i >> 8)) & 255);
    writeFileSync(path, file);
    const target = arena.allocate(10 * 32 * rowBytes, "target");
    const order = [2, 0, 3, 1];
    const tasks = Array.from({ length: 10 }, (_, t): PackTask => {
      const place = target + t * 32 * rowBytes;
      const common = { part: 0, offset: t * rows * rowBytes, bytes: rows * rowBytes, rowBytes, rows, paddedRows: 32, kernel: "copy" };
      return { ...common, order: t % 2 ? order : undefined, grid: 32, args: [place, rowBytes] };
    });
    const staging = Array.from({ length: threads }, () => arena.allocate(2 * 32 * rowBytes, "staging"));
    try {
      for (let cycle = 0; cycle < 3; cycle++) {
        arena.bytes(target, 10 * 32 * rowBytes).fill(0xee);
        for (const at of staging) arena.bytes(at, 2 * 32 * rowBytes).fill(0x77);
        const seen: number[] = [];
        await team.pack(
          tasks,
          [path],
          rank => staging[rank],
          done => seen.push(done),
        );
        expect(Math.max(...seen)).toBe(tasks.length * Math.ceil((rows * rowBytes) / 1024) * 1024);
        for (let t = 0; t < 10; t++) {
          for (let row = 0; row < 32; row++) {
            const from = t % 2 ? row - (row % 4) + order[row % 4] : row;
            const own = [...arena.bytes(target + (t * 32 + row) * rowBytes, rowBytes)];
            const begin = (t * rows + from) * rowBytes;
            expect(own).toEqual(row < rows ? [...file.subarray(begin, begin + rowBytes)] : new Array(rowBytes).fill(0));
          }
        }
      }
      truncateSync(path, 5 * rows * rowBytes + 1);
      await caught("file.changed", () =>
        team.pack(
          tasks,
          [path],
          rank => staging[rank],
          () => {},
        ),
      );
      writeFileSync(path, file); // and the team can go on
      await team.pack(
        tasks,
        [path],
        rank => staging[rank],
        () => {},
      );
    } finally {
      await team.close();
    }
  });
});

/** Units from 1 on read far outside every memory; unit 0 counts to `turns`, so that others have the time to come by. */
const trap = kernel("trap", s => {
  const [from, to, turns] = [s.in("from"), s.out("to"), s.size("turns", 1 << 30)];
  return unit => {
    each(0, turns.mul(unit.eq(0).neg()), i => to.store(0, i));
    to.store(4, from.load("i32", 1, unit.mul(1 << 30)));
  };
});

describe.each([1, 2, 3])("a kernel that traps in a team of %i", threads => {
  it("ends the run and the team with an error, and nobody waits", async () => {
    const { arena, team, a, b } = await startTeam(threads);
    try {
      await team.setKernels(webAssembly(arena).compile([spread, trap]));
      const harmless = program(a, b, 1);
      await team.setPrograms([harmless, [{ kernel: "trap", grid: 4, args: [a, b, 3_000_000], sync: true }, ...harmless]]);
      team.run(0);
      const error = await caught("engine.failed", () => team.run(1));
      expect(error.message).toMatch(/out of bounds/);
      expect(error.details.reason).toMatch(/out of bounds/);
      for (const again of [() => team.run(0), () => team.profile(0, new Float64Array(2)), () => team.setPrograms([harmless])])
        expect((await caught("engine.failed", again)).details).toEqual(error.details);
    } finally {
      await team.close();
    }
  });

  it("while packing is no fault of the file", async () => {
    const { arena, team, a } = await startTeam(threads);
    const path = join(folder.path, `trap${threads}.bin`);
    writeFileSync(path, new Uint8Array(64));
    try {
      await team.setKernels(webAssembly(arena).compile([trap]));
      const one = { part: 0, offset: 0, bytes: 64, rowBytes: 64, rows: 1, paddedRows: 1, kernel: "trap", grid: 2, args: [a, 1] };
      const staging = arena.allocate(64 * threads, "staging");
      await caught("engine.failed", () =>
        team.pack(
          new Array<PackTask>(8).fill(one),
          [path],
          rank => staging + 64 * rank,
          () => {},
        ),
      );
    } finally {
      await team.close();
    }
  });
});

describe("a worker that ends", () => {
  it.skipIf(process.platform !== "linux")("while the leader waits for it is noticed (Linux)", async () => {
    const { team, a, b } = await startTeam(2);
    await team.setPrograms([program(a, b, 1)]);
    const closed = team.close();
    const error = await caught("engine.failed", () => {
      for (;;) team.run(0);
    });
    expect(error.details.reason).toBe("thread 1 has ended");
    await closed;
  });

  it("before a run is noticed", async () => {
    const { team, a, b } = await startTeam(2);
    await team.setPrograms([program(a, b, 1)]);
    await team.close();
    await caught("engine.failed", () => team.run(0));
    await caught("engine.failed", () => team.setPrograms([]));
  });
});

describe("loading", () => {
  it("refuses a model that does not fit, with the numbers, before reading it", async () => {
    const path = await folder.model();
    const error = await caught("memory.insufficient", () => openEngine(path, { memory: 2 ** 20 }));
    expect(error.details).toMatchObject({ available: 2 ** 20, suggestion: expect.any(String) });
    expect(error.details.needed).toBeGreaterThan(2 ** 20);
  });

  it("refuses a context that does not fit", async () => {
    const path = await folder.model();
    const error = await caught("memory.insufficient", () => openEngine(path, { context: 2 ** 22, memory: 2 ** 28 }));
    expect(error.message).toMatch(/context/);
  });
});
