import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { utf8 } from "../src/octets.ts";
import { readTrust, TrustError } from "../src/trust.ts";
import { readCertificate } from "../src/x509.ts";
import { FileError, trustOf } from "../src/ui/files.ts";
import { corpus, octets, trustFiles } from "./corpus.ts";

const one = corpus(process.env["YANQIAN_RECEIPT_CORPUS"] ?? "").find(({ report }) => report.proven);
assert.ok(one);
const receipt = JSON.parse(Buffer.from(octets(one.receipt)).toString()) as { certificates: string[] };
/** The platform's signer: the entity's own certificate stands first. */
const signer = readCertificate(octets(receipt.certificates[1] as string));

const withPins = (toml: string) => readTrust(new Map([...trustFiles(one), ["signers.toml", utf8(`format_version = 1\n${toml}`)]]));
const pin = (...lines: string[]) => ["[[signer]]", 'name = "s"', 'role = "signing"', ...lines, ""].join("\n");
const means = (toml: string) => withPins(toml).pins.some((names) => names(signer));
const hex = (value: Uint8Array) => Buffer.from(value).toString("hex");

test("a_pin_means_the_certificates_that_it_names_and_no_others", () => {
  const { subject, issuer } = new X509Certificate(signer.der);
  const named = (key: string, name: string) => `${key} = ${JSON.stringify(name.split("\n"))}`;
  assert.ok(means(pin(named("subject", subject))));
  assert.ok(means(pin(named("subject", subject), named("issuer", issuer))));
  assert.ok(means(pin(`serial = "00${hex(signer.serial)}"`, named("issuer", issuer))));
  assert.ok(!means(pin(`serial = "${hex(signer.serial)}00"`, named("issuer", issuer))));
  assert.ok(!means(pin(named("subject", subject), named("issuer", subject))));
  assert.ok(!means(pin(named("subject", issuer))));
  assert.ok(!means(pin(named("subject", subject.split("\n").reverse().join("\n")))));
  assert.ok(means(pin(`key_id = "${signer.keyId}"`)));
  assert.ok(means(pin(`key_id = "${signer.keyId.toUpperCase()}"`)));
  assert.ok(means(pin(`certificate = "${signer.hash}"`)));
  assert.ok(!means(pin(`certificate = "${signer.keyId}"`)));
  assert.ok(!means(pin(`key_id = "${signer.hash}"`)));
  assert.ok(!means(pin(`key_id = "${signer.keyId}"`).replace('role = "signing"', 'role = "tls"')));
  assert.ok(!means(pin(`serial = "00${hex(signer.serial)}"`, 'issuer = ["CN=Nobody"]')));
  assert.deepEqual(withPins("signer = []").pins, []);
});

test("a_file_of_pins_that_says_something_else_is_refused_with_what_it_says", () => {
  for (const [toml, says] of [
    ["", "signer is missing"],
    [pin(), "not one of"],
    [pin('key_id = "00"'), "key_id"],
    [pin(`key_id = "${signer.keyId}"`, `certificate = "${signer.hash}"`), "not one of"],
    [pin(`key_id = "${signer.keyId}"`, 'issuer = ["CN=x"]'), "not one of"],
    [pin('serial = "0"', 'issuer = ["CN=x"]'), "serial"],
    [pin('serial = "00"'), "not one of"],
    [pin("subject = []"), "subject"],
    [pin('subject = ["constructor=x"]'), "subject"],
    [pin('subject = ["CN"]'), "subject"],
    [pin('color = "red"'), "color"],
    [pin(`key_id = "${signer.keyId}"`).replace("signing", "singing"), "role"],
  ] as const) {
    assert.throws(() => withPins(toml), (error: unknown) => error instanceof TrustError && error.message.includes(says), `${says}: ${toml}`);
  }
});

test("anchors_are_authorities_in_pem_or_der_and_hidden_files_are_passed_over", () => {
  const files = trustFiles(one);
  const [path, pem] = [...files].find(([name]) => name.startsWith("anchors/")) as [string, Uint8Array];
  const der = Buffer.from(Buffer.from(pem).toString().replace(/-----[^-]+-----|\s/g, ""), "base64");
  const anchorsOf = (...entries: [string, Uint8Array][]) => readTrust(new Map([...[...files].filter(([name]) => name !== path), ...entries])).anchors.length;
  assert.equal(anchorsOf(["anchors/root.der", der]), 1);
  assert.equal(anchorsOf([path, Buffer.concat([pem, pem])]), 2);
  assert.equal(anchorsOf([path, pem], ["anchors/.root.pem.swp", utf8("x")], ["anchors/old/root.pem", utf8("x")]), 1);
  for (const [name, content] of [[path, utf8("x")], [path, signer.der], ["tls-anchors/root.pem", pem]] as const) {
    assert.throws(() => anchorsOf([name, content]), TrustError, name);
  }
});

test("the_files_of_one_directory_are_taken_wherever_it_stands_and_of_two_none", () => {
  const given = (...paths: string[]) => paths.map((path) => ({ path, octets: new Uint8Array() }));
  const places = [...trustOf(given("a/b/signers.toml", "a/b/anchors/x.pem", "a/b/tls-anchors/y.pem", "a/b/crls/z", "a/b/entity-anchors/e")).keys()];
  assert.deepEqual(places, ["signers.toml", "anchors/x.pem", "entity-anchors/e"]);
  assert.deepEqual([...trustOf(given("anchors/x.pem", "signers.toml")).keys()], ["anchors/x.pem", "signers.toml"]);
  assert.throws(() => trustOf(given("a/signers.toml", "b/anchors/x.pem")), FileError);
});
