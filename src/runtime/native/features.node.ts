import type { Level } from "../../target/x64/instructions.ts";
import type { System } from "./foreign.node.ts";
export const detectCpu = (_: System): { levels: ReadonlySet<Level> } => ({ levels: new Set((process.env.LATHE_LEVELS ?? "base,avx2").split(",") as Level[]) });
