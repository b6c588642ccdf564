// No octet that means something can be another: not of the file, and in an anchored receipt not of any record either, though
// every hash in the receipt is made anew.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readAsked } from "../src/asked.ts";
import { readTrust } from "../src/trust.ts";
import { type Options, verify } from "../src/verify.ts";
import { type Case, corpus, octets, trustFiles } from "./corpus.ts";
import { anchored, LEDGERS, sm3, type WireReceipt } from "./ledger.ts";

const FIRST = 41;
const cases = corpus(process.env["YANQIAN_RECEIPT_CORPUS"] ?? "");
const good = cases.filter(({ asked, report, at }) => report.proven && asked !== null && at === null);

/** A good receipt with this many records, its options, and its trust with ledgers. */
function scene(records: number): { wire: WireReceipt; options: Options; one: Case; trust: ReturnType<typeof readTrust> } {
  for (const one of good) {
    const wire = JSON.parse(Buffer.from(octets(one.receipt)).toString()) as WireReceipt;
    if (wire.records.length !== records || one.report.checks.some(({ finding, step }) => finding !== "proven" && step !== "anchor")) continue;
    const options = { asked: readAsked(Buffer.from(one.asked as string)) };
    return { wire, options, one, trust: readTrust(new Map([...trustFiles(one), ["ledgers.toml", LEDGERS(1)]])) };
  }
  throw new Error(`no receipt of ${records} records`);
}

const encode = (wire: unknown) => Buffer.from(JSON.stringify(wire));

test("no_octet_of_a_receipts_file_can_be_another", () => {
  const { wire, options, trust } = scene(2);
  const json = encode(wire);
  assert.ok(verify(json, trust, options).holds);
  for (let at = 0; at < json.length; at++) {
    const changed = Buffer.from(json);
    changed[at] = (changed[at] as number) ^ (1 << (at % 8));
    assert.ok(!verify(changed, trust, options).holds, `octet ${at} of ${json.length}`);
  }
});

test("no_octet_of_an_anchored_record_can_be_another_though_it_is_hashed_anew", () => {
  for (const records of [2, 3]) {
    const { wire, options, trust, one } = scene(records);
    const receipt = anchored(wire, FIRST, 77, Date.parse(one.report.at as string) + 5);
    const report = verify(encode(receipt), trust, options);
    assert.ok(report.holds, JSON.stringify(report.checks, undefined, 1));
    receipt.records.forEach((record, number) => {
      const original = octets(record);
      for (let at = 0; at < original.length; at += 3) {
        const changed = Uint8Array.from(original);
        changed[at] = (changed[at] as number) ^ (1 << (at % 8));
        const forged = { ...receipt, records: [...receipt.records], leaf_hashes: [...receipt.leaf_hashes] };
        forged.records[number] = Buffer.from(changed).toString("base64");
        forged.leaf_hashes[number] = sm3(Buffer.from([0]), changed).toString("hex");
        assert.ok(!verify(encode(forged), trust, options).holds, `octet ${at} of record ${number}`);
      }
    });
  }
});

test("a_receipt_cut_anywhere_is_refused_and_nothing_is_thrown_at_the_auditor", () => {
  const { wire, options, trust } = scene(2);
  const json = encode(wire);
  for (let length = 0; length < json.length; length += 7) assert.ok(!verify(json.subarray(0, length), trust, options).holds);
  let random = 1;
  for (let round = 0; round < 3000; round++) {
    const noise = Uint8Array.from({ length: round % 90 }, () => (random = (random * 48271) % 2147483647) & 255);
    assert.ok(!verify(noise, trust, options).holds);
    const records = wire.records.map((record) => Buffer.from(octets(record)));
    const record = records[round % 2] as Buffer;
    for (let change = 0; change < 3; change++) {
      random = (random * 48271) % 2147483647;
      record[random % record.length] = (random >> 8) & 255;
    }
    const leaves = records.map((octets_) => sm3(Buffer.from([0]), octets_).toString("hex"));
    verify(encode({ ...wire, records: records.map((one) => one.toString("base64")), leaf_hashes: leaves }), trust, options);
  }
});
