// DER (X.690 §10): definite, shortest lengths; low tag numbers only, which is all that certificates, lists, OCSP and
// GB/T 35275 use. Indefinite lengths and strings in pieces are refused by being no DER.
import type { Octets } from "./octets.ts";

export class DerError extends Error {}

export interface Tlv {
  /** The identifier octet: class, constructed bit and tag number. */
  readonly tag: number;
  readonly content: Octets;
  /** Identifier, length and content as they stand. */
  readonly whole: Octets;
}

export const TAG = {
  boolean: 0x01, integer: 0x02, bitString: 0x03, octetString: 0x04, null: 0x05, oid: 0x06, enumerated: 0x0a,
  utf8: 0x0c, sequence: 0x30, set: 0x31, utcTime: 0x17, generalizedTime: 0x18,
} as const;

const CONSTRUCTED = 0x20;
/** Context-specific tag `[n]`, of a constructed value unless said otherwise. */
export const context = (n: number, constructed = true): number => 0x80 | (constructed ? CONSTRUCTED : 0) | n;

/** The first value of these octets. */
function first(octets: Octets): Tlv {
  const tag = octets[0];
  if (tag === undefined || (tag & 0x1f) === 0x1f || tag === 0) throw new DerError("no DER value");
  const short = octets[1];
  if (short === undefined) throw new DerError("no DER length");
  let length = short;
  let head = 2;
  if (short >= 0x80) {
    const count = short & 0x7f;
    if (count === 0 || count > 4) throw new DerError("a length that is not DER's");
    length = 0;
    for (let at = 0; at < count; at++) length = length * 256 + (octets[2 + at] ?? Number.NaN);
    const shortest = length >= 0x80 && length >= 256 ** (count - 1);
    if (!shortest) throw new DerError("a length that is not the shortest");
    head = 2 + count;
  }
  if (head + length > octets.length) throw new DerError("a value that ends early");
  return { tag, content: octets.subarray(head, head + length), whole: octets.subarray(0, head + length) };
}

/** One value and nothing behind it. */
export function single(octets: Octets): Tlv {
  const value = first(octets);
  if (value.whole.length !== octets.length) throw new DerError("octets behind a DER value");
  return value;
}

/** Values one behind the other to the end. */
export function series(octets: Octets): Tlv[] {
  const values: Tlv[] = [];
  let rest = octets;
  while (rest.length > 0) {
    const value = first(rest);
    values.push(value);
    rest = rest.subarray(value.whole.length);
  }
  return values;
}

export function expect(value: Tlv | undefined, tag: number): Tlv {
  if (value?.tag !== tag) throw new DerError("another DER value than was expected");
  return value;
}

/** The members of a whole `SEQUENCE`. */
export function sequence(octets: Octets): Tlv[] {
  return series(expect(single(octets), TAG.sequence).content);
}

/** The members of a value that must be there and have this tag. */
export function members(value: Tlv | undefined, tag: number = TAG.sequence): Tlv[] {
  return series(expect(value, tag).content);
}

/** Takes the next value when it has this tag. */
export function optional(values: Tlv[], tag: number): Tlv | undefined {
  return values[0]?.tag === tag ? values.shift() : undefined;
}

export function end(values: Tlv[]): void {
  if (values.length > 0) throw new DerError("more members than were expected");
}

/** An `INTEGER` that is not negative, without its zero octet; minimal. */
export function unsigned(value: Tlv | undefined): Octets {
  const { content } = expect(value, TAG.integer);
  const [high, next] = content;
  if (high === undefined || high >= 0x80) throw new DerError("a negative or empty INTEGER");
  if (high !== 0) return content;
  if (next !== undefined && next < 0x80) throw new DerError("an INTEGER that is not the shortest");
  return content.length > 1 ? content.subarray(1) : content;
}

/** A small `INTEGER`. */
export function small(value: Tlv | undefined): number {
  const octets = unsigned(value);
  if (octets.length > 4) throw new DerError("an INTEGER that is too large");
  return octets.reduce((sum, octet) => sum * 256 + octet, 0);
}

export function boolean(value: Tlv): boolean {
  const { content } = expect(value, TAG.boolean);
  if (content.length !== 1 || (content[0] !== 0xff && content[0] !== 0)) throw new DerError("no DER BOOLEAN");
  return content[0] === 0xff;
}

/** The octets of a `BIT STRING` without unused bits. */
export function bits(value: Tlv | undefined): Octets {
  const { content } = expect(value, TAG.bitString);
  if (content[0] !== 0) throw new DerError("unused bits");
  return content.subarray(1);
}

/** A named-bit list: whether bit n is set. */
export function namedBits(value: Tlv | undefined): (n: number) => boolean {
  const { content } = expect(value, TAG.bitString);
  const unused = content[0];
  if (unused === undefined || unused > 7 || (content.length === 1 && unused > 0)) throw new DerError("no BIT STRING");
  const last = content[content.length - 1] as number;
  if (content.length > 1 && (last & ((1 << unused) - 1)) !== 0) throw new DerError("unused bits that are set");
  return (n) => ((content[1 + (n >> 3)] ?? 0) & (0x80 >> (n & 7))) !== 0;
}

/** An object identifier in dots. */
export function oid(value: Tlv | undefined): string {
  const { content } = expect(value, TAG.oid);
  if (content.length === 0 || (content[content.length - 1] as number) >= 0x80) throw new DerError("no OBJECT IDENTIFIER");
  const arcs: bigint[] = [];
  let arc = 0n;
  let fresh = true;
  for (const octet of content) {
    if (fresh && octet === 0x80) throw new DerError("an OBJECT IDENTIFIER that is not the shortest");
    arc = (arc << 7n) | BigInt(octet & 0x7f);
    fresh = octet < 0x80;
    if (fresh) {
      arcs.push(arc);
      arc = 0n;
    }
  }
  const [lead, ...rest] = arcs as [bigint, ...bigint[]];
  const top = lead < 40n ? 0n : lead < 80n ? 1n : 2n;
  return [top, lead - 40n * top, ...rest].join(".");
}

/** Milliseconds since 1970 of a `UTCTime` or `GeneralizedTime`: to the second, in UTC, as RFC 5280 §4.1.2.5 has them. */
export function time(value: Tlv | undefined): number {
  const tag = value?.tag;
  if (value === undefined || (tag !== TAG.utcTime && tag !== TAG.generalizedTime)) throw new DerError("no time");
  const text = String.fromCharCode(...value.content);
  const form = tag === TAG.utcTime ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
  const found = form.exec(text);
  if (found === null) throw new DerError("a time in another form");
  const [year, month, day, hour, minute, second] = found.slice(1).map(Number) as [number, number, number, number, number, number];
  const full = tag === TAG.utcTime ? (year < 50 ? 2000 + year : 1900 + year) : year;
  const date = new Date(0);
  date.setUTCFullYear(full, month - 1, day);
  date.setUTCHours(hour, minute, second, 0);
  const exact = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
  if (!exact) throw new DerError("a time that no clock shows");
  return date.getTime();
}
