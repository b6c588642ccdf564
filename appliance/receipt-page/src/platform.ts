// The platform's side of one request: its signature, what the answer names, who signed, and by whose authority.
import { names, type SignedObject, signedObject } from "./answer.ts";
import { judgeChain } from "./chain.ts";
import type { Evidence } from "./evidence.ts";
import { hex } from "./octets.ts";
import type { Report } from "./report.ts";
import { cleared, type Judged } from "./revocation.ts";
import type { Leg } from "./story.ts";
import { fail, Failure, type Text, text } from "./text.ts";
import type { Trust } from "./trust.ts";
import { type Certificate, maySign, readCertificate } from "./x509.ts";

/** What these steps look at. */
export interface Sight extends Judged {
  readonly certificates: Evidence;
  readonly trust: Trust;
}

/** Proves one answer as far as the record says that it was accepted. Gives the signed object where its signature holds. */
export function judgeAnswer(report: Report, leg: Leg, sight: Sight): SignedObject | undefined {
  const { part, done, claims } = leg;
  if (done.signer === undefined && !claims("signer")) {
    report.skip("answer", part, done.answer === undefined
      ? text("no answer came", "没有收到应答") : text("nothing of what came back was accepted", "收到的应答未被采信"));
    return undefined;
  }
  let signer: Certificate;
  try {
    signer = signerOf(leg);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    report.prove("platform-signer", part, () => { throw error; });
    return undefined;
  }
  const signed = judgeSignature(report, leg, signer);
  if (signed !== undefined) report.prove("answer-binding", part, () => judgeBinding(leg, signed));
  if (claims("signer")) report.prove("platform-signer", part, () => judgeSigner(signer, sight.trust, claims("key-usage")));
  else report.skip("platform-signer", part, text("the record says that the signer was refused", "记录表明签名者被拒绝"));
  if (claims("chain")) judgeAuthorities(report, leg, signer, sight);
  else report.skip("platform-chain", part, text("the record says that no chain was accepted", "记录表明未采信证书链"));
  return signed;
}

function signerOf({ done }: Leg): Certificate {
  if (done.signer === undefined) fail("the record names no signer of the answer, and one was needed", "记录缺少必需的应答签名者");
  let signer: Certificate;
  try {
    signer = readCertificate(done.signer.certificate);
  } catch {
    fail("the signer's certificate cannot be read", "无法解读签名者证书");
  }
  if (signer.hash !== done.signer.hash) fail("the record names another certificate than it holds", "记录所列与所存的签名者证书不符");
  return signer;
}

function judgeSignature(report: Report, { part, done, claims }: Leg, signer: Certificate): SignedObject | undefined {
  if (!claims("signature")) {
    report.skip("answer-signature", part, text("the answer was refused before its signature was accepted", "应答在签名被采信之前已被拒绝"));
    return undefined;
  }
  let signed: SignedObject | undefined;
  report.prove("answer-signature", part, () => {
    if (done.answer === undefined) fail("the record holds no answer, and one was needed", "记录缺少必需的应答");
    signed = signedObject(done.answer, signer);
    return text("the platform's signature covers the answer's object as received", "平台签名覆盖所收到的应答对象");
  });
  return signed;
}

function judgeBinding({ announced, done, claims }: Leg, signed: SignedObject): Text {
  if (claims("nonce") && !names(signed, announced.nonce)) fail("the answer does not name the request's nonce", "应答未指明该请求的随机数");
  if (claims("digest") && !names(signed, announced.request)) fail("the answer does not name the request's digest", "应答未指明该请求的摘要");
  if (done.platformSerial !== undefined && !signed.texts.includes(done.platformSerial)) {
    fail("the answer does not name the serial that the record holds", "应答未指明记录中的平台流水号");
  }
  return claims("nonce") && claims("digest")
    ? text("the answer names this request's digest and nonce", "应答指明了该请求的摘要与随机数")
    : text("the answer was refused for not being about this request", "应答因与该请求不符而被拒绝");
}

function judgeSigner(signer: Certificate, { pins }: Trust, usage: boolean): Text {
  if (!pins.some((names) => names(signer))) fail(`no pin of signers.toml names the signer (SM3 ${signer.hash})`, `signers.toml 中没有该签名者（SM3 ${signer.hash}）`);
  if (usage && !maySign(signer)) fail("the signer's certificate may not sign", "签名者证书无签名用途");
  return text(`the signer is pinned and may sign (SM3 ${signer.hash})`, `签名者已登记且可签名（SM3 ${signer.hash}）`);
}

function judgeAuthorities(report: Report, { part, done, claims }: Leg, signer: Certificate, sight: Sight): void {
  let chain: Certificate[] = [];
  const holds = report.prove("platform-chain", part, () => {
    chain = [signer, ...done.chain.map((hash) => sight.certificates.certificate(hash))];
    judgeChain(chain, sight.trust.anchors, sight.at);
    return text("the signer's certificate chains to an anchor", "签名者证书可链接至信任锚");
  });
  if (!holds) return;
  if (!claims("revocation")) {
    report.skip("revocation", part, text("the record says that the signer was refused for its revocation data", "记录表明签名者因吊销数据被拒绝"));
    return;
  }
  report.prove("revocation", part, () => {
    cleared(chain, done.revocation, sight);
    return text("the revocation data that were used are signed, cover the time, and revoke nothing in the chain", "所用吊销数据签名有效、覆盖该时间，链中无吊销");
  });
}

/** Whether the reading that was delivered is the one that the platform's signature names. */
export function judgeReading(reading: string | undefined, due: boolean, signed: SignedObject | undefined): Text {
  if (reading === undefined) fail("the chip matched, and the record names no reading", "芯片已匹配而记录未列读取结果");
  if (!due) fail("the record names a reading where none could be", "记录列出了不应存在的读取结果");
  const octets = Uint8Array.from(reading.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  if (signed === undefined || !names(signed, octets) || hex(octets) !== reading) {
    fail("the answer does not name the reading that was delivered", "应答未指明所交付的读取结果");
  }
  return text("the answer names the sealed reading that was delivered", "应答指明了所交付的密封读取结果");
}
