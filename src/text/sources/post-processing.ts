/** The post-processors of `tokenizer.json`, as far as single texts need them: which tokens stand before a text and after it. */
import { type Component, componentsOf, fieldsOf, malformedJson, unsupportedComponent } from "./component.ts";

export interface Around {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** Most tokens on one side. */
const MOST = 1024;

/** A pair of a text and an id. */
function pairId(from: Component, key: string): number {
  const pair = from.fields.get(key);
  if (Array.isArray(pair) && pair.length === 2 && typeof pair[0] === "string" && Number.isInteger(pair[1])) return pair[1];
  throw malformedJson(`"${key}" of ${from.type} is not a token with its id`);
}

function template(from: Component): Around {
  const single = from.fields.get("single");
  const tokens = fieldsOf(from.fields.get("special_tokens") ?? {}, "special_tokens of the post-processor");
  if (!Array.isArray(single)) throw malformedJson("the template of the post-processor is not a list");
  const sides: [number[], number[]] = [[], []];
  let side = 0;
  for (const piece of single) {
    const fields = fieldsOf(piece, "a piece of the template");
    if (fields.has("Sequence")) {
      if (side === 1) throw unsupportedComponent("post-processor", "TemplateProcessing that repeats the text");
      side = 1;
      continue;
    }
    const name = fieldsOf(fields.get("SpecialToken"), "a special token of the template").get("id");
    const ids = typeof name === "string" ? fieldsOf(tokens.get(name), "a special token of the template").get("ids") : undefined;
    if (!Array.isArray(ids)) throw malformedJson("a special token of the template has no ids");
    sides[side].push(...(ids.length <= MOST ? ids : []));
  }
  return { before: sides[0], after: sides[1] };
}

function one(from: Component): Around {
  if (from.type === "TemplateProcessing") return template(from);
  if (from.type === "BertProcessing" || from.type === "RobertaProcessing") {
    return { before: [pairId(from, "cls")], after: [pairId(from, "sep")] };
  }
  // It changes what tokens say about places in the text, which is not asked for here.
  if (from.type === "ByteLevel") return { before: [], after: [] };
  throw unsupportedComponent("post-processor", from.type);
}

/** `size`: tokens in the vocabulary. */
export function postProcessing(value: unknown, size: number): Around {
  const before: number[] = [];
  const after: number[] = [];
  for (const from of componentsOf(value, "post-processor", "processors")) {
    const own = one(from);
    before.unshift(...own.before);
    after.push(...own.after);
  }
  const odd = [...before, ...after].find(id => !Number.isInteger(id) || id < 0 || id >= size);
  if (odd !== undefined) throw malformedJson("the post-processor names a token that does not exist", { id: odd });
  if (before.length > MOST || after.length > MOST) throw unsupportedComponent("post-processor", `more than ${MOST} tokens`);
  return { before, after };
}
