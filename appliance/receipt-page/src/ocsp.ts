// OCSP responses (RFC 6960 §4.2).
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { context, DerError, end, expect, members, oid, optional, sequence, series, single, small, TAG, time, type Tlv, unsigned } from "./der.ts";
import { equal, type Octets } from "./octets.ts";
import { sm3 } from "./sm3.ts";
import { type Certificate, extendedUsages, hasUnknownCritical, issuedBy, mayRespond, readCertificate, readExtensions, type Signed, signedBy, signedOf, validAt } from "./x509.ts";

const BASIC = "1.3.6.1.5.5.7.48.1.1";
const NO_CHECK = "1.3.6.1.5.5.7.48.1.5";
const OCSP_SIGNING = "1.3.6.1.5.5.7.3.9";
const HASHES: Record<string, (octets: Octets) => Octets> = {
  "1.2.156.10197.1.401": (octets) => sm3(octets), "1.2.156.10197.1.401.1": (octets) => sm3(octets),
  "2.16.840.1.101.3.4.2.1": sha256, "1.3.14.3.2.26": sha1,
};

export interface Single {
  readonly id: Tlv[];
  readonly status: "good" | "revoked" | "unknown";
  readonly thisUpdate: number;
  readonly nextUpdate: number | undefined;
}
export interface Response {
  readonly responder: Tlv;
  readonly singles: Single[];
  readonly certificates: Certificate[];
  readonly signed: Signed;
}

export function readResponse(der: Octets): Response {
  const [status, wrapped, ...more] = sequence(der);
  end(more);
  if (expect(status, TAG.enumerated).content.join() !== "0") throw new DerError("a response without success");
  const [type, basic, ...behind] = members(single(expect(wrapped, context(0)).content));
  end(behind);
  if (oid(type) !== BASIC) throw new DerError("no basic response");
  const outer = sequence(expect(basic, TAG.octetString).content);
  const signed = signedOf(outer.splice(0, 3));
  const certificates = optional(outer, context(0));
  end(outer);
  const data = members(single(signed.octets));
  const version = optional(data, context(0));
  if (version !== undefined && small(single(version.content)) !== 0) throw new DerError("a version that is not known");
  const responder = data.shift() as Tlv;
  time(data.shift());
  const singles = members(data.shift()).map(readSingle);
  refuseCritical(optional(data, context(1)));
  end(data);
  return {
    responder, singles, signed,
    certificates: certificates ? members(single(certificates.content)).map(({ whole }) => readCertificate(whole)) : [],
  };
}

function readSingle(value: Tlv): Single {
  const parts = members(value);
  const id = members(parts.shift());
  const state = parts.shift();
  const status = ({ [context(0, false)]: "good", [context(1)]: "revoked", [context(2, false)]: "unknown" } as const)[state?.tag ?? 0];
  if (status === undefined) throw new DerError("a status that is not known");
  const thisUpdate = time(parts.shift());
  const next = optional(parts, context(0));
  refuseCritical(optional(parts, context(1)));
  end(parts);
  return { id, status, thisUpdate, nextUpdate: next && time(single(next.content)) };
}

function refuseCritical(extensions: Tlv | undefined): void {
  for (const { critical } of readExtensions(extensions).values()) {
    if (critical) throw new DerError("a critical extension that is not known");
  }
}

/** Whether a CertID names this certificate of this issuer. */
export function isAbout({ id }: Single, certificate: Certificate, issuer: Certificate): boolean {
  const [algorithm, name, key, serial, ...more] = id;
  end(more);
  const hash = HASHES[oid(members(algorithm)[0])];
  return (
    hash !== undefined &&
    equal(expect(name, TAG.octetString).content, hash(certificate.issuer)) &&
    equal(expect(key, TAG.octetString).content, hash(issuer.keyBits)) &&
    equal(unsigned(serial), certificate.serial)
  );
}

/** Who signed: the issuer, or a certificate that it issued for OCSP signing and that was valid. */
export function responderOf(response: Response, issuer: Certificate, at: number): Certificate | undefined {
  const delegate = (one: Certificate) => 
    extendedUsages(one).includes(OCSP_SIGNING) && mayRespond(one) && issuedBy(one, issuer) && validAt(one, at) && !hasUnknownCritical(one);
  return [issuer, ...response.certificates.filter(delegate)].find(
    (one) => isNamed(response.responder, one) && signedBy(response.signed, one.key),
  );
}

function isNamed(responder: Tlv, { subject, keyBits }: Certificate): boolean {
  const [inner, ...more] = series(responder.content);
  end(more);
  if (responder.tag === context(1)) return inner !== undefined && equal(inner.whole, subject);
  return responder.tag === context(2) && equal(expect(inner, TAG.octetString).content, sha1(keyBits));
}

export function hasNoCheck(responder: Certificate): boolean {
  return responder.extensions.has(NO_CHECK);
}
