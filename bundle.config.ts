/**
 * How the command line is put together for users: what the compiler has written to dist/, in few files, since loading four hundred takes longer
 * than running them. Packages stay what they are. The files lie two folders below the package's root, as those of dist/cli/ do, so that
 * `new URL("../../package.json", import.meta.url)` means the same; threads' entries lie beside each other.
 */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { compilerVersion } from "./src/runtime/native/code-files.node.ts";

const dist = new URL("./dist/", import.meta.url);
const entry = (path: string): string => fileURLToPath(new URL(path, dist));

export default defineConfig({
  logLevel: "warn",
  define: { LATHE_COMPILER: JSON.stringify(compilerVersion(dist)) },
  build: {
    ssr: true,
    outDir: entry("bin"),
    emptyOutDir: true,
    target: "node20",
    minify: false,
    rolldownOptions: {
      input: {
        lathe: entry("cli/lathe.js"),
        "engine-thread.node": entry("api/engine-thread.node.js"),
        "compiler-thread.node": entry("api/compiler-thread.node.js"),
        "pack-thread.node": entry("api/pack-thread.node.js"),
        "member.node": entry("runtime/member.node.js"),
      },
      output: { entryFileNames: "[name].js", chunkFileNames: "[name]-[hash].js" },
    },
  },
});
