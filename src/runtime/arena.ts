/**
 * The one allocator of a model's memory: a bump over a shared WebAssembly memory that every thread and every kernel sees. Apart from
 * scratch it never gives memory back piece by piece; the whole goes when the model is closed. All of a model's bytes are counted here, against one budget.
 */
import { LatheError } from "../errors.ts";

const PAGE = 65536;
const LIMIT32 = 2 ** 32 - PAGE;
const GIB = 2 ** 30;

export interface ArenaOptions {
  /** Bytes that may be allocated; more is "memory.insufficient". */
  readonly budget: number;
  /** 64-bit addresses: needed above 4 GiB. */
  readonly memory64: boolean;
}

const gib = (bytes: number): string => (bytes < GIB / 10 ? `${(bytes / 2 ** 20).toFixed(1)} MiB` : `${(bytes / GIB).toFixed(2)} GiB`);

/** Newer runtimes name the address type `address`, older ones `index`; 64-bit limits are BigInt in the newer. */
function createMemory(pages: number, maximum: number, memory64: boolean): WebAssembly.Memory {
  if (!memory64) return new WebAssembly.Memory({ initial: pages, maximum, shared: true });
  const forms = [
    { initial: BigInt(pages), maximum: BigInt(maximum), shared: true, address: "i64" },
    { initial: pages, maximum, shared: true, index: "i64" },
  ];
  for (const form of forms) {
    try {
      return new WebAssembly.Memory(form as unknown as WebAssembly.MemoryDescriptor);
    } catch {}
  }
  throw new LatheError(
    "memory.insufficient",
    "This runtime has no 64-bit WebAssembly memory; use Node 24 or newer for models above 4 GiB.",
  );
}

export class Arena {
  readonly memory: WebAssembly.Memory;
  readonly memory64: boolean;
  /** Pages that a module importing this memory must allow for. */
  readonly maximumPages: number;
  readonly #budget: number;
  #top = PAGE; // address 0 stays unused, so that a forgotten address is seen

  constructor({ budget, memory64 }: ArenaOptions) {
    const limit = memory64 ? Math.min(budget, 16 * GIB) : Math.min(budget, LIMIT32);
    this.#budget = limit;
    this.memory64 = memory64;
    this.maximumPages = memory64 ? Math.ceil(limit / PAGE) : 65536;
    this.memory = createMemory(16, this.maximumPages, memory64);
  }

  /** Bytes handed out so far. */
  get used(): number {
    return this.#top - PAGE;
  }

  /** Bytes that can still be handed out. */
  get left(): number {
    return this.#budget - this.#top;
  }

  /** Throws "memory.insufficient" with the numbers if `bytes` more would not fit. `what` names the purpose in the message. */
  require(bytes: number, what: string): void {
    if (this.#top + bytes <= this.#budget) return;
    const needed = this.used + bytes;
    const narrow = !this.memory64 && needed > LIMIT32 - PAGE;
    const advice = narrow
      ? "a 32-bit WebAssembly memory ends at 4 GiB: use Node 24 or newer, which has 64-bit memory"
      : "choose a smaller quantisation or a shorter context, or raise the memory option";
    throw new LatheError("memory.insufficient", `${what} needs ${gib(needed)} and ${gib(this.#budget)} are available; ${advice}.`, {
      needed,
      available: this.#budget,
      suggestion: advice,
    });
  }

  /** Address of `bytes` zeroed bytes, aligned to 64. */
  allocate(bytes: number, what: string): number {
    this.require(bytes + 64, what);
    const address = Math.ceil(this.#top / 64) * 64;
    this.#top = address + bytes;
    const have = this.memory.buffer.byteLength;
    if (this.#top > have) this.#grow(Math.ceil((this.#top - have) / PAGE), what);
    return address;
  }

  /** Runs `body` and takes back, zeroed, what it allocated. */
  async scratch<T>(body: () => Promise<T>): Promise<T> {
    const top = this.#top;
    try {
      return await body();
    } finally {
      this.bytes(top, this.#top - top).fill(0);
      this.#top = top;
    }
  }

  #grow(pages: number, what: string): void {
    try {
      const grow = this.memory.grow as (delta: number | bigint) => unknown;
      try {
        grow.call(this.memory, pages);
      } catch (e) {
        if (!(e instanceof TypeError)) throw e;
        grow.call(this.memory, BigInt(pages));
      }
    } catch (e) {
      const message = `${what} needs ${gib(this.used)}, which the system refused; close other programs or choose a smaller model.`;
      throw new LatheError("memory.insufficient", message, { needed: this.used }, { cause: e });
    }
  }

  /** Bytes of the memory as they are now; views made before a later allocation may be too short for it. */
  bytes = (address: number, length: number): Uint8Array => new Uint8Array(this.memory.buffer, address, length);
  i32 = (address: number, length: number): Int32Array => new Int32Array(this.memory.buffer, address, length);
  f32 = (address: number, length: number): Float32Array => new Float32Array(this.memory.buffer, address, length);
}
