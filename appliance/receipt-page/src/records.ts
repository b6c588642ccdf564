// Records of the ledger, schemas 1 to 4: docs/ledger-format.md, section Record.
import { parseCbor } from "./cbor.ts";
import {
  choice, der, field, hash, int, list, map, maybe, name, octets, pair, type Reader, SchemaError, text, time, uint, uuid, word,
} from "./schema.ts";
import type { Octets } from "./octets.ts";
import { DOCUMENT_TYPES, FIELD_VERDICTS, FIELDS, type FieldWord, GRADES, MODES, REASONS, VERDICTS } from "./words.ts";

const reason = word(REASONS);

/** An unsigned integer of 32 bits, as epochs and uids are. */
const small: Reader<number> = (value, schema) => {
  const number = uint(value, schema);
  if (number > 0xffff_ffff) throw new SchemaError("an integer beyond 32 bits");
  return number;
};
const epoch = small;
const uid = small;

const context = map({
  entity: field(0, name),
  node: field(1, name),
  software: field(2, text(/^[0-9A-Za-z.+-]{1,64}$/)),
  agreement: field(3, hash),
  platform: field(4, name),
  profile: field(5, hash),
  key: field(6, hash),
  certificate: field(7, hash),
  grade: field(8, word(GRADES)),
  encryptionKey: maybe(9, hash, 2),
  encryptionCertificate: maybe(10, hash, 2),
});

/** Each at most once, in the order of the words. */
function inFieldOrder<T>(read: Reader<T[]>, fieldOf: (item: T) => FieldWord): Reader<T[]> {
  return (value, schema) => {
    const items = read(value, schema);
    const places = items.map((item) => FIELDS.indexOf(fieldOf(item)));
    if (places.some((place, at) => at > 0 && place <= (places[at - 1] as number))) {
      throw new SchemaError("fields out of their order");
    }
    return items;
  };
}

const toBeSigned = choice({ 0: ["attributes", map({ der: field(0, der) })], 1: ["content", map({ e: field(0, octets(32)) })] });

const intent = map({
  verification: field(0, uuid),
  caller: field(1, name),
  mode: field(2, word(MODES)),
  purpose: field(3, name),
  documentType: field(4, word(DOCUMENT_TYPES)),
  rule: field(5, name),
  fields: field(6, inFieldOrder(list(word(FIELDS)), (one) => one)),
  request: field(7, octets(32)),
  nonce: field(8, octets(16)),
  toBeSigned: field(9, toBeSigned),
  search: maybe(10, map({ epoch: field(0, epoch), tag: field(1, hash) })),
  commitment: field(11, octets(32)),
  idempotency: maybe(12, hash),
  received: field(13, time),
});

const signature = map({ signature: field(0, der), attributes: maybe(1, der) });
const answer = map({ octets: field(0, octets()), signature: maybe(1, der), attributes: maybe(2, der) });
const signer = map({ hash: field(0, hash), certificate: field(1, der) });
const revocation = map({
  kind: field(0, (value, schema) => {
    const kind = uint(value, schema);
    if (kind > 1) throw new SchemaError("neither CRL nor OCSP");
    return kind === 0 ? ("crl" as const) : ("ocsp" as const);
  }),
  hash: field(1, hash),
  issuer: field(2, der),
  thisUpdate: field(3, time),
  nextUpdate: maybe(4, time),
});
const check = map({ name: field(0, name), refused: maybe(1, reason) });
const times = map({ received: field(0, time), signed: maybe(1, time), sent: maybe(2, time), answered: maybe(3, time) });
const status: Reader<number> = (value, schema) => {
  const found = uint(value, schema);
  if (found > 0xffff) throw new SchemaError("no HTTP status");
  return found;
};
const serial = text(/^[\x21-\x7e]{1,128}$/);

const fieldVerdicts = inFieldOrder(list(pair(word(FIELDS), word(FIELD_VERDICTS))), ([one]) => one);
const decision = choice({
  0: ["verdict", map({ overall: field(0, word(VERDICTS)), fields: field(1, fieldVerdicts) })],
  1: ["refused", map({ reason: field(0, reason) })],
});

const outcome = map({
  verification: field(0, uuid),
  intent: field(1, uint),
  decision: field(2, decision),
  signature: maybe(3, signature),
  answer: maybe(4, answer),
  signer: maybe(5, signer),
  chain: field(6, list(hash)),
  revocation: field(7, list(revocation)),
  platformTime: maybe(8, time),
  platformSerial: maybe(9, serial),
  checks: field(10, list(check)),
  times: field(11, times),
  trust: maybe(12, hash),
  status: maybe(13, status),
  exchange: maybe(14, uint, 2),
  reading: maybe(15, hash, 2),
});

const exchange = map({
  verification: field(0, uuid),
  intent: field(1, uint),
  step: field(2, name),
  signature: field(3, signature),
  answer: field(4, answer),
  signer: field(5, signer),
  chain: field(6, list(hash)),
  revocation: field(7, list(revocation)),
  platformTime: maybe(8, time),
  platformSerial: maybe(9, serial),
  checks: field(10, list(check)),
  times: field(11, times),
  trust: field(12, hash),
  status: field(13, status),
  next: field(14, map({ request: field(0, octets(32)), nonce: field(1, octets(16)), toBeSigned: field(2, toBeSigned) })),
});

const refusal = map({
  verification: field(0, uuid),
  caller: field(1, name),
  mode: field(2, word(MODES)),
  reason: field(3, reason),
  field: maybe(4, name),
  purpose: maybe(5, name),
  documentType: maybe(6, word(DOCUMENT_TYPES)),
  rule: maybe(7, name),
  idempotency: maybe(8, hash),
  earlier: maybe(9, uuid),
  received: field(10, time),
});

const unknown = map({ verification: field(0, uuid), intent: field(1, uint) });

const aggregate = map({
  from: field(0, time),
  until: field(1, time),
  rejected: field(2, list(map({ cause: field(0, name), count: field(1, uint) }))),
  shed: field(3, list(map({ reason: field(0, reason), count: field(1, uint) }))),
});

const nothing = map({});
const one = <T>(read: Reader<T>) => map({ value: field(0, read) });
const usage = word(["signing", "encryption"]);
const management = choice({
  0: ["started", nothing],
  1: ["stopped", one(name)],
  2: [
    "configuration",
    map({
      file: field(0, hash), trust: maybe(1, hash), certificate: maybe(2, der), transport: maybe(3, name), key: maybe(4, hash),
      keyPlace: maybe(5, name),
    }),
  ],
  3: ["trust", one(hash)],
  4: ["self-proof", map({ reason: maybe(0, reason) })],
  5: ["certificate-request", one(hash)],
  6: ["key", one(hash)],
  7: ["certificate", one(hash)],
  8: ["clock", one(int)],
  9: ["service", map({ state: field(0, name), reason: maybe(1, reason) })],
  10: ["reserve-released", nothing],
  11: ["reserve-restored", nothing],
  12: ["tail", map({ segment: field(0, uint), offset: field(1, uint), octets: field(2, uint) })],
  13: [
    "pair",
    map({ usage: field(0, usage), key: field(1, hash), certificate: field(2, der), before: maybe(3, hash) }),
    3,
  ],
  14: ["epoch-begun", map({ epoch: field(0, epoch), operator: maybe(1, uid) }), 4],
  15: ["epoch-destroyed", map({ epoch: field(0, epoch), operator: maybe(1, uid) }), 4],
  16: ["salt-destroyed", map({ verification: field(0, uuid), operator: maybe(1, uid) }), 4],
  17: [
    "token-administered",
    map({
      token: field(0, name), operation: field(1, name), result: field(2, name), key: maybe(3, hash), object: maybe(4, hash),
      operator: field(5, uid), time: field(6, time),
    }),
    4,
  ],
  18: ["segment-removed", map({ segment: field(0, uint), hash: field(1, octets(32)) }), 4],
  19: ["segment-expired", map({ segment: field(0, uint), hash: field(1, octets(32)), operator: maybe(2, uid) }), 4],
  20: ["hold-placed", map({ hold: field(0, uint), text: field(1, octets(32)), operator: field(2, uid) }), 4],
  21: ["hold-released", map({ hold: field(0, uint), text: field(1, octets(32)), operator: field(2, uid) }), 4],
});

export type Context = ReturnType<typeof context>;
export type Intent = ReturnType<typeof intent>;
export type Outcome = ReturnType<typeof outcome>;
export type Exchange = ReturnType<typeof exchange>;
export type Refusal = ReturnType<typeof refusal>;
export type OutcomeUnknown = ReturnType<typeof unknown>;
export type Decision = Outcome["decision"];
export type Announced = Exchange["next"];
export type RecordedSignature = ReturnType<typeof signature>;
export type RecordedAnswer = ReturnType<typeof answer>;
export type RecordedSigner = ReturnType<typeof signer>;
export type RecordedRevocation = ReturnType<typeof revocation>;
export type RecordedCheck = ReturnType<typeof check>;

/** A body under the number of its kind in key 1. */
const BODIES = {
  1: ["intent", intent, 1],
  2: ["outcome", outcome, 1],
  3: ["refusal", refusal, 1],
  4: ["unknown", unknown, 1],
  5: ["aggregate", aggregate, 1],
  6: ["management", management, 1],
  7: ["exchange", exchange, 2],
} as const;
type Kinds = (typeof BODIES)[keyof typeof BODIES];
export type Body = Kinds extends infer K ? (K extends readonly [infer N, Reader<infer T>, number] ? { kind: N; value: T } : never) : never;

export interface LedgerRecord {
  readonly sequence: number;
  readonly time: number;
  readonly context: Context;
  readonly body: Body;
}

const anything: Reader<Parameters<typeof context>[0]> = (value) => value;
const head = map({
  schema: field(0, uint),
  kind: field(1, uint),
  sequence: field(2, uint),
  time: field(3, time),
  context: field(4, anything),
  body: field(5, anything),
});

/** Throws when the octets are no record, or not in the one encoding of it. */
export function readRecord(octetsOfRecord: Octets): LedgerRecord {
  const { schema, kind, sequence, time: at, context: frame, body } = head(parseCbor(octetsOfRecord), 1);
  if (schema < 1 || schema > 4) throw new SchemaError(`schema ${schema} is not known here`);
  const known = BODIES[kind as keyof typeof BODIES];
  if (known === undefined || known[2] > schema) throw new SchemaError(`kind ${kind} is not one of schema ${schema}`);
  const value = known[1](body, schema);
  return { sequence, time: at, context: context(frame, schema), body: { kind: known[0], value } as Body };
}
