/**
 * Memory and executable pages on Windows: VirtualAlloc, VirtualProtect, and views of files. Written after the documentation of kernel32; it has
 * not been run there.
 */
import { LatheError } from "../../errors.ts";
import { checkSize, install, type Koffi, outOfMemory, type Platform, withFile } from "./system.node.ts";

/** MEM_COMMIT | MEM_RESERVE, MEM_RELEASE. */
const commit = 0x3000;
const releaseAll = 0x8000;
/** PAGE_READONLY, PAGE_READWRITE, PAGE_EXECUTE_READ. */
const pageReadOnly = 0x02;
const pageReadWrite = 0x04;
const pageExecuteRead = 0x20;
const fileMapRead = 4;
/** GENERIC_READ, FILE_SHARE_READ | WRITE | DELETE, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL. */
const openArguments = [0x80000000, 7, 0, 3, 0x80, 0] as const;
const pageSize = 4096;
/** Every reservation and every view begins at a multiple of this. */
const granularity = 65536;

/** The functions of the system library. */
const functions = (koffi: Koffi) => {
  const lib = koffi.load("kernel32.dll");
  return {
    virtualAlloc: lib.func("VirtualAlloc", "uintptr_t", ["uintptr_t", "size_t", "uint32_t", "uint32_t"]),
    virtualFree: lib.func("VirtualFree", "int", ["uintptr_t", "size_t", "uint32_t"]),
    virtualProtect: lib.func("VirtualProtect", "int", ["uintptr_t", "size_t", "uint32_t", "void *"]),
    flush: lib.func("FlushInstructionCache", "int", ["uintptr_t", "uintptr_t", "size_t"]),
    currentProcess: lib.func("GetCurrentProcess", "uintptr_t", []),
    lastError: lib.func("GetLastError", "uint32_t", []),
    createFile: lib.func("CreateFileW", "uintptr_t", ["str16", "uint32_t", "uint32_t", "uintptr_t", "uint32_t", "uint32_t", "uintptr_t"]),
    createMapping: lib.func("CreateFileMappingW", "uintptr_t", ["uintptr_t", "uintptr_t", "uint32_t", "uint32_t", "uint32_t", "uintptr_t"]),
    mapView: lib.func("MapViewOfFile", "uintptr_t", ["uintptr_t", "uint32_t", "uint32_t", "uint32_t", "size_t"]),
    unmapView: lib.func("UnmapViewOfFile", "int", ["uintptr_t"]),
    closeHandle: lib.func("CloseHandle", "int", ["uintptr_t"]),
    copyIn: lib.func("RtlMoveMemory", "void", ["uintptr_t", "const void *", "size_t"]),
    copyOut: lib.func("RtlMoveMemory", "void", ["void *", "uintptr_t", "size_t"]),
  };
};

/** Nothing is done for `huge` (large pages need a privilege) and nothing for advice. */
export function openWindows(koffi: Koffi): Platform {
  const { virtualAlloc, virtualFree, virtualProtect, lastError, copyIn, copyOut, ...lib } = functions(koffi);
  const reserve: Platform["reserve"] = bytes => {
    checkSize(bytes);
    const at = BigInt(virtualAlloc(0, bytes, commit, pageReadWrite));
    if (at === 0n) throw outOfMemory(bytes);
    return at;
  };
  const release: Platform["release"] = address => {
    const base = address - (address % BigInt(granularity));
    if (!lib.unmapView(base) && !virtualFree(base, 0, releaseAll)) throw new TypeError(`no memory to release at 0x${address.toString(16)}`);
  };
  const view = (path: string, offset: number, bytes: number): bigint => {
    const start = offset - (offset % granularity);
    const file = lib.createFile(path, ...openArguments);
    const mapping = lib.createMapping(file, 0, pageReadOnly, 0, 0, 0);
    const at = BigInt(lib.mapView(mapping, fileMapRead, Math.floor(start / 2 ** 32), start % 2 ** 32, bytes + offset - start));
    const error = lastError();
    // The view holds on to the file by itself.
    lib.closeHandle(mapping);
    lib.closeHandle(file);
    if (at === 0n) throw new LatheError("file.unreadable", `${path} cannot be mapped into memory.`, { path, error });
    return at + BigInt(offset - start);
  };
  return {
    name: "win32",
    pageSize,
    copyIn,
    copyOut,
    reserve,
    release,
    installCode: code =>
      install(code, { reserve, release, copyIn }, at => {
        const before = new Uint32Array(1);
        if (!virtualProtect(at, code.length, pageExecuteRead, before)) return Number(lastError());
        lib.flush(lib.currentProcess(), at, code.length);
        return 0;
      }),
    mapFile: (path, offset, bytes) => withFile(path, offset, bytes, () => view(path, offset, bytes)),
    advise: () => {},
  };
}
