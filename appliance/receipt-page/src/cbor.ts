// CBOR (RFC 8949) in its deterministic encoding (§4.2.1), and only what records use: unsigned and negative integers, byte
// and text strings, arrays, maps with unsigned keys. What is not deterministic is no record.
import { fromUtf8, type Octets } from "./octets.ts";

export class CborError extends Error {}

export type Cbor =
  | { kind: "int"; value: number }
  | { kind: "bytes"; value: Octets }
  | { kind: "text"; value: string }
  | { kind: "array"; items: Cbor[] }
  | { kind: "map"; entries: Map<number, Cbor> };

const DEPTH = 16;

export function parseCbor(octets: Octets): Cbor {
  const reader = new Reader(octets);
  const value = reader.value(0);
  if (!reader.done()) throw new CborError("octets behind the value");
  return value;
}

class Reader {
  private at = 0;
  constructor(private readonly octets: Octets) {}

  done(): boolean {
    return this.at === this.octets.length;
  }

  private bytes(length: number): Octets {
    if (length > this.octets.length - this.at) throw new CborError("a value that ends early");
    const taken = this.octets.subarray(this.at, this.at + length);
    this.at += length;
    return taken;
  }

  /** The argument of an initial octet, which must be the shortest. Beyond 2^53 there are no times, sequences or lengths. */
  private argument(additional: number): number {
    if (additional < 24) return additional;
    if (additional > 27) throw new CborError("an indefinite or reserved length");
    const width = 1 << (additional - 24);
    const value = this.bytes(width).reduce((sum, octet) => sum * 256 + octet, 0);
    const least = [24, 256, 65536, 4294967296][additional - 24] as number;
    if (value < least) throw new CborError("an integer that is not the shortest");
    if (!Number.isSafeInteger(value)) throw new CborError("an integer that is too large");
    return value;
  }

  value(depth: number): Cbor {
    if (depth >= DEPTH) throw new CborError("nested too deeply");
    const initial = this.bytes(1)[0] as number;
    const argument = this.argument(initial & 0x1f);
    switch (initial >> 5) {
      case 0:
        return { kind: "int", value: argument };
      case 1:
        return { kind: "int", value: -1 - argument };
      case 2:
        return { kind: "bytes", value: this.bytes(argument) };
      case 3: {
        const value = fromUtf8(this.bytes(argument));
        if (value === undefined) throw new CborError("a text that is not UTF-8");
        return { kind: "text", value };
      }
      case 4: {
        const items: Cbor[] = [];
        for (let n = 0; n < argument; n++) items.push(this.value(depth + 1));
        return { kind: "array", items };
      }
      case 5:
        return { kind: "map", entries: this.entries(argument, depth) };
      default:
        throw new CborError("a kind of value that no record has");
    }
  }

  private entries(count: number, depth: number): Map<number, Cbor> {
    const entries = new Map<number, Cbor>();
    let before = -1;
    for (let n = 0; n < count; n++) {
      const key = this.value(depth + 1);
      if (key.kind !== "int" || key.value <= before) throw new CborError("keys that are not ascending");
      before = key.value;
      entries.set(key.value, this.value(depth + 1));
    }
    return entries;
  }
}
