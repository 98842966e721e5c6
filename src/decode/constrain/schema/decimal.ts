/** Exact decimal numbers, as JSON writes them: digits before and after the point. */

export interface Decimal {
  readonly negative: boolean;
  /** Without leading zeros, but "0" for nothing. */
  readonly whole: string;
  /** Without trailing zeros. */
  readonly fraction: string;
}

/** Digits that a number may need when written without an exponent. */
const MOST_DIGITS = 400;

/** The exact value of the shortest text that gives this double. */
export function decimalOf(value: number): Decimal {
  const found = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(value))!;
  const [, sign, whole, fraction = "", exponent = "0"] = found;
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  const before = point <= 0 ? "" : digits.slice(0, point).padEnd(point, "0");
  const after = point >= digits.length ? "" : digits.slice(Math.max(0, point)).padStart(digits.length - point, "0");
  const trimmed = before.replace(/^0+/, "");
  const rest = after.replace(/0+$/, "");
  return { negative: sign === "-" && (trimmed !== "" || rest !== ""), whole: trimmed === "" ? "0" : trimmed, fraction: rest };
}

export const decimalKey = ({ negative, whole, fraction }: Decimal): string => `${negative ? "-" : ""}${whole}.${fraction}`;

export const isTooLong = (value: Decimal): boolean => value.whole.length + value.fraction.length > MOST_DIGITS;
