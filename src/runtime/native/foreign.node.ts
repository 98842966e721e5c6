export interface System { readonly name: "linux" | "darwin" | "win32"; readonly pageSize: number;
  reserve(bytes: number, options?: { huge?: boolean }): bigint;
  installCode(code: Uint8Array): bigint;
  mapFile(path: string, offset: number, bytes: number): bigint; release(address: bigint, bytes: number): void;
  advise(address: bigint, bytes: number, what: "huge" | "willneed" | "sequential" | "dontneed"): void;
  callable(address: bigint): (args: number | bigint) => void;
  addressOf(buffer: SharedArrayBuffer | ArrayBuffer): bigint;
  read(address: bigint, into: Uint8Array): void; write(address: bigint, from: Uint8Array): void }
export async function openSystem(): Promise<System | { readonly reason: string }> {
  const koffi = (await import("koffi")).default as any;
  const lib = koffi.load("libc.so.6");
  const mmap = lib.func("void *mmap(void *addr, size_t len, int prot, int flags, int fd, int64_t off)");
  const mprotect = lib.func("int mprotect(void *addr, size_t len, int prot)");
  const munmap = lib.func("int munmap(void *addr, size_t len)");
  const memcpy = lib.func("void *memcpy(void *to, const uint8_t *from, size_t n)");
  const same = lib.func("void *memcpy(void *to, const void *from, size_t n)");
  const proto = koffi.proto("LK" + Math.random().toString(36).slice(2), "void", ["int64_t"]);
  const reserve = (n: number) => koffi.address(mmap(null, n, 3, 0x22, -1, 0)) as bigint;
  return { name: "linux", pageSize: 4096, reserve: n => reserve(n),
    installCode: c => { const a = reserve(c.length); memcpy(a, c, c.length); mprotect(a, c.length, 5); return a; },
    mapFile: () => 0n, release: (a, n) => { munmap(a, n); }, advise: () => {},
    callable: a => koffi.decode(a, proto), addressOf: b => koffi.address(same(new Uint8Array(b), new Uint8Array(1), 0)),
    read: () => {}, write: () => {} };
}
