// SM2 signatures (GB/T 32918.2-2016) on the curve arithmetic of @noble/curves. Everything verified here is public, so
// nothing needs constant time.
import { weierstrass } from "@noble/curves/abstract/weierstrass.js";
import { expect, sequence, TAG, unsigned } from "./der.ts";
import { fromHex, hex, type Octets, utf8 } from "./octets.ts";
import { sm3 } from "./sm3.ts";

/** sm2p256v1, GB/T 32918.5-2017. */
const CURVE = {
  p: 0xfffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffffn,
  n: 0xfffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123n,
  h: 1n,
  a: 0xfffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffcn,
  b: 0x28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93n,
  Gx: 0x32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7n,
  Gy: 0xbc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0n,
};
const Point = weierstrass(CURVE);

const DEFAULT_ID = utf8("1234567812345678");

export interface PublicKey {
  readonly point: InstanceType<typeof Point>;
  /** Z of the default id: SM3 of the id's length in bits, the id, the curve and the key. */
  readonly z: Octets;
}

/** A key from the 65 octets of an uncompressed point; `undefined` when that is no point of the curve. */
export function publicKey(octets: Octets): PublicKey | undefined {
  if (octets.length !== 65 || octets[0] !== 4) return undefined;
  try {
    const point = Point.fromBytes(octets);
    point.assertValidity();
    const bits = 8 * DEFAULT_ID.length;
    const { a, b, Gx, Gy } = CURVE;
    const z = sm3(Uint8Array.of(bits >> 8, bits & 255), DEFAULT_ID, ...[a, b, Gx, Gy].map(octets32), octets.subarray(1));
    return { point, z };
  } catch {
    return undefined;
  }
}

/** What is signed of a message: e = SM3(Z ‖ message). */
export function digestOf(key: PublicKey, message: Octets): Octets {
  return sm3(key.z, message);
}

export interface Signature {
  readonly r: bigint;
  readonly s: bigint;
}

/** DER `SEQUENCE { r, s }`, minimal, both in 1 … n − 1. */
export function signatureFromDer(octets: Octets): Signature | undefined {
  try {
    const [r, s, ...more] = sequence(octets);
    if (r === undefined || s === undefined || more.length > 0) return undefined;
    return inRange(number(unsigned(r)), number(unsigned(s)));
  } catch {
    return undefined;
  }
}

/** DER whose integers lack their zero octet or have too many. */
export function signatureFromLaxDer(octets: Octets): Signature | undefined {
  try {
    const [r, s, ...more] = sequence(octets).map((value) => expect(value, TAG.integer).content);
    if (r === undefined || s === undefined || more.length > 0) return undefined;
    return inRange(number(r), number(s));
  } catch {
    return undefined;
  }
}

/** r ‖ s, 64 octets. */
export function signatureFromRaw(octets: Octets): Signature | undefined {
  if (octets.length !== 64) return undefined;
  return inRange(number(octets.subarray(0, 32)), number(octets.subarray(32)));
}

/** What was found of signatures: one receipt asks several times about the same certificates and lists. */
const found = new Map<string, boolean>();
const MOST_FOUND = 4096;

export function verifies(key: PublicKey, e: Octets, signature: Signature): boolean {
  // Z commits to the key.
  const asked = [hex(key.z), hex(e), signature.r, signature.s].join();
  const known = found.get(asked);
  if (known !== undefined) return known;
  const holds = calculate(key, e, signature);
  if (found.size >= MOST_FOUND) found.clear();
  found.set(asked, holds);
  return holds;
}

/** GB/T 32918.2 §7.1, steps B5 to B7; the range of r and s was seen to when they were read. */
function calculate(key: PublicKey, e: Octets, { r, s }: Signature): boolean {
  const t = (r + s) % CURVE.n;
  if (t === 0n) return false;
  const sum = Point.BASE.mulAddUnsafe(s, key.point, t);
  if (sum.is0()) return false;
  return (number(e) + sum.toAffine().x) % CURVE.n === r;
}

export function verifiesMessage(key: PublicKey, message: Octets, signature: Signature): boolean {
  return verifies(key, digestOf(key, message), signature);
}

function inRange(r: bigint, s: bigint): Signature | undefined {
  const within = (value: bigint) => value > 0n && value < CURVE.n;
  return within(r) && within(s) ? { r, s } : undefined;
}

function number(octets: Octets): bigint {
  return BigInt(`0x${hex(octets) || "0"}`);
}

function octets32(value: bigint): Octets {
  return fromHex(value.toString(16).padStart(64, "0")) as Octets;
}
