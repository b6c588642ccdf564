// A report as elements. Texts go in as text, never as markup.
import { hex } from "../octets.ts";
import type { Check, Finding, Report } from "../report.ts";
import { sm3 } from "../sm3.ts";
import type { Text } from "../text.ts";
import type { Given } from "./files.ts";
import { LABELS } from "./labels.ts";

export type Language = keyof Text;

const SIGNS: Record<Finding, string> = { proven: "✔", failed: "✘", "not-applicable": "–" };

export function element<K extends keyof HTMLElementTagNameMap>(name: K, content = "", className = ""): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  made.textContent = content;
  if (className !== "") made.className = className;
  return made;
}

export const label = (name: string, language: Language): string => LABELS[name]?.[language] ?? name;

/** A peer's own text: what is not seen, or moves what is, stands escaped. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (one) => `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`);
}

export function summary(report: Report, receipt: Given, language: Language): HTMLElement[] {
  const at = report.at === undefined ? undefined : new Date(report.at).toISOString();
  const rows: [string, string | undefined][] = [
    ["file", printable(receipt.path)], ["digest", hex(sm3(receipt.octets))], ["verification", report.verification], ["asOf", at],
  ];
  return rows.flatMap(([name, value]) => (value === undefined ? [] : [element("dt", label(name, language)), element("dd", value)]));
}

export function row({ step, part, finding, says }: Check, language: Language): HTMLTableRowElement {
  const made = element("tr", "", finding);
  made.dataset["step"] = step;
  made.dataset["finding"] = finding;
  const sign = element("td");
  const mark = element("span", SIGNS[finding], "sign");
  mark.setAttribute("aria-hidden", "true");
  sign.append(mark, ` ${label(`finding-${finding}`, language)}`);
  const name = element("td");
  name.append(element("code", part === undefined ? step : `${step} (${printable(part)})`));
  made.append(sign, name, element("td", says[language]));
  return made;
}
