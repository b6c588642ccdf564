import assert from "node:assert/strict";
import { test } from "node:test";
import { rootOf } from "../src/anchor.ts";
import { readCheckpoint } from "../src/checkpoint.ts";
import { readTrust, TrustError } from "../src/trust.ts";
import { verify } from "../src/verify.ts";
import { corpus, octets, trustFiles } from "./corpus.ts";
import { anchored, Keeper, LEDGER, LEDGERS, path, root, sm3, text, type WireAnchor, type WireReceipt, WITNESS } from "./ledger.ts";

const FIRST = 41;
const cases = corpus(process.env["YANQIAN_RECEIPT_CORPUS"] ?? "");
const one = cases.find(({ report, at }) => report.proven && at === null && report.checks.some(({ part }) => part === "apply"));
assert.ok(one, "a receipt of two requests");
const pending = JSON.parse(Buffer.from(octets(one.receipt)).toString()) as WireReceipt;
const time = Date.parse(one.report.at as string);
const good = anchored(pending, FIRST, 50, time + 1);
const trust = (ledgers: Uint8Array | undefined = LEDGERS(1)) =>
  readTrust(new Map([...trustFiles(one), ...(ledgers === undefined ? [] : [["ledgers.toml", ledgers] as const])]));

/** The steps that fail, and what they say. */
function judged(receipt: WireReceipt, ledgers?: Uint8Array, at?: number): { failed: string[]; says: string } {
  const report = verify(Buffer.from(JSON.stringify(receipt)), ledgers === undefined ? trust() : trust(ledgers), { at });
  const failed = report.checks.filter(({ finding }) => finding === "failed");
  return { failed: failed.map(({ step }) => step), says: failed.map(({ says }) => says.en).join() };
}

const withAnchor = (change: (anchor: WireAnchor) => void): WireReceipt => {
  const receipt = structuredClone(good);
  change(receipt.anchor as WireAnchor);
  return receipt;
};
/** A checkpoint of this text, signed by these. */
const note = (signed: string, ...keepers: Keeper[]) => `${signed}\n${keepers.map((keeper) => keeper.line(signed)).join("")}`;
const textOf = (receipt: WireReceipt) => (receipt.anchor as WireAnchor).checkpoint.split("\n\n")[0] + "\n";

test("inclusion_proofs_lead_to_the_root_of_every_tree_and_no_others_do", () => {
  for (let size = 1; size <= 40; size++) {
    const leaves = Array.from({ length: size }, (_, at) => sm3(Buffer.from([at])));
    const top = root(leaves);
    leaves.forEach((leaf, index) => {
      const proof = path(index, leaves);
      const leads = (hash: Uint8Array, at: number, n: number, nodes: Uint8Array[]) => Buffer.from(rootOf(hash, at, n, nodes) ?? []).equals(top);
      assert.ok(leads(leaf, index, size, proof), `${index} of ${size}`);
      assert.ok(!leads(leaf, index, size, [...proof, top]) && (size === 1 || !leads(leaf, index, size, proof.slice(1))));
      for (let other = 0; other < size + 2; other++) assert.ok(other === index || !leads(leaf, other, size, proof), `${index} ${other} ${size}`);
    });
  }
});

test("an_anchored_receipt_holds_and_outlives_its_certificates", () => {
  assert.deepEqual(judged(good).failed, []);
  const later = time + 400 * 86_400_000;
  assert.deepEqual(judged(good, undefined, later).failed, []);
  assert.ok(judged(pending, undefined, later).failed.includes("entity-chain"));
  const broken = withAnchor(({ proofs }) => { (proofs[0] as { path: string[] }).path[0] = "00".repeat(32); });
  assert.ok(judged(broken, undefined, later).failed.includes("entity-chain"), "an anchor that does not hold fixes no time");
});

test("whatever_is_wrong_about_an_anchor_fails_it_and_nothing_else", () => {
  const stranger = new Keeper(LEDGER.name, 0x99999n);
  const signed = textOf(good);
  const shifted = signed.replace(/\d+\n$/, `${time}\n`);
  const proof = (anchor: WireAnchor, at: number) => anchor.proofs[at] as { index: number; path: string[] };
  const forgeries: [string, WireReceipt][] = [
    ["another place", withAnchor((anchor) => { proof(anchor, 1).index += 1; })],
    ["another place", withAnchor((anchor) => { anchor.proofs.reverse(); })],
    ["root", withAnchor((anchor) => { proof(anchor, 2).path.pop(); })],
    ["root", withAnchor((anchor) => { proof(anchor, 2).path.push("00".repeat(32)); })],
    ["signature does not verify", withAnchor((anchor) => { anchor.checkpoint = anchor.checkpoint.replace("\n50\n", "\n51\n"); })],
    ["no key of the ledger", withAnchor((anchor) => { anchor.checkpoint = note(signed, stranger, WITNESS); })],
    ["no key of the ledger", withAnchor((anchor) => { anchor.checkpoint = note(signed, WITNESS, LEDGER); })],
    ["too few witnesses", withAnchor((anchor) => { anchor.checkpoint = note(signed, LEDGER); })],
    ["too few witnesses", withAnchor((anchor) => { anchor.checkpoint = note(signed, LEDGER, new Keeper(WITNESS.name, 5n)); })],
    ["witness's signature", withAnchor((anchor) => { anchor.checkpoint = `${signed}\n${LEDGER.line(signed)}${WITNESS.line(shifted)}`; })],
    ["origin", withAnchor((anchor) => { anchor.checkpoint = note(signed.replace(/^.*/, "example-bank/node-3"), LEDGER, WITNESS); })],
    ["later than the checkpoint", anchored(pending, FIRST, 50, time - 1)],
    ["another place", anchored(pending, FIRST + 1, 50, time)],
  ];
  for (const [says, receipt] of forgeries) {
    const found = judged(receipt);
    assert.deepEqual(found.failed, ["anchor"], says);
    assert.ok(found.says.includes(says), `${says}: ${found.says}`);
  }
  assert.deepEqual(judged(withAnchor((anchor) => { anchor.checkpoint = note(signed, LEDGER); }), LEDGERS(0)).failed, []);
});

test("a_checkpoint_has_one_spelling", () => {
  const signed = textOf(good);
  const whole = (good.anchor as WireAnchor).checkpoint;
  assert.equal(readCheckpoint(whole).size, 50);
  for (const changed of [
    whole.slice(0, -1), `${whole}\n`, whole.replace("\n", "\r\n"), whole.replace("\n50\n", "\n050\n"), whole.replace("\n50\n", "\n0\n"),
    whole.replace("time ", "time  "), whole.replace("time ", "time +"), whole.replace("—", "-"), whole.replace("\n\n", "\n\n\n"),
    whole.replace("\n\n", "\nextra\n\n"), whole.replace("\n\n", "\n"), ` ${whole}`, `${whole}— x AAAA\n`, note(signed, LEDGER, LEDGER),
    note(signed), whole.replace("example-bank", "example bank"), whole.replace(/=\ntime/, "\ntime"), "x".repeat(40_000),
    text(50, new Uint8Array(31), time),
  ]) {
    assert.throws(() => readCheckpoint(changed), Error, changed.slice(0, 80));
    const receipt = withAnchor((anchor) => { anchor.checkpoint = changed; });
    assert.deepEqual(judged(receipt).failed, ["format"]);
  }
});

test("ledgers_toml_names_what_is_wrong_with_it", () => {
  const file = LEDGERS(1).toString();
  const witness = file.slice(file.indexOf("[[witnesses]]"));
  for (const [changed, says] of [
    [file.replace("format_version = 1", "format_version = 2"), "format_version"],
    [file.replace("minimum_witnesses = 1", "minimum_witnesses = 2"), "minimum_witnesses"],
    [file.replace("minimum_witnesses = 1", "minimum_witnesses = -1"), "minimum_witnesses"],
    [file + witness.replace("node-2", "node-4"), "twice"],
    [file.replace("origin = ", "orgin = "), "orgin"],
    [file.replace('key = "', 'key = "AA'), "key"],
    [file.replace("example-bank/node-2", "a b"), "name"],
    [`${file}x`, "TOML"],
  ] as const) {
    assert.throws(() => trust(Buffer.from(changed)), (error: unknown) => error instanceof TrustError && error.message.includes(says), says);
  }
  assert.ok(judged(good, Buffer.from("format_version = 1\n")).says.includes("names no key"));
  const none = verify(Buffer.from(JSON.stringify(good)), readTrust(trustFiles(one)));
  assert.ok(none.checks.some(({ step, finding }) => step === "anchor" && finding === "failed"));
});
