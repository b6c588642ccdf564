// Checkpoints: C2SP signed notes with SM2, docs/ledger-format.md, section Checkpoint.
import { concat, equal, fromBase64, type Octets, utf8 } from "./octets.ts";
import { signatureFromRaw, verifiesMessage } from "./sm2.ts";
import { sm3 } from "./sm3.ts";
import { MAX_TIME } from "./schema.ts";
import { isKeyName, type NamedKey } from "./trust.ts";

export class CheckpointError extends Error {}

export interface SignatureLine {
  readonly name: string;
  readonly keyId: Octets;
  readonly signature: Octets;
}
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Octets;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** What is signed: the four lines with their line feeds. */
  readonly text: Octets;
  /** The ledger's first. */
  readonly lines: SignatureLine[];
}

const MAX = 32_768;
const NUMBER = /^(?:0|[1-9]\d*)$/;

export function readCheckpoint(note: string): Checkpoint {
  const refuse = (what: string): never => {
    throw new CheckpointError(`the checkpoint ${what}`);
  };
  if (utf8(note).length > MAX) refuse("is too long");
  const parts = note.split("\n");
  if (parts.pop() !== "") refuse("does not end with a line feed");
  const [origin = "", size = "", root = "", stated = "", empty, ...signatures] = parts;
  if (!isKeyName(origin)) refuse("has no origin");
  if (!NUMBER.test(size) || size === "0" || !Number.isSafeInteger(Number(size))) refuse("has no size");
  const hash = fromBase64(root);
  if (hash?.length !== 32) return refuse("has no root");
  const [label, millis = "", ...more] = stated.split(" ");
  if (label !== "time" || !NUMBER.test(millis) || more.length > 0 || Number(millis) > MAX_TIME) refuse("has no time");
  if (empty !== "") refuse("has no empty line before its signatures");
  if (signatures.length < 1 || signatures.length > 16) refuse("has too few or too many signatures");
  const lines = signatures.map(readLine);
  const names = lines.map(({ name, keyId }) => `${name} ${keyId.join()}`);
  if (new Set(names).size !== names.length) refuse("has two signatures of one key");
  const text = utf8(parts.slice(0, 4).join("\n").concat("\n"));
  return { origin, size: Number(size), root: hash, time: Number(millis), text, lines };
}

function readLine(line: string): SignatureLine {
  const [dash, name = "", encoded = "", ...more] = line.split(" ");
  const octets = fromBase64(encoded);
  if (dash !== "—" || !isKeyName(name) || octets?.length !== 68 || more.length > 0) {
    throw new CheckpointError("the checkpoint has a signature line in another form");
  }
  return { name, keyId: octets.subarray(0, 4), signature: octets.subarray(4) };
}

/** The first four octets of SM3(name ‖ 0A ‖ FF ‖ "SM2-SM3" ‖ point). */
export function keyIdOf(name: string, point: Octets): Octets {
  return sm3(concat(utf8(name), Uint8Array.of(0x0a, 0xff), utf8("SM2-SM3"), point)).subarray(0, 4);
}

/** Whether a line says that it is this key's. */
export function isOf(line: SignatureLine, key: NamedKey): boolean {
  return line.name === key.name && equal(line.keyId, keyIdOf(key.name, key.point));
}

export function lineVerifies(checkpoint: Checkpoint, line: SignatureLine, { key }: NamedKey): boolean {
  const signature = signatureFromRaw(line.signature);
  return signature !== undefined && verifiesMessage(key, checkpoint.text, signature);
}
