// What the caller says it asked, and whether the intent's commitment opens for it: docs/ledger-format.md, section Commitment.
import { numberOf } from "./chip.ts";
import { withoutMetadata } from "./jpeg.ts";
import { type Json, parseJson } from "./json.ts";
import { equal, fromBase64, type Octets, utf8 } from "./octets.ts";
import type { Intent } from "./records.ts";
import { sm3 } from "./sm3.ts";
import { fail, type Text, text } from "./text.ts";
import type { FieldWord } from "./words.ts";

export class AskedError extends Error {}

type Texts = Record<string, string | undefined>;
export interface Asked {
  readonly purpose: string | undefined;
  readonly document: Texts;
  readonly portrait: Octets | undefined;
  /** EF.COM, EF.DG1, EF.DG2, EF.SOD under `com`, `dg1`, `dg2`, `sod`. */
  readonly chip: Record<string, Octets> | undefined;
}

const DOCUMENT = ["type", "number", "name", "birth_date", "nationality", "expiry"];
export const CHIP = ["com", "dg1", "dg2", "sod"];

/** A request's body as the caller posted it; `purpose` and `reference` may be left out. No error holds a value of it. */
export function readAsked(file: Octets): Asked {
  let body: Json;
  try {
    body = parseJson(file);
  } catch {
    throw new AskedError("the file of what was asked is not JSON");
  }
  const members = closed(body, ["purpose", "reference", "document", "portrait", "chip"]);
  const document = members.get("document");
  if (document === undefined) throw new AskedError("document is missing");
  const portrait = textOf(members, "portrait");
  const chip = members.get("chip");
  const octets = portrait === undefined ? undefined : (fromBase64(portrait) ?? new Uint8Array());
  return {
    purpose: textOf(members, "purpose"),
    document: texts(document, DOCUMENT),
    portrait: octets,
    chip: chip === undefined ? undefined : decoded(texts(chip, CHIP)),
  };
}

function decoded(files: Texts): Record<string, Octets> {
  return Object.fromEntries(CHIP.map((name) => [name, fromBase64(files[name] ?? "-") ?? new Uint8Array()]));
}

function closed(value: Json, names: string[]): Map<string, Json> {
  if (value.kind !== "object") throw new AskedError("an object was expected in the file of what was asked");
  if (value.doubled) throw new AskedError("the file of what was asked has a member twice");
  const other = [...value.members.keys()].some((name) => !names.includes(name));
  if (other) throw new AskedError("the file of what was asked has a member that a request cannot have");
  return new Map([...value.members].filter(([, { kind }]) => kind !== "null"));
}

function textOf(members: Map<string, Json>, name: string): string | undefined {
  const value = members.get(name);
  if (value !== undefined && value.kind !== "string") throw new AskedError(`${name} is no text`);
  return value?.value;
}

function texts(value: Json, names: string[]): Texts {
  const members = closed(value, names);
  return Object.fromEntries(names.map((name) => [name, textOf(members, name)]));
}

export function opens(asked: Asked, intent: Intent | undefined, salt: Octets | undefined): Text {
  if (intent === undefined) fail("there is no intent, so nothing was committed to", "没有意图记录，因此没有承诺");
  if (salt === undefined) fail("the receipt holds no salt, so the commitment cannot be opened", "回执不含盐值，无法打开承诺");
  if (asked.purpose !== undefined && asked.purpose !== intent.purpose) fail("another purpose was asked", "所问用途不同");
  const parts = partsOf(asked, intent);
  const framed = parts.flatMap((part) => [length(part), part]);
  if (!equal(sm3(salt, ...framed), intent.commitment)) {
    fail("the commitment does not open: something else was asked", "承诺无法打开：所问内容不同");
  }
  return text("the commitment opens: this is what was asked", "承诺可打开：所问即此内容");
}

function partsOf({ document, portrait, chip }: Asked, intent: Intent): Octets[] {
  const { mode } = intent;
  const fits = { "real-name": !portrait && !chip, "real-person": portrait && !chip, "chip-reading": chip && !portrait };
  if (!fits[mode]) fail("what was given is not what such a check asks", "所提供的内容与该核验模式不符");
  if (document["type"] !== intent.documentType) fail("another document type was asked", "所问证件类型不同");
  if (mode === "chip-reading") {
    const files = CHIP.map((name) => chip?.[name] as Octets);
    const number = numberOf(files[1] as Octets);
    if (number === undefined) fail("DG1 holds no machine-readable zone", "DG1 中没有机读区");
    fieldsAre(intent, ["chip"]);
    return [utf8(intent.documentType), utf8(number), ...files.map((file) => sm3(file))];
  }
  const fields = (["number", "name", "birth_date", "nationality", "expiry"] as const).filter((name) => document[name] !== undefined);
  if (fields.slice(0, 3).join() !== "number,name,birth_date") fail("number, name and birth date are needed", "需要号码、姓名和出生日期");
  fieldsAre(intent, portrait ? [...fields, "portrait"] : fields);
  const parts = DOCUMENT.map((name) => utf8(document[name] ?? ""));
  if (portrait === undefined) return parts;
  const picture = withoutMetadata(portrait);
  if (picture === undefined) fail("the portrait is no JPEG picture", "人像不是 JPEG 图片");
  return [...parts, sm3(picture)];
}

function fieldsAre(intent: Intent, fields: FieldWord[]): void {
  if (fields.join() !== intent.fields.join()) fail("other fields were asked", "所问字段不同");
}

/** Four octets, big-endian. */
function length(part: Octets): Octets {
  const octets = new Uint8Array(4);
  new DataView(octets.buffer).setUint32(0, part.length);
  return octets;
}

/** What was asked, with pictures and files that stand beside it. */
export function withFiles(asked: Asked, portrait: Octets | undefined, chip: Record<string, Octets> | undefined): Asked {
  return { ...asked, portrait: portrait ?? asked.portrait, chip: chip ?? asked.chip };
}
