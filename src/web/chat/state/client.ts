/**
 * What the page asks of the server: the list of models, and answers as they are written. Speaks OpenAI's protocol. Every failure becomes a
 * `ServerError` whose message is the sentence to show.
 */
import { eventsOf } from "./events.ts";

export class ServerError extends Error {
  readonly code: string;
  readonly status: number;
  constructor(message: string, code = "", status = 0) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

export interface ModelEntry {
  readonly id: string;
  readonly status?: { readonly value: string };
  /** Known once the model is loaded. */
  readonly meta?: { readonly context: number; readonly architecture: string; readonly size: number };
}

/** What a stream brings, as far as the page reads it. */
interface Chunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly text?: string;
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number };
  } | null;
  readonly timings?: { readonly predicted_per_second?: number };
  readonly error?: { readonly message?: string; readonly code?: string };
}

export interface AnswerPiece {
  readonly text?: string;
  readonly finish?: string;
  readonly usage?: { readonly prompt: number; readonly cached: number; readonly tokens: number; readonly perSecond?: number };
}

const UNREACHABLE = "The server cannot be reached. Is it still running? Try again when it is.";
const BROKEN_OFF = "The connection ended before the answer was complete.";

async function ask(path: string, key: string, init: RequestInit): Promise<Response> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (key) headers["authorization"] = `Bearer ${key}`;
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers });
  } catch (e) {
    if (init.signal?.aborted) throw e;
    throw new ServerError(UNREACHABLE);
  }
  if (response.ok) return response;
  const body: unknown = await response.json().catch(() => undefined);
  const { message, code } = ((body as Chunk | undefined)?.error ?? {}) as { message?: unknown; code?: unknown };
  const said = typeof message === "string" ? message : `The server answered with status ${response.status}.`;
  throw new ServerError(said, typeof code === "string" ? code : "", response.status);
}

/** @throws ServerError */
export async function listModels(key: string): Promise<readonly ModelEntry[]> {
  const response = await ask("/v1/models", key, { method: "GET" });
  const body = (await response.json()) as { data?: unknown };
  const data = Array.isArray(body.data) ? (body.data as readonly unknown[]) : [];
  return data.filter((m): m is ModelEntry => typeof (m as ModelEntry | null)?.id === "string");
}

/** The pieces of an answer. Leaving the iteration or aborting ends it on the server too. @throws ServerError, or what `signal` aborts with */
export async function* streamAnswer(
  path: "/v1/chat/completions" | "/v1/completions",
  request: object,
  key: string,
  signal: AbortSignal,
): AsyncGenerator<AnswerPiece> {
  const body = JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } });
  const response = await ask(path, key, { method: "POST", body, signal });
  let complete = false;
  try {
    for await (const data of eventsOf(response.body!)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data) as Chunk;
      if (chunk.error) throw new ServerError(chunk.error.message ?? "The server failed on this request.", chunk.error.code);
      const piece = pieceOf(chunk);
      complete ||= piece.finish !== undefined;
      yield piece;
    }
  } catch (e) {
    if (signal.aborted || e instanceof ServerError) throw e;
    throw new ServerError(BROKEN_OFF);
  }
  if (!complete) throw new ServerError(BROKEN_OFF);
}

function pieceOf({ choices, usage, timings }: Chunk): AnswerPiece {
  const choice = choices?.[0];
  return {
    text: choice?.delta?.content ?? choice?.text ?? undefined,
    finish: choice?.finish_reason ?? undefined,
    usage: usage
      ? {
          prompt: usage.prompt_tokens,
          cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
          tokens: usage.completion_tokens,
          perSecond: timings?.predicted_per_second,
        }
      : undefined,
  };
}
