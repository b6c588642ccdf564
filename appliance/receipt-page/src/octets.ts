// Octets and the texts that stand for them. A reader accepts one spelling of a value and no other, unless its name says so.

export type Octets = Uint8Array;

export function concat(...parts: Octets[]): Octets {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function equal(a: Octets, b: Octets): boolean {
  return a.length === b.length && a.every((octet, at) => octet === b[at]);
}

/** As `memcmp` orders them; a prefix comes first. */
export function compare(a: Octets, b: Octets): number {
  const shared = Math.min(a.length, b.length);
  for (let at = 0; at < shared; at++) {
    const difference = (a[at] as number) - (b[at] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

export function hex(octets: Octets): string {
  let text = "";
  for (const octet of octets) text += octet.toString(16).padStart(2, "0");
  return text;
}

/** Lowercase hexadecimal; `undefined` for anything else. */
export function fromHex(text: string): Octets | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return undefined;
  const octets = new Uint8Array(text.length / 2);
  for (let at = 0; at < octets.length; at++) octets[at] = Number.parseInt(text.slice(2 * at, 2 * at + 2), 16);
  return octets;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUES = new Map([...ALPHABET].map((letter, value) => [letter.charCodeAt(0), value]));

/** Base64 as in RFC 4648 §4: padded, no white space, unused bits zero; `undefined` for anything else. */
export function fromBase64(text: string): Octets | undefined {
  if (text.length % 4 !== 0) return undefined;
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const octets = new Uint8Array((text.length / 4) * 3 - padding);
  let bits = 0;
  let held = 0;
  let out = 0;
  for (let at = 0; at < text.length - padding; at++) {
    const value = VALUES.get(text.charCodeAt(at));
    if (value === undefined) return undefined;
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      octets[out++] = (held >> bits) & 0xff;
    }
  }
  return (held & ((1 << bits) - 1)) === 0 ? octets : undefined;
}

/** As a profile's `lax` allows: white space is passed over, and padding may be missing. */
export function fromLaxBase64(text: string): Octets | undefined {
  const dense = text.replace(/[ \t\n\f\r]/g, "").replace(/={1,2}$/, "");
  return fromBase64(dense.padEnd(Math.ceil(dense.length / 4) * 4, "="));
}

export function toBase64(octets: Octets): string {
  let text = "";
  for (let at = 0; at < octets.length; at += 3) {
    const group = octets.subarray(at, at + 3);
    const value = ((group[0] as number) << 16) | ((group[1] ?? 0) << 8) | (group[2] ?? 0);
    for (let digit = 0; digit <= group.length; digit++) text += ALPHABET[(value >> (18 - 6 * digit)) & 63];
  }
  return text.padEnd(Math.ceil(text.length / 4) * 4, "=");
}

/** Base64 with the URL's two letters and without padding (RFC 4648 §5). */
export function toBase64Url(octets: Octets): string {
  return toBase64(octets).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** UTF-8 without a byte order mark being taken away; `undefined` when it is not UTF-8. */
export function fromUtf8(octets: Octets): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(octets);
  } catch {
    return undefined;
  }
}

export function utf8(text: string): Octets {
  return new TextEncoder().encode(text);
}
