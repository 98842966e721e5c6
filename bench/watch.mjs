/**
 * Runs one benchmark process and watches how busy the machine is with other things meanwhile. Two threads that wait for each other at every layer
 * suffer from a third busy one far more than its share, so a figure without this number means little.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export const TICKS_PER_SECOND = 100;
const SAMPLE_MS = 100;

/** Ticks that all cores spent on work, and ticks that the hypervisor took away, since the machine started. */
export function machineTicks() {
  const [user, nice, system, , , irq, softirq, stolen] = readFileSync("/proc/stat", "utf8")
    .split("\n", 1)[0]
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return { busy: user + nice + system + irq + softirq, stolen };
}

/** Ticks of one process with all its threads; undefined once it is gone. */
export function processTicks(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return undefined;
  }
}

const sample = pid => ({ at: performance.now(), ...machineTicks(), own: pid ? processTicks(pid) : 0 });

/** Cores' worth of work by others, and taken by the hypervisor, between two samples. */
function noiseBetween(first, last) {
  const ticks = ((last.at - first.at) / 1000) * TICKS_PER_SECOND || 1;
  return {
    others: Math.max(0, (last.busy - first.busy - (last.own - first.own)) / ticks),
    stolen: Math.max(0, (last.stolen - first.stolen) / ticks),
  };
}

/** @typedef {{ others: number, stolen: number }} Noise in cores */

/**
 * Waits until other processes use less than `limit` cores for two seconds.
 * @returns {Promise<Noise>} the last two seconds
 */
export async function waitForQuiet(limit, patienceSeconds) {
  const until = performance.now() + patienceSeconds * 1000;
  for (;;) {
    const first = sample();
    await sleep(2000);
    const noise = noiseBetween(first, sample());
    if (noise.others + noise.stolen < limit || performance.now() > until) return noise;
  }
}

/**
 * Runs a command to its end.
 * @returns {Promise<{ stdout: string, noise: Noise, seconds: number }>}
 */
export async function runWatched(command, args, timeoutSeconds = 600) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", text => (output[name] += text));
  const ended = new Promise((done, failed) => child.on("error", failed).on("close", (code, signal) => done(code ?? signal)));
  const first = sample(child.pid);
  let last = first;
  const timer = setInterval(() => {
    const now = sample(child.pid);
    if (now.own !== undefined && now.own >= last.own) last = now;
  }, SAMPLE_MS);
  const deadline = setTimeout(() => child.kill("SIGTERM"), timeoutSeconds * 1000);
  try {
    const code = await ended;
    if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}:\n${(output.stderr || output.stdout).slice(-2000)}`);
    return { stdout: output.stdout, noise: noiseBetween(first, last), seconds: (last.at - first.at) / 1000 };
  } finally {
    clearInterval(timer);
    clearTimeout(deadline);
  }
}
