/**
 * Python's numbers: exact integers (of a bounded size) and floats, how operators mix them, how text becomes a number and a number text.
 * Knows nothing of templates.
 */
import { fail } from "./budget.ts";

type N = bigint | number;

/** Integers beyond this are refused: no template needs them, and their digits would cost time that no step counts. */
const MAX_BITS = 1024n;
const LIMIT = 1n << MAX_BITS;

function checked(value: bigint): bigint {
  if (value >= LIMIT || value <= -LIMIT) fail(`An integer is larger than ${MAX_BITS} bits.`);
  return value;
}

interface Arithmetic {
  readonly whole: (a: bigint, b: bigint) => N;
  readonly float: (a: number, b: number) => number;
}

const notZero = <T extends N>(divisor: T, what = "division by zero"): T => (divisor === 0n || divisor === 0 ? fail(what) : divisor);

function floatMod(a: number, b: number): number {
  const rest = a % notZero(b, "float modulo");
  if (rest === 0) return b < 0 ? -0 : 0;
  return rest < 0 !== b < 0 ? rest + b : rest;
}

function floatFloor(a: number, b: number): number {
  const quotient = (a - floatMod(a, notZero(b, "float floor division by zero"))) / b;
  const floor = Math.floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

function wholeFloor(a: bigint, b: bigint): bigint {
  const quotient = a / notZero(b, "integer division or modulo by zero");
  return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient;
}

function wholePower(base: bigint, exponent: bigint): N {
  if (exponent < 0n) return floatPower(Number(base), Number(exponent));
  if (base === 0n || base === 1n) return exponent === 0n ? 1n : base;
  if (base === -1n) return exponent % 2n === 0n ? 1n : -1n;
  if (exponent > MAX_BITS) fail(`An integer is larger than ${MAX_BITS} bits.`);
  return checked(base ** exponent);
}

function floatPower(base: number, exponent: number): number {
  if (base === 0 && exponent < 0) fail("0.0 cannot be raised to a negative power");
  const value = base ** exponent;
  if (Number.isNaN(value) && !Number.isNaN(base) && !Number.isNaN(exponent)) fail("The power of a negative number is not real.");
  return value;
}

/** The binary operators of numbers by their signs. */
const arithmetic: ReadonlyMap<string, Arithmetic> = new Map(
  Object.entries({
    "+": { whole: (a: bigint, b: bigint) => checked(a + b), float: (a: number, b: number) => a + b },
    "-": { whole: (a: bigint, b: bigint) => checked(a - b), float: (a: number, b: number) => a - b },
    "*": { whole: (a: bigint, b: bigint) => checked(a * b), float: (a: number, b: number) => a * b },
    "/": {
      whole: (a: bigint, b: bigint) => Number(a) / Number(notZero(b)),
      float: (a: number, b: number) => a / notZero(b, "float division by zero"),
    },
    "//": { whole: wholeFloor, float: floatFloor },
    "%": { whole: (a: bigint, b: bigint) => a - b * wholeFloor(a, b), float: floatMod },
    "**": { whole: wholePower, float: floatPower },
  }),
);

export function calculate(operator: string, a: N, b: N): N {
  const { whole, float } = arithmetic.get(operator)!;
  return typeof a === "bigint" && typeof b === "bigint" ? whole(a, b) : float(Number(a), Number(b));
}

/** A float as Python prints it: the shortest digits, with `.0` or an exponent of at least two digits. */
export function floatText(x: number): string {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  if (Object.is(x, -0)) return "-0.0";
  const [digits, power] = x.toExponential().split("e");
  const exponent = Number(power);
  if (x !== 0 && (exponent < -4 || exponent >= 16))
    return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  const plain = String(x);
  return plain.includes(".") ? plain : `${plain}.0`;
}

export const numberText = (n: N): string => (typeof n === "bigint" ? n.toString() : floatText(n));

/** Longer text is not taken for a number; it also bounds the time of the patterns below. */
const MAX_DIGITS = 400;
const DIGITS: Readonly<Record<string, string>> = { "2": "0b", "8": "0o", "16": "0x" };
/** Digits of any base up to 36 that a float holds exactly. */
const CHUNK = 10;
const UNDERSCORED = /^[0-9a-z]+(_[0-9a-z]+)*$/;

/** What Python's `int(text, base)` returns, or undefined where it raises. */
export function parseWhole(text: string, base = 10): bigint | undefined {
  let body = text.trim().toLowerCase();
  const negative = body.startsWith("-");
  if (/^[+-]/.test(body)) body = body.slice(1);
  const prefixed = Object.entries(DIGITS).find(([radix, prefix]) => body.startsWith(prefix) && (base === 0 || base === Number(radix)));
  if (prefixed) {
    base = Number(prefixed[0]);
    body = body.slice(2);
    if (body.startsWith("_")) body = body.slice(1);
  } else if (base === 0) base = 10;
  if (base < 2 || base > 36 || body.length > MAX_DIGITS || !UNDERSCORED.test(body)) return undefined;
  const digits = body.replaceAll("_", "");
  let value = 0n;
  for (let at = 0; at < digits.length; at += CHUNK) {
    const part = [...digits.slice(at, at + CHUNK)].map(digit => Number.parseInt(digit, 36));
    if (part.some(digit => digit >= base)) return undefined;
    value = value * BigInt(base) ** BigInt(part.length) + BigInt(part.reduce((sum, digit) => sum * base + digit, 0));
  }
  return checked(negative ? -value : value);
}

const FLOAT = /^[+-]?(\d+(_\d+)*(\.(\d+(_\d+)*)?)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?$/;

/** What Python's `float(text)` returns, or undefined where it raises. */
export function parseFloating(text: string): number | undefined {
  const body = text.trim().toLowerCase();
  if (body.length > MAX_DIGITS) return undefined;
  if (FLOAT.test(body)) return Number(body.replaceAll("_", ""));
  const word = /^([+-]?)(inf|infinity|nan)$/.exec(body);
  if (!word) return undefined;
  return word[2] === "nan" ? Number.NaN : word[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

/** The integer part of a float, or undefined where there is none. */
export const truncate = (x: number): bigint | undefined => (Number.isFinite(x) ? checked(BigInt(Math.trunc(x))) : undefined);

/** A decimal rounding as Python does it: by the exact value, a tie goes to the even digit. */
export function fixed(x: number, digits: number): string {
  if (Math.abs(x) >= 1e21) return BigInt(x).toString() + (digits > 0 ? `.${"0".repeat(digits)}` : "");
  const rounded = x.toFixed(digits);
  const exact = x.toFixed(Math.min(100, digits + 60));
  const cut = exact.length - Math.min(100, digits + 60) + digits;
  const tie = /^\.?50*$/.test(exact.slice(cut));
  if (!tie) return rounded;
  const down = exact.slice(0, cut).replace(/\.$/, "");
  return Number(down[down.length - 1]) % 2 === 0 ? down : rounded;
}

/** Python's `round(x, digits)`. */
export function round(x: N, digits: number): N {
  if (typeof x === "bigint") {
    if (digits >= 0) return x;
    const unit = 10n ** BigInt(Math.min(-digits, 300));
    const twice = 2n * (x - unit * wholeFloor(x, unit));
    const floor = wholeFloor(x, unit);
    const up = twice > unit || (twice === unit && floor % 2n !== 0n);
    return unit * (up ? floor + 1n : floor);
  }
  if (!Number.isFinite(x) || digits > 100) return x;
  if (digits >= 0) return Number(fixed(x, digits));
  const unit = 10 ** Math.min(-digits, 308);
  return Number(fixed(x / unit, 0)) * unit;
}
