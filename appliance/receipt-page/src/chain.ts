// Chains of certificates: signer first, an anchor last.
import { equal } from "./octets.ts";
import { fail, Failure } from "./text.ts";
import { authority, type Certificate, hasUnknownCritical, issuedBy, validAt } from "./x509.ts";

/** An anchor is whoever has its name and key: the directory's own certificate of it then stands for the one in the receipt. */
function anchorLike(certificate: Certificate | undefined, anchors: Certificate[]): Certificate | undefined {
  return certificate && anchors.find((one) => equal(one.subject, certificate.subject) && equal(one.keyInfo, certificate.keyInfo));
}

/** Fails unless the chain leads, signature by signature, to an anchor, all within their validity as of a time. */
export function judgeChain(chain: Certificate[], anchors: Certificate[], at: number): void {
  const anchor = chain.length > 1 ? anchorLike(chain[chain.length - 1], anchors) : undefined;
  if (anchor === undefined) fail("the chain does not end at an anchor of the trust directory", "证书链未终止于信任目录中的信任锚");
  for (const [depth, certificate] of [...chain.slice(0, -1), anchor].entries()) {
    if (!validAt(certificate, at)) {
      fail(`certificate ${depth} of the chain is outside its validity`, `链中第 ${depth} 张证书不在有效期内`);
    }
    if (hasUnknownCritical(certificate)) {
      fail(`certificate ${depth} has a critical extension that is not supported here`, `第 ${depth} 张证书含不支持的关键扩展`);
    }
    // Signer and authorities below this one, but for the signer itself, which path lengths do not count.
    if (depth > 0 && depth - 1 > (authority(certificate) ?? -1)) {
      fail(`the chain is longer than certificate ${depth} allows`, `链长超出第 ${depth} 张证书的路径长度限制`);
    }
    const issuer = chain[depth + 1];
    if (issuer !== undefined && !issuedBy(certificate, issuer)) {
      fail(`certificate ${depth} is not issued by the next one`, `第 ${depth} 张证书不是由下一张签发`);
    }
  }
}

const MAX_DEPTH = 8;

/** The authorities above a certificate that these others hold, from below. */
export function authoritiesAbove(certificate: Certificate, others: Certificate[]): Certificate[] {
  const above: Certificate[] = [];
  let current = certificate;
  while (above.length < MAX_DEPTH) {
    const next = others.find((one) => issuedBy(current, one));
    if (next === undefined || next.hash === current.hash) break;
    above.push(next);
    current = next;
  }
  return above;
}

/** Fails unless a certificate chains, through these authorities, to one of the anchors. */
export function judgeAnchored(certificate: Certificate, above: Certificate[], anchors: Certificate[], at: number): void {
  let failure: Failure | undefined;
  const path = [certificate, ...above];
  for (const [depth, current] of path.entries()) {
    for (const anchor of anchors.filter((one) => issuedBy(current, one))) {
      try {
        return judgeChain([...path.slice(0, depth + 1), anchor], anchors, at);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        failure ??= error;
      }
    }
  }
  if (failure !== undefined) throw failure;
  fail("no anchor of entity-anchors/ leads to the entity's certificate", "entity-anchors/ 中没有信任锚可到达机构证书");
}
