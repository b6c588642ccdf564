// A ledger around a receipt's records, by its definitions and by other means than the page's: OpenSSL's SM3, the tree of
// RFC 6962 §2.1 as it is written there, and a signer of its own.
import { createHash } from "node:crypto";
import { weierstrass } from "@noble/curves/abstract/weierstrass.js";

const n = 0xfffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123n;
const a = 0xfffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffcn;
const b = 0x28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93n;
const Gx = 0x32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7n;
const Gy = 0xbc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0n;
const Point = weierstrass({ p: 0xfffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffffn, n, h: 1n, a, b, Gx, Gy });

export const sm3 = (...parts: Uint8Array[]): Buffer => createHash("sm3").update(Buffer.concat(parts)).digest();

const octets32 = (value: bigint) => Buffer.from(value.toString(16).padStart(64, "0"), "hex");
const number = (octets: Uint8Array) => BigInt(`0x${Buffer.from(octets).toString("hex")}`);
const modulo = (value: bigint) => ((value % n) + n) % n;

function inverse(value: bigint): bigint {
  let power = n - 2n;
  let base = modulo(value);
  let result = 1n;
  for (; power > 0n; power >>= 1n) {
    if (power & 1n) result = modulo(result * base);
    base = modulo(base * base);
  }
  return result;
}

export class Keeper {
  readonly point: Buffer;
  constructor(readonly name: string, private readonly secret: bigint) {
    this.point = Buffer.from(Point.BASE.multiply(secret).toBytes(false));
  }

  /** Base64 of the DER SubjectPublicKeyInfo. */
  get key(): string {
    const algorithm = Buffer.from("301306072a8648ce3d020106082a811ccf5501822d", "hex");
    return Buffer.concat([Buffer.from("3059", "hex"), algorithm, Buffer.from("034200", "hex"), this.point]).toString("base64");
  }

  /** r ‖ s with this k, for tests only. */
  sign(message: Uint8Array, k = number(sm3(message, octets32(this.secret))) % n): Buffer {
    const id = Buffer.from("1234567812345678");
    const z = sm3(Buffer.from([0, 128]), id, ...[a, b, Gx, Gy].map(octets32), this.point.subarray(1));
    const r = modulo(number(sm3(z, message)) + Point.BASE.multiply(k).toAffine().x);
    return Buffer.concat([octets32(r), octets32(modulo(inverse(1n + this.secret) * (k - r * this.secret)))]);
  }

  line(text: string): string {
    const id = sm3(Buffer.from(`${this.name}\n`), Buffer.from([0xff]), Buffer.from("SM2-SM3"), this.point).subarray(0, 4);
    return `— ${this.name} ${Buffer.concat([id, this.sign(Buffer.from(text))]).toString("base64")}\n`;
  }
}

/** The largest power of two below a size. */
function split(size: number): number {
  let k = 1;
  while (2 * k < size) k *= 2;
  return k;
}

export function root(leaves: Uint8Array[]): Buffer {
  if (leaves.length === 1) return Buffer.from(leaves[0] as Uint8Array);
  const k = split(leaves.length);
  return sm3(Buffer.from([1]), root(leaves.slice(0, k)), root(leaves.slice(k)));
}

export function path(index: number, leaves: Uint8Array[]): Buffer[] {
  if (leaves.length === 1) return [];
  const k = split(leaves.length);
  return index < k ? [...path(index, leaves.slice(0, k)), root(leaves.slice(k))] : [...path(index - k, leaves.slice(k)), root(leaves.slice(0, k))];
}

export const LEDGER = new Keeper("example-bank/node-1", 0x1234567n);
export const WITNESS = new Keeper("example-bank/node-2", 0x7654321n);

export const LEDGERS = (minimum: number) => Buffer.from(`format_version = 1
minimum_witnesses = ${minimum}
[[ledgers]]
origin = "${LEDGER.name}"
name = "${LEDGER.name}"
key = "${LEDGER.key}"
[[witnesses]]
name = "${WITNESS.name}"
key = "${WITNESS.key}"
`);

export interface WireAnchor {
  checkpoint: string;
  proofs: { index: number; path: string[] }[];
  timestamp: string | null;
}

export interface WireReceipt {
  v: number;
  state: string;
  verification: string;
  records: string[];
  leaf_hashes: string[];
  certificates: string[];
  revocation: string[];
  salt: string | null;
  anchor: WireAnchor | null;
}

export const text = (size: number, hash: Uint8Array, time: number, origin = LEDGER.name) =>
  `${origin}\n${size}\n${Buffer.from(hash).toString("base64")}\ntime ${time}\n`;

/** A receipt's records, whose first has this sequence, in a ledger of `size` records. */
export function anchored(receipt: WireReceipt, first: number, size: number, time: number): WireReceipt {
  const leaves: Uint8Array[] = Array.from({ length: size }, (_, at) => sm3(Buffer.from([0, at & 255, at >> 8])));
  receipt.leaf_hashes.forEach((leaf, at) => { leaves[first - 1 + at] = Buffer.from(leaf, "hex"); });
  const signed = text(size, root(leaves), time);
  const proofs = receipt.leaf_hashes.map((_, at) => {
    const index = first - 1 + at;
    return { index, path: path(index, leaves).map((node) => node.toString("hex")) };
  });
  const checkpoint = `${signed}\n${LEDGER.line(signed)}${WITNESS.line(signed)}`;
  return { ...receipt, state: "anchored", anchor: { checkpoint, proofs, timestamp: null } };
}
