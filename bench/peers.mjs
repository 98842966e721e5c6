/**
 * Loads node-llama-cpp from bench/peers, either as it is (it then picks the CPU variant that it thinks best for this machine) or pinned to one of the
 * CPU variants in the prebuilt package, so that llama.cpp can be measured as it runs on an AVX2 machine.
 *
 * Pinning: llama.cpp loads its CPU code from the folder of the prebuilt binaries and takes the best `libggml-cpu-*.so` found there. A temporary folder
 * with links to those binaries, but with one CPU variant only, is given in its place through an import hook. Nothing in node_modules is touched.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { register } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const PEERS = join(import.meta.dirname, "peers", "node_modules");
const BINARIES = join(PEERS, "@node-llama-cpp", "linux-x64");
const CPU_VARIANT = /^libggml-cpu-(\w+)\.so$/;

/** The variant behind each name of an instruction set; any variant's own name works too. */
const VARIANT_OF = { avx2: "haswell" };

/** The CPU variants in the prebuilt package. */
export function variants() {
  return readdirSync(join(BINARIES, "bins", "linux-x64")).flatMap(name => CPU_VARIANT.exec(name)?.[1] ?? []);
}

/** A folder like the package's `bins`, with one CPU variant only. */
function pinnedFolder(variant) {
  const folder = mkdtempSync(join(tmpdir(), "lathe-bench-isa-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
  const from = join(BINARIES, "bins", "linux-x64");
  const to = join(folder, "linux-x64");
  mkdirSync(to);
  for (const name of readdirSync(from)) {
    const found = CPU_VARIANT.exec(name);
    if (!found || found[1] === variant) symlinkSync(join(from, name), join(to, name));
  }
  return folder;
}

/** From now on, imports of the prebuilt package see the pinned folder. */
function pin(variant) {
  const { version } = JSON.parse(readFileSync(join(BINARIES, "package.json"), "utf8"));
  const bins = JSON.stringify({ binsDir: pinnedFolder(variant), packageVersion: version });
  const replacement = `data:text/javascript,${encodeURIComponent(`export const getBinsDir = () => (${bins});`)}`;
  const hook = `export const resolve = (name, context, next) =>
    name === "@node-llama-cpp/linux-x64" ? { url: ${JSON.stringify(replacement)}, shortCircuit: true } : next(name, context);`;
  register(`data:text/javascript,${encodeURIComponent(hook)}`);
}

/** Loads node-llama-cpp. @param {string} isa native, avx2, or the name of a CPU variant */
export async function loadPeer(isa) {
  if (!existsSync(BINARIES)) throw new Error("node-llama-cpp is not installed: run npm run bench:setup first");
  if (isa !== "native") {
    const variant = VARIANT_OF[isa] ?? isa;
    if (!variants().includes(variant)) throw new Error(`no CPU variant for ${isa}; known: native avx2 ${variants().join(" ")}`);
    pin(variant);
  }
  return import(pathToFileURL(join(PEERS, "node-llama-cpp", "dist", "index.js")).href);
}

/** The CPU variants that this process has really mapped. */
export function mappedVariants() {
  const names = readFileSync("/proc/self/maps", "utf8").match(/libggml-cpu-\w+\.so/g) ?? [];
  return [...new Set(names)].map(name => CPU_VARIANT.exec(name)[1]);
}
