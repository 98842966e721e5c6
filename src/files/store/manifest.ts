/**
 * What is written down about a stored model: where it came from, its files with sizes and hashes, when. Owns the form of the manifest and the
 * check of one that was read. Files are named by plain names, so a manifest can point nowhere but into its own folder.
 */
import { isSha256, safeFileName } from "./address.ts";

export interface ManifestFile {
  /** In the model's folder. */
  readonly name: string;
  readonly bytes: number;
  /** Of the content: expected while it is being pulled, verified afterwards. Absent until then where the source tells none. */
  readonly sha256?: string;
  readonly url: string;
}

export interface Manifest {
  readonly version: 1;
  /** What the model is asked for by: `hf:org/repo:Q4_K_M`, or a URL. */
  readonly name: string;
  /** `Q4_K_M`; empty where unknown. */
  readonly quant: string;
  /** `general.architecture` of the header; empty until it was read. */
  readonly architecture: string;
  /** The first part first. */
  readonly files: readonly ManifestFile[];
  /** When pulling began (ISO 8601). */
  readonly begun: string;
  /** When everything was verified; absent before. */
  readonly completed?: string;
}

const isText = (value: unknown, most = 4096): value is string => typeof value === "string" && value.length <= most;
const isBytes = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** The manifest in a text, or undefined where it is none. */
export function parseManifest(text: string): Manifest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { version, name, quant, architecture, files, begun, completed } = value as Record<string, unknown>;
  const valid =
    version === 1 &&
    [name, quant, architecture, begun].every(text => isText(text)) &&
    (completed === undefined || isText(completed)) &&
    Array.isArray(files) &&
    files.length > 0 &&
    files.every(isFile);
  return valid ? (value as Manifest) : undefined;
}

function isFile(value: unknown): value is ManifestFile {
  if (typeof value !== "object" || value === null) return false;
  const { name, bytes, sha256, url } = value as Record<string, unknown>;
  return (
    isText(name) && safeFileName(name) === name && isBytes(bytes) && (sha256 === undefined || isSha256(sha256)) && isText(url, 2 ** 16)
  );
}
