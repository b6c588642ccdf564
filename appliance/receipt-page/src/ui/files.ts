// What the auditor gave: which file is what.
import type { Octets } from "../octets.ts";

export class FileError extends Error {}

export interface Given {
  readonly path: string;
  readonly octets: Octets;
}
export interface Inputs {
  receipt?: Given | undefined;
  trust?: Map<string, Octets> | undefined;
  fields?: Given | undefined;
  portrait?: Given | undefined;
  chip?: Map<string, Octets> | undefined;
}

/** As for the files of `yanqian-verify`. */
export const MAX_FILE = 16 * 1024 * 1024;
/** Directories that are no trust directory may be dropped by mistake, and are not read to their end. */
export const MAX_FILES = 2048;

const FOLDERS = ["anchors", "entity-anchors"];
const TABLES = ["signers.toml", "ledgers.toml"];

/** The place of a file in a trust directory, and the directory; `undefined` for files that no receipt needs. */
function placeOf(path: string): { directory: string; place: string } | undefined {
  const parts = path.split("/").filter((part) => part !== "");
  const name = parts.pop() ?? "";
  if (TABLES.includes(name)) return { directory: parts.join("/"), place: name };
  const folder = parts.pop() ?? "";
  return FOLDERS.includes(folder) ? { directory: parts.join("/"), place: `${folder}/${name}` } : undefined;
}

export const isOfTrust = (path: string): boolean => placeOf(path) !== undefined;

/** The files of one trust directory, by their place in it, whatever directories it stands in. */
export function trustOf(files: Given[]): Map<string, Octets> {
  const trust = new Map<string, Octets>();
  const directories = new Set<string>();
  for (const { path, octets } of files) {
    const found = placeOf(path);
    if (found === undefined) continue;
    directories.add(found.directory);
    trust.set(found.place, octets);
  }
  if (directories.size > 1) throw new FileError([...directories].map((one) => one || ".").join(", "));
  return trust;
}

const CHIP = /(?:^|\/)(com|dg1|dg2|sod)\.bin$/;

/** EF.COM, EF.DG1, EF.DG2, EF.SOD by name, from files named as for `yanqian-verify --chip`. */
export function chipOf(files: Given[]): Map<string, Octets> {
  const chip = new Map<string, Octets>();
  for (const { path, octets } of files) {
    const name = CHIP.exec(path)?.[1];
    if (name !== undefined) chip.set(name, octets);
  }
  if (chip.size !== 4) throw new FileError("com.bin, dg1.bin, dg2.bin, sod.bin");
  return chip;
}

/** Sorts files that were dropped together. A JSON file with a member `records` is a receipt, any other is what was asked. */
export function sortDropped(files: Given[]): Inputs {
  const inputs: Inputs = {};
  const trust = files.filter(({ path }) => isOfTrust(path));
  if (trust.length > 0) inputs.trust = trustOf(trust);
  const chip = files.filter(({ path }) => CHIP.test(path));
  if (chip.length > 0) inputs.chip = chipOf(chip);
  for (const file of files.filter(({ path }) => !isOfTrust(path))) {
    if (/\.jpe?g$/i.test(file.path)) inputs.portrait = file;
    else if (/\.json$/i.test(file.path)) inputs[hasRecords(file.octets) ? "receipt" : "fields"] = file;
  }
  return inputs;
}

function hasRecords(octets: Octets): boolean {
  return new TextDecoder().decode(octets).includes('"records"');
}
