// The anchor: every record stands in the ledger's tree under a checkpoint that a known key signed.
import { type Checkpoint, isOf, lineVerifies } from "./checkpoint.ts";
import { equal, hex, type Octets } from "./octets.ts";
import type { LedgerRecord } from "./records.ts";
import type { Anchor, Proof, Receipt } from "./receipt.ts";
import { nodeHash } from "./sm3.ts";
import { fail, type Text, text } from "./text.ts";
import type { Ledgers } from "./trust.ts";

export interface Anchored {
  /** Milliseconds since 1970: everything existed then. */
  readonly time: number;
  readonly says: Text;
}

export function judgeAnchor(anchor: Anchor, receipt: Receipt, records: LedgerRecord[], ledgers: Ledgers | undefined): Anchored {
  const { checkpoint } = anchor;
  if (ledgers === undefined) fail("the trust directory has no ledgers.toml", "信任目录中没有 ledgers.toml");
  const keys = ledgers.ledgers.filter(({ origin }) => origin === checkpoint.origin);
  if (keys.length === 0) fail("ledgers.toml names no key for the checkpoint's origin", "ledgers.toml 中没有该检查点来源的密钥");
  const first = checkpoint.lines[0];
  const key = first && keys.find((one) => isOf(first, one));
  if (first === undefined || key === undefined) fail("the first signature line is of no key of the ledger", "首个签名行不属于该账本的密钥");
  if (!lineVerifies(checkpoint, first, key)) fail("the ledger's signature does not verify", "账本签名验证不通过");
  for (const [at, record] of records.entries()) {
    const { index, path } = anchor.proofs[at] as Proof;
    if (index !== record.sequence - 1) fail("a proof is of another place in the tree", "有证明对应树中另一位置");
    const root = rootOf(receipt.leaves[at] as Octets, index, checkpoint.size, path);
    if (root === undefined || !equal(root, checkpoint.root)) {
      fail("a record's proof does not lead to the checkpoint's root", "有记录的证明不能到达检查点的根");
    }
    if (record.time > checkpoint.time) fail("a record is later than the checkpoint", "有记录晚于检查点");
  }
  const witnesses = witnessed(checkpoint, ledgers);
  return {
    time: checkpoint.time,
    says: text(
      `the records stand under the checkpoint of ${checkpoint.origin} at size ${checkpoint.size}, with ${witnesses} witnesses`,
      `记录处于 ${checkpoint.origin} 规模为 ${checkpoint.size} 的检查点之下，见证者 ${witnesses} 个`,
    ),
  };
}

/** How many listed witnesses have cosigned. Fails when one did falsely, or too few did. */
function witnessed(checkpoint: Checkpoint, { witnesses, minimumWitnesses }: Ledgers): number {
  const cosigned = new Set<string>();
  for (const line of checkpoint.lines.slice(1)) {
    for (const witness of witnesses.filter((one) => isOf(line, one))) {
      if (!lineVerifies(checkpoint, line, witness)) fail("a witness's signature does not verify", "见证者签名验证不通过");
      cosigned.add(hex(witness.point));
    }
  }
  if (cosigned.size < minimumWitnesses) fail("too few witnesses have cosigned", "见证者签名不足");
  return cosigned.size;
}

/** The root that an inclusion proof leads to (RFC 9162 §2.1.3.2); `undefined` when it has the wrong length. */
export function rootOf(leaf: Octets, index: number, size: number, path: Octets[]): Octets | undefined {
  if (index >= size) return undefined;
  let at = BigInt(index);
  let last = BigInt(size) - 1n;
  let root = leaf;
  for (const node of path) {
    if (last === 0n) return undefined;
    if (at % 2n === 1n || at === last) {
      root = nodeHash(node, root);
      while (at % 2n === 0n && at !== 0n) {
        at >>= 1n;
        last >>= 1n;
      }
    } else {
      root = nodeHash(root, node);
    }
    at >>= 1n;
    last >>= 1n;
  }
  return last === 0n ? root : undefined;
}
