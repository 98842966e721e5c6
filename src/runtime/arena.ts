/**
 * The one allocator of a model's memory: a bump over a shared WebAssembly memory that every thread and every kernel sees. Apart from
 * scratch it never gives memory back piece by piece; the whole goes when the model is closed. All of a model's bytes are counted here, against
 * one budget: also weights that a backend keeps outside of this memory.
 */
import { LatheError } from "../errors.ts";
import { hasMemory64 } from "../target/wasm/features.ts";

const PAGE = 65536;
const LIMIT32 = 2 ** 32 - PAGE;
const GIB = 2 ** 30;

export interface ArenaOptions {
  /** Bytes that may be allocated and counted; more is "memory.insufficient". */
  readonly budget: number;
  /** 64-bit addresses: needed where more than 4 GiB lie in this memory. */
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
  throw new LatheError("memory.insufficient", "This runtime has no 64-bit WebAssembly memory; use Node 24 or newer.");
}

export class Arena {
  readonly memory: WebAssembly.Memory;
  readonly memory64: boolean;
  /** Pages that a module importing this memory must allow for. */
  readonly maximumPages: number;
  readonly #budget: number;
  /** Where addresses end. */
  readonly #end: number;
  #outside = 0;
  #top = PAGE; // address 0 stays unused, so that a forgotten address is seen

  constructor({ budget, memory64 }: ArenaOptions) {
    this.#budget = budget;
    this.#end = memory64 ? 16 * GIB : LIMIT32;
    this.memory64 = memory64;
    this.maximumPages = memory64 ? Math.ceil(Math.min(budget, this.#end) / PAGE) : 65536;
    this.memory = createMemory(16, this.maximumPages, memory64);
  }

  /** Bytes of this memory handed out so far. */
  get used(): number {
    return this.#top - PAGE;
  }

  /** Bytes of this memory that can still be handed out. */
  get left(): number {
    return Math.min(this.#end, this.#budget - this.#outside) - this.#top;
  }

  /**
   * Throws "memory.insufficient" with the numbers if `bytes` more in this memory, and `outside` more besides it, would not fit. `what` names the
   * purpose in the message.
   */
  require(bytes: number, what: string, outside = 0): void {
    const besides = this.#outside + outside;
    const within = this.#top + bytes + besides <= this.#budget;
    if (within && this.#top + bytes <= this.#end) return;
    const needed = this.used + bytes + (within ? 0 : besides);
    const available = within ? this.#end - PAGE : this.#budget;
    const advice = within ? this.#advice(besides > 0) : "choose a smaller quantisation or a shorter context, or raise the memory option";
    const where = within ? " of WebAssembly memory" : "";
    const message = `${what} needs ${gib(needed)}${where} and ${gib(available)} are available; ${advice}.`;
    throw new LatheError("memory.insufficient", message, { needed, available, suggestion: advice });
  }

  /** What helps where the addresses end before the budget does. */
  #advice(weightsOutside: boolean): string {
    if (this.memory64 || hasMemory64()) return "choose a shorter context or a smaller quantisation";
    const newer = "use Node 24 or newer, which has 64-bit memory";
    return `a 32-bit WebAssembly memory ends at 4 GiB: ${newer}, or ${weightsOutside ? "a shorter context" : "machine code, which keeps weights outside of it"}`;
  }

  /** Counts bytes that the model takes outside of this memory. Throws as `require` does. */
  count(bytes: number, what: string): void {
    this.require(0, what, bytes);
    this.#outside += bytes;
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
