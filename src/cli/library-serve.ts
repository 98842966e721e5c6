/** What `lathe serve` calls, in one place that is imported when it begins to work. */
import { readFileSync } from "node:fs";

export { resolveLoad } from "../api/options.ts";
export { createCatalog } from "../serve/files.node.ts";
export { listen } from "../serve/listen.ts";

export const version = (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }).version;
