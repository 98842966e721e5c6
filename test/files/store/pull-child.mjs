/** A process that pulls one model and may be killed: `node pull-child.mjs <url> <home> <bytes of a chunk> <connections>`. */
import { pull } from "../../../dist/files/store/pull.node.js";

const [url, home, chunkBytes, parallel] = process.argv.slice(2);
const model = await pull(url, { home, chunkBytes: Number(chunkBytes), parallel: Number(parallel), backoffMs: 5 });
process.stdout.write(model.path);
