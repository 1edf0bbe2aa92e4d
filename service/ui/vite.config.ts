import { defineConfig } from "vite";

export default defineConfig({
  base: "/desk/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    // The page for one tap of satisfaction stands alone: it loads nothing of the console.
    rollupOptions: { input: ["index.html", "feedback.html"] },
    // A data: URL would need a hole in the content security policy.
    assetsInlineLimit: 0,
    // Its polyfill is an inline script.
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: {
    port: 5173,
    proxy: { "/v1": process.env["MAKEGOOD_URL"] ?? "http://127.0.0.1:8080" },
  },
});
