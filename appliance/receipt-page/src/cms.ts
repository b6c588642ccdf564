// GB/T 35275-2017 SignedData in the forms of docs/platform-protocol.md, section Forms of messages that are read.
import { context, DerError, end, expect, members, oid, optional, sequence, series, single, small, TAG, time, type Tlv, unsigned } from "./der.ts";
import { concat, equal, type Octets } from "./octets.ts";
import { readCertificate } from "./x509.ts";

const GM = "1.2.156.10197.6.1.4.2";
const PKCS7 = "1.2.840.113549.1.7";
const DIGESTS = ["1.2.156.10197.1.401", "1.2.156.10197.1.401.1"];
const SM2 = ["1.2.156.10197.1.301.1", "1.2.156.10197.1.501", "1.2.840.10045.2.1"];
const CURVE = "1.2.156.10197.1.301";
const ATTRIBUTE = {
  contentType: "1.2.840.113549.1.9.3", messageDigest: "1.2.840.113549.1.9.4", signingTime: "1.2.840.113549.1.9.5",
};
const MAX_CERTIFICATES = 16;

export interface SignedData {
  readonly content: Octets | undefined;
  /** The signer's certificate, where the message holds it. */
  readonly certificate: Octets | undefined;
  /** Issuer's DER `Name` and serial number. */
  readonly issuer: Octets;
  readonly serial: Octets;
  /** As a DER `SET OF`, which is what the signature is over. */
  readonly attributes: Octets | undefined;
  readonly signature: Octets;
}

const isKind = (name: string, kind: number) => name === `${GM}.${kind}` || name === `${PKCS7}.${kind}`;

export function readSignedData(message: Octets): SignedData {
  const [type, wrapped, ...behind] = sequence(message);
  end(behind);
  if (!isKind(oid(type), 2)) throw new DerError("no SignedData");
  const data = members(single(expect(wrapped, context(0)).content));
  const version = small(data.shift());
  if (version < 1 || version > 4) throw new DerError("a version of SignedData that is not known");
  const digests = members(data.shift(), TAG.set);
  if (digests.length === 0) throw new DerError("no digest algorithm");
  digests.forEach(digestAlgorithm);
  const [contentType, explicit, ...more] = members(data.shift());
  end(more);
  if (!isKind(oid(contentType), 1)) throw new DerError("a content that is not data");
  const content = explicit && expect(single(expect(explicit, context(0)).content), TAG.octetString).content;
  const certificates = series(optional(data, context(0))?.content ?? new Uint8Array());
  if (certificates.length > MAX_CERTIFICATES) throw new DerError("too many certificates");
  optional(data, context(1));
  const [signer, ...signers] = members(data.shift(), TAG.set);
  end(signers);
  end(data);
  return { content, ...signerInfo(members(signer), certificates) };
}

function signerInfo(info: Tlv[], certificates: Tlv[]): Omit<SignedData, "content"> {
  if (small(info.shift()) !== 1) throw new DerError("a version of SignerInfo that is not known");
  const [issuer, serial, ...more] = members(info.shift());
  end(more);
  const name = expect(issuer, TAG.sequence).whole;
  const number = unsigned(serial);
  digestAlgorithm(info.shift());
  const tagged = optional(info, context(0));
  const attributes = tagged && concat(Uint8Array.of(TAG.set), tagged.whole.subarray(1));
  signatureAlgorithm(info.shift());
  const signature = expect(info.shift(), TAG.octetString).content;
  optional(info, context(1));
  end(info);
  const own = certificates.map(({ whole }) => readCertificate(whole)).find((one) => equal(one.issuer, name) && equal(one.serial, number));
  return { certificate: own?.der, issuer: name, serial: number, attributes, signature };
}

/** The messageDigest of signed attributes given as DER `SET OF`. */
export function messageDigest(attributes: Octets): Octets {
  const found = new Map<string, Tlv[]>();
  for (const attribute of members(single(attributes), TAG.set)) {
    const [name, values, ...more] = members(attribute);
    end(more);
    const type = oid(name);
    const all = members(values, TAG.set);
    const known = Object.values(ATTRIBUTE).includes(type);
    if (known && (found.has(type) || all.length !== 1)) throw new DerError("an attribute that stands twice");
    found.set(type, all);
  }
  const signed = found.get(ATTRIBUTE.signingTime)?.[0];
  if (signed !== undefined) time(signed);
  const type = found.get(ATTRIBUTE.contentType)?.[0];
  if (type !== undefined && !isKind(oid(type), 1)) throw new DerError("attributes of another content type");
  const digest = expect(found.get(ATTRIBUTE.messageDigest)?.[0], TAG.octetString).content;
  if (digest.length !== 32) throw new DerError("a messageDigest that is not SM3's");
  return digest;
}

function digestAlgorithm(value: Tlv | undefined): void {
  const [name, parameters, ...more] = members(value);
  if (!DIGESTS.includes(oid(name)) || more.length > 0 || !isNothing(parameters)) throw new DerError("another digest than SM3");
}

function signatureAlgorithm(value: Tlv | undefined): void {
  const [name, parameters, ...more] = members(value);
  const algorithm = oid(name);
  const curve = algorithm === "1.2.840.10045.2.1" && parameters?.tag === TAG.oid && oid(parameters) === CURVE;
  if (!SM2.includes(algorithm) || more.length > 0 || !(curve || isNothing(parameters))) {
    throw new DerError("another signature than SM2's");
  }
}

const isNothing = (parameters: Tlv | undefined) =>
  parameters === undefined || (parameters.tag === TAG.null && parameters.content.length === 0);
