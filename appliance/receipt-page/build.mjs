// Builds the page: one HTML file with its one script and one style inside, both named by their hashes in its policy.
//   node build.mjs OUT
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const read = (...path) => readFileSync(join(here, ...path), "utf8");
const out = process.argv[2];
if (out === undefined) {
  console.error("usage: node build.mjs OUT");
  process.exit(2);
}

const bundled = await build({
  absWorkingDir: here,
  entryPoints: ["src/ui/main.ts"],
  bundle: true,
  format: "iife",
  target: "es2022",
  charset: "ascii",
  legalComments: "none", // NOTICE holds them, and stands in the page
  write: false,
});
const script = `\n${bundled.outputFiles[0].text}`;
const style = `\n${read("src", "ui", "page.css")}`;
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

// Nothing may be fetched, framed, submitted or made into script: what the auditor opens cannot leave.
const policy = [
  "default-src 'none'",
  `script-src ${hash(script)}`,
  `style-src ${hash(style)}`,
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");
const version = /^version = "([^"]+)"$/m.exec(read("..", "..", "Cargo.toml"))[1];

const parts = { policy: escaped(policy), style, notice: escaped(read("NOTICE")), version: escaped(version), script };
if (/<\/(?:script|style)/i.test(script) || /<\/style/i.test(style)) throw new Error("an element would end early");
const page = read("src", "ui", "page.html").replace(/\{\{(\w+)\}\}/g, (_, name) => parts[name]);
writeFileSync(out, page);
