/** A catalog of model files: how they are loaded, and how much memory that takes. */
import { inspect, load } from "../api/load.node.ts";
import { type LoadOptions, parseBytes } from "../api/options.ts";
import { LatheError } from "../errors.ts";
import { Catalog } from "./catalog.ts";

export interface CatalogSettings {
  /** Seconds that an idle model stays loaded. */
  readonly keepAlive?: number;
  /** Most memory of loaded models together: a number or like "12GiB". */
  readonly memory?: string;
}

/** @throws LatheError option.invalid */
export function createCatalog(
  models: readonly { readonly name: string; readonly path: string }[],
  options: LoadOptions,
  { keepAlive, memory }: CatalogSettings = {},
): Catalog {
  const budget = memory === undefined ? undefined : parseBytes(memory);
  if (memory !== undefined && budget === undefined) {
    throw new LatheError("option.invalid", 'The memory for models must be a size such as "12GiB".', {
      option: "memoryForModels",
      value: memory,
    });
  }
  const created = Math.floor(Date.now() / 1000);
  const entries = models.map(({ name, path }) => ({
    name,
    aliases: [path],
    created,
    load: (signal: AbortSignal) => load(path, { ...options, signal }),
    bytes: async () => {
      const { memory: need } = await inspect(path, { context: options.context });
      return need ? need.weights + need.cache + need.work : 0;
    },
  }));
  return new Catalog(entries, { keepAliveMs: keepAlive === undefined ? undefined : 1000 * keepAlive, memory: budget });
}
