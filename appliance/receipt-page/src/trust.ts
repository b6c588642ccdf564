// The auditor's trust directory: certs/README.md, Layout of a trust store, as far as a receipt needs it.
import { parse } from "smol-toml";
import { members, oid, sequence, TAG } from "./der.ts";
import { fromBase64, fromHex, fromUtf8, hex, type Octets } from "./octets.ts";
import type { PublicKey } from "./sm2.ts";
import { authority, type Certificate, readCertificate, readKeyInfo } from "./x509.ts";

export class TrustError extends Error {}

export interface NamedKey {
  readonly name: string;
  readonly key: PublicKey;
  /** 65 octets. */
  readonly point: Octets;
}
export interface Ledgers {
  readonly minimumWitnesses: number;
  readonly ledgers: (NamedKey & { readonly origin: string })[];
  readonly witnesses: NamedKey[];
}
export interface Trust {
  readonly anchors: Certificate[];
  readonly entityAnchors: Certificate[];
  readonly pins: Pin[];
  readonly ledgers: Ledgers | undefined;
}
/** Whether a pin names a certificate. */
export type Pin = (certificate: Certificate) => boolean;

/** Files by their path below the directory. */
export function readTrust(files: Map<string, Octets>): Trust {
  // Files of the folder itself; hidden ones are an editor's or a copy program's.
  const below = (folder: string) => [...files].filter(([path]) => /^[^/]+\/[^./][^/]*$/.test(path) && path.startsWith(`${folder}/`));
  const certificates = (folder: string) => below(folder).flatMap(([path, octets]) => authoritiesOf(path, octets));
  const anchors = certificates("anchors");
  if (anchors.length === 0) throw new TrustError("anchors/ holds no certificate");
  const signers = files.get("signers.toml");
  if (signers === undefined) throw new TrustError("signers.toml is missing");
  const ledgers = files.get("ledgers.toml");
  return {
    anchors,
    entityAnchors: certificates("entity-anchors"),
    pins: readPins(signers),
    ledgers: ledgers && readLedgers(ledgers),
  };
}

function authoritiesOf(path: string, octets: Octets): Certificate[] {
  const found = certificatesOf(path, octets);
  if (!found.every((one) => authority(one) !== undefined)) throw new TrustError(`${path} is not an authority's certificate`);
  return found;
}

function certificatesOf(path: string, octets: Octets): Certificate[] {
  try {
    const text = fromUtf8(octets);
    const blocks = [...(text ?? "").matchAll(/-----BEGIN CERTIFICATE-----([\sA-Za-z0-9+/=]*)-----END CERTIFICATE-----/g)];
    if (blocks.length === 0) return [readCertificate(octets)];
    return blocks.map(([, body]) => readCertificate(fromBase64((body as string).replace(/\s/g, "")) ?? new Uint8Array()));
  } catch {
    throw new TrustError(`${path} is no certificate`);
  }
}

type Table = Record<string, unknown>;

function readToml(file: string, octets: Octets): Table {
  const text = fromUtf8(octets);
  try {
    const table = parse(text as string) as Table;
    if (table["format_version"] !== 1) throw new TrustError(`${file}: format_version is not 1`);
    return table;
  } catch (error) {
    if (error instanceof TrustError) throw error;
    throw new TrustError(`${file} is no TOML`);
  }
}

/** A table with no other keys than these. */
function closed(value: unknown, where: string, keys: string[]): Table {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new TrustError(`${where} is no table`);
  const other = Object.keys(value).find((key) => !keys.includes(key));
  if (other !== undefined) throw new TrustError(`${where} has an unknown key: ${other}`);
  return value as Table;
}

function tables(value: unknown, where: string, keys: string[]): Table[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new TrustError(`${where} is no array of tables`);
  return value.map((one) => closed(one, where, keys));
}

function string(table: Table, key: string, where: string): string {
  const value = table[key];
  if (typeof value !== "string") throw new TrustError(`${where}: ${key} is no text`);
  return value;
}

const TYPES = new Map([
  ["C", "2.5.4.6"], ["ST", "2.5.4.8"], ["L", "2.5.4.7"], ["O", "2.5.4.10"], ["OU", "2.5.4.11"], ["CN", "2.5.4.3"],
  ["serialNumber", "2.5.4.5"], ["organizationIdentifier", "2.5.4.97"],
]);

function readPins(octets: Octets): Pin[] {
  const file = closed(readToml("signers.toml", octets), "signers.toml", ["format_version", "signer"]);
  if (file["signer"] === undefined) throw new TrustError("signers.toml: signer is missing");
  const where = "signers.toml: signer";
  return tables(file["signer"], where, ["name", "role", "key_id", "certificate", "subject", "issuer", "serial"]).flatMap((pin) => {
    string(pin, "name", where);
    const role = string(pin, "role", where);
    if (!["signing", "tls", "encryption"].includes(role)) throw new TrustError(`${where}: role is not known`);
    const means = pinOf(pin, where);
    return role === "signing" ? [means] : [];
  });
}

function pinOf(pin: Table, where: string): Pin {
  const has = (...keys: string[]) =>
    ["key_id", "certificate", "subject", "issuer", "serial"].every((key) => (pin[key] !== undefined) === keys.includes(key));
  const hash = (key: string) => {
    const octets = fromHex(string(pin, key, where).toLowerCase());
    if (octets?.length !== 32) throw new TrustError(`${where}: ${key} is not 64 hexadecimal digits`);
    return hex(octets);
  };
  if (has("key_id")) {
    const keyId = hash("key_id");
    return (certificate) => certificate.keyId === keyId;
  }
  if (has("certificate")) {
    const pinned = hash("certificate");
    return (certificate) => certificate.hash === pinned;
  }
  if (has("subject") || has("subject", "issuer")) {
    const subject = nameOf(pin, "subject", where);
    const issuer = pin["issuer"] === undefined ? undefined : nameOf(pin, "issuer", where);
    return (one) => isName(one.subject, subject) && (issuer === undefined || isName(one.issuer, issuer));
  }
  if (has("serial", "issuer")) {
    const issuer = nameOf(pin, "issuer", where);
    const serial = string(pin, "serial", where);
    const octets = fromHex(serial.toLowerCase());
    if (octets === undefined) throw new TrustError(`${where}: serial is not pairs of hexadecimal digits`);
    const significant = (digits: string) => digits.replace(/^0+/, "");
    return (one) => isName(one.issuer, issuer) && significant(hex(one.serial)) === significant(hex(octets));
  }
  throw new TrustError(`${where} is not one of key_id, certificate, subject (with or without issuer), serial with issuer`);
}

function nameOf(pin: Table, key: string, where: string): [string, string][] {
  const parts = pin[key];
  if (!Array.isArray(parts) || parts.length === 0) throw new TrustError(`${where}: ${key} is no array of TYPE=value`);
  return parts.map((part): [string, string] => {
    const at = typeof part === "string" ? part.indexOf("=") : -1;
    const type = at < 0 ? "" : (part as string).slice(0, at);
    const named = TYPES.get(type) ?? (/^\d+(\.\d+)+$/.test(type) ? type : undefined);
    if (named === undefined) throw new TrustError(`${where}: ${key} is no array of TYPE=value`);
    return [named, (part as string).slice(at + 1)];
  });
}

/** UTF8String, NumericString, PrintableString, IA5String. */
const TEXTS = [0x0c, 0x12, 0x13, 0x16];

/** Whether a DER `Name` has exactly these attributes, one in each RDN. */
function isName(name: Octets, parts: [string, string][]): boolean {
  try {
    const found = sequence(name).map((rdn): [string, string] => {
      const [attribute, ...more] = members(rdn, TAG.set);
      const [type, value] = members(attribute);
      if (more.length > 0 || value === undefined || !TEXTS.includes(value.tag)) return ["", ""];
      return [oid(type), fromUtf8(value.content) ?? ""];
    });
    return found.length === parts.length && found.every(([type, value], at) => type === parts[at]?.[0] && value === parts[at]?.[1]);
  } catch {
    return false;
  }
}

function readLedgers(octets: Octets): Ledgers {
  const file = closed(readToml("ledgers.toml", octets), "ledgers.toml", ["format_version", "minimum_witnesses", "ledgers", "witnesses"]);
  const minimum = file["minimum_witnesses"] ?? 0;
  if (typeof minimum !== "number" || !Number.isSafeInteger(minimum) || minimum < 0) {
    throw new TrustError("ledgers.toml: minimum_witnesses is no whole number");
  }
  const keyed = (table: Table, where: string): NamedKey => {
    const info = readKeyInfo(fromBase64(string(table, "key", where)) ?? new Uint8Array());
    if (info === undefined) throw new TrustError(`${where}: key is no SM2 key in base64 of its DER SubjectPublicKeyInfo`);
    return { name: keyName(table, "name", where), ...info };
  };
  const witnesses = tables(file["witnesses"], "ledgers.toml: witnesses", ["name", "key"]).map((table) => keyed(table, "ledgers.toml: witnesses"));
  // Counted twice, one witness would pass for two.
  if (new Set(witnesses.map(({ point }) => hex(point))).size !== witnesses.length) {
    throw new TrustError("ledgers.toml: witnesses: a key is listed twice");
  }
  if (minimum > witnesses.length) throw new TrustError("ledgers.toml: minimum_witnesses is more than are listed");
  const ledgers = tables(file["ledgers"], "ledgers.toml: ledgers", ["origin", "name", "key"]).map((table) => ({
    origin: keyName(table, "origin", "ledgers.toml: ledgers"),
    ...keyed(table, "ledgers.toml: ledgers"),
  }));
  return { minimumWitnesses: minimum, ledgers, witnesses };
}

function keyName(table: Table, key: string, where: string): string {
  const name = string(table, key, where);
  if (!isKeyName(name)) throw new TrustError(`${where}: ${key} is not 1 to 255 printable ASCII characters without space and +`);
  return name;
}

/** The rule of origins and key names. */
export function isKeyName(name: string): boolean {
  return /^[\x21-\x2a\x2c-\x7e]{1,255}$/.test(name);
}
