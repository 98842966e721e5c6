/**
 * Answers that wait behind others of their connection, because its client sent several requests without waiting. Owns that these too learn that
 * the connection is gone: Node tells it to the answer that is being sent, and to no other.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** From now on every answer of the server closes when its connection does. */
export function closeQueued(server: Server): void {
  const open = new WeakMap<Socket, Set<ServerResponse>>();
  const begin = (socket: Socket): Set<ServerResponse> => {
    const own = new Set<ServerResponse>();
    open.set(socket, own);
    socket.once("close", () => {
      for (const response of own) {
        // Those that have the connection, or are done with it, are Node's to close.
        if (response.socket !== null || response.writableFinished) continue;
        response.destroy();
        response.emit("close");
      }
    });
    return own;
  };
  server.on("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
    const own = open.get(socket) ?? begin(socket);
    own.add(response);
    response.once("close", () => own.delete(response));
  });
}
