/** Entry of a team's worker threads in Node: takes setup messages, then follows the leader's orders through shared memory. */
import { closeSync, existsSync, openSync, readlinkSync, readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import type { SharedKernels } from "./compile.ts";
import type { KernelTable, Program } from "./launch.ts";
import { instantiate, Member, type OpenedParts, orders, type PackTask, type ReadPart, type ReadTask } from "./member.ts";
import type { BehindDoors } from "./native/door.node.ts";
import { openSystem } from "./native/foreign.node.ts";
import { nativeTable } from "./native/table.node.ts";

export interface MemberData extends BehindDoors {
  readonly rank: number;
  readonly size: number;
  readonly block: SharedArrayBuffer;
  readonly memory: WebAssembly.Memory;
  readonly memory64: boolean;
}

/** What the leader sends before the orders that need it. */
export type Setup =
  | { readonly kind: "kernels"; readonly shared: SharedKernels }
  | { readonly kind: "programs"; readonly programs: readonly Program[] }
  | {
      readonly kind: "tasks";
      readonly tasks: readonly (PackTask | ReadTask)[];
      readonly parts: readonly string[];
      readonly staging: number;
    }
  | { readonly kind: "follow" };

/** A reader over file descriptors, and the call that closes them. */
export function openParts(parts: readonly string[]): OpenedParts {
  const files = parts.map(p => openSync(p, "r"));
  const read: ReadPart = (part, offset, into) => {
    let at = 0;
    while (at < into.length) {
      const n = readSync(files[part], into, at, Math.min(into.length - at, 1 << 30), offset + at);
      if (n === 0) throw new Error(`the file ended at ${offset + at}`);
      at += n;
    }
  };
  const close = (): void => {
    for (const f of files) closeSync(f);
  };
  return { read, close };
}

/** The number of this thread in the operating system, where it can be asked (Linux); 0 elsewhere. */
function systemThread(): number {
  try {
    return Number(readlinkSync("/proc/thread-self").split("/").at(-1));
  } catch {
    return 0;
  }
}

/** Whether a thread of this process has ended, which only Linux can tell while this one does not return to its event loop. */
export const hasEnded = (thread: number): boolean => thread > 0 && !existsSync(`/proc/self/task/${thread}`);

/** This thread's functions for kernels that the leader has compiled. */
async function tableOf(shared: SharedKernels, { memory, memory64 }: MemberData): Promise<KernelTable> {
  if (shared.kind === "wasm") return instantiate(shared.module, memory, shared.slots, memory64);
  const system = await openSystem();
  if ("reason" in system) throw new Error(system.reason);
  return nativeTable(system, memory, shared.kernels);
}

function main(data: MemberData): void {
  const member = new Member(data.rank, data.size, data.block, data.memory);
  let parts: readonly string[] = [];
  member.thread = systemThread();

  const pack = (): void => {
    member.join();
    member.pack(() => openParts(parts)); // the leader sees that a file was unreadable, and reports
    member.barrier.wait();
  };
  const obey = (kind: number, program: number): void => {
    if (kind === orders.run) member.run(program);
    else if (kind === orders.profile) member.profile(program);
    else pack();
  };
  /** Does what it is told until it is told to pause, or the team has come to its end. */
  const follow = (): void => {
    for (;;) {
      const { kind, program } = member.awaitCall();
      if (kind === orders.pause) return;
      try {
        obey(kind, program);
      } catch (e) {
        member.fail(e);
        return;
      }
    }
  };
  parentPort!.on("message", async (setup: Setup) => {
    if (setup.kind === "follow") return follow();
    if (setup.kind === "kernels") member.kernels = await tableOf(setup.shared, data);
    else if (setup.kind === "programs") member.programs = setup.programs;
    else {
      member.tasks = setup.tasks;
      member.staging = setup.staging;
      parts = setup.parts;
    }
    parentPort!.postMessage("ready");
  });
}

// Where files are bundled, other threads load this one too.
if (parentPort && (workerData as Partial<MemberData> | null)?.block) main(workerData as MemberData);
