/** What the machine is, in the words that a results table needs. */
import { readFileSync } from "node:fs";
import { arch, cpus, release, totalmem } from "node:os";

/** Instruction sets that matter to matrix kernels, as Linux names them. */
const NOTED = [
  "avx2",
  "fma",
  "avx_vnni",
  "avx512f",
  "avx512_vnni",
  "avx512_bf16",
  "avx512_fp16",
  "amx_int8",
  "amx_bf16",
  "asimddp",
  "i8mm",
  "sve",
];

/** @returns {{ cpu: string, cores: number, features: string[], memoryBytes: number, arch: string, kernel: string, node: string }} */
export function describeMachine() {
  const info = readFileSync("/proc/cpuinfo", "utf8");
  const flags = new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(info)?.[1].split(" "));
  return {
    cpu: cpus()[0]?.model.trim() || "unknown CPU",
    cores: cpus().length,
    features: NOTED.filter(name => flags.has(name)),
    memoryBytes: totalmem(),
    arch: arch(),
    kernel: release(),
    node: process.version,
  };
}

/** Letters and digits of a CPU's name, for a file name. */
export const slug = text =>
  text
    .toLowerCase()
    .replace(/\((r|tm)\)/g, "")
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
