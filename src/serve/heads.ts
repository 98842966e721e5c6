/**
 * Connections from which the head of a request is awaited, and what happens to those that do not send one in time. Node can do this too, but
 * looks at all connections each time, and sends all that are late away at once.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Waiting } from "./waiting.ts";

/** Milliseconds from connecting to the end of the first head. */
const FIRST_MS = 10_000;
/** Milliseconds in which a connection may be idle between requests. */
export const KEEP_ALIVE_MS = 20_000;

const TOO_LATE = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n";

/** From now on no connection of the server waits for a head for ever. Times in milliseconds. */
export function awaitHeads(server: Server, { firstMs = FIRST_MS, idleMs = KEEP_ALIVE_MS } = {}): void {
  const late = (socket: Socket): void => {
    socket.write(TOO_LATE);
    socket.destroySoon();
  };
  const first = new Waiting<Socket>(firstMs, late);
  const next = new Waiting<Socket>(idleMs + firstMs, late);
  /** Requests of a connection that are being answered: it may send the next one before. */
  const answering = new WeakMap<Socket, number>();
  const leave = (socket: Socket): boolean => first.leave(socket) || next.leave(socket);
  server.on("connection", socket => {
    first.enter(socket);
    socket.once("close", () => leave(socket));
  });
  server.on("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
    leave(socket);
    answering.set(socket, (answering.get(socket) ?? 0) + 1);
    response.once("close", () => {
      const open = (answering.get(socket) ?? 1) - 1;
      answering.set(socket, open);
      if (open === 0 && !socket.destroyed) next.enter(socket);
    });
  });
}
