// Two implementations from one document: every receipt that the tests of appliance/verifier judged is judged again here, and
// each step must come to the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { corpus, judge } from "./corpus.ts";

const directory = process.env["YANQIAN_RECEIPT_CORPUS"];
if (directory === undefined) throw new Error("YANQIAN_RECEIPT_CORPUS names no directory");
const cases = corpus(directory);

test("each_step_of_every_receipt_comes_to_what_yanqian_verify_found", () => {
  assert.ok(cases.length >= 1000, `only ${cases.length} receipts were written`);
  const met = new Set<string>();
  for (const one of cases) {
    const report = judge(one);
    const ours = report.checks.map(({ step, part, finding }) => ({ step, part: part ?? null, finding }));
    const theirs = one.report.checks.map(({ step, part, finding }) => ({ step, part, finding }));
    const about = () => `${one.test}: ${JSON.stringify([report.checks, one.report.checks], undefined, 1)}`;
    assert.deepEqual(ours, theirs, about());
    assert.equal(report.holds, one.report.proven, about());
    assert.equal(report.platformSaid ?? null, one.report.platform_said, about());
    assert.equal(report.at === undefined ? null : new Date(report.at).toISOString(), one.report.at, about());
    for (const { step, finding } of theirs) met.add(`${step} ${finding}`);
  }
  // The comparison is worth what the cases are: every step was met in both ways.
  for (const step of [
    "format", "records", "story", "entity-certificate", "request-signature", "entity-chain", "answer-signature", "answer-binding",
    "platform-signer", "platform-chain", "revocation", "decision", "reading", "evidence", "commitment",
  ]) {
    assert.ok(met.has(`${step} proven`), `${step} never held`);
    assert.ok(met.has(`${step} failed`), `${step} never failed`);
  }
  console.log(`${cases.length} receipts, ${cases.filter(({ report }) => report.proven).length} proven, each step as yanqian-verify has it`);
});
