/**
 * The values of `format` that are enforced, as regular expressions: RFC 3339 dates and times (days of months and leap years included), RFC 1123
 * host names, RFC 2673 and 4291 addresses, RFC 4122 identifiers, RFC 3986 and 3987 references, RFC 6901 pointers, RFC 6570 templates.
 */

const year = "[0-9]{4}";
const leapYear = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)";
const date =
  `(?:${year}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))` +
  `|${leapYear}-02-29)`;
const hour = "(?:[01][0-9]|2[0-3])";
const offset = `(?:[Zz]|[+-]${hour}:[0-5][0-9])`;
/** A leap second only where UTC has one for certain. */
const time = `(?:${hour}:[0-5][0-9]:[0-5][0-9](?:\\.[0-9]+)?${offset}|23:59:60(?:\\.[0-9]+)?(?:[Zz]|[+-]00:00))`;

const durationTime = "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)";
const durationDate = "(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)";
const duration = `P(?:${durationDate}(?:${durationTime})?|${durationTime}|[0-9]+W)`;

const octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const ipv4 = `${octet}(?:\\.${octet}){3}`;
const group = "[0-9A-Fa-f]{1,4}";
const lastGroups = `(?:${group}:${group}|${ipv4})`;
const groups = (n: number): string => (n === 0 ? "" : `(?:${group}:){${n}}`);
/** `::` after at most n groups, then exactly `after` more and two more or an IPv4 address, or fewer. */
const upTo = (n: number): string => (n === 0 ? "" : `(?:(?:${group}:){0,${n - 1}}${group})?`);
const ipv6 = `(?:${[
  `${groups(6)}${lastGroups}`,
  `::${groups(5)}${lastGroups}`,
  ...[4, 3, 2, 1, 0].map((after, i) => `${upTo(i + 1)}::${groups(after)}${lastGroups}`),
  `${upTo(6)}::${group}`,
  `${upTo(7)}::`,
].join("|")})`;

const an = "[A-Za-z0-9]";
const anh = "[A-Za-z0-9-]";
/** Up to 63 characters; none that says by "--" in third place that it encodes others, whose rules no expression can check. */
const label = `(?:${an}(?:${anh}?${an}|${anh}(?:${an}${an}|-${an}|(?:${an}${anh}|-${an})${anh}{0,58}${an}))?)`;
const hostname = `${label}(?:\\.${label})*`;
const atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const quoted = '"(?:[ !#-\\[\\]-~]|\\\\[ -~])*"';
const email = `(?:${atom}(?:\\.${atom})*|${quoted})@(?:${hostname}|\\[${ipv4}\\]|\\[IPv6:${ipv6}\\])`;

const uuid = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
const pointer = "(?:/(?:[^/~]|~[01])*)*";

/** References, by the characters that are allowed beyond ASCII. */
function references(more: string, morePrivate: string): { absolute: string; any: string } {
  const percent = "%[0-9A-Fa-f]{2}";
  const plain = `A-Za-z0-9._~!$&'()*+,;=${more}-`;
  const char = `(?:[:@${plain}]|${percent})`;
  const segments = `(?:/${char}*)*`;
  const host = `(?:\\[(?:${ipv6}|[vV][0-9A-Fa-f]+\\.[:${plain}]+)\\]|(?:[${plain}]|${percent})*)`;
  const authority = `(?:(?:[:${plain}]|${percent})*@)?${host}(?::[0-9]*)?`;
  const tail = `(?:\\?(?:[/?:@${morePrivate}${plain}]|${percent})*)?(?:#(?:[/?:@${plain}]|${percent})*)?`;
  const rooted = `/(?:${char}+${segments})?`;
  const scheme = "[A-Za-z][A-Za-z0-9+.-]*";
  const absolute = `${scheme}:(?://${authority}${segments}|${rooted}|${char}+${segments})?${tail}`;
  const noColon = `(?:[@${plain}]|${percent})+`;
  const relative = `(?://${authority}${segments}|${rooted}|${noColon}${segments})?${tail}`;
  return { absolute, any: `(?:${absolute}|${relative})` };
}
const beyond =
  "\\u{A0}-\\u{D7FF}\\u{F900}-\\u{FDCF}\\u{FDF0}-\\u{FFEF}\\u{10000}-\\u{1FFFD}\\u{20000}-\\u{2FFFD}\\u{30000}-\\u{3FFFD}\\u{40000}-\\u{DFFFD}\\u{E1000}-\\u{EFFFD}";
const uri = references("", "");
const iri = references(beyond, "\\u{E000}-\\u{F8FF}\\u{F0000}-\\u{FFFFD}\\u{100000}-\\u{10FFFD}");

const varchar = "(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})";
const varspec = `${varchar}(?:\\.?${varchar})*(?::[1-9][0-9]{0,3}|\\*)?`;
const literal = "(?:[!#$&'(-;=?-\\[\\]_a-z~\\u{A0}-\\u{10FFFF}]|%[0-9A-Fa-f]{2})";
const template = `(?:${literal}|\\{[+#./;?&=,!@|]?${varspec}(?:,${varspec})*\\})*`;

export const formats: ReadonlyMap<string, string> = new Map(
  Object.entries({
    date,
    time,
    "date-time": `${date}[Tt]${time}`,
    duration,
    email,
    hostname,
    ipv4,
    ipv6,
    uuid,
    uri: uri.absolute,
    "uri-reference": uri.any,
    iri: iri.absolute,
    "iri-reference": iri.any,
    "uri-template": template,
    "json-pointer": pointer,
    "relative-json-pointer": `(?:0|[1-9][0-9]*)(?:#|${pointer})`,
  }).map(([name, source]) => [name, `^(?:${source})$`]),
);

/** Formats that JSON Schema defines and no expression says. */
export const unwritten: ReadonlySet<string> = new Set(["regex", "idn-email", "idn-hostname"]);

/** Formats with a greatest length. */
export const longest: ReadonlyMap<string, number> = new Map([["hostname", 253]]);
