// Certificates as far as a receipt needs them (RFC 5280, GB/T 20518): names, validity, key, usage, path length, and the
// issuer's signature with SM2 and SM3.
import {
  bits, boolean, context, DerError, end, expect, members, namedBits, oid, optional, sequence, series, single, small, TAG, time,
  type Tlv, unsigned,
} from "./der.ts";
import { equal, hex, type Octets } from "./octets.ts";
import { type PublicKey, publicKey, signatureFromDer, verifiesMessage } from "./sm2.ts";
import { sm3 } from "./sm3.ts";

const OID = {
  sm2WithSm3: "1.2.156.10197.1.501", ecPublicKey: "1.2.840.10045.2.1", sm2p256v1: "1.2.156.10197.1.301",
  keyUsage: "2.5.29.15", basicConstraints: "2.5.29.19", extendedKeyUsage: "2.5.29.37",
};
/** Extensions that may be critical, because they are judged here. */
const JUDGED = new Set([OID.keyUsage, OID.basicConstraints, OID.extendedKeyUsage]);

export interface Extension {
  readonly critical: boolean;
  readonly value: Octets;
}
export interface Certificate {
  readonly der: Octets;
  /** SM3 in hexadecimal. */
  readonly hash: string;
  /** Without its zero octet. */
  readonly serial: Octets;
  /** DER `Name`s. */
  readonly issuer: Octets;
  readonly subject: Octets;
  readonly notBefore: number;
  readonly notAfter: number;
  /** DER `SubjectPublicKeyInfo`, and its SM3. */
  readonly keyInfo: Octets;
  readonly keyId: string;
  /** The octets of the key's `BIT STRING`. */
  readonly keyBits: Octets;
  /** `undefined` when the key is not of SM2. */
  readonly key: PublicKey | undefined;
  readonly extensions: Map<string, Extension>;
  readonly signed: Signed;
}

/** What an authority signed: the octets, and its signature. */
export interface Signed {
  readonly octets: Octets;
  readonly algorithm: Octets;
  readonly signature: Octets;
}

/** `SEQUENCE { tbs, algorithm, signature }`, the shape of certificates, lists and OCSP responses. */
export function signedOf(whole: Tlv[]): Signed {
  const [tbs, algorithm, signature] = whole;
  return { octets: expect(tbs, TAG.sequence).whole, algorithm: expect(algorithm, TAG.sequence).whole, signature: bits(signature) };
}

/** Whether the signature is SM2 with SM3 by this key. Another algorithm is not supported, and said to be so by failing. */
export function signedBy({ octets, algorithm, signature }: Signed, key: PublicKey | undefined): boolean {
  const parsed = signatureFromDer(signature);
  return key !== undefined && parsed !== undefined && isSm2WithSm3(algorithm) && verifiesMessage(key, octets, parsed);
}

function isSm2WithSm3(algorithm: Octets): boolean {
  const [name, parameters, ...more] = sequence(algorithm);
  const bare = parameters === undefined || (parameters.tag === TAG.null && parameters.content.length === 0);
  return more.length === 0 && bare && oid(name) === OID.sm2WithSm3;
}

export function readCertificate(der: Octets): Certificate {
  const outer = sequence(der);
  end(outer.slice(3));
  const signed = signedOf(outer);
  const tbs = members(outer[0]);
  const version = optional(tbs, context(0));
  if (version === undefined || small(single(version.content)) !== 2) throw new DerError("no certificate of version 3");
  const serial = unsigned(tbs.shift());
  const algorithm = expect(tbs.shift(), TAG.sequence);
  if (!equal(algorithm.whole, signed.algorithm)) throw new DerError("a certificate that names two algorithms");
  const issuer = expect(tbs.shift(), TAG.sequence).whole;
  const [from, to, ...others] = members(tbs.shift());
  end(others);
  const subject = expect(tbs.shift(), TAG.sequence).whole;
  const keyInfo = expect(tbs.shift(), TAG.sequence);
  optional(tbs, context(1, false));
  optional(tbs, context(2, false));
  const extensions = readExtensions(optional(tbs, context(3)));
  end(tbs);
  const [keyAlgorithm, keyBits, ...rest] = series(keyInfo.content);
  end(rest);
  const certificate = {
    der, hash: hex(sm3(der)), serial, issuer, subject, notBefore: time(from), notAfter: time(to),
    keyInfo: keyInfo.whole, keyId: hex(sm3(keyInfo.whole)), keyBits: bits(keyBits),
    key: isSm2Key(keyAlgorithm) ? publicKey(bits(keyBits)) : undefined,
    extensions, signed,
  };
  // An extension that is judged here and cannot be read makes the certificate unreadable, not silent.
  usage(certificate);
  authority(certificate);
  extendedUsages(certificate);
  return certificate;
}

/** The key of a DER `SubjectPublicKeyInfo`; `undefined` when it is none of SM2. */
export function readKeyInfo(der: Octets): { key: PublicKey; point: Octets } | undefined {
  try {
    const [algorithm, keyBits, ...rest] = sequence(der);
    end(rest);
    const point = bits(keyBits);
    const key = isSm2Key(algorithm) ? publicKey(point) : undefined;
    return key && { key, point };
  } catch {
    return undefined;
  }
}

function isSm2Key(algorithm: Tlv | undefined): boolean {
  const [name, curve, ...more] = members(algorithm);
  return more.length === 0 && oid(name) === OID.ecPublicKey && curve?.tag === TAG.oid && oid(curve) === OID.sm2p256v1;
}

/** The extensions under an explicit tag, each at most once. */
export function readExtensions(value: Tlv | undefined): Map<string, Extension> {
  const found = new Map<string, Extension>();
  if (value === undefined) return found;
  for (const extension of members(single(value.content))) {
    const parts = members(extension);
    const name = oid(parts.shift());
    const flag = optional(parts, TAG.boolean);
    const octets = expect(parts.shift(), TAG.octetString).content;
    end(parts);
    if (found.has(name)) throw new DerError("an extension that stands twice");
    found.set(name, { critical: flag !== undefined && boolean(flag), value: octets });
  }
  return found;
}

export function hasUnknownCritical(certificate: Certificate): boolean {
  return [...certificate.extensions].some(([name, { critical }]) => critical && !JUDGED.has(name));
}

const BIT = { digitalSignature: 0, nonRepudiation: 1, keyCertSign: 5, cRLSign: 6 };

function usage(certificate: Certificate): ((bit: number) => boolean) | undefined {
  const extension = certificate.extensions.get(OID.keyUsage);
  return extension && namedBits(single(extension.value));
}

/** The authority's path length: a number, or Infinity without one; `undefined` when the certificate is no authority's. */
export function authority(certificate: Certificate): number | undefined {
  const extension = certificate.extensions.get(OID.basicConstraints);
  if (extension === undefined) return undefined;
  const parts = sequence(extension.value);
  const flag = optional(parts, TAG.boolean);
  const length = optional(parts, TAG.integer);
  end(parts);
  if (flag === undefined || !boolean(flag)) return undefined;
  return length === undefined ? Number.POSITIVE_INFINITY : small(length);
}

/** digitalSignature or nonRepudiation, and no authority. */
export function maySign(certificate: Certificate): boolean {
  const may = usage(certificate);
  return may !== undefined && signs(may) && authority(certificate) === undefined;
}

/** As a responder, for which a certificate without key usage will do (RFC 6960 §4.2.2.2). */
export function mayRespond(certificate: Certificate): boolean {
  const may = usage(certificate);
  return (may === undefined || signs(may)) && authority(certificate) === undefined;
}

const signs = (may: (bit: number) => boolean) => may(BIT.digitalSignature) || may(BIT.nonRepudiation);

export function mayCertify(certificate: Certificate): boolean {
  return authority(certificate) !== undefined && (usage(certificate)?.(BIT.keyCertSign) ?? true);
}

export function maySignLists(certificate: Certificate): boolean {
  return usage(certificate)?.(BIT.cRLSign) ?? true;
}

export function extendedUsages(certificate: Certificate): string[] {
  const extension = certificate.extensions.get(OID.extendedKeyUsage);
  return extension === undefined ? [] : sequence(extension.value).map(oid);
}

/** Whether `issuer` issued this one: an authority, by name and by signature. */
export function issuedBy(certificate: Certificate, issuer: Certificate): boolean {
  return mayCertify(issuer) && equal(certificate.issuer, issuer.subject) && signedBy(certificate.signed, issuer.key);
}

export function validAt(certificate: Certificate, at: number): boolean {
  return certificate.notBefore <= at && at < certificate.notAfter + 1000;
}
