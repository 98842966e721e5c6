/**
 * Answers that must call a function: a JSON Schema of all possible calls holds the model to one, and its text becomes that call. Works with every
 * model, whatever its own way of writing calls is.
 */
import { LatheError } from "../errors.ts";
import type { Ask, NamedToken, Piece, ToolCall } from "./request.ts";

type Functions = NonNullable<Ask["mustCall"]>;

/** Valid by it is the JSON of a call of one of the functions. */
export function schemaOfCalls(functions: Functions): object {
  const calls = functions.map(({ name, parameters }) => ({
    type: "object",
    properties: { name: { const: name }, arguments: parameters ?? { type: "object" } },
    required: ["name", "arguments"],
    additionalProperties: false,
  }));
  return calls.length === 1 ? calls[0] : { anyOf: calls };
}

/** Options that hold an answer to a call. @throws LatheError request.invalid where it is held to something else as well. */
export function heldToCall(ask: Ask): Ask {
  if (!ask.mustCall) return ask;
  const { schema, grammar, regex, choices } = ask.options;
  if ([schema, grammar, regex, choices].some(c => c !== undefined)) {
    const message = "An answer cannot be held to a format and to a call of a function at the same time.";
    throw new LatheError("request.invalid", message, { field: "tool_choice" });
  }
  return { ...ask, options: { ...ask.options, schema: schemaOfCalls(ask.mustCall) } };
}

/** A whole text as a call; undefined where the answer ended before the call did. */
function callOf(text: string, id: () => string): ToolCall | undefined {
  try {
    const { name, arguments: args } = JSON.parse(text) as { name: string; arguments: unknown };
    return { id: id(), name, arguments: JSON.stringify(args) };
  } catch {
    return undefined;
  }
}

/** Texts become calls when they are complete; what is cut short stays text, so that nothing is lost. */
export async function* asCalls(pieces: AsyncGenerator<Piece>, id: () => string): AsyncGenerator<Piece> {
  const held = new Map<number, { text: string; tokens: NamedToken[] }>();
  for await (const piece of pieces) {
    if (piece.type === "text") {
      const { text, tokens } = held.get(piece.choice) ?? { text: "", tokens: [] };
      held.set(piece.choice, { text: text + piece.text, tokens: [...tokens, ...piece.tokens] });
      continue;
    }
    const whole = piece.type === "finish" ? held.get(piece.choice) : undefined;
    if (whole) {
      const { choice } = piece as { choice: number };
      const call = callOf(whole.text, id);
      yield call ? { type: "call", choice, index: 0, call, tokens: whole.tokens } : { type: "text", choice, ...whole };
    }
    yield piece;
  }
}
