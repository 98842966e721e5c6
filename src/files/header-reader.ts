/**
 * Reads the front of a file piece by piece and in order, as headers are laid out: little-endian numbers, strings with 64-bit lengths, arrays.
 * Owns the window of bytes that is in memory and the rules that keep a hostile header cheap: every count is checked against the bytes that
 * are left before anything is allocated, and all that a header costs stays below 16 MiB plus 4 times its bytes. Knows no GGUF rule.
 */
import { LatheError } from "../errors.ts";
import type { GgufNumbers } from "./gguf-values.ts";
import type { ByteSource } from "./source.ts";

/** No header of a real model comes near it (the largest are some 40 MiB), and no JavaScript engine fails below it. */
const maxHeader = 2 ** 29;
/** JavaScript strings end at about 2^29 units. */
const maxString = 2 ** 28;
/** What may be spent whatever the size of the header. */
const freeBytes = 16 * 2 ** 20;
const firstRead = 2 ** 16;
const largestRead = 2 ** 22;
/** Strings of an array are decoded together, this many bytes and items at a time. */
const batchBytes = 2 ** 16;
const batchItems = 2 ** 13;
/** What a string, a slot of an array and their share of the text cost in memory, besides two bytes a character. */
const stringCost = 32;

export class HeaderReader {
  readonly source: ByteSource;
  /** Offset in the file of the next byte. */
  position = 0;
  private window = new Uint8Array(0);
  private view = new DataView(this.window.buffer);
  /** The part of `window` that holds bytes not yet read. */
  private start = 0;
  private end = 0;
  private nextRead = firstRead;
  private spent = 0;
  private readonly text = new TextDecoder("utf-8", { ignoreBOM: true });
  private readonly strictText = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
  private batch: { bytes: Uint8Array<ArrayBuffer>; ends: Uint32Array } | undefined;

  constructor(source: ByteSource) {
    this.source = source;
  }

  /** Bytes between the position and the end of the file. */
  get left(): number {
    return this.source.size - this.position;
  }

  /** A violated rule: `why` is a clause that names the place. */
  malformed(why: string, details: Record<string, unknown> = {}): LatheError {
    const message = `"${this.source.name}" is not a valid GGUF file, because ${why}; download or convert it again.`;
    return new LatheError("gguf.malformed", message, { file: this.source.name, position: this.position, ...details });
  }

  /** Throws `gguf.truncated` unless `bytes` more are in the file. `what` is the thing they hold. */
  claim(bytes: number, what: string): void {
    if (!(bytes <= this.left)) {
      const { name, size } = this.source;
      const message = `"${name}" ends before its header does: ${what} needs more than the ${this.left} bytes that are left; download it again.`;
      throw new LatheError("gguf.truncated", message, { file: name, size, position: this.position, needed: bytes, left: this.left });
    }
    if (this.position + bytes > maxHeader) throw this.malformed(`its header is longer than ${maxHeader} bytes at ${what}`);
  }

  /** Counts `cost` bytes of memory about to be spent on the next `bytes` of the header. */
  spend(cost: number, bytes: number, what: string): void {
    this.spent += cost;
    if (this.spent > freeBytes + 4 * (this.position + bytes))
      throw this.malformed(`${what} would take far more memory than its header has bytes`);
  }

  async u32(what: string): Promise<number> {
    await this.need(4, what);
    return this.view.getUint32(this.take(4), true);
  }

  /** An unsigned 64-bit count or length. Above 2^53 it is rounded, which is harmless for what is only compared with bytes left. */
  async count(what: string): Promise<number> {
    await this.need(8, what);
    const at = this.take(8);
    return this.view.getUint32(at, true) + this.view.getUint32(at + 4, true) * 2 ** 32;
  }

  /** An unsigned 64-bit number that is calculated with; refused where a number does not hold it exactly. */
  async exact(what: string): Promise<number> {
    const value = await this.count(what);
    if (value > Number.MAX_SAFE_INTEGER) throw this.malformed(`${what} is larger than 2^53`, { value });
    return value;
  }

  /** One number of `bytes` bytes through a getter of DataView. */
  async scalar<T>(bytes: number, get: (view: DataView, at: number) => T, what: string): Promise<T> {
    await this.need(bytes, what);
    return get(this.view, this.take(bytes));
  }

  /** A string value. What is not UTF-8 becomes U+FFFD, because converters cut descriptions in the middle of a character. */
  async string(what: string): Promise<string> {
    return this.text.decode(await this.stringBytes(maxString, what));
  }

  /** A string that names something: at most `max` bytes, and UTF-8, so that no two names are mistaken for one another. */
  async name(max: number, what: string): Promise<string> {
    const bytes = await this.stringBytes(max, what);
    try {
      return this.strictText.decode(bytes);
    } catch {
      throw this.malformed(`${what} is not UTF-8`);
    }
  }

  /** Numbers, straight into `items`, which the caller has made after `claim` and `spend`. */
  async numbers(items: GgufNumbers): Promise<void> {
    const bytes = new Uint8Array(items.buffer, items.byteOffset, items.byteLength);
    const ready = Math.min(bytes.length, this.end - this.start);
    bytes.set(this.window.subarray(this.start, this.start + ready));
    this.take(ready);
    const rest = bytes.length - ready;
    if (rest > 0) await this.source.read(this.position, rest, bytes.subarray(ready));
    this.position += rest;
  }

  /** `count` strings, decoded in batches, because half a million calls of a decoder would take most of the time of a load. */
  async strings(count: number, what: string): Promise<string[]> {
    this.claim(count * 8, what);
    // Made in full only while it is small, so that a false count costs nothing; a longer one grows with what is really there.
    const out: string[] = count <= 2 ** 20 ? new Array(count) : [];
    for (let done = 0; done < count; ) {
      const next = this.stringBatch(out, done, count, what);
      if (next === done) out[done++] = await this.string(what);
      else done = next;
    }
    return out;
  }

  /** Reads the strings that lie whole in the window, up to the size of a batch, into `out`; returns the index of the first one not read. */
  private stringBatch(out: string[], from: number, to: number, what: string): number {
    const { window, view, end } = this;
    const { bytes, ends } = (this.batch ??= { bytes: new Uint8Array(batchBytes), ends: new Uint32Array(batchItems) });
    const items = Math.min(to - from, batchItems);
    let at = this.start;
    let used = 0;
    let units = 0;
    let whole = true;
    let n = 0;
    for (; n < items && at + 8 <= end; n++) {
      const length = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
      const stop = at + 8 + length;
      if (stop > end || used + length > batchBytes) break;
      // A string that starts inside a character would melt into the one before it.
      if (length > 0 && (window[at + 8] & 0xc0) === 0x80) whole = false;
      for (let i = at + 8; i < stop; i++) {
        const byte = window[i];
        bytes[used++] = byte;
        // UTF-16 units: one for each character, a second one beyond U+FFFF.
        if ((byte & 0xc0) !== 0x80) units += byte >= 0xf0 ? 2 : 1;
      }
      ends[n] = units;
      at = stop;
    }
    if (n === 0) return from;
    this.spend(n * stringCost + 2 * used, at - this.start, what);
    const text = this.text.decode(bytes.subarray(0, used));
    // U+FFFD stands for bytes that are not UTF-8, whose units were counted wrongly.
    whole &&= text.length === units && !text.includes("\ufffd");
    if (whole) for (let i = 0, last = 0; i < n; i++) out[from + i] = text.slice(last, (last = ends[i]));
    else this.separateStrings(out, from, n);
    this.take(at - this.start);
    return from + n;
  }

  /** The slow way of `stringBatch`: one at a time. */
  private separateStrings(out: string[], from: number, count: number): void {
    for (let i = 0, at = this.start; i < count; i++) {
      const length = this.view.getUint32(at, true);
      out[from + i] = this.text.decode(this.window.subarray(at + 8, at + 8 + length));
      at += 8 + length;
    }
  }

  /** The bytes of one string, as a view that is good until the next read. */
  private async stringBytes(max: number, what: string): Promise<Uint8Array> {
    const length = await this.count(what);
    this.claim(length, what);
    if (length > max) throw this.malformed(`${what} is ${length} bytes long, more than ${max}`, { length });
    this.spend(stringCost + 2 * length, length, what);
    await this.need(length, what);
    const at = this.take(length);
    return this.window.subarray(at, at + length);
  }

  /** Makes sure that the next `bytes` bytes lie in the window. */
  private async need(bytes: number, what: string): Promise<void> {
    this.claim(bytes, what);
    const ready = this.end - this.start;
    if (ready >= bytes) return;
    const size = Math.min(this.left, Math.max(bytes, this.nextRead));
    this.nextRead = Math.min(this.nextRead * 2, largestRead);
    if (size > this.window.length) {
      this.spend(size - this.window.length, size, what);
      const larger = new Uint8Array(size);
      larger.set(this.window.subarray(this.start, this.end));
      this.window = larger;
      this.view = new DataView(larger.buffer);
    } else this.window.copyWithin(0, this.start, this.end);
    await this.source.read(this.position + ready, size - ready, this.window.subarray(ready, size));
    this.start = 0;
    this.end = size;
  }

  /** Moves past bytes of the window; returns where in the window they start. */
  private take(bytes: number): number {
    const at = this.start;
    this.start += bytes;
    this.position += bytes;
    return at;
  }
}
