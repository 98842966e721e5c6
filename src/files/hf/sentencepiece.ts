/**
 * Reads what conversion needs of a SentencePiece model (`tokenizer.model`): pieces with scores and types, and two switches of the normalizer.
 * Owns the walk through protobuf's wire format.
 *
 * Source: google/sentencepiece `src/sentencepiece_model.proto`, Protocol Buffers encoding.
 */
import { LatheError } from "../../errors.ts";

export interface Pieces {
  readonly texts: string[];
  readonly scores: number[];
  /** As in GGUF: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
  readonly types: number[];
  /** 1 unigram, 2 byte-pair encoding. */
  readonly model: number;
  readonly addPrefix: boolean;
  readonly removeSpaces: boolean;
  readonly charsmap: Uint8Array;
}

type Field = { readonly id: number; readonly number: number; readonly float: number; readonly bytes: Uint8Array };
const none = new Uint8Array();

/** The fields of a message. `fail` makes the error for bytes that are no message. */
function* fieldsOf(bytes: Uint8Array, fail: () => LatheError): Generator<Field> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      if (at >= bytes.length || shift > 63) throw fail();
      const byte = bytes[at++];
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  const skip = (count: number): number => {
    if (!(count <= bytes.length - at)) throw fail();
    at += count;
    return at - count;
  };
  while (at < bytes.length) {
    const tag = varint();
    const [id, wire] = [Math.floor(tag / 8), tag % 8];
    if (wire === 0) yield { id, number: varint(), float: 0, bytes: none };
    else if (wire === 1) yield { id, number: 0, float: view.getFloat64(skip(8), true), bytes: none };
    else if (wire === 5) yield { id, number: 0, float: view.getFloat32(skip(4), true), bytes: none };
    else if (wire === 2) {
      const length = varint();
      const from = skip(length);
      yield { id, number: 0, float: 0, bytes: bytes.subarray(from, from + length) };
    } else throw fail();
  }
}

/** Throws `tokenizer.malformed`. */
export function parseSentencePiece(bytes: Uint8Array, file: string): Pieces {
  const fail = (): LatheError =>
    new LatheError("tokenizer.malformed", `"${file}" is not a SentencePiece model; download it again.`, { file });
  const text = new TextDecoder("utf-8", { ignoreBOM: true });
  const texts: string[] = [];
  const scores: number[] = [];
  const types: number[] = [];
  let model = 1;
  let [addPrefix, removeSpaces] = [true, true];
  let charsmap: Uint8Array = none;
  for (const field of fieldsOf(bytes, fail)) {
    if (field.id === 1) {
      let [piece, score, type] = ["", 0, 1];
      for (const part of fieldsOf(field.bytes, fail)) {
        if (part.id === 1) piece = text.decode(part.bytes);
        else if (part.id === 2) score = part.float;
        else if (part.id === 3) type = part.number;
      }
      texts.push(piece);
      scores.push(score);
      types.push(type >= 1 && type <= 6 ? type : 1);
    } else if (field.id === 2) {
      for (const part of fieldsOf(field.bytes, fail)) if (part.id === 3) model = part.number;
    } else if (field.id === 3) {
      for (const part of fieldsOf(field.bytes, fail)) {
        if (part.id === 2) charsmap = part.bytes;
        else if (part.id === 3) addPrefix = part.number !== 0;
        else if (part.id === 4) removeSpaces = part.number !== 0;
      }
    }
  }
  if (texts.length === 0) throw fail();
  return { texts, scores, types, model, addPrefix, removeSpaces, charsmap };
}
