/**
 * What `tokenizer_config.json` adds to the other tokenizer files: which tokens begin and end a text, and whether they are put around it.
 */
import type { Vocabulary } from "../vocabulary.ts";
import { fieldsOf, malformedJson } from "./component.ts";

/** The JSON text of a file, or what it was parsed to. */
export type Json = string | Readonly<Record<string, unknown>>;

/** Most UTF-16 units of a file that is parsed: beyond, the host's strings end. */
export function parseJson(json: Json, place: string): ReadonlyMap<string, unknown> {
  let value: unknown = json;
  if (typeof json === "string") {
    try {
      value = JSON.parse(json);
    } catch (cause) {
      throw malformedJson(`${place} is no JSON`, { cause: String(cause).slice(0, 200) });
    }
  }
  return fieldsOf(value, place);
}

export interface Config {
  readonly bos?: string;
  readonly eos?: string;
  readonly addBos?: boolean;
  readonly addEos?: boolean;
}

export function readConfig(json: Json | undefined): Config {
  if (json === undefined) return {};
  const fields = parseJson(json, "tokenizer_config.json");
  const token = (key: string): string | undefined => {
    const value = fields.get(key);
    const text = typeof value === "object" && value !== null && "content" in value ? value.content : value;
    return typeof text === "string" ? text : undefined;
  };
  const flag = (key: string): boolean | undefined => {
    const value = fields.get(key);
    return typeof value === "boolean" ? value : undefined;
  };
  return { bos: token("bos_token"), eos: token("eos_token"), addBos: flag("add_bos_token"), addEos: flag("add_eos_token") };
}

/** The tokens around a text: `given` by the file, unless the configuration asks for them or forbids them. */
export function around(given: readonly number[], wanted: boolean | undefined, id: number | undefined): readonly number[] {
  if (wanted === undefined || (wanted && given.length > 0)) return given;
  return wanted && id !== undefined ? [id] : [];
}

/** The id of a token by its text. */
export const idOf = (vocabulary: Vocabulary, text: string | undefined): number | undefined =>
  text === undefined ? undefined : vocabulary.id(text);
