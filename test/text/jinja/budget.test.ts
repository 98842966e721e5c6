/** Templates that want too much: each must fail with `template.failed`, soon, and with little memory. */
import { describe, expect, it } from "vitest";
import { LatheError } from "../../../src/errors.ts";
import { parseTemplate } from "../../../src/text/jinja/template.ts";

const big = "a".repeat(200_000);

/** Wall-clock limit; far above what is needed, since test machines are shared. */
const SOON_MS = 5000;

function outcome(template: string): string {
  const start = performance.now();
  try {
    const { text } = parseTemplate(template).render({ big, a: {} });
    return `${text.length} characters`;
  } catch (error) {
    expect(error).toBeInstanceOf(LatheError);
    expect((error as LatheError).code).toBe("template.failed");
    return (error as LatheError).message;
  } finally {
    expect(performance.now() - start).toBeLessThan(SOON_MS);
  }
}

const STEPS = "too many steps";
const LONG = "a text that is too long";
const WORK = "too much text";
const DEEP = "nested too deeply";
const deep = (open: string, middle: string, close: string, count = 100_000) => open.repeat(count) + middle + close.repeat(count);
/** Runs a body often, with `ns.x` to keep something in. */
const often = (start: string, body: string, times = 100) =>
  `{% set ns = namespace(x=${start}) %}{% for i in range(${times}) %}${body}{% endfor %}`;

describe("budgets", () => {
  it.each([
    ["nested loops", often("0", "{% for j in range(100000) %}{% set ns.x = ns.x + 1 %}{% endfor %}", 100_000), STEPS],
    ["a large range", "{{ range(1000000000) }}", "Range too big"],
    ["a huge range", "{% for x in range(0, 10 ** 30) %}{% endfor %}", "Range too big"],
    ["repeating text", "{{ '-' * 1000000000 }}", LONG],
    ["repeating text beyond all numbers", "{{ '-' * 10 ** 100 }}", LONG],
    ["repeating a list", "{{ [1] * 1000000000 }}", STEPS],
    ["indenting", "{{ 'a' | indent(1000000000) }}", LONG],
    ["indenting with a long margin", "{{ (['a'] * 1000) | join('\n') | indent(big) }}", LONG],
    ["indenting JSON", "{{ {'a': 1} | tojson(indent=1000000000) }}", LONG],
    ["padding", "{{ 'a'.center(1000000000) }}", LONG],
    ["zeros", "{{ '1'.zfill(1000000000) }}", LONG],
    ["tabs", "{{ '\t'.expandtabs(1000000000) }}", LONG],
    ["a wide format", "{{ '%1000000000d' % 1 }}", LONG],
    ["a precise format", "{{ '%.1000000000f' % 1 }}", "precision"],
    ["a wide brace format", "{{ '{:01000000000}'.format(1) }}", LONG],
    ["a brace format in braces", "{{ ('{' ~ '[' * 100000 ~ '}').format(1) }}", "placeholder"],
    ["many open formats", "{{ ('%(' * 100000) % 1 }}", WORK],
    ["a large power", "{{ 9 ** 9 ** 9 ** 9 }}", "1024 bits"],
    ["growing integers", often("3", "{% set ns.x = ns.x * ns.x %}"), "1024 bits"],
    ["doubling text", often("'ab'", "{% set ns.x = ns.x ~ ns.x %}"), LONG],
    ["doubling a list", often("[1]", "{% set ns.x = ns.x + ns.x %}"), STEPS],
    ["extending a list by itself", often("[1]", "{% set _ = ns.x.extend(ns.x) %}"), STEPS],
    ["printing a tree of shared lists", often("[1]", "{% set ns.x = [ns.x, ns.x] %}", 60) + "{{ ns.x }}", WORK],
    ["printing it as JSON", often("[1]", "{% set ns.x = [ns.x, ns.x] %}", 60) + "{{ ns.x | tojson }}", WORK],
    ["hashing a tree of shared tuples", often("(1,)", "{% set ns.x = (ns.x, ns.x) %}", 60) + "{{ {ns.x: 1} }}", WORK],
    ["comparing trees", often("[1]", "{% set ns.x = [ns.x, ns.x] %}", 60) + "{{ ns.x == ns.x + [] }}", STEPS],
    ["a cyclic list", "{% set l = [] %}{% set _ = l.append(l) %}{{ l }}", DEEP],
    ["a cyclic dict as JSON", "{% set _ = a.update({'a': a}) %}{{ a | tojson }}", DEEP],
    ["comparing cycles", "{% set l = [] %}{% set _ = l.append(l) %}{% set k = [] %}{% set _ = k.append(k) %}{{ l == k }}", DEEP],
    ["endless recursion", "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}", DEEP],
    [
      "recursion through much",
      "{% macro m(n) %}{% for x in [1] %}{% if true %}{{ [[[m(n)]]] | first }}{% endif %}{% endfor %}{% endmacro %}{{ m(0) }}",
      DEEP,
    ],
    ["a recursive loop", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", DEEP],
    [
      "a caller that calls",
      "{% macro m() %}{{ caller() }}{% endmacro %}{% macro k() %}{% call m() %}{{ k() }}{% endcall %}{% endmacro %}{{ k() }}",
      DEEP,
    ],
    ["long searches", often("'b' ~ big", "{% if ns.x in big * 3 %}{% endif %}"), WORK],
    ["replacing by much", "{{ big.replace('a', big) }}", LONG],
    ["joining much", "{{ ([big] * 10000) | join }}", LONG],
    ["changing case often", often("0", "{% set ns.x = big.upper() %}", 10_000), WORK],
    ["reversing often", often("0", "{% set ns.x = big[::-1] %}", 10_000), WORK],
    ["splitting often", often("0", "{% set ns.x = big.split('a') %}", 10_000), WORK],
    ["looping over characters", often("0", "{% for c in big %}{% endfor %}", 10_000), STEPS],
    ["much output", often("0", "{{ big }}", 1000), LONG],
    ["much output in macros", "{% macro m() %}{% for i in range(1000) %}{{ big }}{% endfor %}{% endmacro %}{% set x = m() %}", LONG],
    ["many arguments", "{% macro m() %}{% endmacro %}{{ m(*range(100000)) }}", "too many arguments"],
    ["batches", "{{ [1] | batch(1000000000, 'x') | list }}", STEPS],
    ["slices", "{{ [1] | slice(1000000000) | list }}", STEPS],
    ["inserting in front", "{% set l = range(100000) | list %}" + often("0", "{% set _ = l.insert(0, 1) %}", 100_000), STEPS],
    ["deep brackets", `{{ ${deep("(", "1", ")")} }}`, DEEP],
    ["deep lists", `{{ ${deep("[", "1", "]")} }}`, DEEP],
    ["deep dicts", `{{ ${deep("{1:", "1", "}")} }}`, DEEP],
    ["deep subscripts", `{{ a${deep("[a", "", "]")} }}`, DEEP],
    ["many nots", `{{ ${"not ".repeat(100_000)}1 }}`, DEEP],
    ["many signs", `{{ ${"-".repeat(100_000)}1 }}`, DEEP],
    ["many conditions", `{{ ${"1 if 0 else ".repeat(100_000)}1 }}`, DEEP],
    ["many filters", `{{ 'a'${"|upper".repeat(100_000)} }}`, DEEP],
    ["many attributes", `{{ a${".b".repeat(100_000)} }}`, DEEP],
    ["deep blocks", "{% if 1 %}".repeat(100_000), DEEP],
    ["many open comments", "{#".repeat(100_000), "comment"],
    ["many open raws", "{% raw %}".repeat(100_000), "raw"],
  ])("%s", (_, template, message) => {
    expect(outcome(template)).toContain(message);
  });

  it.each([
    ["a long sum", `{{ 1${"+1".repeat(20_000)} }}`, "5 characters"],
    ["a long concatenation", `{{ 'a'${"~'b'".repeat(20_000)} }}`, "20001 characters"],
    ["a long chain of branches", `{% if 0 %}${"{% elif 0 %}".repeat(20_000)}{% else %}x{% endif %}`, "1 characters"],
    ["an empty list often", "{{ [] * 1000000000 }}", "2 characters"],
    ["eighty nested blocks", deep("{% if 1 %}", "x", "{% endif %}", 80), "1 characters"],
    ["a hundred levels of recursion", "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% endif %}x{% endmacro %}{{ m(100) }}", "101 characters"],
    ["the largest range", "{{ range(100000) | list | length }}", "6 characters"],
    ["output as long as the input four times", "{{ big }}{{ big }}{{ big }}{{ big }}", "800000 characters"],
  ])("allows %s", (_, template, result) => {
    expect(outcome(template)).toBe(result);
  });

  // Each of these once took milliseconds for a step or two: what they do must be paid for, however it is spelled.
  const many = (item: (i: number) => string) => Array.from({ length: 3000 }, (_, i) => item(i)).join();
  const long = "{% set b = 'ab' * 250000 %}";
  const self = "{% set d = {} %}{% set _ = d.update({'a': d}) %}";
  const names = `{% set d = {${many(i => `'a${i}': 1`)}} %}`;
  const whole = "{% set n = 2 ** 1023 - 1 %}";
  it.each([
    ["a macro's parameters", `{% macro m(${many(i => `a${i}`)}) %}{% endmacro %}`, "m()"],
    ["a macro's names of parameters", `{% macro m(${many(i => `a${i}`)}) %}{% endmacro %}`, "m.arguments"],
    ["arguments by name", `${names}{% macro m() %}{{ kwargs | length }}{% endmacro %}`, "m(**d)"],
    ["arguments of a function", names, "cycler(1, **d)"],
    ["sorting by many attributes", "{% set a = ',' * 3000 %}", "[{'': 1}] | sort(attribute=a)"],
    ["a long path", `${self}{% set a = 'a.' * 3000 %}`, "[d] | map(attribute=a, default=d) | list"],
    ["a long date", "{% set a = '%c' * 20000 %}", "strftime_now(a)"],
    ["the length of a new text", long, "(b ~ 'x') | length"],
    ["a character of a new text", long, "(b ~ 'x')[0]"],
    ["a slice of a new text", long, "(b ~ 'x')[1:]"],
    ["a text as a key", `${long}{% set d = {} %}`, "d[b]"],
    ["a beginning that is not there", long, "(b ~ 'x').removeprefix('x')"],
    ["the same text twice", `${long}{% set c = 'ab' * 250000 %}`, "b is sameas(c)"],
    [
      "a text in many tuples",
      "{% set ns = namespace(t=('x' * 100000,)) %}{% for i in range(90) %}{% set ns.t = (ns.t,) %}{% endfor %}",
      "{ns.t: 1}",
    ],
    ["a tree of tuples as a key", `${often("(1,)", "{% set ns.x = (ns.x, ns.x) %}", 60)}`, "{}[ns.x]"],
    ["many beginnings", "{% set t = ('x',) * 10000 %}", "''.startswith(t)"],
    ["removing in front", "{% set l = range(100000) | list %}", "[l.append(1), l.remove(l[0])]"],
    ["folding the keys of a dict", "{% set d = {'K' * 500000: 1} %}", "d | dictsort"],
    ["escapes of JSON", "{% set b = '\n' * 200000 %}", "b | tojson"],
    ["escapes of HTML", "{% set b = '<' * 100000 %}", "b | e"],
    ["escapes of addresses", "{% set b = ' ' * 100000 %}", "b | urlencode"],
    ["fields of a format", "{% set b = '{0}' * 10000 %}", "b.format('')"],
    ["a path in a field", `${self}{% set b = '{0' ~ '.a' * 480 ~ '.z}' %}{% set _ = d.update({'z': ''}) %}`, "(b * 2).format(d)"],
    ["searching for a long text", "{% set b = 'a' * 300000 %}{% set c = 'b' ~ 'a' * 500 %}", "c in b"],
    ["searching from the right", "{% set b = 'a' * 300000 %}{% set c = 'a' * 200 ~ 'b' %}", "b.rfind(c)"],
    ["counting", "{% set b = 'a' * 300000 %}", "b.count('a')"],
    ["many characters to strip", long, "''.strip(b)"],
    ["stripping everything", "{% set b = ' ' * 300000 %}", "b | trim"],
    ["changing case of many origins", "{% set b = (x ~ 'x') * 3000 %}", "b | upper"],
    ["digits that are no number", "{% set b = '9' * 399 ~ 'x' %}", "b | float"],
    ["words of one letter", "{% set b = 'a ' * 100000 %}", "b | wordcount"],
    ["what kind of text", "{% set b = 'Éa' * 100000 %}", "b.istitle()"],
  ])("does not allow a thousand times: %s", (_, start, dear) => {
    const template = parseTemplate(`${start}{% for i in range(1000) %}{% set y = ${dear} %}{% endfor %}`);
    expect(() => template.render({ x: "y" })).toThrow(/too many steps|too much text/);
    // What it begins with is allowed.
    expect(parseTemplate(start).render({ x: "y" }).text).toBe("");
  });

  it.each([
    ["large numbers in groups", whole, "'{:_}'.format(n)"],
    ["places of a float", "", "'%.99f' % 0.1"],
    ["rounding", "", "0.1 | round(50)"],
    ["a large number as a key", whole, "{n: 1}"],
    ["a large number as a text", whole, "n ~ ''"],
    ["a text as a large number", "{% set b = '9' * 300 %}", "b | int"],
  ])("does not allow thirty thousand times: %s", (_, start, dear) => {
    const template = parseTemplate(`${start}{% for i in range(30000) %}{% set y = ${dear} %}{% endfor %}`);
    expect(() => template.render({})).toThrow(/too many steps|too much text/);
  });

  it("charges for the levels of names that are looked through", () => {
    const depth = 90;
    const inside = (times: number) => `{% for i in range(${times}) %}{{ y }}{{ y }}{{ y }}{{ y }}{% endfor %}`;
    const nested = `${"{% with %}".repeat(depth)}${inside(40_000)}${"{% endwith %}".repeat(depth)}`;
    expect(parseTemplate(inside(40_000)).render({ y: "" }).text).toBe("");
    expect(() => parseTemplate(nested).render({ y: "" })).toThrow(STEPS);
  });

  it("takes the number of steps as an option", () => {
    const template = parseTemplate("{% for x in range(100) %}{{ x }}{% endfor %}");
    expect(() => template.render({}, { maxSteps: 100 })).toThrow(STEPS);
    expect(template.render({}, { maxSteps: 2000 }).text.length).toBe(190);
  });

  it("keeps shared and cyclic context as small as it is", () => {
    let tree: unknown = [1];
    for (let i = 0; i < 60; i++) tree = [tree, tree];
    expect(parseTemplate("{{ tree | length }}").render({ tree }).text).toBe("2");
    const cyclic: Record<string, unknown> = { name: "x" };
    cyclic.self = cyclic;
    expect(parseTemplate("{{ c.self.self.name }}").render({ c: cyclic }).text).toBe("x");
  });
});
