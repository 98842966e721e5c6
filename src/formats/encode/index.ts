/** From f32 weights to the blocks of a file: which formats can be written, and the loop over blocks. */
import { LatheError } from "../../errors.ts";
import { ggmlTypeNamed, rowBytes } from "../types.ts";
import { kEncoders } from "./k.ts";
import { type EncodeBlock, rules } from "./rules.ts";

const all: Readonly<Record<string, EncodeBlock>> = { ...rules, ...kEncoders };

/** Names of the types that `encode` knows, in ggml's spelling. */
export const encodedTypes: readonly string[] = Object.keys(all);

/**
 * Rows of values as blocks of a type. `importance`: for each input of a row how much its squared error counts (positive; the same for all rows);
 * formats whose scales follow a rule do not ask for it.
 *
 * Throws `model.unsupported-type` for a type without encoder, `model.wrong-shape` where the values (or the importance) are not
 * whole blocks.
 */
export function encode(type: string, values: Float32Array, importance?: Float32Array): Uint8Array<ArrayBuffer> {
  const encodeBlock = all[type];
  const record = ggmlTypeNamed(type);
  if (!encodeBlock || !record) {
    const message = `Weights cannot be written as ${type}; use one of ${encodedTypes.join(", ")}.`;
    throw new LatheError("model.unsupported-type", message, { type, known: encodedTypes });
  }
  if (importance) rowBytes(record, importance.length);
  const bytes = new Uint8Array(rowBytes(record, values.length));
  const view = new DataView(bytes.buffer);
  const { blockLength, blockBytes } = record;
  for (let i = 0, at = 0; i < values.length; i += blockLength, at += blockBytes) {
    const column = importance ? i % importance.length : 0;
    encodeBlock(values.subarray(i, i + blockLength), view, at, importance?.subarray(column, column + blockLength));
  }
  return bytes;
}
