// Revocation data of a chain, as recorded: the issuers' words about each certificate below them, in order, none besides.
import { type Crl, readCrl } from "./crl.ts";
import { isAbout, hasNoCheck, readResponse, responderOf } from "./ocsp.ts";
import { equal, hex, type Octets } from "./octets.ts";
import type { RecordedRevocation } from "./records.ts";
import { fail } from "./text.ts";
import { type Certificate, maySignLists, signedBy } from "./x509.ts";

export interface Judged {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly graceSeconds: number;
  /** The receipt's lists and responses by their SM3. */
  readonly evidence: Map<string, Octets>;
}

/** Fails unless every certificate but the last is cleared by what its record names. */
export function cleared(chain: Certificate[], recorded: RecordedRevocation[], judged: Judged): void {
  const rest = [...recorded];
  for (const [depth, certificate] of chain.slice(0, -1).entries()) {
    const issuer = chain[depth + 1] as Certificate;
    const next = (kind: "crl" | "ocsp") =>
      rest[0]?.kind === kind && equal(rest[0].issuer, certificate.issuer) ? rest.shift() : undefined;
    const response = next("ocsp");
    const responder = response && clearedByResponse(response, certificate, issuer, judged);
    const list = next("crl");
    if (list !== undefined) {
      const crl = listOf(list, issuer, judged);
      if (holds(crl, certificate)) fail(`certificate ${depth} is revoked`, `第 ${depth} 张证书已被吊销`);
      if (responder !== undefined && holds(crl, responder)) fail("the OCSP responder is revoked", "OCSP 响应者证书已被吊销");
    } else if (responder !== undefined && responder.hash !== issuer.hash && !hasNoCheck(responder)) {
      fail("nothing clears the OCSP responder", "没有数据证明 OCSP 响应者未被吊销");
    } else if (response === undefined) {
      fail(`no revocation data of certificate ${depth} is named`, `记录未列出第 ${depth} 张证书的吊销数据`);
    }
  }
  if (rest.length > 0) fail("revocation data is named that no certificate needs", "记录列出了无证书需要的吊销数据");
}

const holds = ({ revoked }: Crl, { serial }: Certificate) => revoked.has(hex(serial));

function listOf(recorded: RecordedRevocation, issuer: Certificate, judged: Judged): Crl {
  const crl = parsed(recorded, judged, readCrl);
  if (!equal(crl.issuer, recorded.issuer) || !equal(crl.issuer, issuer.subject)) fail("a list is not its issuer's", "列表并非由该签发者签发");
  if (!maySignLists(issuer) || !signedBy(crl.signed, issuer.key)) fail("a list's signature does not verify", "列表签名验证不通过");
  quoted(recorded, crl.thisUpdate, crl.nextUpdate);
  covers(crl.thisUpdate, crl.nextUpdate, judged);
  return crl;
}

function clearedByResponse(recorded: RecordedRevocation, certificate: Certificate, issuer: Certificate, judged: Judged): Certificate {
  const response = parsed(recorded, judged, readResponse);
  const responder = responderOf(response, issuer, judged.at);
  if (responder === undefined) fail("an OCSP response is not signed by the issuer or for it", "OCSP 响应并非由签发者或其授权者签名");
  const single = parsed(recorded, judged, () => response.singles.find((one) => isAbout(one, certificate, issuer)));
  if (single === undefined) fail("an OCSP response is about another certificate", "OCSP 响应针对另一张证书");
  if (single.status !== "good") fail(`the OCSP response says ${single.status}`, `OCSP 响应的状态为 ${single.status}`);
  quoted(recorded, single.thisUpdate, single.nextUpdate);
  covers(single.thisUpdate, single.nextUpdate, judged);
  return responder;
}

function parsed<T>(recorded: RecordedRevocation, judged: Judged, read: (der: Octets) => T): T {
  const der = judged.evidence.get(recorded.hash);
  if (der === undefined) fail("revocation data that the record names is missing", "缺少记录所列的吊销数据");
  try {
    return read(der);
  } catch {
    fail("revocation data cannot be read", "无法解读吊销数据");
  }
}

function quoted(recorded: RecordedRevocation, thisUpdate: number, nextUpdate: number | undefined): void {
  if (recorded.thisUpdate !== thisUpdate || recorded.nextUpdate !== nextUpdate) {
    fail("the record quotes other times than the revocation data holds", "记录引用的时间与吊销数据不符");
  }
}

function covers(thisUpdate: number, nextUpdate: number | undefined, { at, graceSeconds }: Judged): void {
  if (nextUpdate === undefined) fail("revocation data without nextUpdate", "吊销数据没有 nextUpdate");
  if (at < thisUpdate || at > nextUpdate + 1000 * graceSeconds) {
    fail("revocation data does not cover the time", "吊销数据未覆盖所判定的时间");
  }
}
