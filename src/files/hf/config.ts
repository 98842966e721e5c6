/**
 * Typed access to the JSON files of a Hugging Face folder. Owns the search through aliases and nested objects (several generations of names
 * for the same number) and the errors that name the file and the key.
 */
import { LatheError } from "../../errors.ts";
import { quoted } from "../gguf-values.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

/** `folder.malformed` for a file whose content is wrong; `why` is a clause. */
function wrongFile(file: string, why: string, details: Record<string, unknown> = {}): LatheError {
  return new LatheError("folder.malformed", `"${file}" cannot be used, because ${why}; download the model again.`, { file, ...details });
}

/** A whole JSON file that must be an object. Throws `folder.malformed`. */
export function parseObject(text: string, file: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new LatheError("folder.malformed", `"${file}" is not valid JSON; download it again.`, { file }, { cause });
  }
  if (isObject(value)) return value;
  throw wrongFile(file, "it is not a JSON object");
}

/** The member at a dotted path; inherited members and null count as absent. */
export function member(object: unknown, path: string): unknown {
  let value = object;
  for (const key of path.split(".")) {
    if (!isObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value ?? undefined;
}

/** Limits of a number, inclusive. */
interface Limits {
  readonly min?: number;
  readonly max?: number;
}

/**
 * The configuration of a model. Paths are dotted; several with ` | ` between them are tried in order. The text part of a multimodal model
 * (`text_config`) is searched first.
 */
export class Config {
  readonly file: string;
  readonly root: JsonObject;
  private readonly text: unknown;

  constructor(root: JsonObject, file: string) {
    this.root = root;
    this.file = file;
    this.text = member(root, "text_config") ?? member(root, "llm_config") ?? member(root, "language_config");
  }

  /** Whether the model has other parts than its language model. */
  get multimodal(): boolean {
    return this.text !== undefined || this.has("vision_config | audio_config");
  }

  find(paths: string): unknown {
    for (const path of paths.split(" | ")) {
      const value = member(this.text, path) ?? member(this.root, path);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  has(paths: string): boolean {
    return this.find(paths) !== undefined;
  }

  number(paths: string, fallback?: number, { min = -Infinity, max = Infinity }: Limits = {}): number {
    const value = this.find(paths) ?? fallback;
    if (typeof value === "number" && Number.isFinite(value) && value >= min && value <= max) return value;
    throw this.unfit(paths, "a number", value);
  }

  /** A whole number; every size of a model is below 2^31. */
  size(paths: string, fallback?: number, { min = 0, max = 2 ** 31 - 1 }: Limits = {}): number {
    const value = this.number(paths, fallback, { min, max });
    if (Number.isInteger(value)) return value;
    throw this.unfit(paths, "a whole number", value);
  }

  string(paths: string, fallback?: string): string {
    const value = this.find(paths) ?? fallback;
    if (typeof value === "string") return value;
    throw this.unfit(paths, "a text", value);
  }

  boolean(paths: string, fallback?: boolean): boolean {
    const value = this.find(paths) ?? fallback;
    if (typeof value === "boolean") return value;
    throw this.unfit(paths, "true or false", value);
  }

  numbers(paths: string): readonly number[] {
    const value = this.find(paths);
    if (Array.isArray(value) && value.every(item => typeof item === "number" && Number.isFinite(item))) return value;
    throw this.unfit(paths, "a list of numbers", value);
  }

  strings(paths: string): readonly string[] {
    const value = this.find(paths);
    if (Array.isArray(value) && value.every(item => typeof item === "string")) return value;
    throw this.unfit(paths, "a list of texts", value);
  }

  private unfit(paths: string, expected: string, value: unknown): LatheError {
    const [key] = paths.split(" | ");
    const found = value === undefined ? "lacks" : `has ${quoted(JSON.stringify(value))} under`;
    const message = `"${this.file}" ${found} the key ${quoted(key)}, where ${expected} is needed; download the model again.`;
    return new LatheError("folder.malformed", message, { file: this.file, key, expected });
  }
}

/** The tail of every error about something that a newer version may know. */
export function unsupported(what: string, details: Record<string, unknown>): LatheError {
  return new LatheError("model.unsupported-arch", `${what}; use a GGUF file of this model, or a newer Lathe.`, details);
}
