/**
 * Everything of the engine that commands call, in one place that is imported when a command begins to work: `--help`, `--version` and wrong
 * usage answer without loading it.
 */
export { inspect, load } from "../api/load.node.ts";
export { resolveGenerate, resolveLoad } from "../api/options.ts";
export { pack } from "../api/pack.node.ts";
export { createSampler } from "../decode/sampler.ts";
export { closeGguf } from "../files/gguf.ts";
export { tensorBytes as bytesOf } from "../files/gguf-write.ts";
export { convertFolder } from "../files/hf/convert.ts";
export { isFolder, openModelFolder } from "../files/hf/open.node.ts";
export { openNamedModel } from "../files/store/named.node.ts";
export { pull } from "../files/store/pull.node.ts";
export { Store } from "../files/store/store.node.ts";
export { atomicWrite, writeModelFile } from "../files/write.node.ts";
export { openTokenizer } from "../text/open.node.ts";
