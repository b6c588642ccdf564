// The receipt's file: docs/receipt-format.md, section The file.
import { type Checkpoint, CheckpointError, readCheckpoint } from "./checkpoint.ts";
import { type Json, type JsonObject, JsonError, parseJson } from "./json.ts";
import { single } from "./der.ts";
import { fromBase64, fromHex, hex, type Octets } from "./octets.ts";
import { isUuid } from "./schema.ts";
import { sm3 } from "./sm3.ts";

export class FormatError extends Error {}

export const MAX_RECEIPT = 16 * 1024 * 1024;
const MAX_RECORDS = 8;
const MAX_CERTIFICATES = 64;

export interface Proof {
  readonly index: number;
  readonly path: Octets[];
}
export interface Anchor {
  readonly checkpoint: Checkpoint;
  readonly proofs: Proof[];
  readonly timestamp: Octets | undefined;
}
export interface Receipt {
  readonly verification: string;
  readonly records: Octets[];
  readonly leaves: Octets[];
  /** By their SM3 in hexadecimal. */
  readonly certificates: Map<string, Octets>;
  readonly revocation: Map<string, Octets>;
  readonly salt: Octets | undefined;
  readonly anchor: Anchor | undefined;
}

export function readReceipt(file: Octets): Receipt {
  if (file.length > MAX_RECEIPT) throw new FormatError("the file has more than 16 MiB");
  const members = object(parse(file), "the receipt", [
    "v", "state", "verification", "records", "leaf_hashes", "certificates", "revocation", "salt", "anchor",
  ]);
  if (members("v").text !== "1") throw new FormatError("v is not 1");
  const verification = string(members("verification"), "verification");
  if (!isUuid(verification)) throw new FormatError("verification is no UUID of version 7");
  const records = array(members("records"), "records", 1, MAX_RECORDS).map((item) => base64(item, "records"));
  const leaves = array(members("leaf_hashes"), "leaf_hashes", 0, MAX_RECORDS).map((item) => digest(item, "leaf_hashes"));
  if (leaves.length !== records.length) throw new FormatError("leaf_hashes is not one for each record");
  const salt = members("salt");
  return {
    verification,
    records,
    leaves,
    certificates: evidence(members("certificates"), "certificates"),
    revocation: evidence(members("revocation"), "revocation"),
    salt: salt.kind === "null" ? undefined : digest(salt, "salt"),
    anchor: anchorOf(string(members("state"), "state"), members("anchor"), records.length),
  };
}

function parse(file: Octets): Json {
  try {
    return parseJson(file);
  } catch (error) {
    if (error instanceof JsonError) throw new FormatError(`not JSON: ${error.message}`);
    throw error;
  }
}

function anchorOf(state: string, value: Json, records: number): Anchor | undefined {
  if (state !== "pending" && state !== "anchored") throw new FormatError("state is not known here");
  if (state === "pending") {
    if (value.kind !== "null") throw new FormatError("a pending receipt has no anchor");
    return undefined;
  }
  const members = object(value, "anchor", ["checkpoint", "proofs", "timestamp"]);
  const proofs = array(members("proofs"), "proofs", 1, MAX_RECORDS).map((item) => {
    const proof = object(item, "a proof", ["index", "path"]);
    return {
      index: integer(proof("index"), "index"),
      path: array(proof("path"), "path", 0, 63).map((node) => digest(node, "path")),
    };
  });
  if (proofs.length !== records) throw new FormatError("proofs is not one for each record");
  const timestamp = members("timestamp");
  return {
    checkpoint: checkpoint(string(members("checkpoint"), "checkpoint")),
    proofs,
    timestamp: timestamp.kind === "null" ? undefined : oneDer(timestamp, "timestamp"),
  };
}

function checkpoint(note: string): Checkpoint {
  try {
    return readCheckpoint(note);
  } catch (error) {
    if (error instanceof CheckpointError) throw new FormatError(error.message);
    throw error;
  }
}

/** Exactly these members; gives one by its name. */
function object(value: Json, what: string, names: string[]): (name: string) => Json {
  if (value.kind !== "object") throw new FormatError(`${what} is no object`);
  const { members, doubled } = value as JsonObject;
  if (doubled) throw new FormatError(`${what} has a member twice`);
  for (const name of members.keys()) {
    if (!names.includes(name)) throw new FormatError(`${what} has a member that it cannot have`);
  }
  const missing = names.find((name) => !members.has(name));
  if (missing !== undefined) throw new FormatError(`${missing} is missing`);
  return (name) => members.get(name) as Json;
}

function array(value: Json, what: string, least: number, most: number): Json[] {
  if (value.kind !== "array") throw new FormatError(`${what} is no array`);
  if (value.items.length < least || value.items.length > most) throw new FormatError(`${what} has ${value.items.length} entries`);
  return value.items;
}

function string(value: Json, what: string): string {
  if (value.kind !== "string") throw new FormatError(`${what} is no text`);
  return value.value;
}

function integer(value: Json, what: string): number {
  const written = /^(?:0|[1-9]\d*)$/.test(value.text) && value.kind === "number" && Number.isSafeInteger(value.value);
  if (!written) throw new FormatError(`${what} is no whole number`);
  return value.value;
}

function base64(value: Json, what: string): Octets {
  const octets = fromBase64(string(value, what));
  if (octets === undefined) throw new FormatError(`${what} is not base64`);
  return octets;
}

function digest(value: Json, what: string): Octets {
  const octets = fromHex(string(value, what));
  if (octets?.length !== 32) throw new FormatError(`${what} is not 64 lowercase hexadecimal digits`);
  return octets;
}

function oneDer(value: Json, what: string): Octets {
  const octets = base64(value, what);
  try {
    single(octets);
  } catch {
    throw new FormatError(`${what} is not one DER value`);
  }
  return octets;
}

function evidence(value: Json, what: string): Map<string, Octets> {
  const found = new Map<string, Octets>();
  for (const item of array(value, what, 0, MAX_CERTIFICATES)) {
    const octets = oneDer(item, what);
    const hash = hex(sm3(octets));
    if (found.has(hash)) throw new FormatError(`${what} has an entry twice`);
    found.set(hash, octets);
  }
  return found;
}
