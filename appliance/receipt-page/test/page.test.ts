// The file that is given to auditors.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const root = process.env["YANQIAN_ROOT"] ?? "";
const sources = join(root, "appliance", "receipt-page");
const page = readFileSync(process.env["YANQIAN_RECEIPT_PAGE"] ?? "", "utf8");
const lock = JSON.parse(readFileSync(join(sources, "package-lock.json"), "utf8")) as {
  packages: Record<string, { version: string; license?: string; resolved?: string; integrity?: string; dev?: boolean }>;
};

test("another_build_elsewhere_gives_the_same_octets", () => {
  const directory = mkdtempSync(join(tmpdir(), "receipt-page-"));
  try {
    const copy = join(directory, "elsewhere", "receipt-page");
    cpSync(sources, copy, { recursive: true, filter: (path) => !path.startsWith(join(sources, "node_modules")) });
    for (const name of ["@noble", "smol-toml", "esbuild", "@esbuild"]) {
      cpSync(join(sources, "node_modules", name), join(copy, "node_modules", name), { recursive: true });
    }
    cpSync(join(root, "Cargo.toml"), join(directory, "Cargo.toml"));
    const out = join(directory, "page.html");
    execFileSync(process.execPath, ["build.mjs", out], { cwd: copy, env: { ...process.env, TZ: "Asia/Shanghai", LC_ALL: "C" } });
    assert.equal(readFileSync(out, "utf8"), page);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("the_policy_comes_first_and_lets_nothing_but_the_one_script_and_style_run", () => {
  const head = page.slice(0, page.indexOf("Content-Security-Policy"));
  assert.match(head, /^<!doctype html>\s*<html lang="en">\s*<head>\s*<meta charset="utf-8">\s*<meta http-equiv="$/);
  const policy = /Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1];
  const hash = (name: string) => {
    const found = [...page.matchAll(new RegExp(`<${name}>([\\s\\S]*?)</${name}>`, "g"))];
    assert.equal(found.length, 1, name);
    return `'sha256-${createHash("sha256").update(found[0]?.[1] ?? "").digest("base64")}'`;
  };
  assert.equal(policy, [
    "default-src 'none'", `script-src ${hash("script")}`, `style-src ${hash("style")}`, "base-uri 'none'", "form-action 'none'",
    "require-trusted-types-for 'script'", "trusted-types 'none'",
  ].join("; "));
  // Nothing in the markup refers to anything outside of it, and nothing is made into markup or script at run time.
  const script = /<script>([\s\S]*)<\/script>/.exec(page)?.[1] ?? "";
  const markup = page.replace(script, "");
  assert.doesNotMatch(markup, /\s(?:src|href|srcset|action|style|on\w+)=/i);
  for (const word of ["fetch(", "XMLHttpRequest", "WebSocket", "EventSource", "sendBeacon", "import(", "innerHTML", "outerHTML", "eval(", "new Function", "document.write", "localStorage", "sessionStorage", "indexedDB", "document.cookie", "postMessage", "new Worker"]) {
    assert.ok(!script.includes(word), word);
  }
});

test("what_is_bundled_is_noted_with_its_licence_and_free_to_be", () => {
  const allowed = ["MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC"];
  const notice = readFileSync(join(sources, "NOTICE"), "utf8");
  const bundled = Object.entries(lock.packages).filter(([path, { dev }]) => path !== "" && dev !== true);
  assert.ok(bundled.length >= 3);
  for (const [path, { version, license }] of bundled) {
    const name = path.replace(/^node_modules\//, "");
    assert.ok(license !== undefined && allowed.includes(license), `${name}: ${license}`);
    assert.ok(notice.includes(`${name} ${version} (${license})`), `${name} ${version} is not in NOTICE`);
    assert.ok(notice.includes(readFileSync(join(sources, path, "LICENSE"), "utf8").trim()), name);
  }
  assert.ok(page.includes(notice.split("\n")[0] as string));
});

test("the_lock_file_names_no_address_and_a_hash_of_everything", () => {
  for (const [path, { resolved, integrity }] of Object.entries(lock.packages)) {
    assert.equal(resolved, undefined, path);
    assert.ok(path === "" || integrity?.startsWith("sha512-"), path);
  }
});
