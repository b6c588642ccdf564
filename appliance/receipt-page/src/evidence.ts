// The certificates and lists of a receipt, and what its records lead to.
import { authoritiesAbove } from "./chain.ts";
import type { Receipt } from "./receipt.ts";
import type { Story } from "./story.ts";
import { fail, type Text, text } from "./text.ts";
import { type Certificate, readCertificate } from "./x509.ts";

export class Evidence {
  private readonly certificates = new Map<string, Certificate>();
  /** From below; as the receipt holds them. */
  readonly aboveEntity: Certificate[];

  constructor(private readonly receipt: Receipt, private readonly story: Story) {
    for (const [hash, der] of receipt.certificates) {
      try {
        this.certificates.set(hash, readCertificate(der));
      } catch {
        // Said where a record leads to it; else by `judgeStrays`.
      }
    }
    const own = this.certificates.get(story.context.certificate);
    this.aboveEntity = own === undefined ? [] : authoritiesAbove(own, [...this.certificates.values()]);
  }

  /** A certificate that a record names. */
  certificate(hash: string): Certificate {
    if (!this.receipt.certificates.has(hash)) fail("a certificate that the records name is missing", "缺少记录所列的证书");
    const found = this.certificates.get(hash);
    return found ?? fail("a certificate that the records name cannot be read", "无法解读记录所列的证书");
  }

  /** Fails when something is there that no record leads to. */
  judgeStrays(): Text {
    const { context, legs } = this.story;
    const named = new Set([context.certificate, context.encryptionCertificate, ...this.aboveEntity.map(({ hash }) => hash)]);
    const lists = new Set<string>();
    for (const { done } of legs) {
      if (done.signer !== undefined) named.add(done.signer.hash);
      for (const hash of done.chain) named.add(hash);
      for (const { hash } of done.revocation) lists.add(hash);
    }
    const strays = [...this.receipt.certificates.keys()].some((hash) => !named.has(hash)) || [...this.receipt.revocation.keys()].some((hash) => !lists.has(hash));
    if (strays) fail("the receipt holds certificates or lists that no record leads to", "回执含有记录未引用的证书或列表");
    return text("every certificate and list is one that a record leads to", "每份证书与列表均为记录所引用");
  }
}
