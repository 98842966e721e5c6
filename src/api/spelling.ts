/** What constraints have to do with the tokenizer: the vocabulary as they see it, which of its tokens are marks, and the tokens of what must come. */
import { partsOf } from "../decode/constrain/marks.ts";
import type { TextPart, Tokenizer } from "../text/tokenizer.ts";
import { callMarks } from "../text/tools/syntaxes.ts";
import type { WireVocabulary } from "./protocol.ts";

const ends = new WeakMap<Tokenizer, readonly number[]>();
export function endIds(tokenizer: Tokenizer): readonly number[] {
  const known = ends.get(tokenizer) ?? Array.from({ length: tokenizer.size }, (_, i) => i).filter(id => tokenizer.isEndOfGeneration(id));
  ends.set(tokenizer, known);
  return known;
}

/** Whether a text that begins with a space loses it: such a tokenizer puts one in front of every text. */
export function dropsFirstSpace(tokenizer: Tokenizer): boolean {
  for (let id = 0; id < tokenizer.size; id++) if (tokenizer.bytes(id)[0] === 0x20) return !tokenizer.decode([id]).startsWith(" ");
  return false;
}

/**
 * The tokens of what must come, without a last one of text, which might be longer if it saw what follows. Text at its beginning goes on from other
 * text, so it is spelled behind a line break: tokenizers that put a space before every text put it there.
 */
export function spelling(tokenizer: Tokenizer, bytes: Uint8Array): readonly number[] {
  const encode = (parts: readonly TextPart[]): Int32Array => tokenizer.encode(parts, { bos: false, eos: false });
  const must = partsOf(bytes);
  const parts = must.map(p => (typeof p === "number" ? { text: tokenizer.text(p), special: true } : { text: new TextDecoder().decode(p) }));
  const [edge, whole] = [encode([{ text: "\n" }]), encode([{ text: "\n" }, ...parts])];
  const behind = typeof must[0] !== "number" && edge.every((id, i) => id === whole[i]);
  const ids = behind ? whole.subarray(edge.length) : encode(parts);
  return [...(typeof must.at(-1) === "number" ? ids : ids.subarray(0, -1))];
}

/** The token that is a mark of that text: one that plain text never becomes. */
export function markId(tokenizer: Tokenizer, text: string): number | undefined {
  const id = tokenizer.id(text);
  return id !== undefined && tokenizer.isLiteral(id) ? id : undefined;
}

/** What a constraint needs to know of the tokens. */
export function wireVocabulary(tokenizer: Tokenizer): WireVocabulary {
  const each = Array.from({ length: tokenizer.size }, (_, id) => tokenizer.bytes(id));
  const offsets = new Uint32Array(each.length);
  const bytes = new Uint8Array(each.reduce((sum, b) => sum + b.length, 0));
  let at = 0;
  each.forEach((own, id) => {
    bytes.set(own, at);
    offsets[id] = at += own.length;
  });
  const marks = callMarks.map(text => markId(tokenizer, text)).filter(id => id !== undefined);
  return { bytes, offsets, ends: endIds(tokenizer), marks };
}
