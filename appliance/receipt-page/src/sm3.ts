// SM3 (GB/T 32905-2016) on the Merkle–Damgård frame of @noble/hashes: padding and buffering are the library's, the
// compression function is here. The tests hold it against OpenSSL's.
import { HashMD } from "@noble/hashes/_md.js";
import { concat, type Octets } from "./octets.ts";

const IV = [
  0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e,
] as const;

const rotate = (word: number, by: number) => (word << by) | (word >>> (32 - by));
const p0 = (x: number) => x ^ rotate(x, 9) ^ rotate(x, 17);
const p1 = (x: number) => x ^ rotate(x, 15) ^ rotate(x, 23);

class Sm3 extends HashMD<Sm3> {
  private state = Int32Array.from(IV);
  private readonly words = new Int32Array(68);

  constructor() {
    super(64, 32, 8, false);
  }

  protected override get(): number[] {
    return [...this.state];
  }

  protected override set(...words: number[]): void {
    this.state.set(words);
  }

  override _cloneInto(to?: Sm3): Sm3 {
    const copy = to ?? new Sm3();
    copy.set(...this.get());
    return this._cloneIntoMeta(copy);
  }

  override destroy(): void {
    this.destroyed = true;
    this.state.fill(0);
  }

  protected override roundClean(): void {
    this.words.fill(0);
  }

  protected override process(view: DataView, offset: number): void {
    const w = this.words;
    const word = (at: number) => w[at] as number;
    for (let j = 0; j < 16; j++) w[j] = view.getInt32(offset + 4 * j, false);
    for (let j = 16; j < 68; j++) {
      w[j] = p1(word(j - 16) ^ word(j - 9) ^ rotate(word(j - 3), 15)) ^ rotate(word(j - 13), 7) ^ word(j - 6);
    }
    let [a, b, c, d, e, f, g, h] = this.state as unknown as Registers;
    for (let j = 0; j < 64; j++) {
      const early = j < 16;
      const constant = early ? 0x79cc4519 : 0x7a879d8a;
      const ss1 = rotate((rotate(a, 12) + e + rotate(constant, j % 32)) | 0, 7);
      const ss2 = ss1 ^ rotate(a, 12);
      const ff = early ? a ^ b ^ c : (a & b) | (a & c) | (b & c);
      const gg = early ? e ^ f ^ g : (e & f) | (~e & g);
      const tt1 = (ff + d + ss2 + (word(j) ^ word(j + 4))) | 0;
      const tt2 = (gg + h + ss1 + word(j)) | 0;
      [d, c, b, a] = [c, rotate(b, 9), a, tt1];
      [h, g, f, e] = [g, rotate(f, 19), e, p0(tt2)];
    }
    [a, b, c, d, e, f, g, h].forEach((value, at) => {
      this.state[at] = (this.state[at] as number) ^ value;
    });
  }
}

type Registers = [number, number, number, number, number, number, number, number];

/** 32 octets. */
export function sm3(...parts: Octets[]): Octets {
  return new Sm3().update(concat(...parts)).digest();
}

/** RFC 6962 §2.1 with SM3: the first octet keeps leaves and nodes apart. */
export const leafHash = (record: Octets): Octets => sm3(Uint8Array.of(0), record);
export const nodeHash = (left: Octets, right: Octets): Octets => sm3(Uint8Array.of(1), left, right);
