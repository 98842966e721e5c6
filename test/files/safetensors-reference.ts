/**
 * A second reader of safetensors headers, for comparison: written after the format's description, with JSON.parse and a search for keys that
 * occur twice, and without any care for memory. Returns undefined for a file that breaks the rules.
 */

export interface ReferenceTensor {
  readonly dtype: string;
  readonly shape: number[];
  readonly begin: number;
  readonly end: number;
}

const bits: Record<string, number> = {
  ...Object.fromEntries(["BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"].map(t => [t, 8])),
  ...Object.fromEntries(["I16", "U16", "F16", "BF16"].map(t => [t, 16])),
  ...Object.fromEntries(["I32", "U32", "F32"].map(t => [t, 32])),
  ...Object.fromEntries(["I64", "U64", "F64", "C64"].map(t => [t, 64])),
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
};

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === "object" && v !== null && !Array.isArray(v);
const isSizes = (v: unknown): v is number[] => Array.isArray(v) && v.every(n => Number.isSafeInteger(n) && n >= 0 && !Object.is(n, -0));

/** Members of a parsed object as often as the text has them. */
function countMembers(text: string): number {
  let [members, inString] = [0, false];
  for (let i = 0; i < text.length; i++) {
    if (inString) {
      if (text[i] === "\\") i++;
      else if (text[i] === '"') inString = false;
    } else if (text[i] === '"') inString = true;
    else if (text[i] === ":") members++;
  }
  return members;
}
const countParsed = (v: unknown): number =>
  Array.isArray(v)
    ? v.reduce((n: number, x) => n + countParsed(x), 0)
    : isObject(v)
      ? Object.values(v).reduce((n: number, x) => n + 1 + countParsed(x), 0)
      : 0;

export function referenceHeader(file: Uint8Array): Map<string, ReferenceTensor> | undefined {
  if (file.length < 8) return undefined;
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  if (length > 100_000_000 || 8 + length > file.length || file[8] !== 0x7b) return undefined;
  let header: unknown;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(file.subarray(8, 8 + length));
    header = JSON.parse(text);
  } catch {
    return undefined;
  }
  // Whole numbers are written as digits, and no key occurs twice.
  if (!isObject(header) || countMembers(text) !== countParsed(header) || /[[,]\s*-?\d+[.eE]/.test(text) || /[[,]\s*-/.test(text))
    return undefined;
  const out = new Map<string, ReferenceTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") {
      if (!isObject(entry) || Object.values(entry).some(v => typeof v !== "string")) return undefined;
      continue;
    }
    if (!isObject(entry) || Object.keys(entry).sort().join() !== "data_offsets,dtype,shape") return undefined;
    const { dtype, shape, data_offsets: offsets } = entry;
    if (typeof dtype !== "string" || !Object.hasOwn(bits, dtype) || !isSizes(shape) || !isSizes(offsets) || offsets.length !== 2)
      return undefined;
    const size = shape.reduce((a, b) => a * BigInt(b), BigInt(bits[dtype]));
    if (size > 2n ** 53n || size % 8n !== 0n || BigInt(offsets[1]) - BigInt(offsets[0]) !== size / 8n) return undefined;
    out.set(name, { dtype, shape, begin: offsets[0], end: offsets[1] });
  }
  let next = 0;
  for (const t of [...out.values()].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (t.begin !== next) return undefined;
    next = t.end;
  }
  return 8 + length + next === file.length ? out : undefined;
}
