/**
 * Parses expressions with Jinja2's precedences, some of which are its own: `~` binds more tightly than `+`, `**` is left-associative,
 * filters and tests bind to the operand and not to the sum, and no word is reserved.
 */
import type { Arguments, Expr } from "./ast.ts";
import type { TokenStream } from "./stream.ts";
import { own } from "./text.ts";

type Parse = (s: TokenStream) => Expr;

const noArgs: Arguments = { positional: [], named: [] };

/** `a if b else c`, the widest expression. */
export const parseExpression: Parse = s =>
  s.nest(() => {
    let result = parseOr(s);
    while (s.isName("if")) {
      const { line } = s.next();
      const test = parseOr(s);
      const no = s.skip("name", "else") ? parseExpression(s) : undefined;
      result = { kind: "choose", line, test, yes: result, no };
    }
    return result;
  });

const logic =
  (operator: "and" | "or", operand: Parse): Parse =>
  s => {
    const parts = [operand(s)];
    const line = s.line;
    while (s.skip("name", operator)) parts.push(operand(s));
    return parts.length === 1 ? parts[0] : { kind: "logic", line, operator, parts };
  };

function parseNot(s: TokenStream): Expr {
  if (!s.isName("not")) return parseCompare(s);
  const { line } = s.next();
  return s.nest(() => ({ kind: "unary", line, operator: "not", operand: parseNot(s) }));
}

const parseAnd = logic("and", parseNot);
const parseOr = logic("or", parseAnd);

const COMPARISONS = new Set(["==", "!=", "<", "<=", ">", ">="]);

function comparison(s: TokenStream): string | undefined {
  if (s.current.kind === "operator" && COMPARISONS.has(s.current.text)) return s.next().text;
  if (s.skip("name", "in")) return "in";
  if (!(s.isName("not") && s.look().kind === "name" && s.look().text === "in")) return undefined;
  s.next();
  s.next();
  return "not in";
}

function parseCompare(s: TokenStream): Expr {
  const { line } = s;
  const first = parseSum(s);
  const rest: [string, Expr][] = [];
  for (let sign = comparison(s); sign !== undefined; sign = comparison(s)) rest.push([sign, parseSum(s)]);
  return rest.length === 0 ? first : { kind: "compare", line, first, rest };
}

const leftAssociative =
  (operators: readonly string[], operand: Parse): Parse =>
  s => {
    let left = operand(s);
    while (s.current.kind === "operator" && operators.includes(s.current.text)) {
      const { line, text } = s.next();
      left = { kind: "binary", line, operator: text, left, right: operand(s) };
    }
    return left;
  };

const parsePower = leftAssociative(["**"], s => parseUnary(s, true));
const parseProduct = leftAssociative(["*", "/", "//", "%"], parsePower);

function parseConcat(s: TokenStream): Expr {
  const { line } = s;
  const parts = [parseProduct(s)];
  while (s.skipOperator("~")) parts.push(parseProduct(s));
  return parts.length === 1 ? parts[0] : { kind: "concat", line, parts };
}

const parseSum = leftAssociative(["+", "-"], parseConcat);

function parseUnary(s: TokenStream, withFilters: boolean): Expr {
  const sign = s.isOperator("-") ? "-" : s.isOperator("+") ? "+" : undefined;
  let result: Expr;
  if (sign === undefined) result = parsePrimary(s);
  else {
    const { line } = s.next();
    result = s.nest(() => ({ kind: "unary", line, operator: sign, operand: parseUnary(s, false) }));
  }
  result = parsePostfix(s, result);
  return withFilters ? parseFilters(s, result) : result;
}

const WORDS: ReadonlyMap<string, null | boolean> = new Map<string, null | boolean>([
  ["true", true],
  ["True", true],
  ["false", false],
  ["False", false],
  ["none", null],
  ["None", null],
]);

function parsePrimary(s: TokenStream): Expr {
  const { kind, text, value, line } = s.current;
  if (kind === "name") {
    s.next();
    s.mention(text);
    return WORDS.has(text) ? { kind: "constant", line, value: WORDS.get(text)! } : { kind: "name", line, name: text };
  }
  if (kind === "integer" || kind === "float") {
    s.next();
    return { kind: "constant", line, value: value! };
  }
  if (kind === "string") {
    let joined = "";
    while (s.is("string")) joined += s.next().text;
    return { kind: "constant", line, value: own(joined) };
  }
  if (s.skipOperator("(")) {
    const inner = s.nest(() => parseTuple(s, { empty: true }));
    s.expect("operator", ")");
    return inner;
  }
  if (s.skipOperator("[")) return { kind: "list", line, items: listItems(s, "]", parseExpression) };
  if (s.skipOperator("{")) return { kind: "dict", line, entries: listItems(s, "}", dictEntry) };
  return s.unexpected();
}

function dictEntry(s: TokenStream): readonly [Expr, Expr] {
  const key = parseExpression(s);
  s.expect("operator", ":");
  return [key, parseExpression(s)];
}

/** Items between commas up to a closing bracket, which it takes; a comma may stand before it. */
function listItems<T>(s: TokenStream, closing: string, item: (s: TokenStream) => T): T[] {
  const items: T[] = [];
  while (!s.skipOperator(closing)) {
    if (items.length > 0) {
      s.expect("operator", ",");
      if (s.skipOperator(closing)) break;
    }
    items.push(item(s));
  }
  return items;
}

interface TupleOptions {
  /** Whether `()` is a tuple. */
  readonly empty?: boolean;
  /** Whether `a if b` belongs to the expression; not so in the head of a loop. */
  readonly conditional?: boolean;
  /** A word that ends the tuple after a comma. */
  readonly end?: string;
}

/** One expression, or several between commas, which make a tuple. */
export function parseTuple(s: TokenStream, { empty = false, conditional = true, end = "" }: TupleOptions = {}): Expr {
  const { line } = s;
  const items: Expr[] = [];
  let isTuple = false;
  while (!isTupleEnd(s) && !s.isName(end)) {
    items.push(conditional ? parseExpression(s) : parseOr(s));
    if (!s.skipOperator(",")) break;
    isTuple = true;
  }
  if (!isTuple && items.length === 1) return items[0];
  if (!isTuple && !empty) s.fail("expected an expression");
  return { kind: "tuple", line, items };
}

const isTupleEnd = (s: TokenStream): boolean => s.is("}}") || s.is("%}") || s.isOperator(")");

function parsePostfix(s: TokenStream, target: Expr): Expr {
  while (true) {
    if (s.isOperator(".")) target = parseDot(s, target);
    else if (s.isOperator("[")) target = parseSubscript(s, target);
    else if (s.isOperator("(")) target = { kind: "call", line: s.line, callee: target, args: parseArguments(s) };
    else return target;
  }
}

function parseDot(s: TokenStream, target: Expr): Expr {
  const { line } = s.next();
  if (s.is("integer")) return { kind: "item", line, target, key: { kind: "constant", line, value: s.next().value! } };
  return { kind: "attribute", line, target, name: s.expect("name").text };
}

function parseSubscript(s: TokenStream, target: Expr): Expr {
  const { line } = s.next();
  const keys: Expr[] = [];
  const ends = () => s.isOperator(":") || s.isOperator("]") || s.isOperator(",");
  while (!s.skipOperator("]")) {
    if (keys.length > 0) s.expect("operator", ",");
    const start = s.isOperator(":") ? undefined : parseExpression(s);
    if (!s.isOperator(":")) {
      keys.push(start!);
      continue;
    }
    const bounds: [Expr?, Expr?, Expr?] = [start, undefined, undefined];
    for (let i = 1; i < 3 && s.skipOperator(":"); i++) if (!ends()) bounds[i] = parseExpression(s);
    s.expect("operator", "]");
    return { kind: "slice", line, target, bounds };
  }
  if (keys.length === 0) s.fail("expected an expression inside the brackets");
  return { kind: "item", line, target, key: keys.length === 1 ? keys[0] : { kind: "tuple", line, items: keys } };
}

/** The arguments of a call, with the brackets around them. */
function parseArguments(s: TokenStream): Arguments {
  s.expect("operator", "(");
  const positional: Expr[] = [];
  const named: [string, Expr][] = [];
  let rest: Expr | undefined;
  let restNamed: Expr | undefined;
  listItems(s, ")", () => {
    const isNamed = s.is("name") && s.look().kind === "operator" && s.look().text === "=";
    if (restNamed !== undefined) s.unexpected();
    if (s.skipOperator("**")) restNamed = parseExpression(s);
    else if (isNamed) {
      const name = s.next().text;
      s.next();
      named.push([name, parseExpression(s)]);
    } else if (rest !== undefined) s.unexpected();
    else if (s.skipOperator("*")) rest = parseExpression(s);
    else if (named.length > 0) s.fail("a positional argument follows a named one");
    else positional.push(parseExpression(s));
  });
  return { positional, named, rest, restNamed };
}

function parseFilters(s: TokenStream, target: Expr): Expr {
  while (true) {
    if (s.isOperator("|")) target = parseFilter(s, target);
    else if (s.isName("is")) target = parseTest(s, target);
    else if (s.isOperator("(")) target = { kind: "call", line: s.line, callee: target, args: parseArguments(s) };
    else return target;
  }
}

function dottedName(s: TokenStream): string {
  let name = s.expect("name").text;
  while (s.skipOperator(".")) name += `.${s.expect("name").text}`;
  return name;
}

/** The name and arguments of a filter, after its bar. */
export function parseFilterStep(s: TokenStream): { line: number; name: string; args: Arguments } {
  const { line } = s;
  return { line, name: dottedName(s), args: s.isOperator("(") ? parseArguments(s) : noArgs };
}

function parseFilter(s: TokenStream, target: Expr): Expr {
  s.expect("operator", "|");
  return { kind: "filter", target, ...parseFilterStep(s) };
}

const OPERAND_KINDS = new Set(["name", "string", "integer", "float"]);

/** A test may take one argument without brackets: `x is divisibleby 3`. */
function parseTest(s: TokenStream, target: Expr): Expr {
  const { line } = s.next();
  const negated = s.skip("name", "not");
  const name = dottedName(s);
  let args = noArgs;
  if (s.isOperator("(")) args = parseArguments(s);
  else if ((OPERAND_KINDS.has(s.current.kind) || s.isOperator("[") || s.isOperator("{")) && !s.isName("else", "or", "and")) {
    if (s.isName("is")) s.fail("You cannot chain multiple tests with is");
    args = { positional: [parsePostfix(s, parsePrimary(s))], named: [] };
  }
  return { kind: "test", line, target, name, args, negated };
}
