// The proof of a receipt, step by step, with the names of docs/receipt-format.md.
import { judgeAnchor } from "./anchor.ts";
import { type Asked, opens } from "./asked.ts";
import { judgeAnchored } from "./chain.ts";
import { judgeDecision } from "./decision.ts";
import { entityCertificate, judgeRequestSignature } from "./entity.ts";
import { Evidence } from "./evidence.ts";
import { equal, fromUtf8, type Octets } from "./octets.ts";
import { judgeAnswer, judgeReading } from "./platform.ts";
import { FormatError, type Receipt, readReceipt } from "./receipt.ts";
import { type LedgerRecord, readRecord } from "./records.ts";
import { Report } from "./report.ts";
import { leafHash } from "./sm3.ts";
import { type Story, tell } from "./story.ts";
import { fail, text } from "./text.ts";
import type { Trust } from "./trust.ts";
import type { Certificate } from "./x509.ts";

export interface Options {
  /** Milliseconds since 1970 as of when to judge; that of the last record when absent. */
  readonly at?: number | undefined;
  readonly graceSeconds?: number;
  readonly asked?: Asked | undefined;
}

/** Proves a receipt file. Later steps are not looked at where an earlier one left them without a ground. */
export function verify(file: Octets, trust: Trust, options: Options = {}): Report {
  const report = new Report();
  let receipt = undefined as unknown as Receipt;
  let records: LedgerRecord[] = [];
  let story = undefined as unknown as Story;
  const told =
    report.prove("format", undefined, () => {
      receipt = format(file);
      report.verification = receipt.verification;
      return text("the file is a receipt of version 1", "文件是第 1 版回执");
    }) &&
    report.prove("records", undefined, () => {
      records = decode(receipt);
      return text("every record decodes in its one encoding and has its leaf hash", "每条记录编码唯一且叶哈希相符");
    }) &&
    report.prove("story", undefined, () => {
      story = tell(records, receipt.verification, receipt.salt !== undefined);
      const { entity, node, grade } = story.context;
      return text(`the records are one check of ${entity} on ${node}, token grade ${grade}`, `各记录属于 ${entity} 在 ${node} 上的一次核验，密码设备级别 ${grade}`);
    });
  if (told) prove(report, receipt, records, story, trust, options);
  return report;
}

function format(file: Octets): Receipt {
  try {
    return readReceipt(file);
  } catch (error) {
    if (error instanceof FormatError) fail(error.message, `格式不符：${error.message}`);
    throw error;
  }
}

function decode(receipt: Receipt): LedgerRecord[] {
  return receipt.records.map((octets, at) => {
    if (!equal(leafHash(octets), receipt.leaves[at] as Octets)) {
      fail(`record ${at + 1} does not have the leaf hash that the receipt states`, `第 ${at + 1} 条记录与所列叶哈希不符`);
    }
    try {
      return readRecord(octets);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      fail(`record ${at + 1} cannot be read: ${why}`, `无法解读第 ${at + 1} 条记录：${why}`);
    }
  });
}

function prove(report: Report, receipt: Receipt, records: LedgerRecord[], story: Story, trust: Trust, options: Options): void {
  const anchor = new Report();
  const existed = proveAnchor(anchor, receipt, records, trust);
  const at = Math.min(options.at ?? story.time, existed ?? Number.POSITIVE_INFINITY);
  report.at = at;
  const evidence = new Evidence(receipt, story);
  proveEntity(report, story, evidence, trust, at);
  const sight = { at, graceSeconds: options.graceSeconds ?? 0, evidence: receipt.revocation, certificates: evidence, trust };
  const signed = story.legs.map((leg) => judgeAnswer(report, leg, sight));
  const last = signed[signed.length - 1];
  report.platformSaid = last && fromUtf8(last.octets);
  report.prove("decision", undefined, () => judgeDecision(story));
  proveReading(report, story, last);
  report.prove("evidence", undefined, () => evidence.judgeStrays());
  const { asked } = options;
  if (asked !== undefined) report.prove("commitment", undefined, () => opens(asked, story.intent, receipt.salt));
  else report.skip("commitment", undefined, text("what was asked was not given, so the commitment stays closed", "未提供所问内容，承诺未打开"));
  report.checks.push(...anchor.checks);
}

/** When everything in the receipt is known to have existed, where the anchor holds. */
function proveAnchor(report: Report, receipt: Receipt, records: LedgerRecord[], trust: Trust): number | undefined {
  const { anchor } = receipt;
  if (anchor === undefined) {
    report.skip("anchor", undefined, text("pending: no checkpoint covers the records yet", "待定：尚无检查点覆盖这些记录"));
    return undefined;
  }
  let time: number | undefined;
  report.prove("anchor", undefined, () => {
    const anchored = judgeAnchor(anchor, receipt, records, trust.ledgers);
    time = anchored.time;
    return anchored.says;
  });
  report.skip("timestamp", undefined, anchor.timestamp === undefined
    ? text("there is no time-stamp token", "没有时间戳令牌")
    : text("not judged here: a token is for its authority's own tools", "此处不判定：时间戳令牌由其机构的工具验证"));
  return time;
}

function proveEntity(report: Report, { context, legs, refusal }: Story, evidence: Evidence, trust: Trust, at: number): void {
  let own = undefined as unknown as Certificate;
  const known = report.prove("entity-certificate", undefined, () => {
    own = entityCertificate(context, evidence);
    return text(`the entity's certificate and key are those that the records name (SM3 ${own.hash})`, `机构证书与密钥为记录所列（SM3 ${own.hash}）`);
  });
  if (!known) return;
  let signed = false;
  for (const leg of legs) {
    if (leg.done.signature === undefined && leg.done.answer === undefined && !leg.wentOn) {
      report.skip("request-signature", leg.part, text("the token made no signature", "密码设备未签名"));
      continue;
    }
    signed = true;
    report.prove("request-signature", leg.part, () => judgeRequestSignature(leg, own));
  }
  if (legs.length === 0) {
    report.skip("request-signature", undefined, refusal === undefined
      ? text("whether anything was signed is not known", "是否签名不得而知") : text("nothing was signed", "没有签名"));
  }
  if (!signed) {
    report.skip("entity-chain", undefined, text("there is no signature of the entity to vouch for", "没有需要证明的机构签名"));
    return;
  }
  report.prove("entity-chain", undefined, () => {
    judgeAnchored(own, evidence.aboveEntity, trust.entityAnchors, at);
    return text("the entity's certificate chains to an anchor", "机构证书可链接至信任锚");
  });
}

function proveReading(report: Report, { intent, outcome }: Story, signed: Parameters<typeof judgeReading>[2]): void {
  if (intent === undefined || outcome === undefined) return;
  const { decision, reading } = outcome;
  const due = intent.mode === "chip-reading" && decision.kind === "verdict" && decision.value.overall === "match";
  if (due || reading !== undefined) report.prove("reading", undefined, () => judgeReading(reading, due, signed));
}

