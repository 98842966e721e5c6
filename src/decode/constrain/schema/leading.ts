/**
 * Looking ahead at the beginning of an expression, `^(?!a)(?=b)...`, which comes to several expressions that a text must match or must not: the only
 * place where machines without memory can do it.
 */

export interface Leading {
  /** What is left of the expression. */
  readonly whole: string;
  /** What a text must match, or must not, from its beginning. */
  readonly ahead: readonly { readonly source: string; readonly not: boolean }[];
}

/** Takes the leading parts out of an expression; one that has none, or alternatives beside them, stays as it is. */
export function withoutLeading(source: string): Leading {
  if (!/^\^\(\?[=!]/.test(source)) return { whole: source, ahead: [] };
  const ahead: { source: string; not: boolean }[] = [];
  let at = 1;
  while (source.startsWith("(?=", at) || source.startsWith("(?!", at)) {
    const end = closing(source, at);
    if (end === undefined || /^[*+?{]/.test(source.slice(end + 1))) return { whole: source, ahead: [] };
    ahead.push({ source: `^(?:${source.slice(at + 3, end)})`, not: source[at + 2] === "!" });
    at = end + 1;
  }
  // What follows must stand behind all of that in every alternative.
  return alternatives(source, at) ? { whole: source, ahead: [] } : { whole: `^${source.slice(at)}`, ahead };
}

/** Visits the marks of an expression outside of escapes and classes, until one is the last. */
function marks(source: string, from: number, isLast: (mark: string, at: number) => boolean): number | undefined {
  let inClass = false;
  for (let i = from; i < source.length; i++) {
    const c = source[i];
    if (c === "\\") i++;
    else if (inClass) inClass = c !== "]";
    else if (c === "[") inClass = true;
    else if (isLast(c, i)) return i;
  }
  return undefined;
}

/** Where the group ends that begins there. */
function closing(source: string, from: number): number | undefined {
  let depth = 0;
  return marks(source, from, c => {
    depth += Number(c === "(") - Number(c === ")");
    return depth === 0;
  });
}

/** Whether there are alternatives outside of all groups from there on. */
function alternatives(source: string, from: number): boolean {
  let depth = 0;
  const found = marks(source, from, c => {
    depth += Number(c === "(") - Number(c === ")");
    return c === "|" && depth === 0;
  });
  return found !== undefined;
}
