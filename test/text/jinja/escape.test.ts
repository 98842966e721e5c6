/** Attempts to get out of the template: into JavaScript's prototypes and globals, or where Python's sandbox escapes went. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LatheError } from "../../../src/errors.ts";
import { parseTemplate } from "../../../src/text/jinja/template.ts";

const hostile = JSON.parse('{"__proto__": {"polluted": "data"}, "constructor": "data", "toString": "data"}');
const context = { s: "text", n: 1, f: 1.5, b: true, nothing: null, l: [1], d: { a: 1 }, hostile };

const names = [
  ...[
    "constructor",
    "__proto__",
    "prototype",
    "toString",
    "valueOf",
    "hasOwnProperty",
    "__defineGetter__",
    "__lookupGetter__",
    "isPrototypeOf",
  ],
  ...[
    "__class__",
    "__mro__",
    "__subclasses__",
    "__globals__",
    "__init__",
    "__builtins__",
    "__import__",
    "__dict__",
    "func_globals",
    "gi_frame",
  ],
  ...[
    "call",
    "apply",
    "bind",
    "caller",
    "arguments",
    "length",
    "name",
    "size",
    "entries",
    "then",
    "at",
    "flat",
    "text",
    "trusted",
    "items_",
    "run",
  ],
  ...["attribute", "typeName", "kind", "fields", "node", "depth0_", "budget", "message", "positional", "named"],
];
const targets = [
  "s",
  "n",
  "f",
  "b",
  "nothing",
  "l",
  "d",
  "(1, 2)",
  "range(3)",
  "namespace(a=1)",
  "cycler(1)",
  "joiner()",
  "namespace",
  "range",
  "s.upper",
  "d.items",
  "d.items()",
  "m",
  "loop",
  "undefd",
  "l | map('string')",
  "s | safe",
];
/** What Python has under these names too. */
const known = new Set(["m.name", "m.arguments", "m.caller", "(1, 2).count"]);

function outcome(expression: string): string {
  const template = `{% macro m(a) %}{% endmacro %}{% for x in [1] %}{{ ${expression} }}{% endfor %}`;
  try {
    return parseTemplate(template).render(context).text;
  } catch (error) {
    expect(error, expression).toBeInstanceOf(LatheError);
    expect((error as LatheError).code).toBe("template.failed");
    return "";
  }
}

describe("escape attempts", () => {
  it("find nothing under the names of JavaScript and Python internals", () => {
    let count = 0;
    for (const target of targets) {
      for (const name of names) {
        if (known.has(`${target}.${name}`) || (target === "loop" && name === "length")) continue;
        for (const expression of [
          `(${target}).${name}`,
          `(${target})['${name}']`,
          `(${target}) | attr('${name}')`,
          `[${target}] | map(attribute='${name}') | join`,
        ]) {
          expect(outcome(expression), expression).toBe("");
          expect(outcome(`((${expression}) is defined)`), expression).toMatch(/^(False|True)?$/);
          count += 2;
        }
      }
    }
    expect(count).toBeGreaterThan(500);
  });

  it.each([
    "s.constructor.constructor('return process')()",
    "[].constructor('return process')()",
    "(1).__class__.__base__.__subclasses__()",
    "''.__class__.__mro__[1].__subclasses__()",
    "cycler.__init__.__globals__.os.popen('id').read()",
    "namespace.__init__.__globals__",
    "raise_exception.constructor('return 1')()",
    "m.constructor",
    "loop.constructor.constructor",
    "'{0.constructor}'.format(s)",
    "'{0.__class__.__init__.__globals__}'.format(m)",
    "'{0[constructor]}'.format(d)",
    "'%(constructor)s' % d",
    "d | map('constructor') | list",
    "s | constructor",
    "s | __proto__",
    "s is constructor",
    "constructor",
    "__proto__.x",
    "globalThis.process",
    "process.env",
    "require('fs')",
    "self._TemplateReference__context",
    "config",
    "lipsum.__globals__",
    "d.get('constructor').x",
    "d.update(__proto__={'x': 1}) ~ d.x",
    "namespace(__proto__=d).a",
    "dict(constructor=1).constructor.constructor",
    "s.format.constructor",
    "(s | attr('upper')).constructor",
    "[d, s] | groupby('constructor') | map(attribute='grouper') | join",
    "l | sort(attribute='constructor.name') | map('constructor')",
  ])("%s", expression => {
    expect(outcome(expression)).toMatch(/^(None|1|2)?$/);
  });

  it("treat hostile keys as plain data", () => {
    const render = (template: string) => parseTemplate(template).render(context).text;
    expect(render("{{ hostile.constructor }} {{ hostile['__proto__'].polluted }} {{ hostile.toString }} {{ hostile | length }}")).toBe(
      "data data data 3",
    );
    expect(
      render(
        "{% set e = {} %}{% set _ = e.update({'__proto__': {'polluted': 1}}) %}{{ e.polluted is defined }} {{ {}.polluted is defined }}",
      ),
    ).toBe("False False");
    expect(
      render(
        "{% set __proto__ = {'polluted': 1} %}{% set ns = namespace() %}{% set ns.__proto__ = {'polluted': 1} %}{{ ns.polluted is defined }}",
      ),
    ).toBe("False");
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it("never reach a getter or change the caller's data", () => {
    const data = { l: [1], d: { a: 1 } };
    parseTemplate("{% set _ = l.append(2) %}{% set _ = d.update({'b': 2}) %}{% set _ = d.pop('a') %}").render(data);
    expect(data).toEqual({ l: [1], d: { a: 1 } });
  });

  it("leave nothing between renderings", () => {
    const template = parseTemplate(
      "{% set l = [] %}{% set _ = l.append(1) %}{{ l }}{{ x is defined }}{% set x = 1 %}{% set c = cycler(1, 2) %}{{ c.next() }}",
    );
    expect([template.render({}).text, template.render({}).text]).toEqual(["[1]False1", "[1]False1"]);
  });

  it("end in an answer or in template.failed, whatever the template", () => {
    const atom = fc.constantFrom(...targets, ...names, "1", "'a'", "''", "2.5", "none", "[]", "{}", "'{}'", "'%s'", "-1", "10 ** 20");
    const suffix = fc.oneof(
      fc.constantFrom(...names).map(name => `.${name}`),
      fc.constantFrom("()", "(1)", "('a', 'b')", "(*l)", "(**d)", "[0]", "[-1]", "[::-1]", "['a']", "[1:2]"),
      fc.constantFrom("split", "join", "format", "get", "items", "append", "pop", "replace", "find", "center").map(name => `.${name}('a')`),
      fc
        .constantFrom(
          "upper",
          "list",
          "tojson",
          "first",
          "sort",
          "string",
          "int",
          "round",
          "batch(2)",
          "groupby('a')",
          "map('upper')",
          "select",
          "sum",
          "indent(3)",
          "length",
        )
        .map(name => ` | ${name}`),
    );
    const expression = fc.tuple(atom, fc.array(suffix, { maxLength: 4 })).map(([start, rest]) => `(${start})${rest.join("")}`);
    const operator = fc.constantFrom("+", "-", "*", "/", "//", "%", "**", "~", "==", "<", "in", "and", "or", "is");
    fc.assert(
      fc.property(expression, operator, expression, (a, sign, b) => {
        outcome(`${a} ${sign} ${b}`);
      }),
      { numRuns: 3000 },
    );
  });

  it("survive templates of random pieces", () => {
    const piece = fc.constantFrom(
      "{{",
      "}}",
      "{%",
      "%}",
      "{#",
      "#}",
      "-",
      "+",
      " ",
      "\n",
      "if",
      "for",
      "x",
      "in",
      "endif",
      "endfor",
      "set",
      "=",
      "'",
      '"',
      "a",
      "1",
      ".",
      "|",
      "(",
      ")",
      "[",
      "]",
      "{",
      "}",
      "raw",
      "endraw",
      "macro",
      "else",
      "~",
      ",",
      ":",
      "\\",
      "🤗",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), pieces => {
        try {
          parseTemplate(pieces.join("")).render(context);
        } catch (error) {
          expect(error).toBeInstanceOf(LatheError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
