/**
 * Markdown as elements. Tokens become components and never HTML text, so an answer cannot bring markup, scripts or remote pictures of its own;
 * the page's policy forbids them besides.
 */
import type { Token, Tokens } from "marked";
import type { ComponentChildren } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { Blocks, decoded, safeAddress } from "../state/blocks.ts";
import { copyText } from "./clipboard.ts";
import { IconButton } from "./icons.tsx";

/** Lists in lists and quotes in quotes are drawn to this depth; what is deeper is shown as its source. */
const DEEPEST = 20;

export function Markdown({ text, growing = false }: { text: string; growing?: boolean }) {
  const blocks = useRef<Blocks>(undefined);
  blocks.current ??= new Blocks();
  const tokens = useMemo(() => blocks.current!.read(text, !growing), [text, growing]);
  return (
    <div class="markdown">
      {tokens.map((token, i) => (
        <Block key={i} token={token} />
      ))}
    </div>
  );
}

/** The same token gives the same element, which is then not looked at again. */
function Block({ token }: { token: Token }) {
  return useMemo(() => <>{block(token, 0)}</>, [token]);
}

const all = (tokens: readonly Token[] | undefined, depth: number): ComponentChildren => (tokens ?? []).map(t => block(t, depth));

function block(token: Token, depth: number): ComponentChildren {
  if (depth > DEEPEST) return token.raw;
  const draw = drawers[token.type];
  // Whatever is not in the table, HTML above all, is text.
  return draw ? draw(token as never, depth + 1) : token.type === "html" && "block" in token && token.block ? <p>{token.raw}</p> : token.raw;
}

const headings = ["h1", "h2", "h3", "h4", "h5", "h6"] as const;

/** By type of token. */
const drawers: Readonly<Record<string, (token: never, depth: number) => ComponentChildren>> = {
  space: () => null,
  def: () => null,
  hr: () => <hr />,
  br: () => <br />,
  heading: (t: Tokens.Heading, d) => {
    const Heading = headings[Math.min(5, Math.max(0, t.depth - 1))];
    return <Heading>{all(t.tokens, d)}</Heading>;
  },
  paragraph: (t: Tokens.Paragraph, d) => <p>{all(t.tokens, d)}</p>,
  text: (t: Tokens.Text, d) => (t.tokens ? all(t.tokens, d) : decoded(t.text)),
  escape: (t: Tokens.Escape) => decoded(t.text),
  strong: (t: Tokens.Strong, d) => <strong>{all(t.tokens, d)}</strong>,
  em: (t: Tokens.Em, d) => <em>{all(t.tokens, d)}</em>,
  del: (t: Tokens.Del, d) => <del>{all(t.tokens, d)}</del>,
  codespan: (t: Tokens.Codespan) => <code>{t.text}</code>,
  code: (t: Tokens.Code) => <CodeBlock text={t.text} language={t.lang ?? ""} />,
  blockquote: (t: Tokens.Blockquote, d) => <blockquote>{all(t.tokens, d)}</blockquote>,
  list: (t: Tokens.List, d) => {
    const items = t.items.map(item => <li class={item.task ? "task" : ""}>{all(item.tokens, d)}</li>);
    return t.ordered ? <ol start={Number(t.start) || 1}>{items}</ol> : <ul>{items}</ul>;
  },
  checkbox: (t: { checked?: boolean }) => <input type="checkbox" checked={t.checked} disabled aria-label={t.checked ? "done" : "open"} />,
  table: (t: Tokens.Table, d) => <Table table={t} depth={d} />,
  link: (t: Tokens.Link, d) => <Link href={t.href}>{all(t.tokens, d)}</Link>,
  // Pictures would be fetched from elsewhere, which tells others what is being read: they are links.
  image: (t: Tokens.Image) => <Link href={t.href}>{decoded(t.text) || "picture"}</Link>,
};

function Link({ href, children }: { href: string; children: ComponentChildren }) {
  const address = safeAddress(href);
  if (!address) return <>{children}</>;
  return (
    <a href={address} target="_blank" rel="noopener noreferrer" title={address}>
      {children}
    </a>
  );
}

function Table({ table, depth }: { table: Tokens.Table; depth: number }) {
  const side = (i: number) => (table.align[i] ? `to-${table.align[i]}` : "");
  return (
    <div class="table">
      <table>
        <thead>
          <tr>
            {table.header.map((cell, i) => (
              <th class={side(i)}>{all(cell.tokens, depth)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map(row => (
            <tr>
              {row.map((cell, i) => (
                <td class={side(i)}>{all(cell.tokens, depth)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function CodeBlock({ text, language }: { text: string; language: string }) {
  return (
    <figure class="code">
      <figcaption>
        <span>{language.split(/\s/)[0]}</span>
        <CopyButton text={text} what="Copy code" />
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, which the keyboard must reach */}
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
    </figure>
  );
}

const SHOWN_MS = 1500;

/** Says for a moment that it has copied. */
export function CopyButton({ text, what }: { text: string; what: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    setCopied(await copyText(text));
    setTimeout(() => setCopied(false), SHOWN_MS);
  };
  return <IconButton icon={copied ? "check" : "copy"} label={copied ? "Copied" : what} onClick={copy} />;
}
