/** The shape of a parsed template. Plain data; what it means is in `expressions.ts` and `statements.ts`. */
import type { Text } from "./text.ts";

interface At {
  readonly line: number;
}

export interface Arguments {
  readonly positional: readonly Expr[];
  readonly named: readonly (readonly [string, Expr])[];
  /** `*args` */
  readonly rest?: Expr;
  /** `**kwargs` */
  readonly restNamed?: Expr;
}

export type Expr = At &
  (
    | { readonly kind: "constant"; readonly value: null | boolean | bigint | number | Text }
    | { readonly kind: "name"; readonly name: string }
    | { readonly kind: "list"; readonly items: readonly Expr[] }
    | { readonly kind: "tuple"; readonly items: readonly Expr[] }
    | { readonly kind: "dict"; readonly entries: readonly (readonly [Expr, Expr])[] }
    | { readonly kind: "unary"; readonly operator: "-" | "+" | "not"; readonly operand: Expr }
    | { readonly kind: "binary"; readonly operator: string; readonly left: Expr; readonly right: Expr }
    | { readonly kind: "concat"; readonly parts: readonly Expr[] }
    | { readonly kind: "logic"; readonly operator: "and" | "or"; readonly parts: readonly Expr[] }
    | { readonly kind: "compare"; readonly first: Expr; readonly rest: readonly (readonly [string, Expr])[] }
    | { readonly kind: "choose"; readonly test: Expr; readonly yes: Expr; readonly no?: Expr }
    | { readonly kind: "attribute"; readonly target: Expr; readonly name: string }
    | { readonly kind: "item"; readonly target: Expr; readonly key: Expr }
    | { readonly kind: "slice"; readonly target: Expr; readonly bounds: readonly [Expr?, Expr?, Expr?] }
    | { readonly kind: "call"; readonly callee: Expr; readonly args: Arguments }
    | { readonly kind: "filter"; readonly target: Expr; readonly name: string; readonly args: Arguments }
    | { readonly kind: "test"; readonly target: Expr; readonly name: string; readonly args: Arguments; readonly negated: boolean }
  );

/** What can stand on the left of an assignment. */
export type Target =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "field"; readonly name: string; readonly field: string }
  | { readonly kind: "targets"; readonly items: readonly Target[] };

export interface Parameter {
  readonly name: string;
  readonly default?: Expr;
}

/** A macro, or the body of a call block, which is a macro named `caller`. */
export interface MacroNode extends At {
  readonly name: string;
  readonly parameters: readonly Parameter[];
  readonly body: readonly Stmt[];
  /** Which of `caller`, `varargs` and `kwargs` the body mentions: only those may be passed. */
  readonly mentions: ReadonlySet<string>;
}

/** A filter of a filter block or of a block assignment, without its target. */
export interface FilterStep extends At {
  readonly name: string;
  readonly args: Arguments;
}

export interface ForNode extends At {
  readonly kind: "for";
  readonly target: Target;
  readonly source: Expr;
  readonly test?: Expr;
  readonly recursive: boolean;
  readonly body: readonly Stmt[];
  readonly otherwise: readonly Stmt[];
}

export type Stmt =
  | ForNode
  | (At &
      (
        | { readonly kind: "data"; readonly text: Text }
        | { readonly kind: "print"; readonly value: Expr }
        | { readonly kind: "if"; readonly branches: readonly { test: Expr; body: readonly Stmt[] }[]; readonly otherwise: readonly Stmt[] }
        | { readonly kind: "set"; readonly target: Target; readonly value: Expr }
        | { readonly kind: "capture"; readonly target: Target; readonly filters: readonly FilterStep[]; readonly body: readonly Stmt[] }
        | { readonly kind: "macro"; readonly macro: MacroNode }
        | { readonly kind: "callBlock"; readonly call: Extract<Expr, { kind: "call" }>; readonly caller: MacroNode }
        | { readonly kind: "filterBlock"; readonly filters: readonly FilterStep[]; readonly body: readonly Stmt[] }
        | { readonly kind: "with"; readonly bindings: readonly (readonly [Target, Expr])[]; readonly body: readonly Stmt[] }
        | { readonly kind: "do"; readonly value: Expr }
        | { readonly kind: "break" }
        | { readonly kind: "continue" }
      ));
