// Builds the help widget: one script and one file of texts a language, named by what is in them; then the page that holds it alone.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

const HERE = import.meta.dirname;
const OUT = join(HERE, "dist", "widget");
const PAGE = "help.html";

function hashed(name: string, ending: string, content: string): string {
  return `${name}.${createHash("sha256").update(content).digest("hex").slice(0, 8)}.${ending}`;
}

/** By language: the file of the first view's texts, and that of the rest. */
const texts = readdirSync(join(HERE, "widget", "messages"))
  .sort()
  .map((file) => {
    const language = file.replace(/\.json$/, "");
    const both = JSON.parse(readFileSync(join(HERE, "widget", "messages", file), "utf8")) as Record<"first" | "rest", object>;
    const parts = [JSON.stringify(both.first), JSON.stringify(both.rest)];
    return { language, parts, files: parts.map((content, at) => hashed(at === 0 ? language : `rest-${language}`, "json", content)) };
  });
const languages = Object.fromEntries(texts.map((one) => [one.language, one.files]));

// Modules of the first script that the rest stands on: it finds them where `main.tsx` has laid them.
const SHARED = ["api", "home", "icons", "parts"];

function shared(): Plugin {
  return {
    name: "shared-with-first",
    enforce: "pre",
    resolveId: (id) => (id === "preact" || SHARED.some((one) => id === `../${one}`) ? `\0shared:${id}` : undefined),
    load(id) {
      if (!id.startsWith("\0shared:")) return undefined;
      const name = id.slice("\0shared:".length);
      const source = name === "preact" ? "" : readFileSync(join(HERE, "widget", `${name.slice(3)}.${name === "../api" ? "ts" : "tsx"}`), "utf8");
      const names = name === "preact" ? ["h", "Fragment"] : [...source.matchAll(/^export (?:async )?(?:function|const|class) (\w+)/gm)].map((one) => one[1]);
      return `export const { ${names.join(", ")} } = globalThis[Symbol.for("makegood")];`;
    },
  };
}

/** The script that the build before this one made. */
function built(pattern: RegExp): { file: string; integrity: string } {
  const file = readdirSync(OUT).find((one) => pattern.test(one));
  if (file === undefined) throw new Error(`there is no ${pattern.source}: build the rest first`);
  return { file, integrity: integrity(readFileSync(join(OUT, file))) };
}

function integrity(content: string | Buffer): string {
  return `sha384-${createHash("sha384").update(content).digest("base64")}`;
}

/** Of the tokens that the console has too, those that the widget uses; in px, since a host page may have set any size at its root. */
function sharedTokens(used: string, before = ""): string {
  const all = readFileSync(join(HERE, "src", "tokens.css"), "utf8").replace(/\/\*.*?\*\//gs, "");
  const given = new Map<string, string>();
  // The first block alone: themes and coarse pointers are the widget's own affair.
  for (const [, name, value] of all.slice(0, all.indexOf("}")).matchAll(/(--[\w-]+):\s*([^;]+);/g)) given.set(name ?? "", value ?? "");
  const needed = new Set<string>();
  const need = (css: string): void => {
    for (const [, name] of css.matchAll(/var\((--[\w-]+)/g)) {
      if (name !== undefined && !`${before}${used}`.includes(`${name}: var(--makegood`) && name !== "--brand" && given.has(name) && !needed.has(name)) {
        needed.add(name);
        need(given.get(name) ?? "");
      }
    }
  };
  need(before);
  const had = new Set(needed);
  need(used);
  const px = (value: string): string => value.replace(/([\d.]+)rem/g, (_, size: string) => `${Number(size) * 16}px`);
  return [...needed].filter((name) => !had.has(name)).map((name) => `${name}:${px(given.get(name) ?? "")};`).join("");
}

function styles(): Plugin {
  const first = readFileSync(join(HERE, "widget", "widget.css"), "utf8");
  return {
    name: "shared-tokens",
    enforce: "pre",
    transform(code, id) {
      if (id.includes("widget.css")) return code.replace("/* tokens */", sharedTokens(code));
      // What the first script has brought need not come again.
      return id.includes("rest.css") ? code.replace("/* tokens */", sharedTokens(code, first)) : undefined;
    },
  };
}

function files(): Plugin {
  return {
    name: "widget-files",
    generateBundle() {
      for (const one of texts) one.files.forEach((fileName, at) => this.emitFile({ type: "asset", fileName, source: one.parts[at] ?? "" }));
    },
    writeBundle() {
      const main = built(/^v1\./);
      const first = Object.fromEntries(texts.map((one) => [one.language, one.files[0]]));
      const all = readdirSync(OUT).filter((one) => /\.[\w-]{8,64}\.(js|json)$/.test(one));
      writeFileSync(join(OUT, "manifest.json"), `${JSON.stringify({ ...main, languages: first, page: PAGE, files: all.sort() }, null, 2)}\n`);
    },
  };
}

/** `help.html`, naming the script of the build before it. What stands in `{{ }}` is the service's to fill in, escaped. */
function page(): Plugin {
  return {
    name: "widget-page",
    writeBundle() {
      const html = readFileSync(join(HERE, "widget", "page", PAGE), "utf8");
      const named = html.replace("./page.ts", `/widget/${built(/^page\./).file}`).replace("../main.tsx", `/widget/${built(/^v1\./).file}`);
      writeFileSync(join(OUT, PAGE), named);
    },
  };
}

// In this order, each a build of its own: what comes later names what came before by its hash. See `build:widget`.
const BUILDS = {
  rest: { input: "widget/rest/main.ts", format: "es", name: "rest.[hash].js", plugins: [shared(), styles()] },
  page: { input: "widget/page/page.ts", format: "iife", name: "page.[hash].js", plugins: [] },
  first: { input: "widget/main.tsx", format: "iife", name: "v1.[hash].js", plugins: [styles(), files(), page()] },
} as const;

export default defineConfig(({ mode }) => {
  const { input, format, name, plugins } = BUILDS[mode as keyof typeof BUILDS];
  return {
    base: "/widget/",
    publicDir: false,
    oxc: { jsx: { runtime: "classic", pragma: "h", pragmaFrag: "Fragment" } },
    define: mode === "first" ? { __LANGUAGES__: JSON.stringify(languages), __REST__: JSON.stringify(built(/^rest\.[\w-]+\.js$/)) } : {},
    plugins: [...plugins],
    build: {
      outDir: "dist/widget",
      emptyOutDir: mode === "rest",
      target: "es2022",
      // light-dark() and relative colours stay as they are: what a browser does not know, it skips for the plain ones before it.
      cssTarget: ["chrome125", "firefox128", "safari18"],
      modulePreload: false,
      rollupOptions: { input, preserveEntrySignatures: "strict", output: { format, entryFileNames: name } },
    },
  };
});
