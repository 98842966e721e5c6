/** The named sets of characters of regular expressions: \d \w \s and their opposites, the dot, and Unicode properties. */
import { type CharSet, complement, LAST } from "./utf8.ts";

const digits: CharSet = [[0x30, 0x39]];
const words: CharSet = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
/** White space and line ends of ECMAScript. */
const spaces: CharSet = [
  [9, 13],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const lineEnds: CharSet = [
  [10, 10],
  [13, 13],
  [0x2028, 0x2029],
];

export const alphabets: { readonly dot: CharSet; readonly byLetter: ReadonlyMap<string, CharSet> } = {
  dot: complement(lineEnds),
  byLetter: new Map<string, CharSet>([
    ["d", digits],
    ["D", complement(digits)],
    ["w", words],
    ["W", complement(words)],
    ["s", spaces],
    ["S", complement(spaces)],
  ]),
};

const known = new Map<string, CharSet | undefined>();
const MOST_KNOWN = 64;

/** The characters of a Unicode property such as "L" or "Script=Greek"; undefined where there is none of that name (letters, `_`, `=`). */
export function properties(name: string): CharSet | undefined {
  if (known.has(name)) return known.get(name);
  if (known.size >= MOST_KNOWN) known.clear();
  const set = findProperty(name);
  known.set(name, set);
  return set;
}

/** The platform knows the property; it is asked about each character, by an expression of one character that cannot backtrack. */
function findProperty(name: string): CharSet | undefined {
  let one: RegExp;
  try {
    one = new RegExp(`^\\p{${name}}$`, "u");
  } catch {
    return undefined;
  }
  const ranges: [number, number][] = [];
  for (let code = 0; code <= LAST; code++) {
    if (code === 0xd800) code = 0xe000;
    if (!one.test(String.fromCodePoint(code))) continue;
    const last = ranges.at(-1);
    if (last && last[1] === code - 1) last[1] = code;
    else ranges.push([code, code]);
  }
  return ranges;
}
