// Complete, direct certificate revocation lists (RFC 5280 §5).
import { context, DerError, end, expect, members, optional, sequence, small, TAG, time, unsigned } from "./der.ts";
import { equal, hex, type Octets } from "./octets.ts";
import { readExtensions, type Signed, signedOf } from "./x509.ts";

const DELTA = "2.5.29.27";

export interface Crl {
  readonly issuer: Octets;
  readonly thisUpdate: number;
  readonly nextUpdate: number | undefined;
  /** Serial numbers in hexadecimal, without zero octets. */
  readonly revoked: Set<string>;
  readonly signed: Signed;
}

const isTime = (tag: number | undefined) => tag === TAG.utcTime || tag === TAG.generalizedTime;

export function readCrl(der: Octets): Crl {
  const outer = sequence(der);
  end(outer.slice(3));
  const signed = signedOf(outer);
  const tbs = members(outer[0]);
  if (tbs[0]?.tag === TAG.integer && small(tbs.shift()) !== 1) throw new DerError("no CRL of version 2");
  if (!equal(expect(tbs.shift(), TAG.sequence).whole, signed.algorithm)) throw new DerError("a list that names two algorithms");
  const issuer = expect(tbs.shift(), TAG.sequence).whole;
  const thisUpdate = time(tbs.shift());
  const nextUpdate = isTime(tbs[0]?.tag) ? time(tbs.shift()) : undefined;
  const revoked = new Set<string>();
  for (const entry of tbs[0]?.tag === TAG.sequence ? members(tbs.shift()) : []) {
    const [serial, date, extensions, ...more] = members(entry);
    end(more);
    time(date);
    if (extensions !== undefined) refuseCritical(readExtensions({ ...extensions, content: expect(extensions, TAG.sequence).whole }));
    revoked.add(hex(unsigned(serial)));
  }
  const extensions = readExtensions(optional(tbs, context(0)));
  end(tbs);
  if (extensions.has(DELTA)) throw new DerError("a delta list");
  refuseCritical(extensions);
  return { issuer, thisUpdate, nextUpdate, revoked, signed };
}

/** What an extension that is critical and not known here would change about the list, nobody here can say. */
function refuseCritical(extensions: ReturnType<typeof readExtensions>): void {
  for (const { critical } of extensions.values()) {
    if (critical) throw new DerError("a critical extension of a list that is not known");
  }
}
