import { defineConfig } from "vitest/config";

/**
 * Tests import `../src/x.ts`; this alias sends them to the emitted `dist/x.js`, so that what is tested is what is shipped and worker
 * threads (which Node 20 can only start from JavaScript) work as they do for users. `npm test` builds first. The web chat is built into one file
 * for browsers, so its parts are tested from their sources. Machine code made in tests has its registers checked.
 */
export default defineConfig({
  resolve: { alias: [{ find: /^((?:\.\.\/)+)src\/(?!web\/chat\/)(.*)\.ts$/, replacement: `${import.meta.dirname}/dist/$2.js` }] },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 120_000,
    pool: "forks",
    maxWorkers: 2,
    env: { LATHE_CHECK: "on", LATHE_CODE_CACHE: "off" },
  },
});
