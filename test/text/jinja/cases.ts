/**
 * Templates with their renderings, as Python's Jinja2 gives them with the settings of Hugging Face's chat templates. Data of
 * `language.test.ts`; the context is the same for all.
 */

export const context = {
  s: "Hello World",
  empty: "",
  u: "ünï 🤗 Straße",
  ws: "  a b\n c\t ",
  n: 5,
  f: 2.5,
  yes: true,
  none_value: null,
  l: [3, 1, 2],
  words: ["b", "A", "c", "a"],
  d: { a: 1, B: 2, c: { x: "y" } },
  users: [
    { name: "Bob", age: 30, tags: ["x", "y"] },
    { name: "alice", age: 25, tags: [] },
    { name: "Carl", age: 30 },
  ],
};

/** [title, template, rendering] */
export const cases: readonly (readonly [string, string, string])[] = [
  // ---- white space ----
  ["newline after a block tag goes", "{% if yes %}\nA\n{% endif %}\nB", "A\nB"],
  ["blanks before a block tag go", "x\n  {% if yes %}  y\n   {% endif %}z", "x\n  y\nz"],
  ["blanks after text stay", "a  {% if yes %}b{% endif %}", "a  b"],
  ["minus strips both sides", "a \n {%- if yes -%} \n b \n {%- endif -%} \n c", "abc"],
  ["plus keeps", "a\n  {%+ if yes +%}\nb{% endif %}", "a\n  \nb"],
  ["output is not stripped", "  {{ n }}\n  {{ n }}", "  5\n  5"],
  ["minus in output", "a {{- n -}} b", "a5b"],
  ["comments", "a\n  {# gone #}\nb{#- c -#} d", "a\nbd"],
  ["raw", "{% raw %}{{ n }}{% if %}{% endraw %}!", "{{ n }}{% if %}!"],
  ["raw with signs", "a {%- raw -%} {{ x }} {%- endraw -%} b", "a{{ x }}b"],
  ["one trailing newline goes", "a\n\n", "a\n"],
  ["carriage returns", "a\r\n{% if yes %}\r\nb\r{% endif %}c", "a\nb\nc"],
  ["braces alone", "{ {a} } {%- if yes %} % {% endif %}}", "{ {a} } % }"],
  // ---- expressions ----
  [
    "arithmetic",
    "{{ 7 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ 2 ** 3 ** 2 }} {{ 2 ** -1 }} {{ -2 ** 2 }}",
    "3.5 3 -4 -2 64 0.5 4",
  ],
  [
    "floats",
    "{{ 1e16 }} {{ 1e15 }} {{ 0.0001 }} {{ 0.00001 }} {{ 1.0 }} {{ 7.5 % 2 }} {{ -7.5 // 2 }} {{ 1 + 1.0 }}",
    "1e+16 1000000000000000.0 0.0001 1e-05 1.0 1.5 -4.0 2.0",
  ],
  ["big integers", "{{ 9007199254740993 + 1 }} {{ 2 ** 70 }}", "9007199254740994 1180591620717411303424"],
  ["number notations", "{{ 1_000 }} {{ 0xff }} {{ 0b101 }} {{ 0o17 }} {{ 1_0.5 }}", "1000 255 5 15 10.5"],
  ["booleans count", "{{ true + 1 }} {{ true == 1 }} {{ 1.0 == 1 }} {{ l[true] }}", "2 True True 1"],
  ["tilde binds before plus", "{{ 'a' + 1 ~ 2 }}|{{ 'x' ~ none ~ true ~ 1.5 ~ undefd }}", "a12|xNoneTrue1.5"],
  [
    "comparison chains",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ (1, 2) == (1, 2) }}",
    "True False True True True",
  ],
  ["logic returns operands", "{{ 0 or 'x' }} {{ 1 and 'y' }} {{ '' or none }} {{ not '' }} {{ [] and 1 }}", "x y None True []"],
  [
    "membership",
    "{{ 'a' in 'abc' }} {{ 1 in [1.0] }} {{ 'a' in d }} {{ 2 not in l }} {{ 3 in range(9) }} {{ 'x' in undefd }}",
    "True True True False True False",
  ],
  ["conditional", "{{ 'a' if yes }}{{ 'b' if not yes }}{{ 1 if no else 2 if no else 3 }}", "a3"],
  ["strings", `{{ 'a' 'b' "c" }}{{ 'it\\'s \\x41\\u00e9\\101\\q' }}`, "abcit's AéA\\q"],
  [
    "slices",
    "{{ s[::-1] }} {{ s[1:3] }} {{ s[-3:] }} {{ s[::4] }} {{ s[9:2:-3] }} {{ l[1:] }} {{ l[::-1] }} {{ (1,2,3)[:2] }}",
    "dlroW olleH el rld Hor lWl [1, 2] [2, 1, 3] (1, 2)",
  ],
  ["slices by code points", "{{ u[4] }}{{ u | length }}{{ u[::-1] }}{{ u[4:6] }}|", "🤗12eßartS 🤗 ïnü🤗 |"],
  ["access", "{{ d.a }}{{ d['B'] }}{{ d.c.x }}{{ d['c']['x'] }}{{ l.0 }}{{ l[-1] }}{{ d.zz }}{{ l[9] }}{{ users.0.tags.1 }}", "12yy32y"],
  ["methods before entries", "{{ {'items': 1}.items() | list }} {{ {'items': 1}['items'] }}", "[('items', 1)] 1"],
  ["dict keys by equality", "{{ {1: 'a', 1.0: 'b', true: 'c'} }} {{ {(1, 2): 'x'}[(1, 2)] }} {{ {1: 'a'}[1.0] }}", "{1: 'c'} x a"],
  [
    "printing",
    "{{ [1, 'a', none, true, 1.5, {'k': (1,)}] }} {{ \"it's\" }} {{ [\"it's\", 'a\\n\\\\\"'] }}",
    `[1, 'a', None, True, 1.5, {'k': (1,)}] it's ["it's", 'a\\n\\\\"']`,
  ],
  [
    "printing characters",
    "{{ ['\\x00\\u00a0\\u200bé🤗'] }} {{ d.keys() }} {{ range(3) }}",
    "['\\x00\\xa0\\u200bé🤗'] dict_keys(['a', 'B', 'c']) range(0, 3)",
  ],
  ["words as names", "{% set in = 1 %}{% set is = 2 %}{{ in + is }}", "3"],
  ["unpacking in calls", "{{ '{}-{}-{k}'.format(*[1, 2], **{'k': 3}) }} {{ dict(a=1, **{'b': 2}) }}", "1-2-3 {'a': 1, 'b': 2}"],
  // ---- statements ----
  [
    "loop variable",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }} {% endfor %}",
    "103TrueFalse31 212FalseFalse332 321FalseTrue31 ",
  ],
  ["loop cycle and changed", "{% for x in [1, 1, 2] %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x) }} {% endfor %}", "aTrue bFalse aTrue "],
  [
    "loop condition counts what passes",
    "{% for x in range(6) if x is odd %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% else %}none{% endfor %}",
    "1:1/3 2:3/3 3:5/3 ",
  ],
  ["loop else", "{% for x in [] %}a{% else %}b{% endfor %}{% for x in l %}{% break %}{% else %}c{% endfor %}", "bc"],
  [
    "loop unpacking",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "a=1;B=2;c={'x': 'y'};123",
  ],
  [
    "loops over dicts, strings and nothing",
    "{% for k in d %}{{ k }}{% endfor %}{% for c in 'a🤗' %}[{{ c }}]{% endfor %}{% for x in undefd %}no{% endfor %}",
    "aBc[a][🤗]",
  ],
  [
    "break and continue",
    "{% for x in range(9) %}{% if x == 2 %}{% continue %}{% elif x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "0134",
  ],
  [
    "recursive loop",
    "{% for x in [{'v': 1, 'c': [{'v': 2, 'c': []}]}] recursive %}{{ x.v }}{{ loop.depth }}({{ loop(x.c) }}){% endfor %}",
    "11(22())",
  ],
  ["assignments in loops stay inside", "{% set x = 0 %}{% for i in l %}{% set x = x + i %}{{ x }}{% endfor %}={{ x }}", "312=0"],
  [
    "namespace",
    "{% set ns = namespace(x=0, y='a') %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns.z is defined }}",
    "6aFalse",
  ],
  ["block assignment", "{% set x %}a{{ n }}b{% endset %}{% set y | upper | trim %} {{ x }} {% endset %}{{ x }}{{ y }}", "a5bA5B"],
  ["tuple assignment", "{% set a, (b, c) = 1, [2, 3] %}{{ a }}{{ b }}{{ c }}", "123"],
  [
    "macro",
    "{% macro m(a, b='x', c=a) %}{{ a }}{{ b }}{{ c }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1) }}{{ m(1, c=2) }}{{ m(1, 2, 3, 4, z=5) }}{{ m.name }}{{ m.arguments }}",
    "1x1(){}1x2(){}123(4,){'z': 5}m('a', 'b', 'c')",
  ],
  ["macro sees later assignments", "{% macro m() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}{% set x = 2 %}{{ m() }}", "12"],
  ["recursive macro", "{% macro m(k) %}{{ k }}{% if k > 0 %}{{ m(k - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "3210"],
  [
    "call block",
    "{% macro m(t) %}<{{ t }}>{{ caller('c') }}</{{ t }}>{% endmacro %}{% call(x) m('p') %}{{ x }}{{ n }}{% endcall %}",
    "<p>c5</p>",
  ],
  ["filter block", "{% filter upper | replace('A', '-') %}abc {{ n }}{% endfilter %}", "-BC 5"],
  ["with", "{% set x = 1 %}{% with x = 2, y = x %}{{ x }}{{ y }}{% endwith %}{{ x }}", "211"],
  ["generation", "a{% generation %}\nb{% endgeneration %}\nc", "abc"],
  ["elif and else", "{% if n < 5 %}a{% elif n == 5 %}b{% else %}c{% endif %}", "b"],
  // ---- filters ----
  [
    "case filters",
    "{{ s | upper }}{{ s | lower }}{{ 'ab cd-ef (gh' | title }}{{ 'hELLO' | capitalize }}{{ \"they're\" | title }}",
    "HELLO WORLDhello worldAb Cd-Ef (GhHelloThey're",
  ],
  ["trim", "[{{ ws | trim }}][{{ 'xxaxx' | trim('x') }}][{{ 5 | trim }}]", "[a b\n c][a][5]"],
  [
    "replace",
    "{{ s | replace('l', 'L') }}{{ s | replace('l', 'L', 1) }}{{ 'abc' | replace('', '-') }}{{ 5 | replace(5, 6) }}",
    "HeLLo WorLdHeLlo World-a-b-c-6",
  ],
  ["join", "{{ l | join(', ') }} {{ users | join('/', attribute='name') }} {{ 'abc' | join('.') }}", "3, 1, 2 Bob/alice/Carl a.b.c"],
  [
    "first, last, length",
    "{{ l | first }}{{ l | last }}{{ l | length }}{{ d | length }}{{ d | count }}{{ [] | first is defined }}{{ s | first }}",
    "32333FalseH",
  ],
  [
    "default",
    "{{ undefd | default('x') }}{{ empty | default('x') }}{{ empty | d('x', true) }}{{ none | default('y', boolean=true) }}",
    "xxy",
  ],
  [
    "int and float",
    "{{ '42' | int }} {{ '4.7' | int }} {{ 'x' | int(9) }} {{ '0x1F' | int(base=16) }} {{ ' 7 ' | int }} {{ none | int }} {{ '1.5' | float }} {{ 'x' | float }} {{ 3 | float }}",
    "42 4 9 31 7 0 1.5 0.0 3.0",
  ],
  [
    "abs and round",
    "{{ -3 | abs }} {{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 2.1 | round(method='ceil') }} {{ 2.9 | round(0, 'floor') }} {{ 1234 | round(-2) }}",
    "3 2.0 4.0 2.67 3.0 2.0 1200",
  ],
  [
    "sorting",
    "{{ l | sort }} {{ words | sort }} {{ words | sort(case_sensitive=true) }} {{ l | sort(reverse=true) }} {{ users | sort(attribute='age,name') | map(attribute='name') | list }}",
    "[1, 2, 3] ['A', 'a', 'b', 'c'] ['A', 'a', 'b', 'c'] [3, 2, 1] ['alice', 'Bob', 'Carl']",
  ],
  [
    "dictsort",
    "{{ d | dictsort }} {{ {'b': 1, 'a': 2} | dictsort(by='value') }} {{ {'b': 1, 'A': 2} | dictsort(true) }}",
    "[('a', 1), ('B', 2), ('c', {'x': 'y'})] [('b', 1), ('a', 2)] [('A', 2), ('b', 1)]",
  ],
  ["items", "{{ d | items | list }}{{ undefd | items | list }}", "[('a', 1), ('B', 2), ('c', {'x': 'y'})][]"],
  [
    "map",
    "{{ words | map('upper') | join }} {{ users | map(attribute='age') | list }} {{ users | map(attribute='tags', default=0) | list }} {{ ['1'] | map('int', default=3) | list }}",
    "BACA [30, 25, 30] [['x', 'y'], [], 0] [1]",
  ],
  [
    "select",
    "{{ l | select('gt', 1) | list }} {{ l | reject('odd') | list }} {{ [0, 1, ''] | select | list }} {{ none | select | list }}",
    "[3, 2] [2] [1] []",
  ],
  [
    "selectattr",
    "{{ users | selectattr('age', 'equalto', 30) | map(attribute='name') | list }} {{ users | rejectattr('tags') | map(attribute='name') | list }}",
    "['Bob', 'Carl'] ['alice', 'Carl']",
  ],
  [
    "lazy filters are true and read once",
    "{% set g = [] | select %}{{ 'yes' if g }}{% set h = l | map('string') %}{{ h | list }}{{ h | list }}",
    "yes['3', '1', '2'][]",
  ],
  [
    "unique, min, max, sum",
    "{{ ['a', 'A', 'b'] | unique | list }} {{ [1, 1.0, 2] | unique | list }} {{ l | min }}{{ l | max }}{{ l | sum }} {{ users | sum(attribute='age') }} {{ l | sum(start=10) }} {{ users | max(attribute='age') }}",
    "['a', 'b'] [1, 2] 136 85 16 {'name': 'Bob', 'age': 30, 'tags': ['x', 'y']}",
  ],
  [
    "groupby",
    "{% for age, us in users | groupby('age') %}{{ age }}:{{ us | map(attribute='name') | join(',') }} {% endfor %}{{ (users | groupby('age'))[0].grouper }}",
    "25:alice 30:Bob,Carl 25",
  ],
  [
    "batch, slice, reverse",
    "{{ range(5) | batch(2) | list }} {{ range(5) | batch(2, 'x') | list }} {{ range(5) | slice(2) | list }} {{ l | reverse | list }} {{ 'abc' | reverse }}",
    "[[0, 1], [2, 3], [4]] [[0, 1], [2, 3], [4, 'x']] [[0, 1, 2], [3, 4]] [2, 1, 3] cba",
  ],
  [
    "indent",
    "{{ 'a\\nb\\n\\nc' | indent }}|{{ 'a\\nb\\n\\nc' | indent(2, true, true) }}|{{ 'a\\nb' | indent('> ') }}",
    "a\n    b\n\n    c|  a\n  b\n  \n  c|a\n> b",
  ],
  [
    "center, truncate, wordcount",
    "[{{ 'ab' | center(5) }}] {{ 'foo bar baz qux' | truncate(9, leeway=0) }} {{ 'foo bar baz qux' | truncate(9, true, '!', 0) }} {{ s | wordcount }}",
    "[  ab ] foo... foo bar ! 2",
  ],
  [
    "format",
    "{{ '%s-%05.1f-%x-%-4d|%r' | format('a', 2.25, 255, 7, 'q') }} {{ '%(k)s' | format(k=1) }} {{ '%s%%' % 5 }}",
    "a-002.2-ff-7   |'q' 1 5%",
  ],
  ["safe and escape", "{{ '<b>' | safe }}{{ '<b>' | e }}{{ ('<' | e) + '<' }}{{ '<a>' | safe | e }}", "<b>&lt;b&gt;&lt;&lt;<a>"],
  ["urlencode", "{{ 'a b/ü' | urlencode }} {{ {'a': 1, 'b c': '/'} | urlencode }}", "a%20b/%C3%BC a=1&b+c=%2F"],
  ["attr and string", "{{ s | attr('upper') is callable }}{{ {'a': 1} | attr('a') is defined }}{{ 5 | string + '6' }}", "TrueFalse56"],
  [
    "tojson",
    "{{ {'a': [1, 2.0, none, true], 'ü<': '\"\\n\\u0001/'} | tojson }} {{ {} | tojson }} {{ [] | tojson(indent=2) }} {{ (1, 'a') | tojson }} {{ {1: 2, none: 3, true: 4} | tojson }}",
    '{"a": [1, 2.0, null, true], "ü<": "\\"\\n\\u0001/"} {} [] [1, "a"] {"1": 4, "null": 3}',
  ],
  [
    "tojson layout",
    "{{ {'b': [1, {}], 'a': 'é🤗'} | tojson(indent=2, ensure_ascii=true, sort_keys=true) }}{{ [1, 2] | tojson(separators=(',', ':')) }}",
    '{\n  "a": "\\u00e9\\ud83e\\udd17",\n  "b": [\n    1,\n    {}\n  ]\n}[1,2]',
  ],
  // ---- tests ----
  [
    "type tests",
    "{{ s is string }}{{ n is number }}{{ f is float }}{{ n is integer }}{{ true is integer }}{{ true is boolean }}{{ d is mapping }}{{ l is sequence }}{{ d is sequence }}{{ l is iterable }}{{ n is iterable }}{{ none is none }}",
    "TrueTrueTrueTrueFalseTrueTrueTrueTrueTrueFalseTrue",
  ],
  [
    "value tests",
    "{{ 3 is odd }}{{ 4 is even }}{{ 6 is divisibleby 3 }}{{ 1 is in [1] }}{{ 2 is gt 1 }}{{ 'a' is eq('a') }}{{ s is not defined }}{{ x is undefined }}{{ 'ab' is lower }}{{ none is sameas none }}{{ 'upper' is filter }}{{ 'odd' is test }}",
    "TrueTrueTrueTrueTrueTrueFalseTrueTrueTrueTrueTrue",
  ],
  ["tests bind to the operand", "{{ 1 + (1 is odd) }}{{ not 1 is odd }}{{ 'x' if n is defined else 'y' }}", "2Falsex"],
  // ---- methods ----
  ["strip", "[{{ ws.strip() }}][{{ ws.lstrip() }}][{{ ws.rstrip() }}][{{ 'abcba'.strip('ab') }}]", "[a b\n c][a b\n c\t ][  a b\n c][c]"],
  [
    "split",
    "{{ 'a,b,,c'.split(',') }}{{ ws.split() }}{{ 'a b c'.split(' ', 1) }}{{ 'a b c'.rsplit(' ', 1) }}{{ 'a b c'.rsplit(none, 1) }}{{ 'a\\nb\\r\\nc\\n'.splitlines() }}",
    "['a', 'b', '', 'c']['a', 'b', 'c']['a', 'b c']['a b', 'c']['a b', 'c']['a', 'b', 'c']",
  ],
  [
    "find",
    "{{ s.find('o') }}{{ s.rfind('o') }}{{ s.find('z') }}{{ s.index('W') }}{{ s.count('l') }}{{ u.find('S') }}{{ s.find('o', 5) }}{{ s.startswith('Hell') }}{{ s.endswith(('x', 'ld')) }}{{ s.startswith('W', 6) }}",
    "47-16367TrueTrueTrue",
  ],
  [
    "case methods",
    "{{ \"they're\".title() }}{{ 'aB'.swapcase() }}{{ 'straße'.upper() }}{{ 'ǆ'.title() }}{{ 'hELLO'.capitalize() }}{{ 'ẞ'.casefold() }}",
    "They'ReAbSTRASSEǅHelloss",
  ],
  [
    "pad",
    "[{{ 'ab'.center(5, '*') }}][{{ 'ab'.ljust(4) }}][{{ 'ab'.rjust(4, '.') }}][{{ '-7'.zfill(4) }}][{{ 'a\\tb'.expandtabs(4) }}]",
    "[**ab*][ab  ][..ab][-007][a   b]",
  ],
  [
    "parts",
    "{{ 'a=b=c'.partition('=') }}{{ 'a=b=c'.rpartition('=') }}{{ 'abc'.removeprefix('a') }}{{ 'abc'.removesuffix('c') }}{{ '-'.join(['x', 'y']) }}",
    "('a', '=', 'b=c')('a=b', '=', 'c')bcabx-y",
  ],
  [
    "questions",
    "{{ '12'.isdigit() }}{{ 'ab'.isalpha() }}{{ 'a1'.isalnum() }}{{ ' '.isspace() }}{{ 'Ab'.istitle() }}{{ 'AB'.isupper() }}{{ ''.isdigit() }}{{ 'a b'.isidentifier() }}",
    "TrueTrueTrueTrueTrueTrueFalseFalse",
  ],
  ["format method", "{{ '{0} {1} {k!r} {k:>4} {2:.2f} {3:,}'.format('a', 'b', 1.005, 12345, k='c') }}", "a b 'c'    c 1.00 12,345"],
  [
    "list methods",
    "{% set l2 = [1] %}{% set _ = l2.append(2) %}{% set _ = l2.extend([3, 4]) %}{% set _ = l2.insert(0, 0) %}{{ l2.pop() }}{{ l2 }}{{ l2.index(2) }}{{ l2.count(1) }}",
    "4[0, 1, 2, 3]21",
  ],
  [
    "dict methods",
    "{{ d.get('a') }}{{ d.get('z') }}{{ d.get('z', 0) }}{{ {'k': none}.get('k', 1) }}{% set e = {'x': 1} %}{% set _ = e.update({'y': 2}) %}{{ e.pop('x') }}{{ e }}{{ e.setdefault('q', 3) }}{{ e.values() | list }}",
    "1None0None1{'y': 2}3[2, 3]",
  ],
  // ---- functions ----
  [
    "range",
    "{{ range(3) | list }}{{ range(1, 7, 2) | list }}{{ range(3, 0, -1) | list }}{{ range(5)[1] }}{{ range(0) | list }}",
    "[0, 1, 2][1, 3, 5][3, 2, 1]1[]",
  ],
  [
    "cycler and joiner",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set j = joiner('|') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}",
    "abab3|1|2",
  ],
  [
    "undefined",
    "[{{ undefd }}][{{ undefd | length }}][{{ undefd | upper }}][{{ undefd == undefd2 }}][{{ undefd is defined }}][{{ undefd | list }}][{{ [undefd] }}]",
    "[][0][][True][False][[]][[Undefined]]",
  ],
];
