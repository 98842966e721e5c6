#!/usr/bin/env node
/**
 * What `lathe` starts: the command line (main.ts), and before its code is loaded the engine's thread for a command that is going to need it, so
 * that both load at the same time.
 */
if (process.argv[2] === "run") {
  const { startAhead } = await import("../api/engine-start.node.ts");
  startAhead();
}
await import("./main.ts");
