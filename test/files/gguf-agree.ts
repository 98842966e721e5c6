/** What must hold of every file that the reader accepts: it agrees with the reference parser, and its tensors lie where they may. */
import type { Gguf, GgufValue } from "../../src/files/gguf.ts";
import { ggmlTypes } from "../../src/formats/types.ts";
import { parseReference } from "./gguf-reference.ts";

const check = (truth: boolean, what: string): void => {
  if (!truth) throw new Error(`accepted wrongly: ${what}`);
};

const same = (found: unknown, expected: unknown): boolean =>
  Object.is(found, expected) ||
  (typeof expected === "bigint" && typeof found === "number" && Number.isSafeInteger(found) && BigInt(found) === expected);

function sameValue(found: GgufValue, expected: unknown): boolean {
  if (typeof found !== "object") return same(found, expected);
  const list = expected as unknown[];
  if (found.items.length !== list.length) return false;
  const items: ArrayLike<unknown> = found.items;
  for (let i = 0; i < list.length; i++) {
    if (found.of === "bool" ? (items[i] === 1) !== list[i] || Number(items[i]) > 1 : !same(items[i], list[i])) return false;
  }
  return true;
}

/** Throws an ordinary Error that says what is wrong. */
export function mustAgree(gguf: Gguf, file: Uint8Array): void {
  const reference = parseReference(file);
  check(gguf.version === reference.version, "version");
  check(gguf.metadata.size === reference.pairs.length && gguf.valueTypes.size === reference.pairs.length, "number of keys");
  for (const [key, , value] of reference.pairs) check(sameValue(gguf.metadata.get(key) as GgufValue, value), `value of ${key}`);
  check(gguf.tensors.size === reference.tensors.length, "number of tensors");
  check(Number.isInteger(Math.log2(gguf.alignment)), "alignment");
  const data = Math.ceil(reference.headerEnd / gguf.alignment) * gguf.alignment;
  let total = 0;
  const spans: [from: number, to: number][] = [];
  for (const { name, shape, type, offset } of reference.tensors) {
    const tensor = gguf.tensors.get(name);
    if (tensor === undefined) throw new Error(`accepted wrongly: ${name} is absent`);
    check(
      tensor.type.id === type && tensor.shape.length === shape.length && tensor.shape.every((n, i) => BigInt(n) === shape[i]),
      `shape of ${name}`,
    );
    check(BigInt(tensor.offset) === BigInt(data) + offset && offset % BigInt(gguf.alignment) === 0n, `place of ${name}`);
    check(shape.length <= 4, `dimensions of ${name}`);
    const record = ggmlTypes.find(t => t.id === type);
    const elements = shape.reduce((a, b) => a * b, 1n);
    if (record) {
      check((shape[0] ?? 1n) % BigInt(record.blockLength) === 0n, `row of ${name}`);
      check(BigInt(tensor.bytes) === (elements / BigInt(record.blockLength)) * BigInt(record.blockBytes), `bytes of ${name}`);
    } else check(tensor.type.unusable !== undefined && (tensor.bytes > 0 || elements === 0n), `bytes of ${name}`);
    check(tensor.offset + tensor.bytes <= file.length, `${name} inside the file`);
    if (tensor.bytes > 0) spans.push([tensor.offset, tensor.offset + tensor.bytes]);
    total += tensor.bytes;
  }
  spans.sort((a, b) => a[0] - b[0]);
  for (let i = 1; i < spans.length; i++) check(spans[i - 1][1] <= spans[i][0], "no overlap");
  check(gguf.dataBytes === total, "bytes of data");
}
