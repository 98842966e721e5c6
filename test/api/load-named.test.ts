/** `load` and `inspect` by a name instead of a path: the store is asked first, and the network only with `pull`. */
import { expect, it } from "vitest";
import { inspect, load } from "../../src/api/load.node.ts";
import { ggufBytes } from "../../src/files/gguf-write.ts";
import { caught } from "../files/caught.ts";
import { faultServer } from "../fixtures/fault-server.ts";
import { modelContent } from "../fixtures/models.ts";
import { temporaryFolder } from "../fixtures/temporary.ts";

const server = await faultServer();
const home = temporaryFolder("named");
Object.assign(process.env, { LATHE_HOME: home, HF_ENDPOINT: server.url, LATHE_OFFLINE: "" });

it("loads what was pulled, and pulls where it may", async () => {
  const bytes = await ggufBytes(modelContent({}));
  const entry = { type: "file", path: "m-Q8_0.gguf", size: bytes.length, oid: "0" };
  server.files.set("/api/models/org/repo/tree/main", (_, response) => void response.end(JSON.stringify([entry])));
  server.files.set("/org/repo/resolve/main/m-Q8_0.gguf", { bytes, etag: '"m"' });

  expect(await inspect("hf:org/repo:Q8_0")).toMatchObject({ architecture: "llama", supported: true, fileBytes: bytes.length });
  await caught("store.not-found", () => load("hf:org/repo:Q8_0", { target: "interp" }));

  const stages = new Set<string>();
  const options = { target: "interp", threads: 1, onProgress: (p: { stage: string }) => void stages.add(p.stage) } as const;
  const pulled = await load("hf:org/repo:Q8_0", { ...options, pull: true });
  await pulled.close();
  expect([...stages]).toEqual(["pull", "header", "pack", "ready"]);

  server.forget();
  const stored = await load("hf:org/repo", options);
  expect(stored.info.path).toMatch(/m-Q8_0\.gguf$/);
  await stored.close();
  expect((await inspect("hf:org/repo")).path).toBe(stored.info.path);
  expect(server.asked.length).toBe(0);
});
