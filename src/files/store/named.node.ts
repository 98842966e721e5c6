/** Opens the header of a model by any name: a path, a stored model, or one at its source, of which only the header travels. */
import type { Gguf } from "../gguf.ts";
import { openGguf } from "../gguf.ts";
import { openModel, openModelFile } from "../open.node.ts";
import { addressName, parseAddress, type RemoteAddress } from "./address.ts";
import { clientFor, endpointOf, hubPlan, isOffline, notHere, type StoreOptions } from "./pull.node.ts";
import { openRemote } from "./remote.node.ts";
import { Store } from "./store.node.ts";

/**
 * Like `openModel`, for every name. The parts of what is not stored are read through requests for ranges.
 * @throws LatheError what `openModel` throws; remote.*, store.offline; the signal's reason
 */
export async function openNamedModel(name: string, options: StoreOptions = {}): Promise<Gguf> {
  const address = parseAddress(name);
  if (address.kind === "file") return openModel(address.path);
  const stored = await new Store(options.home).find(address);
  if (stored) return openModelFile(stored.path);
  if (isOffline(options)) throw notHere(addressName(address));
  const client = clientFor(options);
  const url = new URL(await firstUrl(address, options));
  // The names of other parts are made from the name of this one, which a query would hide.
  const { search } = url;
  url.search = "";
  return openGguf(part => openRemote(client, part + search), url.href);
}

async function firstUrl(address: RemoteAddress, options: StoreOptions): Promise<string> {
  if (address.kind === "url") return address.url;
  return (await hubPlan(clientFor(options), address, endpointOf(options))).files[0].url;
}
