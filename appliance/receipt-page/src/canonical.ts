// The canonical forms that a signature inside an object may cover: docs/platform-protocol.md, form `member`.
import type { Json } from "./json.ts";
import { compare, type Octets, utf8 } from "./octets.ts";

type Members = [string, Json][];

/** `k=v&k=v…` by the octets of the names; `undefined` where the same octets could be cut into other members. */
export function sortedPairs(members: Members, empty: boolean): Octets | undefined {
  const pairs: string[] = [];
  for (const [name, value] of [...members].sort(([a], [b]) => compare(utf8(a), utf8(b)))) {
    const written = value.kind === "string" ? value.value : value.text;
    const isEmpty = value.kind === "null" || written === "";
    if (isEmpty && !empty) continue;
    if (/[&=]/.test(name) || written.includes("&")) return undefined;
    pairs.push(`${name}=${written}`);
  }
  return utf8(pairs.join("&"));
}

/** RFC 8785, whose numbers and strings are ECMAScript's; `undefined` where a name stands twice at any depth. */
export function rfc8785(members: Members): Octets | undefined {
  return members.some(([, value]) => isDoubled(value)) ? undefined : utf8(writeObject(members));
}

function isDoubled(value: Json): boolean {
  if (value.kind === "array") return value.items.some(isDoubled);
  return value.kind === "object" && (value.doubled || [...value.members.values()].some(isDoubled));
}

function writeObject(members: Members): string {
  const sorted = [...members].sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${sorted.map(([name, value]) => `${JSON.stringify(name)}:${write(value)}`).join(",")}}`;
}

function write(value: Json): string {
  switch (value.kind) {
    case "object":
      return writeObject([...value.members]);
    case "array":
      return `[${value.items.map(write).join(",")}]`;
    case "null":
      return "null";
    default:
      return JSON.stringify(value.value);
  }
}
