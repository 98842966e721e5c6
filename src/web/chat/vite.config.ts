/** How the web chat is built: from this folder into static files that the server sends under a policy without inline code. */
import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  base: "/",
  logLevel: "warn",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../../../dist/web/chat",
    emptyOutDir: true,
    target: "es2022",
    // Inlined files would be data: addresses, which the policy refuses.
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
  },
});
