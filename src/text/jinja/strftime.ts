/** Dates as text: the codes of Python's `strftime` in the C locale, for local time, which is what `datetime.now()` gives a template. */
import { fail } from "./budget.ts";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAY_MS = 86_400_000;

const two = (n: number): string => String(n).padStart(2, "0");
const three = (n: number): string => String(n).padStart(3, "0");
const spaced = (n: number): string => String(n).padStart(2, " ");
const twelve = (d: Date): number => d.getHours() % 12 || 12;

/** Days since 1 January, from 0. */
const dayOfYear = (d: Date): number =>
  Math.round((Date.UTC(d.getFullYear(), d.getMonth(), d.getDate()) - Date.UTC(d.getFullYear(), 0, 1)) / DAY_MS);

/** Week of the year when weeks begin on `firstDay` (0 Sunday, 1 Monday). */
const week = (d: Date, firstDay: number): number => Math.floor((dayOfYear(d) + 7 - ((d.getDay() - firstDay + 7) % 7)) / 7);

/** The ISO 8601 year and week: those of the Thursday of the same week. */
function isoWeek(d: Date): { year: number; week: number } {
  const thursday = new Date(Date.UTC(d.getFullYear(), d.getMonth(), d.getDate() + 3 - ((d.getDay() + 6) % 7)));
  const year = thursday.getUTCFullYear();
  return { year, week: 1 + Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / DAY_MS / 7) };
}

const codes: ReadonlyMap<string, (d: Date) => string> = new Map<string, (d: Date) => string>([
  ["a", d => DAYS[d.getDay()].slice(0, 3)],
  ["A", d => DAYS[d.getDay()]],
  ["w", d => String(d.getDay())],
  ["u", d => String(d.getDay() || 7)],
  ["d", d => two(d.getDate())],
  ["e", d => spaced(d.getDate())],
  ["b", d => MONTHS[d.getMonth()].slice(0, 3)],
  ["h", d => MONTHS[d.getMonth()].slice(0, 3)],
  ["B", d => MONTHS[d.getMonth()]],
  ["m", d => two(d.getMonth() + 1)],
  ["y", d => two(d.getFullYear() % 100)],
  ["Y", d => String(d.getFullYear())],
  ["C", d => two(Math.floor(d.getFullYear() / 100))],
  ["G", d => String(isoWeek(d).year)],
  ["V", d => two(isoWeek(d).week)],
  ["H", d => two(d.getHours())],
  ["k", d => spaced(d.getHours())],
  ["I", d => two(twelve(d))],
  ["l", d => spaced(twelve(d))],
  ["p", d => (d.getHours() < 12 ? "AM" : "PM")],
  ["P", d => (d.getHours() < 12 ? "am" : "pm")],
  ["M", d => two(d.getMinutes())],
  ["S", d => two(d.getSeconds())],
  ["f", d => `${three(d.getMilliseconds())}000`],
  ["s", d => String(Math.floor(d.getTime() / 1000))],
  // datetime.now() carries no time zone, so these two are empty.
  ["z", () => ""],
  ["Z", () => ""],
  ["j", d => three(dayOfYear(d) + 1)],
  ["U", d => two(week(d, 0))],
  ["W", d => two(week(d, 1))],
  ["n", () => "\n"],
  ["t", () => "\t"],
  ["%", () => "%"],
]);

/** Codes that stand for several others. */
const compound: ReadonlyMap<string, string> = new Map([
  ["c", "%a %b %e %H:%M:%S %Y"],
  ["x", "%m/%d/%y"],
  ["X", "%H:%M:%S"],
  ["D", "%m/%d/%y"],
  ["F", "%Y-%m-%d"],
  ["R", "%H:%M"],
  ["T", "%H:%M:%S"],
  ["r", "%I:%M:%S %p"],
]);

/** Fills a format. The flag `-` drops leading zeros and spaces, as glibc does. */
export function strftime(date: Date, format: string): string {
  if (Number.isNaN(date.getTime())) fail("strftime_now: the date is not valid");
  return format.replace(/%(-?)(.)/gsu, (whole, bare: string, code: string) => {
    const several = compound.get(code);
    if (several !== undefined) return strftime(date, several);
    const text = codes.get(code)?.(date);
    if (text === undefined) return whole;
    return bare === "" ? text : text.replace(/^[0 ]+(?=.)/, "");
  });
}
