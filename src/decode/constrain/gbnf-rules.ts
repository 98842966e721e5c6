/**
 * The rules of a GBNF grammar together: every name is defined, every rule can come to an end, none begins with itself in a way that cannot be
 * rewritten. Direct left recursion is turned into repetition; what can never end is left out.
 */
import type { Compiled } from "./constraint.ts";
import { invalidGrammar, type Node } from "./gbnf.ts";
import { type Expr, Grammar, tooLarge } from "./grammar.ts";
import { chars, onceEach } from "./utf8.ts";

/** Looks at a rule while finding out what all rules can do. */
const MOST_LOOKS = 200_000;

export function compileRules(text: string, written: ReadonlyMap<string, Node>): Compiled {
  if (!written.has("root")) throw invalidGrammar(text, text.length, 'there is no rule "root"');
  for (const node of written.values()) checkNames(text, node, written);
  const rules = new Map([...written].map(([name, node]) => [name, withoutLeftRecursion(name, node)]));
  const ending = fixpoint(rules, canEnd);
  if (!ending.has("root")) throw invalidGrammar(text, 0, 'the rule "root" can never come to an end');
  const nullable = fixpoint(rules, canBeEmpty);
  checkLeftRecursion(text, rules, nullable);

  const grammar = new Grammar();
  const character = onceEach(chars);
  const expr = (node: Node): Expr => {
    switch (node.kind) {
      case "text":
        return grammar.text(node.text);
      case "chars":
        return character(grammar, node.set);
      case "seq":
        return grammar.inOrder(node.parts.map(expr));
      case "alt":
        return grammar.anyOf(node.parts.map(expr));
      case "repeat":
        return grammar.repeat(expr(node.body), node.min, node.max);
      case "rule":
        return ending.has(node.name) ? grammar.lazy(node.name, () => expr(rules.get(node.name)!), nullable.has(node.name)) : grammar.fail;
    }
  };
  const root = expr({ kind: "rule", name: "root", at: 0 });
  if (root.kind === "rule") void root.rule.expr; // what is too large shows itself before anything is generated
  return { grammar, root };
}

function checkNames(text: string, node: Node, rules: ReadonlyMap<string, Node>): void {
  if (node.kind === "rule" && !rules.has(node.name)) throw invalidGrammar(text, node.at, `there is no rule "${node.name}"`);
  for (const child of childrenOf(node)) checkNames(text, child, rules);
}

function childrenOf(node: Node): readonly Node[] {
  return node.kind === "repeat" ? [node.body] : node.kind === "seq" || node.kind === "alt" ? node.parts : [];
}

/** The names of the rules for which `holds` is true, it being true of those found before; the fewest such. */
function fixpoint(rules: ReadonlyMap<string, Node>, holds: (node: Node, known: ReadonlySet<string>) => boolean): Set<string> {
  const users = new Map<string, Set<string>>();
  for (const [name, node] of rules) {
    const visit = (inner: Node): void => {
      if (inner.kind === "rule") users.set(inner.name, (users.get(inner.name) ?? new Set()).add(name));
      childrenOf(inner).forEach(visit);
    };
    visit(node);
  }
  const known = new Set<string>();
  const todo = [...rules.keys()];
  let looks = 0;
  for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
    if (++looks > MOST_LOOKS) throw tooLarge("its rules refer to each other too often");
    if (known.has(name) || !holds(rules.get(name)!, known)) continue;
    known.add(name);
    todo.push(...(users.get(name) ?? []));
  }
  return known;
}

function canEnd(node: Node, known: ReadonlySet<string>): boolean {
  if (node.kind === "rule") return known.has(node.name);
  if (node.kind === "chars") return node.set.length > 0;
  if (node.kind === "seq") return node.parts.every(part => canEnd(part, known));
  if (node.kind === "alt") return node.parts.some(part => canEnd(part, known));
  return node.kind === "text" || node.min === 0 || canEnd(node.body, known);
}

function canBeEmpty(node: Node, known: ReadonlySet<string>): boolean {
  if (node.kind === "rule") return known.has(node.name);
  if (node.kind === "seq") return node.parts.every(part => canBeEmpty(part, known));
  if (node.kind === "alt") return node.parts.some(part => canBeEmpty(part, known));
  if (node.kind === "text") return node.text === "";
  return node.kind === "repeat" && (node.min === 0 || canBeEmpty(node.body, known));
}

/** a ::= a x | y becomes a ::= y x*. */
function withoutLeftRecursion(name: string, node: Node): Node {
  const parts = node.kind === "alt" ? node.parts : [node];
  const isSelf = (n: Node | undefined): boolean => n?.kind === "rule" && n.name === name;
  const startsWithSelf = (n: Node): boolean => isSelf(n) || (n.kind === "seq" && isSelf(n.parts[0]));
  const rest = parts.filter(startsWithSelf).map((n): Node => ({ kind: "seq", parts: n.kind === "seq" ? n.parts.slice(1) : [] }));
  if (rest.length === 0) return node;
  const begin: Node = { kind: "alt", parts: parts.filter(n => !startsWithSelf(n)) };
  const more: Node = { kind: "repeat", body: { kind: "alt", parts: rest }, min: 0, max: Number.POSITIVE_INFINITY };
  return { kind: "seq", parts: [begin, more] };
}

/** Refuses rules that reach themselves before a byte is read. */
function checkLeftRecursion(text: string, rules: ReadonlyMap<string, Node>, nullable: ReadonlySet<string>): void {
  const first = (node: Node, into: { name: string; at: number }[]): void => {
    if (node.kind === "rule") into.push(node);
    else if (node.kind === "seq") {
      for (const part of node.parts) {
        first(part, into);
        if (!canBeEmpty(part, nullable)) return;
      }
    } else for (const child of childrenOf(node)) first(child, into);
  };
  const state = new Map<string, "open" | "done">();
  for (const root of rules.keys()) {
    const todo: { name: string; leave: boolean; at: number }[] = [{ name: root, leave: false, at: 0 }];
    for (let next = todo.pop(); next; next = todo.pop()) {
      const { name, leave, at } = next;
      if (leave) {
        state.set(name, "done");
        continue;
      }
      if (state.get(name) === "open") throw invalidGrammar(text, at, `the rule "${name}" begins with itself by way of other rules`);
      if (state.get(name) === "done") continue;
      state.set(name, "open");
      todo.push({ name, leave: true, at });
      const called: { name: string; at: number }[] = [];
      first(rules.get(name)!, called);
      for (const call of called) todo.push({ ...call, leave: false });
    }
  }
}
