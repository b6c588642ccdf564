// Whether records belong together, and the requests that they tell of: docs/receipt-format.md, section Records.
import type {
  Announced, Context, Exchange, Intent, LedgerRecord, Outcome, RecordedAnswer, RecordedCheck, RecordedRevocation,
  RecordedSignature, RecordedSigner, Refusal,
} from "./records.ts";
import { fail } from "./text.ts";

/** What stands in the record after a request: in an exchange all of it, in an outcome as far as the check came. */
export interface Done {
  readonly signature?: RecordedSignature | undefined;
  readonly answer?: RecordedAnswer | undefined;
  readonly signer?: RecordedSigner | undefined;
  readonly chain: string[];
  readonly revocation: RecordedRevocation[];
  readonly platformSerial?: string | undefined;
  readonly checks: RecordedCheck[];
}
export interface Leg {
  /** `apply` and so on, or `final`; nothing where a check took one request. */
  readonly part: string | undefined;
  readonly announced: Announced;
  readonly done: Done;
  /** Whether the check went on from here, or ended in a verdict. */
  readonly wentOn: boolean;
  /** Whether a check of the answer has to be proven: all of them where the check went on, else those on record as passed. */
  readonly claims: (check: string) => boolean;
}
export interface Story {
  readonly context: Context;
  readonly intent: Intent | undefined;
  readonly exchanges: Exchange[];
  readonly outcome: Outcome | undefined;
  readonly refusal: Refusal | undefined;
  readonly legs: Leg[];
  /** Milliseconds since 1970: of the last record. */
  readonly time: number;
}

/** Fails unless the records are one of the stories that there are. */
export function tell(records: LedgerRecord[], verification: string, hasSalt: boolean): Story {
  consistent(records, verification);
  if (hasSalt && records[0]?.body.kind !== "intent") fail("there is a salt, and no commitment that it opens", "有盐值而无可打开的承诺");
  const [first, ...others] = records as [LedgerRecord, ...LedgerRecord[]];
  const last = others[others.length - 1] ?? first;
  const bare = {
    context: first.context, intent: undefined, exchanges: [], outcome: undefined, refusal: undefined, legs: [], time: last.time,
  };
  if (others.length === 0) {
    if (first.body.kind === "refusal") return { ...bare, refusal: first.body.value };
    if (first.body.kind === "unknown") return bare;
    fail("one record alone is a refusal or an outcome that is unknown", "单条记录只能是拒绝或结果未知");
  }
  if (first.body.kind !== "intent") fail("the first record is no intent", "首条记录不是意图");
  const intent = first.body.value;
  const exchanges = others.slice(0, -1).map(({ body }) => {
    if (body.kind !== "exchange") fail("a record between intent and end is no exchange", "意图与结束之间的记录不是交换");
    return body.value;
  });
  const end = last.body;
  if (end.kind !== "outcome" && end.kind !== "unknown") fail("the last record ends nothing", "末条记录不是结束记录");
  for (const one of [...exchanges, end.value]) {
    if (one.intent !== first.sequence) fail("a record names another intent", "有记录指向另一意图");
  }
  const outcome = end.kind === "outcome" ? end.value : undefined;
  const before = exchanges.length > 0 ? others[exchanges.length - 1]?.sequence : undefined;
  if (outcome !== undefined && outcome.exchange !== before) fail("the outcome names another exchange", "结果指向另一交换");
  return { ...bare, intent, exchanges, outcome, legs: legs(intent, exchanges, outcome) };
}

function legs(intent: Intent, exchanges: Exchange[], outcome: Outcome | undefined): Leg[] {
  const announced = [intent, ...exchanges.map(({ next }) => next)];
  return announced.flatMap((request, at): Leg[] => {
    const exchange = exchanges[at];
    const done = exchange ?? outcome;
    if (done === undefined) return [];
    const part = exchanges.length === 0 ? undefined : (exchange?.step ?? "final");
    const wentOn = exchange !== undefined || outcome?.decision.kind === "verdict";
    return [{ part, announced: request, done, claims: (check) => wentOn || passed(done, check), wentOn }];
  });
}

function passed({ checks }: Done, check: string): boolean {
  return checks.some(({ name, refused }) => name === check && refused === undefined);
}

function consistent(records: LedgerRecord[], verification: string): void {
  for (const [at, record] of records.entries()) {
    if (!("verification" in record.body.value) || record.body.value.verification !== verification) {
      fail("a record is of another verification", "有记录属于另一次核验");
    }
    const before = records[at - 1];
    if (before === undefined) continue;
    if (record.sequence <= before.sequence) fail("sequences do not grow", "序号没有递增");
    if (record.time < before.time) fail("times go back", "时间倒退");
    const keys: (keyof Context)[] = ["entity", "node", "platform", "key", "certificate", "grade"];
    if (keys.some((key) => record.context[key] !== before.context[key])) {
      fail("the records are of different entities, nodes, platforms, keys or tokens", "各记录的机构、节点、平台、密钥或密码设备不一致");
    }
  }
}
