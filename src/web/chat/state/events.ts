/** Server-sent events from a body that comes in pieces. Owns nothing but the framing. */

/** One event may not be larger; nothing is kept beyond it. */
const MOST = 8 * 2 ** 20;

/** The data of each event, in order. Ends when the body ends. */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r?\n/);
      rest = lines.pop() ?? "";
      if (rest.length > MOST) throw new Error("The server sent a line without end.");
      // The server writes one data line for each event.
      for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trimStart();
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
