/**
 * Requests as bytes, made from a seed: well formed ones, and every way known to be wrong in heads, lengths, chunks, targets and JSON. Owns what is
 * sent and how it is cut; not what may come of it.
 */
import { random32 } from "../weights.mjs";
import { GETS, POSTS } from "./routes.mjs";

/**
 * @typedef {{
 *   kind: string, parts: Buffer[], after: "end" | "leave" | "wait"
 * }} Case
 * `parts` are written one after the other, each when the one before is gone. Afterwards, when nothing comes any more, the client ends its side, or is
 * gone at once ("leave"), or waits for what the server does about it.
 */

const CRLF = "\r\n";
/** @param {number} seed */
function drawer(seed) {
  const next = random32(seed);
  const below = n => next() % n;
  const pick = list => list[below(list.length)];
  return { below, pick, one: part => below(part) === 0, times: (n, make) => Array.from({ length: n }, (_, i) => make(i)) };
}

const ODD_NUMBERS = [
  "1e400",
  "-1e400",
  "-0",
  "0.1e-400",
  "9007199254740993",
  "-1",
  "1.5",
  "18446744073709551616",
  `1${"0".repeat(400)}`,
  "1E+3",
];
const ODD_KEYS = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "",
  "\\u0000",
  "\\ud800",
  "then",
  "toJSON",
  "x".repeat(9000),
];
const ODD_VALUES = [
  "null",
  "true",
  '""',
  "[]",
  "{}",
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\\u0000"',
  '{"__proto__":{"x":1}}',
  "[[[]]]",
  '"\u2028"',
];
const FIELDS =
  "model prompt messages input max_tokens temperature top_p top_k n stop seed logit_bias stream tools tool_choice response_format grammar options suffix".split(
    " ",
  );

/** A body that may be taken, where the route is the one that it is made for. */
const good = r =>
  r.pick([
    '{"prompt":"Once","max_tokens":1}',
    '{"prompt":[8,9],"max_tokens":2,"stream":true}',
    '{"messages":[{"role":"user","content":"x"}],"max_tokens":1}',
    '{"input":"Once","max_output_tokens":1}',
    '{"model":"stories","prompt":"Once","raw":true,"options":{"num_predict":1}}',
    '{"content":"Once upon"}',
  ]);

const value = r =>
  r.pick([() => r.pick(ODD_NUMBERS), () => r.pick(ODD_VALUES), () => `"${"y".repeat(r.below(r.one(20) ? 100_000 : 40))}"`])();

/** Texts that are hardly JSON, or are, and say what no field takes. */
const BODIES = {
  good: r => Buffer.from(good(r)),
  fields: r => Buffer.from(good(r).replace("{", `{${r.times(1 + r.below(4), () => `"${r.pick(FIELDS)}":${value(r)}`).join()},`)),
  keys: r => Buffer.from(good(r).replace("{", `{${r.times(1 + r.below(4), () => `"${r.pick(ODD_KEYS)}":${value(r)}`).join()},`)),
  twice: r => Buffer.from(good(r).replace("{", '{"max_tokens":1,"max_tokens":-1,"stream":false,"stream":7,"prompt":"a","prompt":"b",')),
  deep: r => Buffer.from(r.pick(["[", '{"a":', '{"messages":[']).repeat(r.below(r.one(4) ? 200_000 : 200))),
  balanced: r => {
    const depth = r.below(3000);
    return Buffer.from(`${'{"a":['.repeat(depth)}1${"]}".repeat(depth)}`);
  },
  mark: r => Buffer.from(`\ufeff${good(r)}`),
  wide: r => Buffer.from(good(r), r.pick(["utf16le", "utf8"])),
  bytes: r => Buffer.from(r.times(r.below(300), () => r.below(256))),
  utf8: r =>
    Buffer.concat([
      Buffer.from('{"prompt":"'),
      Buffer.from(r.pick(["ff", "c080", "eda080", "f5808080", "e282", "80"]), "hex"),
      Buffer.from('"}'),
    ]),
  cut: r => {
    const whole = Buffer.from(good(r));
    return whole.subarray(0, r.below(whole.length));
  },
  long: r => Buffer.from(`{"prompt":"${"z".repeat(r.below(200_000))}","max_tokens":1}`),
  wordy: r => Buffer.from(`{${r.times(r.below(3000), i => `"k${i}":${i}`).join()}}`),
  empty: () => Buffer.alloc(0),
};

const ODD_TARGETS = {
  percent: r => `/v1/${r.pick(["%", "%zz", "%00", "%2e%2e%2f", "%c0%ae", "%ff", "%u0041", "%25%32%65"])}${r.one(2) ? "/models" : ""}`,
  dots: r => `${r.pick(["/..", "/../../etc/passwd", "//v1//models", "/./livez", "/v1/models/..%2f..%2f", "/\\..\\", "/v1/models;x=1"])}`,
  long: r => `/v1/models/${"a".repeat(r.below(20_000))}`,
  absolute: r =>
    `${r.pick(["http", "https", "ftp", "file", "javascript", "x"])}://${r.pick(["localhost", "evil.example", "a@b", "[::1", ""])}/livez`,
  bare: r => r.pick(["*", "", "livez", "?", "#", "/?#", "/livez?%", "/livez#x", "[::1]", ":80", "/ /", "/\u007f", "/\u00ff"]),
  query: r => `/v1/models?${"a=%ff&".repeat(r.below(1500))}`,
};

const METHODS = "GET POST PUT DELETE PATCH HEAD OPTIONS TRACE CONNECT PRI LINK PROPFIND get BREW M-SEARCH".split(" ");
const VERSIONS = [
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.0",
  "HTTP/0.9",
  "HTTP/2.0",
  "HTTP/1.2",
  "HTTP/9",
  "http/1.1",
  "HTTP/1.1 ",
  "",
];
const HOSTS = ["127.0.0.1", "localhost", "localhost:1", "evil.example", "", "[::1", "a b", "localhost,evil", "@", "%00"];

const ODD_HEADERS = {
  none: () => [],
  large: r => [`x-large: ${"h".repeat(r.below(40_000))}`],
  many: r => r.times(r.below(4000), i => `x-${i}: ${i}`),
  same: r => r.times(r.below(2000), () => "x: y"),
  folded: () => ["x-folded: a", " b", "\tc"],
  colon: r => [
    r.pick(["no colon here", ": empty", "x : spaced", "x\u0000: nul", "x: a\u0000b", "x: a\rb", "x: a\nb", "x: \u00ff\u0001", "(x): y"]),
  ],
  type: r => [
    `content-type: ${r.pick(["text/plain", "", "application/json;charset=utf-16", "application/json, text/html", "a".repeat(5000)])}`,
  ],
  upgrade: r => [
    "connection: upgrade",
    `upgrade: ${r.pick(["websocket", "h2c", "TLS/1.0", "x"])}`,
    "sec-websocket-version: 13",
    "sec-websocket-key: eA==",
  ],
  settings: () => ["connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__"],
  expect: r => [`expect: ${r.pick(["100-continue", "200-ok", ""])}`],
  encoding: r => [`content-encoding: ${r.pick(["gzip", "br", "identity", "x"])}`],
  range: () => ["range: bytes=0-,1-,2-,3-", "if-none-match: *"],
  connection: r => [`connection: ${r.pick(["close, keep-alive", "content-length", "host", "", "x".repeat(3000)])}`],
  key: r => [`authorization: ${r.pick(["Bearer", "Basic eA==", `Bearer ${"k".repeat(8000)}`, "Bearer \u00e9"])}`],
};

const head = (method, target, version, lines) => Buffer.from([`${method} ${target} ${version}`, ...lines, "", ""].join(CRLF), "latin1");
const base = (r, more) => [`host: ${r.one(30) ? r.pick(HOSTS) : "127.0.0.1"}`, "content-type: application/json", ...more];
const closing = r => (r.one(4) ? [] : ["connection: close"]);
const bodyOf = r => BODIES[r.pick(Object.keys(BODIES))](r);
const post = (r, lines, body) => [head("POST", r.pick(POSTS), "HTTP/1.1", base(r, lines)), body];

/** Chunks of a body, of which one in some may be wrong. */
function chunked(r, body, wrong) {
  const out = [];
  for (let at = 0; at < body.length; ) {
    const size = 1 + r.below(r.one(3) ? 4 : 400);
    const piece = body.subarray(at, (at += size));
    const length = piece.length.toString(16);
    const sizes =
      wrong && r.one(4)
        ? [
            piece.length + 1,
            piece.length - 1,
            `-${length}`,
            `0x${length}`,
            `${length}g`,
            ` ${length}`,
            "f".repeat(17),
            "",
            `${"0".repeat(5000)}${length}`,
          ]
        : [length];
    const more = r.one(6) ? r.pick([";a=b", ';x="y"', ";", `;${"e".repeat(r.below(20_000))}`, ";\u0000", "; =", "\t"]) : "";
    const end = wrong && r.one(8) ? r.pick(["\n", "\r", "", "xx"]) : CRLF;
    out.push(Buffer.from(`${r.pick(sizes)}${more}${CRLF}`, "latin1"), piece, Buffer.from(end));
  }
  const trailers = r.one(3)
    ? r.pick([
        "x: y\r\n",
        "content-length: 5\r\n",
        "host: evil.example\r\n",
        "no colon\r\n",
        `x: ${"t".repeat(r.below(30_000))}\r\n`,
        "x: y\r\n".repeat(r.below(3000)),
      ])
    : "";
  if (!wrong || !r.one(6)) out.push(Buffer.from(`0${CRLF}${trailers}${CRLF}`, "latin1"));
  return out;
}

const LENGTHS = [
  "-1",
  "+5",
  "0x10",
  "1e3",
  "5 5",
  "5,5",
  "",
  " ",
  "99999999999999999999",
  "18446744073709551615",
  "33554433",
  "9007199254740992",
  "٣",
  "5;x",
];

/** By what is wrong. Each gives parts that are written in turn. */
const KINDS = {
  json: r => {
    const body = bodyOf(r);
    return post(r, [`content-length: ${body.length}`, ...closing(r)], body);
  },
  length: r => post(r, [`content-length: ${r.pick(LENGTHS)}`, ...closing(r)], bodyOf(r)),
  lengths: r => {
    const body = bodyOf(r);
    const other = r.pick([body.length, body.length + 1, 0, 5]);
    return post(
      r,
      r.pick([[`content-length: ${body.length}`, `content-length: ${other}`], [`content-length: ${body.length}, ${other}`]]),
      body,
    );
  },
  both: r => {
    const body = bodyOf(r);
    const lines = [
      `content-length: ${body.length}`,
      `transfer-encoding: ${r.pick(["chunked", "identity", "gzip, chunked", "chunked, chunked", "xchunked", "\u000bchunked"])}`,
    ];
    return post(r, r.one(2) ? lines : lines.reverse(), r.one(2) ? body : Buffer.concat(chunked(r, body, false)));
  },
  chunks: r => {
    const body = bodyOf(r);
    const [first] = post(
      r,
      [
        `transfer-encoding: ${r.one(8) ? r.pick(["Chunked", "chunked ", "gzip", "gzip, chunked", "chunked, identity"]) : "chunked"}`,
        ...closing(r),
      ],
      body,
    );
    const pieces = chunked(r, body, !r.one(3));
    return r.one(4) ? [first, ...pieces.slice(0, 400)] : [first, Buffer.concat(pieces)];
  },
  "single bytes": r => {
    const count = r.one(30) ? 3 << 20 : r.below(3000);
    const lines = base(r, ["transfer-encoding: chunked", "connection: close"]);
    return [
      head("POST", r.pick(POSTS), "HTTP/1.1", lines),
      Buffer.from(`1${CRLF}${r.pick(["[", " ", '"', "9"])}${CRLF}`.repeat(count) + `0${CRLF}${CRLF}`),
    ];
  },
  pipelined: r => {
    const one = () => {
      const body = r.one(2) ? Buffer.from(good(r)) : bodyOf(r);
      return r.one(3) ? [head("GET", r.pick(GETS), "HTTP/1.1", base(r, []))] : post(r, [`content-length: ${body.length}`], body);
    };
    return [Buffer.concat(r.times(1 + r.below(r.one(10) ? 60 : 6), one).flat())];
  },
  heads: r => {
    const body = r.one(2) ? Buffer.from(good(r)) : Buffer.alloc(0);
    const lines = [...ODD_HEADERS[r.pick(Object.keys(ODD_HEADERS))](r), ...closing(r)];
    return [
      head(r.one(2) ? "POST" : "GET", r.pick(r.one(2) ? POSTS : GETS), "HTTP/1.1", base(r, [...lines, `content-length: ${body.length}`])),
      body,
    ];
  },
  targets: r => [
    head(r.pick(["GET", "POST", "OPTIONS"]), ODD_TARGETS[r.pick(Object.keys(ODD_TARGETS))](r), "HTTP/1.1", base(r, closing(r))),
  ],
  methods: r => [head(r.pick(METHODS), r.pick([...POSTS, ...GETS, "*", "localhost:80"]), r.pick(VERSIONS), base(r, closing(r)))],
  lines: r => {
    const body = good(r);
    const whole = head("POST", r.pick(POSTS), "HTTP/1.1", base(r, [`content-length: ${body.length}`])).toString("latin1") + body;
    return [Buffer.from(whole.replaceAll(CRLF, r.pick(["\n", "\r", "\n\r", "\r\n\r", "\r\r\n", "\u0000\r\n"])), "latin1")];
  },
  rubbish: r => [Buffer.from(r.times(r.below(r.one(5) ? 20_000 : 200), () => r.below(256)))],
  tls: () => [Buffer.from("16030100c8010000c40303", "hex"), Buffer.alloc(200, 7)],
  "another protocol": r => [
    Buffer.from(
      r.pick(["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "EHLO x\r\n", "SSH-2.0-x\r\n", "GET /\r\n", "\r\n\r\n\r\n", "*1\r\n$4\r\nPING\r\n"]),
    ),
  ],
  half: r => {
    const body = bodyOf(r);
    const whole = Buffer.concat(post(r, [`content-length: ${body.length}`], body));
    return [whole.subarray(0, r.below(whole.length))];
  },
};

/** Bytes changed, cut out or put in. */
function damaged(r, bytes) {
  const at = r.below(Math.min(bytes.length, 300) + 1);
  const put = Buffer.from(r.pick(["\u0000", "\r", "\n", "\r\n\r\n", " ", ":", "%", "\u00ff", "transfer-encoding: chunked\r\n"]), "latin1");
  return Buffer.concat([bytes.subarray(0, at), r.one(2) ? put : Buffer.alloc(0), bytes.subarray(at + r.below(4))]);
}

/** One in so many waits for the server, and leaves at once. */
const [WAITS, LEAVES] = [400, 12];

/** @param {number} seed @returns {Case} */
export function caseOf(seed) {
  const r = drawer(seed);
  const kind = r.pick(Object.keys(KINDS));
  let parts = KINDS[kind](r).filter(part => part.length > 0);
  if (r.one(8)) parts = [damaged(r, Buffer.concat(parts))];
  const whole = parts.length === 1 ? parts[0] : undefined;
  if (whole && whole.length < 2000 && r.one(10)) parts = r.times(whole.length, i => whole.subarray(i, i + 1)).slice(0, 300);
  return { kind, parts, after: r.one(WAITS) ? "wait" : r.one(LEAVES) ? "leave" : "end" };
}
