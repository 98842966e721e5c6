/**
 * Memory and executable pages on Linux and macOS. The two differ in a few numbers and in the instruction cache. The macOS column follows its
 * headers and has not been run there.
 */
import { LatheError } from "../../errors.ts";
import { type Advice, checkSize, install, type Koffi, outOfMemory, type Platform, withFile } from "./system.node.ts";

interface Numbers {
  /** MAP_PRIVATE | MAP_ANON */
  readonly anonymous: number;
  readonly advice: Readonly<Partial<Record<Advice, number>>>;
}

const numbers: Readonly<Record<"linux" | "darwin", Numbers>> = {
  linux: { anonymous: 0x22, advice: { sequential: 2, willneed: 3, dontneed: 4, huge: 14 } },
  darwin: { anonymous: 0x1002, advice: { sequential: 2, willneed: 3, dontneed: 4 } },
};

/** PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC, PROT_READ; MAP_SHARED. The same everywhere. */
const readWrite = 3;
const readExecute = 5;
const readOnly = 1;
const shared = 1;
const failed = 0xffffffffffffffffn;
/** What one huge page covers. */
const hugePage = 2n << 20n;

/** The functions of the C library. */
const functions = (koffi: Koffi) => {
  const lib = koffi.load(null);
  return {
    pageSize: Number(lib.func("getpagesize", "int", [])()),
    mmap: lib.func("mmap", "uintptr_t", ["uintptr_t", "size_t", "int", "int", "int", "int64_t"]),
    munmap: lib.func("munmap", "int", ["uintptr_t", "size_t"]),
    mprotect: lib.func("mprotect", "int", ["uintptr_t", "size_t", "int"]),
    madvise: lib.func("madvise", "int", ["uintptr_t", "size_t", "int"]),
    copyIn: lib.func("memcpy", "uintptr_t", ["uintptr_t", "const void *", "size_t"]),
    copyOut: lib.func("memcpy", "uintptr_t", ["void *", "uintptr_t", "size_t"]),
    /** Linux makes the caches agree by itself when fresh pages become executable. */
    flush: process.platform === "darwin" ? lib.func("sys_icache_invalidate", "void", ["uintptr_t", "size_t"]) : undefined,
  };
};

export function openPosix(koffi: Koffi, name: "linux" | "darwin"): Platform {
  const { pageSize, mmap, munmap, mprotect, madvise, copyIn, copyOut, flush } = functions(koffi);
  const { anonymous, advice } = numbers[name];
  const page = BigInt(pageSize);
  const down = (n: bigint): bigint => n - (n % page);
  const up = (n: bigint): bigint => down(n + page - 1n);

  const anonymousPages = (bytes: bigint): bigint => {
    const at = BigInt(mmap(0, bytes, readWrite, anonymous, -1, 0));
    if (at === failed) throw outOfMemory(Number(bytes));
    return at;
  };
  const release = (address: bigint, bytes: number): void => {
    const from = down(address);
    if (munmap(from, up(address + BigInt(bytes)) - from) !== 0)
      throw new TypeError(`munmap of 0x${address.toString(16)}: error ${koffi.errno()}`);
  };
  /** Address space that begins where a huge page may: more is taken, and what hangs over is given back. */
  const aligned = (bytes: bigint): bigint => {
    const at = anonymousPages(bytes + hugePage);
    const start = at + ((hugePage - (at % hugePage)) % hugePage);
    if (start > at) munmap(at, start - at);
    munmap(start + bytes, at + hugePage - start);
    if (advice.huge !== undefined) madvise(start, bytes, advice.huge);
    return start;
  };
  const reserve: Platform["reserve"] = (bytes, { huge = false } = {}) => {
    checkSize(bytes);
    return huge ? aligned(up(BigInt(bytes))) : anonymousPages(up(BigInt(bytes)));
  };
  return {
    name,
    pageSize,
    copyIn,
    copyOut,
    reserve,
    release,
    // macOS has pages of its own kind for just-in-time compilers (MAP_JIT), switched from writable to executable for a whole thread. JavaScript
    // itself runs on such pages and could not make the call that switches back. Plain pages need no more rights than Node's own signature has.
    installCode: code =>
      install(code, { reserve, release, copyIn }, at => {
        const error = mprotect(at, code.length, readExecute) === 0 ? 0 : koffi.errno();
        flush?.(at, code.length);
        return error;
      }),
    mapFile: (path, offset, bytes) =>
      withFile(path, offset, bytes, fd => {
        const start = Number(down(BigInt(offset)));
        const at = BigInt(mmap(0, bytes + offset - start, readOnly, shared, fd, start));
        if (at !== failed) return at + BigInt(offset - start);
        throw new LatheError("file.unreadable", `${path} cannot be mapped into memory.`, { path, errno: koffi.errno() });
      }),
    advise: (address, bytes, what) => {
      const inward = what === "dontneed";
      const from = inward ? up(address) : down(address);
      const to = inward ? down(address + BigInt(bytes)) : up(address + BigInt(bytes));
      if (to > from && advice[what] !== undefined) madvise(from, to - from, advice[what]);
    },
  };
}
