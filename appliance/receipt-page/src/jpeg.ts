// A portrait without its metadata, as it was committed to: docs/ledger-format.md, section Commitment. The segments that
// show the picture stay as they are; application segments, comments and what stands behind the end are cut out.
import { concat, type Octets } from "./octets.ts";

const SOI = 0xd8;
const EOI = 0xd9;
const SOS = 0xda;
const COM = 0xfe;
const isApplication = (marker: number) => marker >= 0xe0 && marker <= 0xef;
/** SOF0 to SOF2, DHT, DQT, DRI. */
const KEPT = new Set([0xc0, 0xc1, 0xc2, 0xc4, 0xdb, 0xdd, SOS]);

/** `undefined` when this is no picture of the kind that is taken. */
export function withoutMetadata(jpeg: Octets): Octets | undefined {
  if (jpeg[0] !== 0xff || jpeg[1] !== SOI) return undefined;
  const kept: Octets[] = [jpeg.subarray(0, 2)];
  let at = 2;
  for (;;) {
    const marker = jpeg[at + 1];
    if (jpeg[at] !== 0xff || marker === undefined) return undefined;
    if (marker === EOI) return concat(...kept, jpeg.subarray(at, at + 2));
    const length = ((jpeg[at + 2] ?? 0) << 8) | (jpeg[at + 3] ?? 0);
    let end = at + 2 + length;
    if (length < 2 || end > jpeg.length) return undefined;
    if (marker === SOS) end = scanEnd(jpeg, end);
    if (KEPT.has(marker)) kept.push(jpeg.subarray(at, end));
    else if (!isApplication(marker) && marker !== COM) return undefined;
    at = end;
  }
}

/** Entropy-coded data end at the next marker that is no restart. */
function scanEnd(jpeg: Octets, from: number): number {
  let at = from;
  for (;;) {
    at = jpeg.indexOf(0xff, at);
    const next = jpeg[at + 1];
    if (at < 0 || next === undefined) return jpeg.length;
    if (next !== 0 && (next < 0xd0 || next > 0xd7)) return at;
    at += 2;
  }
}
