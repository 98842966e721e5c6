/**
 * Lists of tokens by id, from files that give them in any order: ids are checked before anything is sized by them.
 */
import { tooMany } from "../merges.ts";
import { malformedJson } from "./component.ts";

/** Ids may have gaps, but not so many that a small file makes a large table. */
const SPREAD = 4;
const ALLOWANCE = 65_536;

/** Texts by id; gaps are empty. A later pair with the same id is an error unless it has the same text. */
export function byId(pairs: readonly (readonly [text: string, id: number])[]): string[] {
  if (pairs.length === 0) throw malformedJson("it has no vocabulary");
  const most = Math.min(pairs.length * SPREAD + ALLOWANCE, 2 ** 31);
  let size = 0;
  for (const [text, id] of pairs) {
    if (!Number.isInteger(id) || id < 0 || id >= most || tooMany(id)) throw malformedJson("a token has an id that is out of range", { id });
    if (typeof text !== "string") throw malformedJson("a token is no text", { id });
    size = Math.max(size, id + 1);
  }
  const texts = new Array<string>(size).fill("");
  for (const [text, id] of pairs) {
    if (texts[id] !== "" && texts[id] !== text) throw malformedJson("two tokens have the same id", { id });
    texts[id] = text;
  }
  return texts;
}
