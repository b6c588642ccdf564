// The page as an auditor opens it: from disk, in Chromium, in front of the browser's own record of every request.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { type Case, corpus, octets, trustFiles } from "./corpus.ts";
import { anchored, LEDGERS, type WireReceipt } from "./ledger.ts";

const file = process.env["YANQIAN_RECEIPT_PAGE"] ?? "";
const executablePath = process.env["YANQIAN_CHROMIUM"] ?? "";
const shots = process.env["YANQIAN_SCREENSHOTS"];
const cases = corpus(process.env["YANQIAN_RECEIPT_CORPUS"] ?? "");
const directory = mkdtempSync(join(tmpdir(), "receipt-page-"));
let browser: Browser;

before(async () => {
  browser = await chromium.launch({
    executablePath,
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
      "--disable-sync", "--no-first-run", "--no-default-browser-check", "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND",
    ],
  });
});
after(async () => {
  await browser?.close();
  rmSync(directory, { recursive: true });
});

/** The page, and every request and every complaint that the browser saw. */
async function opened(locale: string): Promise<{ page: Page; context: BrowserContext; requests: string[]; complaints: string[] }> {
  const context = await browser.newContext({ locale, viewport: { width: 1000, height: 1100 } });
  const page = await context.newPage();
  const [requests, complaints]: [string[], string[]] = [[], []];
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  session.on("Network.requestWillBeSent", ({ request }) => requests.push(request.url));
  session.on("Network.webSocketCreated", ({ url }) => requests.push(url));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => complaints.push(message.text()));
  await page.goto(pathToFileURL(file).href);
  return { page, context, requests, complaints };
}

/** A case's files on disk, with ledgers and a trust directory as the appliance lays it out. */
function laid(name: string, one: Case, receipt: Uint8Array): { receipt: string; trust: string } {
  const trust = join(directory, name, "reference");
  for (const [path, content] of new Map<string, Uint8Array>([...trustFiles(one), ["ledgers.toml", LEDGERS(1)], ["tls-anchors/root.pem", new Uint8Array(9)], ["crls/root.crl", new Uint8Array(9)]])) {
    mkdirSync(dirname(join(trust, path)), { recursive: true });
    writeFileSync(join(trust, path), content);
  }
  writeFileSync(join(directory, name, "receipt.json"), receipt);
  return { receipt: join(directory, name, "receipt.json"), trust };
}

const findings = (page: Page) =>
  page.$$eval("#steps tr", (rows) => rows.map((one) => `${(one as HTMLElement).dataset["step"]} ${(one as HTMLElement).dataset["finding"]}`));

async function prove(page: Page, files: { receipt: string; trust: string }): Promise<string> {
  await page.setInputFiles("#receipt", files.receipt);
  await page.setInputFiles("#trust", files.trust);
  await page.click("button[type=submit]");
  await page.waitForSelector("#result:not([hidden])");
  return (await page.textContent("#verdict")) ?? "";
}

const onlyTheFile = (requests: string[]) => assert.deepEqual(requests, [pathToFileURL(file).href]);

const good = cases.find(({ report, asked, at }) => report.proven && asked !== null && at === null && report.checks.some(({ part }) => part === "apply")) as Case;
const wire = anchored(JSON.parse(Buffer.from(octets(good.receipt)).toString()) as WireReceipt, 41, 50, Date.parse(good.report.at as string) + 1);

test("a_good_receipt_is_proven_step_by_step_in_both_languages_and_nothing_is_sent", async () => {
  const { page, context, requests, complaints } = await opened("en-GB");
  const files = laid("good", good, Buffer.from(JSON.stringify(wire)));
  const fields = join(directory, "asked.json");
  writeFileSync(fields, good.asked as string);
  await page.click("summary[data-text=more]");
  await page.setInputFiles("#fields", fields);
  assert.match(await prove(page, files), /✔ Proven/);
  const expected = [...good.report.checks.filter(({ step }) => step !== "anchor").map(({ step, finding }) => `${step} ${finding}`), "anchor proven", "timestamp not-applicable"];
  assert.deepEqual(await findings(page), expected);
  assert.equal(await page.evaluate(() => document.activeElement?.id), "verdict", "what is read aloud next");
  if (shots !== undefined) await page.screenshot({ path: join(shots, "good.png"), fullPage: true });
  await page.click("#language");
  assert.match((await page.textContent("#verdict")) ?? "", /已证明/);
  assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
  const body = (await page.textContent("body")) ?? "";
  for (const secret of ["E12345678", "张伟", "1990-01-02"]) assert.ok(!body.includes(secret), "what was asked is not shown");
  if (shots !== undefined) await page.screenshot({ path: join(shots, "good-zh.png"), fullPage: true });
  onlyTheFile(requests);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a_forged_receipt_is_not_proven_and_the_step_says_why", async () => {
  const { page, context, requests, complaints } = await opened("zh-CN");
  const forged = { ...wire, verification: wire.verification.replace(/.$/, (digit) => (digit === "0" ? "1" : "0")) };
  assert.match(await prove(page, laid("forged", good, Buffer.from(JSON.stringify(forged)))), /✘ 未能证明/);
  assert.deepEqual(await findings(page), ["format proven", "records proven", "story failed"]);
  assert.match((await page.textContent("#steps")) ?? "", /有记录属于另一次核验/);
  // Another file takes the result away, so that none is taken for its own.
  const one = cases.find(({ report }) => report.checks.some(({ step, finding }) => step === "answer-binding" && finding === "failed")) as Case;
  const files = laid("other", one, octets(one.receipt));
  await page.setInputFiles("#receipt", files.receipt);
  assert.ok(!(await page.isVisible("#result")));
  assert.match(await prove(page, files), /✘/);
  if (shots !== undefined) await page.screenshot({ path: join(shots, "bad-zh.png"), fullPage: true });
  await page.click("#language");
  assert.match((await page.textContent("#steps")) ?? "", /✘ does not hold/);
  onlyTheFile(requests);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("files_may_be_dropped_anywhere_and_what_is_missing_or_wrong_is_said", async () => {
  const { page, context, requests, complaints } = await opened("en");
  const problem = () => page.textContent("#problem");
  await page.click("button[type=submit]");
  assert.match((await problem()) ?? "", /Choose a receipt first/);
  // As the desktop drops files: paths, which the page asks for their content.
  const session = await context.newCDPSession(page);
  const drop = async (...files: string[]) => {
    for (const type of ["dragEnter", "dragOver", "drop"] as const) {
      await session.send("Input.dispatchDragEvent", { type, x: 300, y: 20, data: { items: [], files, dragOperationsMask: 1 } });
    }
  };
  const files = laid("dropped", good, Buffer.from(JSON.stringify(wire)));
  await drop(files.receipt);
  await page.waitForFunction(() => document.getElementById("receipt-state")?.textContent === "receipt.json");
  await page.click("button[type=submit]");
  assert.match((await problem()) ?? "", /Choose the trust directory first/);
  await drop(join(files.trust, "signers.toml"));
  await page.waitForFunction(() => document.getElementById("trust-state")?.textContent === "1 files");
  await page.click("button[type=submit]");
  assert.match((await problem()) ?? "", /anchors\/ holds no certificate/);
  await drop(files.trust, laid("second", good, Buffer.from("{}")).trust);
  await page.waitForFunction(() => /cannot be taken/.test(document.getElementById("problem")?.textContent ?? ""));
  await drop(files.trust);
  await page.waitForFunction(() => document.getElementById("trust-state")?.textContent === "4 files");
  await page.click("summary[data-text=more]");
  for (const at of ["yesterday", "2026-02-30T00:00:00Z", "2026-02-03"]) {
    await page.fill("#at", at);
    await page.click("button[type=submit]");
    assert.match((await problem()) ?? "", /time to judge as of/);
  }
  await page.fill("#at", "2099-01-01T00:00:00Z");
  await page.click("button[type=submit]");
  await page.waitForSelector("#result:not([hidden])");
  assert.match((await page.textContent("#verdict")) ?? "", /✔/, "the checkpoint's time counts");
  await page.click("button[type=reset]");
  assert.ok(!(await page.isVisible("#result")));
  assert.equal(await page.textContent("#receipt-state"), "");
  onlyTheFile(requests);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("even_a_script_in_the_page_could_not_send_anything", async () => {
  const { page, context, requests } = await opened("en");
  const tried = await page.evaluate(async () => {
    const blocked: string[] = [];
    document.addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
    const outcomes = [
      await fetch("http://127.0.0.1:9/").then(() => "sent", () => "refused"),
      await new Promise((resolve) => {
        const image = new Image();
        image.onload = () => resolve("sent");
        image.onerror = () => resolve("refused");
        image.src = "http://127.0.0.1:9/x.png";
      }),
      await new Promise((resolve) => {
        const form = document.createElement("form");
        form.action = "http://127.0.0.1:9/";
        document.body.append(form);
        form.submit();
        setTimeout(() => resolve("refused"), 200);
      }),
    ];
    try {
      document.body.innerHTML = "<b>x</b>";
      outcomes.push("made into markup");
    } catch {
      outcomes.push("refused");
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    return { outcomes, blocked };
  });
  assert.deepEqual(tried.outcomes, ["refused", "refused", "refused", "refused"]);
  for (const directive of ["connect-src", "img-src", "form-action", "require-trusted-types-for"]) {
    assert.ok(tried.blocked.includes(directive), `${directive}: ${tried.blocked.join()}`);
  }
  onlyTheFile(requests.filter((url) => !url.includes(":9/")));
  await context.close();
});

test("every_control_has_a_name_and_can_be_reached_by_keyboard_and_text_has_contrast", async () => {
  for (const colorScheme of ["light", "dark"] as const) {
    const { page, context } = await opened("en");
    await page.emulateMedia({ colorScheme });
    await prove(page, laid(`contrast-${colorScheme}`, good, Buffer.from(JSON.stringify(wire))));
    const unnamed = await page.$$eval("input, button", (all) =>
      all.filter((one) => ((one as HTMLInputElement).labels?.[0]?.textContent ?? one.textContent ?? "").trim() === "").map(({ id }) => id));
    assert.deepEqual(unnamed, []);
    const weak = await page.$$eval("h1, h2, p, label, td, th, dt, dd, summary, button, output", (all) => {
      const light = (colour: string) => {
        const parts = (colour.match(/[\d.]+/g) ?? []).slice(0, 3).map((part) => {
          const value = Number(part) / 255;
          return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * (parts[0] ?? 0) + 0.7152 * (parts[1] ?? 0) + 0.0722 * (parts[2] ?? 0);
      };
      const behind = (from: Element | null): string => {
        for (let at = from; at !== null; at = at.parentElement) {
          const { backgroundColor } = getComputedStyle(at);
          if (backgroundColor !== "rgba(0, 0, 0, 0)") return backgroundColor;
        }
        return "rgb(255, 255, 255)";
      };
      return all.filter((one) => one.checkVisibility() && (one.textContent ?? "").trim() !== "").filter((one) => {
        const [a, b] = [light(getComputedStyle(one).color), light(behind(one))];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
      }).map((one) => `${one.tagName} ${one.textContent}`);
    });
    assert.deepEqual(weak, [], colorScheme);
    await page.focus("#language");
    const reached = new Set<string>();
    for (let presses = 0; presses < 20; presses++) {
      await page.keyboard.press("Tab");
      reached.add(await page.evaluate(() => document.activeElement?.id || document.activeElement?.getAttribute("data-text") || ""));
    }
    for (const id of ["receipt", "trust", "more", "prove", "clear"]) assert.ok(reached.has(id), `${id}: ${[...reached].join()}`);
    await context.close();
  }
});

test("it_prints_what_was_found_and_nothing_to_fill_in", async () => {
  const { page, context } = await opened("en");
  await prove(page, laid("print", good, Buffer.from(JSON.stringify(wire))));
  await page.emulateMedia({ media: "print" });
  assert.ok(await page.isVisible("#steps") && await page.isVisible("#summary"));
  assert.ok(!(await page.isVisible("#inputs")) && !(await page.isVisible("#language")));
  assert.ok((await page.pdf({ format: "A4" })).length > 10_000);
  await context.close();
});

console.log(`opening ${basename(file)}`);
