import { defineConfig } from "vite";

// The demo's show page and the page with both sides: files that nothing of the console or the widget is in.
export default defineConfig({
  root: "demo",
  base: "/demo/",
  build: {
    target: "es2022",
    outDir: "../dist/demo",
    emptyOutDir: true,
    rollupOptions: { input: ["demo/index.html", "demo/both.html"] },
    // A data: URL would need a hole in the content security policy.
    assetsInlineLimit: 0,
    // Its polyfill is an inline script.
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
