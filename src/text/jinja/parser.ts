/**
 * Parses the tags of a template into statements. The tags are a table; template inheritance, includes and imports have no place in a chat
 * template and are refused.
 */
import type { Expr, FilterStep, MacroNode, Parameter, Stmt, Target } from "./ast.ts";
import { tokenize } from "./lexer.ts";
import { parseExpression, parseFilterStep, parseTuple } from "./parse-expression.ts";
import { TokenStream } from "./stream.ts";
import { own } from "./text.ts";

export function parse(source: string): readonly Stmt[] {
  const s = new TokenStream(tokenize(source));
  return parseBody(s, []);
}

/** Statements up to a tag with one of the given names, whose name is then the current token. */
function parseBody(s: TokenStream, ends: readonly string[]): Stmt[] {
  return s.nest(() => {
    const body: Stmt[] = [];
    while (!s.is("end")) {
      const { kind, text, line } = s.next();
      if (kind === "data") body.push({ kind: "data", line, text: own(text) });
      else if (kind === "{{") {
        body.push({ kind: "print", line, value: parseTuple(s) });
        s.expect("}}");
      } else {
        if (s.isName(...ends)) return body;
        body.push(parseTag(s));
        s.expect("%}");
      }
    }
    if (ends.length > 0) s.fail(`The template ends before '${ends.at(-1)}'.`);
    return body;
  });
}

/** The body of a tag up to its end tag, with the brackets of both. */
function parseBlock(s: TokenStream, end: string): Stmt[] {
  s.expect("%}");
  const body = parseBody(s, [end]);
  s.next();
  return body;
}

function parseTag(s: TokenStream): Stmt {
  const { text, line } = s.expect("name");
  const parse = tags.get(text) ?? s.fail(`Encountered unknown tag '${text}'.`);
  return parse(s, line);
}

type ParseTag = (s: TokenStream, line: number) => Stmt;

const tags: ReadonlyMap<string, ParseTag> = new Map<string, ParseTag>([
  ["if", parseIf],
  ["for", parseFor],
  ["set", parseSet],
  ["macro", (s, line) => ({ kind: "macro", line, macro: parseMacro(s, line, s.expect("name").text, "endmacro", parseParameters(s)) })],
  ["call", parseCall],
  ["filter", parseFilterBlock],
  ["with", parseWith],
  ["break", (_, line) => ({ kind: "break", line })],
  ["continue", (_, line) => ({ kind: "continue", line })],
  ["do", (s, line) => ({ kind: "do", line, value: parseTuple(s) })],
  // Marks what an assistant said, for training; here it is only a scope.
  ["generation", (s, line) => ({ kind: "with", line, bindings: [], body: parseBlock(s, "endgeneration") })],
  ["autoescape", parseAutoescape],
]);

function parseIf(s: TokenStream, line: number): Stmt {
  const branches: { test: Expr; body: readonly Stmt[] }[] = [];
  let otherwise: readonly Stmt[] = [];
  while (true) {
    const test = parseTuple(s, { conditional: false });
    s.expect("%}");
    branches.push({ test, body: parseBody(s, ["elif", "else", "endif"]) });
    const { text } = s.next();
    if (text === "elif") continue;
    if (text === "else") otherwise = parseBlock(s, "endif");
    return { kind: "if", line, branches, otherwise };
  }
}

function parseFor(s: TokenStream, line: number): Stmt {
  const target = parseTarget(s, false);
  s.expect("name", "in");
  const source = parseTuple(s, { conditional: false, end: "recursive" });
  const test = s.skip("name", "if") ? parseExpression(s) : undefined;
  const recursive = s.skip("name", "recursive");
  s.expect("%}");
  const body = parseBody(s, ["endfor", "else"]);
  const otherwise = s.next().text === "else" ? parseBlock(s, "endfor") : [];
  return { kind: "for", line, target, source, test, recursive, body, otherwise };
}

function parseSet(s: TokenStream, line: number): Stmt {
  const target = parseTarget(s, true);
  if (s.skipOperator("=")) return { kind: "set", line, target, value: parseTuple(s) };
  return { kind: "capture", line, target, filters: parseFilterSteps(s), body: parseBlock(s, "endset") };
}

function parseFilterSteps(s: TokenStream): FilterStep[] {
  const steps: FilterStep[] = [];
  while (s.skipOperator("|")) steps.push(parseFilterStep(s));
  return steps;
}

function parseFilterBlock(s: TokenStream, line: number): Stmt {
  const filters = [parseFilterStep(s), ...parseFilterSteps(s)];
  return { kind: "filterBlock", line, filters, body: parseBlock(s, "endfilter") };
}

function parseWith(s: TokenStream, line: number): Stmt {
  const bindings: [Target, Expr][] = [];
  while (!s.is("%}")) {
    if (bindings.length > 0) s.expect("operator", ",");
    const target = parseOneTarget(s, false);
    s.expect("operator", "=");
    bindings.push([target, parseExpression(s)]);
  }
  return { kind: "with", line, bindings, body: parseBlock(s, "endwith") };
}

function parseAutoescape(s: TokenStream, line: number): Stmt {
  const value = parseExpression(s);
  if (value.kind !== "constant" || value.value !== false) s.fail("autoescape can only be false.");
  return { kind: "with", line, bindings: [], body: parseBlock(s, "endautoescape") };
}

function parseCall(s: TokenStream, line: number): Stmt {
  const parameters = s.isOperator("(") ? parseParameters(s) : [];
  const call = parseExpression(s);
  if (call.kind !== "call") s.fail("expected a call");
  return { kind: "callBlock", line, call, caller: parseMacro(s, line, "caller", "endcall", parameters) };
}

function parseParameters(s: TokenStream): Parameter[] {
  const parameters: Parameter[] = [];
  s.expect("operator", "(");
  while (!s.skipOperator(")")) {
    if (parameters.length > 0) s.expect("operator", ",");
    const name = s.expect("name").text;
    if (s.skipOperator("=")) parameters.push({ name, default: parseExpression(s) });
    else if (parameters.at(-1)?.default) s.fail("a parameter without a default follows one with a default");
    else parameters.push({ name });
  }
  return parameters;
}

function parseMacro(s: TokenStream, line: number, name: string, end: string, parameters: readonly Parameter[]): MacroNode {
  const mentions = new Set<string>();
  s.mentioned.push(mentions);
  const body = parseBlock(s, end);
  s.mentioned.pop();
  return { line, name, parameters, body, mentions };
}

/** One name, one field of a namespace, or several of them between commas. */
function parseTarget(s: TokenStream, fields: boolean): Target {
  const items: Target[] = [];
  let several = false;
  while (!s.isOperator("=") && !s.is("%}") && !s.isOperator(")") && !s.isOperator("]")) {
    if (several && s.isName("in")) break;
    items.push(parseOneTarget(s, fields));
    if (!s.skipOperator(",")) break;
    several = true;
  }
  if (items.length === 0) s.unexpected();
  return several ? { kind: "targets", items } : items[0];
}

function parseOneTarget(s: TokenStream, fields: boolean): Target {
  for (const [open, close] of ["()", "[]"]) {
    if (!s.skipOperator(open)) continue;
    const inner = s.nest(() => parseTarget(s, fields));
    s.expect("operator", close);
    return inner;
  }
  const name = s.expect("name").text;
  if (["true", "True", "false", "False", "none", "None"].includes(name)) s.fail(`can't assign to '${name}'`);
  if (!fields || !s.skipOperator(".")) return { kind: "name", name };
  s.mention(name);
  return { kind: "field", name, field: s.expect("name").text };
}
