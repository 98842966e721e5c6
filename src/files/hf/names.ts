/**
 * From the tensor names of Hugging Face models to those of GGUF, by tables. In a name, `#` is the number of the block and `*` that of an
 * expert (or of another part that is stacked). Table entries leave out `.weight` and `.bias` unless the name has none.
 *
 * Source: llama.cpp `gguf-py/gguf/tensor_mapping.py` (which name is which), transformers `models/*` (the names themselves).
 */

export type Names = Readonly<Record<string, string>>;

/** Entries of a block: `prefix` and `blk.#.` are put in front of the names. */
export const block = (prefix: string, entries: Names): Names =>
  Object.fromEntries(Object.entries(entries).map(([from, to]) => [prefix + from, `blk.#.${to}`]));

export interface Place {
  /** The GGUF name with its end, such as `blk.3.attn_q.weight`. */
  readonly name: string;
  /** The same without block and end: `attn_q`. */
  readonly stem: string;
  readonly end: string;
  /** The number of the block; undefined outside of blocks. */
  readonly block: number | undefined;
  /** Place in a stack; undefined where nothing is stacked. */
  readonly part: number | undefined;
}

const ends = ["weight", "bias", "scale"];

/** What is tried in turn to bring a name into the form of the tables: names differ by who saved the model. */
function* forms(name: string): Generator<string> {
  yield name;
  const inner = name.replace(/^(model\.)?(language_model|text_model)\.(model\.)?/, "");
  yield inner;
  for (const prefix of ["model.", "transformer."]) yield prefix + inner;
  const bare = name.replace(/^(model|transformer|bert|roberta|distilbert|backbone|new)\./, "");
  yield bare;
  yield bare.replace(/\.gamma$/, ".weight").replace(/\.beta$/, ".bias");
}

/** Where a tensor of a checkpoint belongs; undefined where the table does not say. */
export function placeOf(name: string, table: ReadonlyMap<string, string>): Place | undefined {
  for (const form of forms(name)) {
    const numbers: string[] = [];
    const pattern = form
      .split(".")
      .map(part => (/^\d{1,6}$/.test(part) ? "#*?"[Math.min(numbers.push(part), 3) - 1] : part))
      .join(".");
    const cut = pattern.lastIndexOf(".");
    const end = pattern.slice(cut + 1);
    const whole = table.get(pattern);
    const target = whole ?? (ends.includes(end) ? table.get(pattern.slice(0, cut)) : undefined);
    if (target === undefined) continue;
    const full = whole === undefined ? `${target}.${end}` : whole;
    const inBlock = full.startsWith("blk.#.");
    const stem = full.replace(/^blk\.#\./, "");
    const dot = stem.lastIndexOf(".");
    return {
      name: full.replace("#", numbers[0]),
      stem: dot < 0 ? stem : stem.slice(0, dot),
      end: dot < 0 ? "" : stem.slice(dot + 1),
      block: inBlock ? Number(numbers[0]) : undefined,
      part: pattern.includes("*") ? Number(numbers[1]) : undefined,
    };
  }
  return undefined;
}
