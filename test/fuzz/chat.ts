/**
 * Answers that try to do something to their reader: markup, handlers, addresses that run, pictures that tell, in all places that Markdown has. Each
 * is drawn as it grows, character by character, and after each nothing may be there that could run or load.
 */
import { h, render } from "preact";
import { Markdown } from "../../src/web/chat/parts/markdown.tsx";
import { Random } from "../fixtures/random.ts";
import { hostileParts, Item, pretended } from "../web/tree.ts";
import type { Target } from "./targets.ts";

const ADDRESSES = [
  "javascript:hit(1)",
  "JaVaScRiPt:hit(1)",
  "java\tscript:hit(1)",
  "java&#10;script:hit(1)",
  "&#106;avascript:hit(1)",
  "&#x6A;avascript&colon;hit(1)",
  "\u0001javascript:hit(1)",
  " javascript:hit(1)",
  "javascript&#58;hit(1)",
  "vbscript:hit(1)",
  "data:text/html,<script>hit(1)</script>",
  "data:image/svg+xml;base64,PHN2Zz4=",
  "blob:https://evil.example/x",
  "file:///etc/passwd",
  "view-source:https://evil.example",
  "//evil.example/p.png",
  "https://evil.example/p.png?q=secret",
  "http://evil.example",
  "mailto:a@evil.example",
  "x:y",
  "%6aavascript:hit(1)",
  "javascript%3ahit(1)",
  "filesystem:https://evil.example/",
  "/relative",
  "#x",
];
const EVENTS = "onerror onload onclick onfocus onmouseover ontoggle onbegin onanimationstart onpointerrawupdate".split(" ");
const TAGS =
  "img svg math iframe object embed video audio link meta base form input button details style script template body marquee a isindex use".split(
    " ",
  );
const quote = (r: Random): string => r.pick(['"', "'", "", "`", "&quot;"]);

const MARKUP: readonly ((r: Random) => string)[] = [
  r => `<script>${r.pick(["hit(1)", "</script><script>hit(1)", "<!--", "//\n"])}</script>`,
  r => `<${r.pick(TAGS)} ${r.pick(EVENTS)}=${quote(r)}hit(1)${quote(r)} src=${quote(r)}${r.pick(ADDRESSES)}${quote(r)}>`,
  r => `<${r.pick(TAGS)}/${r.pick(EVENTS)}=hit(1)//`,
  r => `<a href=${quote(r)}${r.pick(ADDRESSES)}${quote(r)}>x</a>`,
  r => `<img srcset="${r.pick(ADDRESSES)} 2x" sizes=100vw>`,
  r => `<div style="background:url(${r.pick(ADDRESSES)});behavior:url(x)">`,
  r => `<style>@import '${r.pick(ADDRESSES)}';*{background:url(${r.pick(ADDRESSES)})}</style>`,
  r => `<svg><${r.pick(["animate", "set", "use", "foreignObject", "image"])} xlink:href="${r.pick(ADDRESSES)}" ${r.pick(EVENTS)}=hit(1)>`,
  r => `<math><mtext><table><mglyph><style><img src=x ${r.pick(EVENTS)}=hit(1)>`,
  r => `<iframe srcdoc="<script>parent.hit(1)</script>" src="${r.pick(ADDRESSES)}">`,
  r => `<!--${r.pick(["", ">", "-->", "[if IE]>", "--!>"])}<img src=x onerror=hit(1)>${r.pick(["-->", "", "--!>"])}`,
  () => "<![CDATA[<script>hit(1)</script>]]>",
  r =>
    `&lt;script&gt;hit(1)&lt;/script&gt;${r.pick(["&#0;", "&#x110000;", "&#xD800;", "&NewLine;", "&lt", "&amp;lt;img src=x onerror=hit(1)&amp;gt;"])}`,
  () => "<x-y onclick=hit(1)><noscript><p title='</noscript><img src=x onerror=hit(1)>'>",
];

function inline(r: Random, depth: number): string {
  const sub = (): string => (depth > 0 ? inline(r, depth - 1) : r.pick(["x", "**b**", "`c`", ""]));
  const address = (): string => r.pick(ADDRESSES);
  const title = (): string => r.pick(["", ' "t"', ` "${r.pick(MARKUP)(r)}"`, " '\" onclick=hit(1) x=\"'", " (t)"]);
  return r.pick<() => string>([
    () => r.pick(MARKUP)(r),
    () => `[${sub()}](${address()}${title()})`,
    () => `[${sub()}](<${address()}>${title()})`,
    () => `![${sub()}](${address()}${title()})`,
    () => `[![${sub()}](${address()})](${address()})`,
    () => `<${address()}>`,
    () => address(),
    () => `[${sub()}][r${r.below(3)}]`,
    () => `![r${r.below(3)}]`,
    () => `\`${r.pick(MARKUP)(r)}\``,
    () => `**${sub()}**`,
    () => `~~_${sub()}_~~`,
    () => `\\${sub()}`,
    () => `[^1] $${sub()}$ [x]{${r.pick(EVENTS)}=hit(1)}`,
  ])();
}

function paragraph(r: Random, depth: number): string {
  const sub = (): string => (depth > 0 ? paragraph(r, depth - 1) : inline(r, 1));
  return r.pick<() => string>([
    () => inline(r, 2),
    () => `${inline(r, 1)} ${inline(r, 1)}`,
    () => `[r${r.below(3)}]: ${r.pick(ADDRESSES)} "${r.pick(MARKUP)(r)}"`,
    () =>
      `\`\`\`${r.pick(["js", "html", '"><img src=x onerror=hit(1)>', "mermaid", "js onclick=hit(1)", "<script>hit(1)</script>"])}\n${r.pick(MARKUP)(r)}\n\`\`\``,
    () => `| ${inline(r, 1)} | b |\n|:--|--:|\n| ${inline(r, 1)} | ${inline(r, 0)} |`,
    () => `${"#".repeat(1 + r.below(7))} ${inline(r, 1)}`,
    () =>
      sub()
        .split("\n")
        .map(line => `> ${line}`)
        .join("\n"),
    () =>
      sub()
        .split("\n")
        .map((line, i) => (i === 0 ? `${r.pick(["-", "1.", "- [x]", "999999999."])} ${line}` : `  ${line}`))
        .join("\n"),
    () => `    ${r.pick(MARKUP)(r)}`,
    () => `<details>\n\n${sub()}\n\n</details>`,
  ])();
}

/** An answer of a seed. */
export const payload = (r: Random): string =>
  Array.from({ length: 1 + r.below(3) }, () => paragraph(r, 2))
    .join(r.pick(["\n\n", "\n"]))
    .slice(0, 400);

const encoder = new TextEncoder();
const encoded = (r: Random): Uint8Array => encoder.encode(payload(r));

export const chat: Target = {
  name: "chat",
  kind: "text",
  beside: 2 ** 22,
  mostTime: 1000,
  generate: encoded,
  samples: () => Array.from({ length: 8 }, (_, seed) => encoded(new Random(seed))),
  attempt(input, tick) {
    const text = new TextDecoder().decode(input);
    Reflect.set(globalThis, "document", pretended);
    const root = new Item("div", 1);
    for (let end = 1; end <= text.length + 1; end++) {
      tick();
      render(h(Markdown, { text: text.slice(0, end), growing: end <= text.length }), root as never);
      const hostile = hostileParts(root);
      if (hostile.length > 0) throw new Error(`${hostile[0]} after ${end} characters of ${JSON.stringify(text)}`);
    }
    if (text.trim() !== "" && root.childNodes.length === 0) throw new Error("nothing is drawn");
    render(null, root as never);
  },
};
