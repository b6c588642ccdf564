import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { fromHex, hex, utf8 } from "../src/octets.ts";
import { digestOf, publicKey, signatureFromDer, signatureFromLaxDer, signatureFromRaw, verifiesMessage } from "../src/sm2.ts";
import { sm3 } from "../src/sm3.ts";
import { Keeper } from "./ledger.ts";

const octets = (text: string) => fromHex(text) as Uint8Array;

test("sm3_has_the_values_of_the_standard_and_openssls_at_every_length_around_its_blocks", () => {
  assert.equal(hex(sm3(utf8("abc"))), "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
  assert.equal(hex(sm3(utf8("abcd".repeat(16)))), "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732");
  for (let length = 0; length < 300; length++) {
    const message = Uint8Array.from({ length }, (_, at) => (at * 7 + length) & 255);
    assert.equal(hex(sm3(message)), createHash("sm3").update(message).digest("hex"), `${length}`);
    assert.equal(hex(sm3(message.subarray(0, length / 3), message.subarray(length / 3))), hex(sm3(message)));
  }
});

// GB/T 32918.5-2017, annex A.
const KEY = "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";
const R = "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3";
const S = "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa";
const N = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123";

test("sm2_verifies_the_standards_example_and_nothing_near_it", () => {
  const key = publicKey(octets(KEY));
  assert.ok(key);
  assert.equal(hex(digestOf(key, utf8("message digest"))), "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640");
  const holds = (message: string, raw: string) => {
    const signature = signatureFromRaw(octets(raw));
    return signature !== undefined && verifiesMessage(key, utf8(message), signature);
  };
  assert.ok(holds("message digest", R + S));
  assert.ok(!holds("message digesT", R + S));
  for (let bit = 0; bit < 512; bit++) {
    const raw = octets(R + S);
    raw[bit >> 3] = (raw[bit >> 3] as number) ^ (0x80 >> (bit & 7));
    assert.ok(!holds("message digest", hex(raw)), `bit ${bit}`);
  }
});

test("r_and_s_out_of_range_and_points_off_the_curve_are_none", () => {
  const zero = "00".repeat(32);
  const above = (hexadecimal: string) => (BigInt(`0x${hexadecimal}`) + BigInt(`0x${N}`)).toString(16);
  for (const raw of [zero + S, R + zero, N + S, R + N, "ff".repeat(64), R + S.slice(2), `${R}${S}00`]) {
    assert.equal(signatureFromRaw(octets(raw)), undefined, raw);
  }
  assert.ok(above(R).length > 64, "no second spelling of r fits");
  const off = octets(KEY);
  off[64] = (off[64] as number) ^ 1;
  for (const point of [off, octets(`04${zero}${zero}`), octets(KEY).subarray(1), octets(`02${KEY.slice(2, 66)}`), new Uint8Array()]) {
    assert.equal(publicKey(point), undefined, hex(point));
  }
});

test("signatures_in_der_are_minimal_unless_a_profile_is_lax", () => {
  const der = (r: string, s: string) => {
    const integer = (digits: string) => `02${(digits.length / 2).toString(16).padStart(2, "0")}${digits}`;
    const body = integer(r) + integer(s);
    return octets(`30${(body.length / 2).toString(16).padStart(2, "0")}${body}`);
  };
  assert.ok(signatureFromDer(der(`00${R}`, `00${S}`)));
  for (const [r, s] of [[R, `00${S}`], [`0000${R}`, `00${S}`], [`00${R}`, S]] as const) {
    assert.equal(signatureFromDer(der(r, s)), undefined);
    assert.ok(signatureFromLaxDer(der(r, s)));
  }
});

test("signatures_made_here_verify_under_their_own_key_only", () => {
  for (let secret = 2n; secret < 12n; secret++) {
    const keeper = new Keeper("k", secret * 0x10000000000000001n);
    const message = utf8(`message ${secret}`);
    const signature = signatureFromRaw(keeper.sign(message));
    const [own, other] = [keeper, new Keeper("k", secret + 1n)].map(({ point }) => publicKey(point));
    assert.ok(signature && own && other);
    assert.ok(verifiesMessage(own, message, signature));
    assert.ok(!verifiesMessage(other, message, signature));
  }
});
