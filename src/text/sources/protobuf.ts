/**
 * A reader for the wire format of protocol buffers, as little of it as SentencePiece models need: fields by number, each with its raw
 * value. Every length is checked against what is left.
 */
import { LatheError } from "../../errors.ts";

/** A number (varint, fixed32 or fixed64 bits) or the bytes of a field. */
export interface Field {
  readonly number: number;
  /** Varints up to 2^53; larger ones (negative numbers) keep their low 32 bits, signed. */
  readonly value: number;
  /** For length-delimited fields, and the four or eight bytes of fixed ones. */
  readonly bytes: Uint8Array;
}

const EMPTY = new Uint8Array(0);

export function malformedModel(what: string): LatheError {
  return new LatheError("tokenizer.malformed", `The SentencePiece model is damaged: ${what}.`);
}

/** The fields of a message, in their order. Throws `tokenizer.malformed`. */
export function* fieldsIn(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= bytes.length) throw malformedModel("it ends inside of a number");
      const byte = bytes[at++];
      if (shift < 28) low |= (byte & 127) << shift;
      else high += (byte & 127) * 2 ** (shift - 28);
      if (byte < 128) {
        const value = high * 2 ** 28 + (low >>> 0);
        // Ten bytes are a negative number in two's complement.
        return shift < 63 ? value : low | ((high % 16) << 28);
      }
    }
    throw malformedModel("a number is too long");
  };
  while (at < bytes.length) {
    const key = varint();
    const wire = key % 8;
    const number = Math.floor(key / 8);
    if (wire === 0) {
      yield { number, value: varint(), bytes: EMPTY };
      continue;
    }
    if (wire !== 1 && wire !== 2 && wire !== 5) throw malformedModel("it has a field of an unknown kind");
    const length = wire === 1 ? 8 : wire === 5 ? 4 : varint();
    if (!(length >= 0 && length <= bytes.length - at)) throw malformedModel("a field is longer than what is left");
    yield { number, value: 0, bytes: bytes.subarray(at, at + length) };
    at += length;
  }
}
