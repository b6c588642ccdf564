// The entity's side: its certificate, and its signature over each request.
import { messageDigest } from "./cms.ts";
import type { Evidence } from "./evidence.ts";
import { equal } from "./octets.ts";
import type { Context } from "./records.ts";
import { signatureFromDer, verifies, verifiesMessage } from "./sm2.ts";
import type { Leg } from "./story.ts";
import { fail, type Text, text } from "./text.ts";
import { type Certificate, maySign } from "./x509.ts";

/** The certificate that the context names. */
export function entityCertificate(context: Context, evidence: Evidence): Certificate {
  const own = evidence.certificate(context.certificate);
  if (own.keyId !== context.key) fail("the entity's certificate holds another key than the records name", "机构证书的密钥与记录不符");
  if (!maySign(own)) fail("the entity's certificate may not sign", "机构证书无签名用途");
  if (context.encryptionCertificate !== undefined) {
    const encryption = evidence.certificate(context.encryptionCertificate);
    if (context.encryptionKey !== undefined && encryption.keyId !== context.encryptionKey) {
      fail("the encryption certificate holds another key than the records name", "加密证书的密钥与记录不符");
    }
  }
  return own;
}

export function judgeRequestSignature({ announced, done }: Leg, { key }: Certificate): Text {
  const recorded = done.signature;
  if (recorded === undefined) fail("the record holds no signature, and one was needed", "记录中缺少必需的签名");
  if (key === undefined) fail("the entity's key is not of SM2, which alone is supported here", "机构密钥不是 SM2，不受支持");
  const signature = signatureFromDer(recorded.signature);
  if (signature === undefined) fail("the entity's signature cannot be read", "无法解读机构签名");
  const { toBeSigned, request } = announced;
  if (toBeSigned.kind === "content") {
    if (recorded.attributes !== undefined) fail("attributes were signed that nothing announced", "签名了未曾声明的属性");
    if (!verifies(key, toBeSigned.value.e, signature)) fail("the entity's signature does not verify", "机构签名验证不通过");
    return text("the entity's signature over the announced digest verifies", "机构对所声明摘要的签名验证通过");
  }
  const { der } = toBeSigned.value;
  if (recorded.attributes === undefined || !equal(recorded.attributes, der)) {
    fail("other attributes were signed than were announced", "签名的属性与声明不符");
  }
  if (!equal(digestIn(der), request)) fail("the signed attributes name another request", "所签属性指向另一请求");
  if (!verifiesMessage(key, der, signature)) fail("the entity's signature does not verify", "机构签名验证不通过");
  return text("the entity's signature over attributes that name the request verifies", "机构对指明该请求的属性的签名验证通过");
}

function digestIn(attributes: Uint8Array): Uint8Array {
  try {
    return messageDigest(attributes);
  } catch {
    fail("the signed attributes cannot be read", "无法解读所签属性");
  }
}
