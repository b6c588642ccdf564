import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { rfc8785, sortedPairs } from "../src/canonical.ts";
import { parseCbor } from "../src/cbor.ts";
import { oid, single, time } from "../src/der.ts";
import { parseJson } from "../src/json.ts";
import { fromBase64, fromHex, fromLaxBase64, fromUtf8, toBase64, toBase64Url, utf8 } from "../src/octets.ts";
import { readRecord } from "../src/records.ts";
import { EARLY_REASONS, REASONS } from "../src/words.ts";

const root = process.env["YANQIAN_ROOT"] ?? "";
const octets = (text: string) => fromHex(text) as Uint8Array;
const refused = (read: () => unknown, what: string) => assert.throws(read, Error, what);

test("base64_has_one_spelling_and_the_lax_one_is_as_documented", () => {
  for (let length = 0; length < 20; length++) {
    const value = Uint8Array.from({ length }, (_, at) => (at * 37 + length * 101) & 255);
    const text = Buffer.from(value).toString("base64");
    assert.equal(toBase64(value), text);
    assert.equal(toBase64Url(value), Buffer.from(value).toString("base64url"));
    assert.deepEqual(fromBase64(text), value);
    assert.deepEqual(fromLaxBase64(text.replace(/=+$/, "").replace(/^./, "$& \n")), value);
  }
  for (const text of ["A", "AA", "AA=", "AB==", "AAB=", "A===", "====", "AA==AA==", "AA= =", "A-_A", "AAAA\n", "ÄAAA"]) {
    assert.equal(fromBase64(text), undefined, text);
  }
});

test("cbor_is_read_in_its_deterministic_encoding_only", () => {
  assert.deepEqual(parseCbor(octets("a2000118198120")), {
    kind: "map",
    entries: new Map([[0, { kind: "int", value: 1 }], [25, { kind: "array", items: [{ kind: "int", value: -1 }] }]]),
  });
  for (const text of [
    "", "1817", "190017", "1a00001234", "1b0000000012345678", "1bffffffffffffffff", "5f4100ff", "9f00ff", "bf0000ff", "a201000000",
    "a200000000", "a1617800", "f4", "f6", "fb3ff0000000000000", "c001", "61ff", "4200", "0000", "8200", "ff", "1c", "a12000",
  ]) {
    refused(() => parseCbor(octets(text)), text);
  }
  refused(() => parseCbor(octets("81".repeat(64) + "00")), "depth");
});

test("der_is_read_in_its_one_encoding_only", () => {
  for (const text of ["", "30", "3001", "30800000", "308100", "30820001aa", "3003020101aa", "1f8100", "0000", "3085000000000100"]) {
    refused(() => single(octets(text)), text);
  }
  assert.equal(oid(single(octets("06082a811ccf55018375"))), "1.2.156.10197.1.501");
  for (const text of ["0600", "06022a81", "06032a8001"]) refused(() => oid(single(octets(text))), text);
  const at = (text: string) => time(single(Uint8Array.from([text.length === 13 ? 0x17 : 0x18, text.length, ...utf8(text)])));
  assert.equal(at("491231235959Z"), Date.UTC(2049, 11, 31, 23, 59, 59));
  assert.equal(at("500101000000Z"), Date.UTC(1950, 0, 1));
  assert.equal(at("20240229000000Z"), Date.UTC(2024, 1, 29));
  for (const text of ["230229000000Z", "20240230000000Z", "20241301000000Z", "20240101240000Z", "20240101006000Z", "2024010100000Z"]) {
    refused(() => at(text), text);
  }
});

test("json_keeps_what_stands_there_and_tells_of_names_that_stand_twice", () => {
  const value = parseJson(utf8(' {"a" : {"x": 1.50 } ,"b":"\\u5f20\\/"} '));
  assert.ok(value.kind === "object" && !value.doubled);
  assert.equal(value.members.get("a")?.text, '{"x": 1.50 }');
  const b = value.members.get("b");
  assert.ok(b?.kind === "string" && b.value === "张/");
  const doubled = parseJson(utf8('{"a":1,"\\u0061":2}'));
  assert.ok(doubled.kind === "object" && doubled.doubled);
  for (const text of [
    "", "{", "{}{}", "[1,]", "{,}", "{\"a\"}", "01", "+1", ".5", "1.", "1e", "NaN", "'a'", "\"\n\"", '"\\x"', '"\\ud800"', '"\\udc00\\ud800"',
    "\ufeff{}", "1e999", "tru", "nul", "//\n{}", `${"[".repeat(200)}${"]".repeat(200)}`,
  ]) {
    refused(() => parseJson(utf8(text)), text);
  }
  refused(() => parseJson(octets("22ff22")), "UTF-8");
  for (const long of ["A".repeat(15_000_000), "\\/".repeat(100_000)]) {
    const read = parseJson(utf8(`"${long}"`));
    assert.ok(read.kind === "string" && read.value.length === JSON.parse(`"${long}"`).length);
  }
});

test("canonical_forms_are_those_of_the_documents", () => {
  const members = (text: string) => {
    const value = parseJson(utf8(text));
    assert.ok(value.kind === "object");
    return [...value.members];
  };
  const some = members('{"b":"x","a":1.50,"é":"","z":null,"c":[ 1 ]}');
  assert.equal(fromUtf8(sortedPairs(some, true) as Uint8Array), "a=1.50&b=x&c=[ 1 ]&z=null&é=");
  assert.equal(fromUtf8(sortedPairs(some, false) as Uint8Array), "a=1.50&b=x&c=[ 1 ]");
  for (const text of ['{"a&":"x"}', '{"a=":"x"}', '{"a":"x&b=y"}']) assert.equal(sortedPairs(members(text), false), undefined);
  const jcs = '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}';
  assert.equal(
    fromUtf8(rfc8785(members(jcs)) as Uint8Array),
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  );
  assert.equal(rfc8785(members('{"a":[{"b":1,"b":2}]}')), undefined);
});

test("every_record_of_every_schema_is_read_and_no_octet_more_or_less", () => {
  const fixtures = join(root, "appliance", "evidence", "fixtures");
  const files = readdirSync(fixtures, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".cbor"));
  assert.ok(files.length >= 30, `${files.length}`);
  for (const name of files) {
    const record = new Uint8Array(readFileSync(join(fixtures, name)));
    assert.ok(readRecord(record).sequence > 0, name);
    refused(() => readRecord(record.subarray(0, -1)), name);
    refused(() => readRecord(Uint8Array.from([...record, 0])), name);
    // A key that no schema has.
    refused(() => readRecord(Uint8Array.from([0xa7, ...record.subarray(1), 0x18, 0x63, 0])), name);
  }
});

test("the_words_are_those_of_the_documents", () => {
  const [page] = readFileSync(join(root, "docs", "reasons.md"), "utf8").split("Before a caller is known");
  const rows = [...(page as string).matchAll(/^\| `([a-z-]+)` \| (\d)/gm)].map(([, code, status]) => [code, status]);
  assert.deepEqual([...REASONS].sort(), rows.map(([code]) => code).sort());
  assert.deepEqual([...EARLY_REASONS].sort(), rows.filter(([, status]) => status === "4").map(([code]) => code).sort());
});
