// Whether a decision is carried by what its record says was done.
import type { RecordedCheck } from "./records.ts";
import type { Story } from "./story.ts";
import { fail, type Text, text } from "./text.ts";
import { CHECKS, EARLY_REASONS, type Reason } from "./words.ts";

/** Every check was made, in the end successfully. */
function allPassed(checks: RecordedCheck[]): boolean {
  const made = new Set(checks.map(({ name }) => name));
  return checks.every(({ refused }) => refused === undefined) && CHECKS.every((name) => made.has(name));
}

function judgeRefusal(reason: Reason, checks: RecordedCheck[]): Text {
  if ((EARLY_REASONS as readonly string[]).includes(reason)) {
    fail(`${reason} refuses a check before its intent, not after it`, `${reason} 只能在意图之前拒绝`);
  }
  const at = checks.findIndex(({ refused }) => refused !== undefined);
  if (at >= 0 && at !== checks.length - 1) fail("checks were made after the one that refused", "拒绝之后仍有检查");
  if (at >= 0 && checks[at]?.refused !== reason) fail("the reason is not that of the check that refused", "原因与拒绝的检查不符");
  return text(`the check was refused: ${reason}`, `核验被拒绝：${reason}`);
}

export function judgeDecision({ intent, exchanges, outcome, refusal }: Story): Text {
  if (!exchanges.every(({ checks }) => allPassed(checks))) {
    fail("an exchange goes on from an answer that did not pass", "交换所依据的应答未通过检查");
  }
  if (refusal !== undefined) {
    return text(`refused before anything was signed: ${refusal.reason}`, `在签名之前已拒绝：${refusal.reason}`);
  }
  if (intent === undefined || outcome === undefined) return text("the outcome is unknown", "结果未知");
  const { decision, checks } = outcome;
  if (decision.kind === "refused") return judgeRefusal(decision.value.reason, checks);
  if (!allPassed(checks)) fail("a verdict without every check having passed", "未通过全部检查却有结论");
  const { overall, fields } = decision.value;
  const portrait = intent.fields.includes("portrait");
  const chip = intent.fields.includes("chip");
  const asked = { "real-name": !portrait && !chip, "real-person": portrait && !chip, "chip-reading": chip && intent.fields.length === 1 };
  if (!asked[intent.mode]) fail("the fields asked are not those of the mode", "所问字段与模式不符");
  const expected = overall === "not-found" ? [] : intent.fields;
  if (fields.map(([one]) => one).join() !== expected.join()) fail("the verdict is not about the fields asked", "结论与所问字段不符");
  const has = (verdict: string) => fields.some(([, one]) => one === verdict);
  const agrees = {
    match: !has("mismatch") && !has("undecided"), mismatch: has("mismatch"), undecided: has("undecided") && !has("mismatch"),
    "not-found": true,
  };
  if (!agrees[overall]) fail("the verdict contradicts its fields", "总结论与各字段结论矛盾");
  return text(`every check passed, and the verdict is ${overall}`, `全部检查通过，结论为 ${overall}`);
}
