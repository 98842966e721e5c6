/**
 * Answers that come in pieces: generators of text become response bodies that are read at the reader's pace. A reader that takes nothing for
 * too long is dropped, and whoever stops reading ends the generator. Owns the framing of server-sent events and of JSON lines, and their padding.
 */

/** Milliseconds that a reader may take nothing. */
const READER_PATIENCE_MS = 30_000;

/** One server-sent event. */
export const event = (data: unknown, name?: string): string =>
  `${name ? `event: ${name}\n` : ""}data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;

/** One line of JSON. */
export const line = (value: unknown): string => `${JSON.stringify(value)}\n`;

/** What a padded frame may take in bytes; longer ones take a multiple of the last. */
const LENGTHS = [512, 2048, 8192, 65536];

/**
 * A frame of one of few lengths, which means the same: who sees encrypted traffic could else tell the lengths of tokens, and from these much of
 * the text (Whisper Leak, arXiv 2511.03675). Events get a comment in front, lines get spaces behind.
 */
export function padded(frame: string, framing: keyof typeof framings): string {
  const bytes = new TextEncoder().encode(frame).length + (framing === "events" ? 2 : 0);
  const most = LENGTHS.at(-1)!;
  const rest = (LENGTHS.find(n => n >= bytes) ?? most * Math.ceil(bytes / most)) - bytes;
  return framing === "events" ? `:${".".repeat(rest)}\n${frame}` : `${frame.slice(0, -1)}${" ".repeat(rest)}\n`;
}

/** A body of what the generator gives, at most one piece ahead of the reader. `left` is called when the reader leaves or is dropped, maybe before the generator has begun. */
export function bodyOf(
  frames: AsyncGenerator<string>,
  left: () => void,
  { patienceMs = READER_PATIENCE_MS, pad }: { patienceMs?: number; pad?: keyof typeof framings } = {},
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const end = (): void => {
    clearTimeout(timer);
    left();
    frames.return(undefined).catch(() => {});
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        clearTimeout(timer);
        const { done, value } = await frames.next();
        if (done) return controller.close();
        controller.enqueue(encoder.encode(pad ? padded(value, pad) : value));
        if ((controller.desiredSize ?? 1) > 0) return;
        timer = setTimeout(() => {
          end();
          controller.error(new Error("the reader took nothing for too long"));
        }, patienceMs);
      },
      cancel: end,
    },
    { highWaterMark: 1 },
  );
}

export const framings = {
  events: { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", "x-accel-buffering": "no" },
  lines: { "content-type": "application/x-ndjson", "cache-control": "no-cache" },
} as const;
