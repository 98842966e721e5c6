/**
 * What native code needs from the operating system, behind one small interface: memory, executable pages, mapped files, and calls into machine
 * code. It is reached through koffi, an optional dependency; where that is missing, `openSystem` says so and Lathe runs on WebAssembly.
 */
import { inside, insideUntil } from "./door.node.ts";
import { openPosix } from "./posix.node.ts";
import type { Koffi, Platform, System } from "./system.node.ts";
import { openWindows } from "./windows.node.ts";

export type { System } from "./system.node.ts";

function complete(koffi: Koffi, { copyIn, copyOut, ...platform }: Platform): System {
  const entry = koffi.proto("void", ["int64_t"]);
  const { name, pageSize } = platform;
  return {
    name,
    pageSize,
    reserve: (bytes, options) => inside(() => platform.reserve(bytes, options)),
    installCode: code => inside(() => platform.installCode(code)),
    mapFile: (path, offset, bytes) => inside(() => platform.mapFile(path, offset, bytes)),
    release: (address, bytes) => inside(() => platform.release(address, bytes)),
    advise: (address, bytes, what) => inside(() => platform.advise(address, bytes, what)),
    callable: address => inside(() => koffi.decode(address, entry)),
    addressOf: buffer => inside(() => koffi.address(new Uint8Array(buffer))),
    read: (address, into) => inside(() => void copyOut(into, address, into.byteLength)),
    write: (address, from) => inside(() => void copyIn(address, from, from.byteLength)),
  };
}

/** koffi, asked for by a name that the compiler does not look up: it may not be installed. */
const importKoffi = async (): Promise<unknown> => {
  const name = "koffi";
  return import(name);
};

/** The system's functions, or why native code cannot run here. Every thread opens its own. */
export async function openSystem(load: () => Promise<unknown> = importKoffi): Promise<System | { readonly reason: string }> {
  const { platform, arch } = process;
  if (arch !== "x64" && arch !== "arm64") return { reason: `there is no native target for ${arch}` };
  if (platform !== "linux" && platform !== "darwin" && platform !== "win32")
    return { reason: `native code is not supported on ${platform}` };
  try {
    return await insideUntil(async () => {
      const module = (await load()) as { readonly default?: Koffi };
      const koffi = module.default ?? (module as Koffi);
      return complete(koffi, platform === "win32" ? openWindows(koffi) : openPosix(koffi, platform));
    });
  } catch (error) {
    return { reason: `the optional package koffi is not usable: ${error instanceof Error ? error.message.split("\n")[0] : error}` };
  }
}
