// The page: takes files, proves, shows. Everything stays in this document's memory.
import { type Asked, AskedError, readAsked, withFiles } from "../asked.ts";
import type { Report } from "../report.ts";
import { readTrust, TrustError } from "../trust.ts";
import { type Options, verify } from "../verify.ts";
import { chipOf, FileError, type Given, type Inputs, isOfTrust, sortDropped, trustOf } from "./files.ts";
import { element, label, type Language, printable, row, summary } from "./show.ts";
import { chosen, dropped } from "./take.ts";

const byId = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const input = (id: string) => byId<HTMLInputElement>(id);

let language: Language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
let inputs: Inputs = {};
let shown: { report: Report; receipt: Given } | undefined;

/** What the auditor has to mend; a key of the labels, and what it is about. */
class Problem extends Error {
  constructor(readonly text: string, readonly about = "") {
    super(text);
  }
}

function problem(error: unknown): void {
  if (error instanceof Problem) byId("problem").textContent = `${label(error.text, language)} ${printable(error.about)}`.trim();
  else if (error instanceof FileError) byId("problem").textContent = `${label("badFile", language)} ${printable(error.message)}`;
  // The browser's own: a file that went away, a directory that it does not let a page from disk read.
  else if (error instanceof DOMException) byId("problem").textContent = `${label("badFile", language)} ${error.message}`;
  else {
    // A defect of the page: said, and left to the browser's own record. What stands in the queue goes on.
    byId("problem").textContent = String(error);
    reportError(error);
  }
}

/** What is to be done stands in a row, so that nothing is proven of files that were chosen before the last ones. */
let queue: Promise<void> = Promise.resolve();

function next(work: () => void | Promise<void>): void {
  queue = queue.then(async () => {
    byId("problem").textContent = "";
    try {
      await work();
    } catch (error) {
      problem(error);
    }
  });
}

/** Takes away a result of other files than those that are being chosen. */
function forget(): void {
  shown = undefined;
  show();
}

function options(): Options {
  const written = input("at").value.trim();
  const at = written === "" ? undefined : Date.parse(written);
  const form = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;
  // JavaScript takes 30 February for 2 March.
  const day = written.slice(0, 10);
  const exists = !Number.isNaN(Date.parse(day)) && new Date(day).toISOString().startsWith(day);
  if (at !== undefined && (!form.test(written) || !exists || Number.isNaN(at) || at < 0)) throw new Problem("badAt");
  const grace = input("grace").value.trim();
  if (!/^\d{1,10}$/.test(grace) || Number(grace) > 0xffffffff) throw new Problem("badGrace");
  return { at, graceSeconds: Number(grace), asked: asked() };
}

function asked(): Asked | undefined {
  const { fields, portrait, chip } = inputs;
  if (fields === undefined) {
    if (portrait !== undefined || chip !== undefined) throw new Problem("badFields", label("fields", language));
    return undefined;
  }
  try {
    return withFiles(readAsked(fields.octets), portrait?.octets, chip && Object.fromEntries(chip));
  } catch (error) {
    if (error instanceof AskedError) throw new Problem("badFields", error.message);
    throw error;
  }
}

function prove(): void {
  byId("result").hidden = true;
  shown = undefined;
  const { receipt, trust } = inputs;
  if (receipt === undefined) throw new Problem("noReceipt");
  if (trust === undefined) throw new Problem("noTrust");
  const how = options();
  try {
    shown = { receipt, report: verify(receipt.octets, readTrust(trust), how) };
  } catch (error) {
    if (error instanceof TrustError) throw new Problem("badTrust", error.message);
    throw error;
  }
  show();
  byId("verdict").focus();
}

function show(): void {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const one of document.querySelectorAll<HTMLElement>("[data-text]")) {
    one.textContent = label(one.dataset["text"] as string, language);
  }
  byId("language").textContent = label("language", language);
  byId("language").lang = language === "zh" ? "en" : "zh-CN";
  const states: [string, string | undefined][] = [
    ["receipt", inputs.receipt?.path], ["fields", inputs.fields?.path], ["portrait", inputs.portrait?.path],
    ["trust", inputs.trust && `${inputs.trust.size} ${label("filesOf", language)}`],
    ["chip", inputs.chip && `${inputs.chip.size} ${label("filesOf", language)}`],
  ];
  for (const [id, state] of states) byId(`${id}-state`).textContent = printable(state ?? "");
  byId("result").hidden = shown === undefined;
  if (shown === undefined) return;
  const { report, receipt } = shown;
  const verdict = byId("verdict");
  verdict.className = report.holds ? "proven" : "failed";
  verdict.textContent = `${report.holds ? "✔" : "✘"} ${label(report.holds ? "proven" : "failed", language)}`;
  byId("summary").replaceChildren(...summary(report, receipt, language));
  byId("steps").replaceChildren(...report.checks.map((check) => row(check, language)));
  byId("said").hidden = report.platformSaid === undefined;
  byId("said-text").replaceChildren(element("span", printable(report.platformSaid ?? "")));
}

function take(given: Inputs): void {
  inputs = { ...inputs, ...given };
  forget();
}

function listen(id: string, read: (files: Given[]) => Inputs, wanted?: (path: string) => boolean): void {
  input(id).addEventListener("change", () => {
    forget();
    next(async () => take(read(await chosen(input(id), wanted))));
  });
}

listen("receipt", ([receipt]) => ({ receipt }));
listen("trust", (files) => ({ trust: files.length === 0 ? undefined : trustOf(files) }), isOfTrust);
listen("fields", ([fields]) => ({ fields }));
listen("portrait", ([portrait]) => ({ portrait }));
listen("chip", (files) => ({ chip: files.length === 0 ? undefined : chipOf(files) }));

byId("inputs").addEventListener("submit", (event) => {
  event.preventDefault();
  next(prove);
});
byId("inputs").addEventListener("reset", () => {
  forget();
  next(() => {
    inputs = {};
    forget();
  });
});
byId("language").addEventListener("click", () => {
  language = language === "en" ? "zh" : "en";
  byId("problem").textContent = "";
  show();
});

// The whole window takes drops, so that a file that misses the field is not opened in the page's place.
window.addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
window.addEventListener("dragleave", () => byId("drop").classList.remove("over"));
window.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  const items = event.dataTransfer?.items;
  if (items === undefined) return;
  forget();
  const files = dropped(items);
  // Told of below, when its turn comes.
  files.catch(() => undefined);
  next(async () => take(sortDropped(await files)));
});

show();
