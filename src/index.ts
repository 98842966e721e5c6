/** The public names of Lathe; everything else is reached by subpath exports. */
import { provideServer } from "./api/model.ts";

// Loaded when first used: programs that serve nothing need neither the server nor its packages.
provideServer(async model => (await import("./serve/in-process.ts")).fetchOf(model));

export { type Inspection, inspect, load } from "./api/load.node.ts";
export { Model, type ModelInfo } from "./api/model.ts";
export type { GenerateOptions, LoadOptions, LoadProgress, Target } from "./api/options.ts";
export type { Finish, Timings, Token, Usage } from "./api/protocol.ts";
export { type Part, type Result, Run } from "./api/run.ts";
export { type Prompt, Session } from "./api/session.ts";
export { type ErrorCode, LatheError } from "./errors.ts";
