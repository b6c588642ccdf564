// The document number in a chip's EF.DG1: the machine-readable zone (ICAO Doc 9303-3 to 9303-5) inside its one BER-TLV value.
import { fromUtf8, type Octets } from "./octets.ts";

/** `undefined` when there is no zone, or none with a number. */
export function numberOf(dg1: Octets): string | undefined {
  const file = first(dg1);
  let rest = file?.tag === 0x61 ? file.content : new Uint8Array();
  while (rest.length > 0) {
    const value = first(rest);
    if (value === undefined) return undefined;
    if (value.tag === 0x5f1f) return numberIn(fromUtf8(value.content) ?? "");
    rest = rest.subarray(value.length);
  }
  return undefined;
}

function numberIn(zone: string): string | undefined {
  if (!/^[A-Z0-9<]*$/.test(zone)) return undefined;
  let filled: string;
  if (zone.length === 88) filled = zone.slice(44, 53);
  else if (zone.length !== 90) return undefined;
  else if (zone[14] !== "<") filled = zone.slice(5, 14);
  else {
    // Longer than nine characters: it goes on in the optional data, whose last character is its check digit.
    const more = zone.slice(15, 30).split("<", 1)[0] as string;
    filled = zone.slice(5, 14) + more.slice(0, -1);
  }
  const number = filled.replace(/<+$/, "");
  return number === "" || number.includes("<") ? undefined : number;
}

interface Value {
  readonly tag: number;
  readonly content: Octets;
  /** Of the whole value. */
  readonly length: number;
}

/** Tags of one or two octets, definite lengths of up to four (ISO/IEC 7816-4 §5.2.2). */
function first(octets: Octets): Value | undefined {
  const two = ((octets[0] ?? 0) & 0x1f) === 0x1f;
  const tag = two ? ((octets[0] ?? 0) << 8) | (octets[1] ?? 0) : (octets[0] ?? 0);
  let at = two ? 2 : 1;
  const lead = octets[at++] ?? 0x80;
  if (lead === 0x80 || lead > 0x84) return undefined;
  let length = lead;
  if (lead > 0x80) {
    length = 0;
    for (let n = 0x80; n < lead; n++) length = length * 256 + (octets[at++] ?? Number.NaN);
  }
  return at + length <= octets.length ? { tag, content: octets.subarray(at, at + length), length: at + length } : undefined;
}
