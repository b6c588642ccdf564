// JSON (RFC 8259) as received: every value knows where it stands, because signatures cover octets, and every object knows
// whether it has a name twice. `JSON.parse` keeps neither.
import { fromUtf8, type Octets, utf8 } from "./octets.ts";

export class JsonError extends Error {}

interface Placed {
  /** The value as it is written, without the white space around it. */
  readonly text: string;
}
export type Json =
  | (Placed & { kind: "object"; members: Map<string, Json>; /** Whether a name stands twice here. */ doubled: boolean })
  | (Placed & { kind: "array"; items: Json[] })
  | (Placed & { kind: "string"; value: string })
  | (Placed & { kind: "number"; value: number })
  | (Placed & { kind: "boolean"; value: boolean })
  | (Placed & { kind: "null" });
export type JsonObject = Extract<Json, { kind: "object" }>;

const DEPTH = 128;

/** One value and white space. Throws what is wrong. */
export function parseJson(octets: Octets): Json {
  const text = fromUtf8(octets);
  if (text === undefined) throw new JsonError("not UTF-8");
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.space();
  if (!reader.done()) throw new JsonError("something stands behind the value");
  return value;
}

/** The octets of a value as received. */
export function octetsOf(value: Json): Octets {
  return utf8(value.text);
}

class Reader {
  private at = 0;
  constructor(private readonly text: string) {}

  done(): boolean {
    return this.at === this.text.length;
  }

  space(): void {
    while (/[ \t\n\r]/.test(this.text.charAt(this.at))) this.at++;
  }

  private take(token: string): boolean {
    if (!this.text.startsWith(token, this.at)) return false;
    this.at += token.length;
    return true;
  }

  value(depth: number): Json {
    if (depth >= DEPTH) throw new JsonError("nested too deeply");
    this.space();
    const from = this.at;
    const bare = this.bare(depth);
    return { ...bare, text: this.text.slice(from, this.at) } as Json;
  }

  private bare(depth: number): object {
    if (this.take("{")) return { kind: "object", ...this.members(depth) };
    if (this.take("[")) return { kind: "array", items: this.items(depth) };
    if (this.text.charAt(this.at) === '"') return { kind: "string", value: this.string() };
    if (this.take("true")) return { kind: "boolean", value: true };
    if (this.take("false")) return { kind: "boolean", value: false };
    if (this.take("null")) return { kind: "null" };
    return { kind: "number", value: this.number() };
  }

  private members(depth: number): { members: Map<string, Json>; doubled: boolean } {
    const members = new Map<string, Json>();
    let doubled = false;
    this.space();
    if (this.take("}")) return { members, doubled };
    do {
      this.space();
      const name = this.string();
      doubled ||= members.has(name);
      this.space();
      if (!this.take(":")) throw new JsonError("a colon is missing");
      members.set(name, this.value(depth + 1));
      this.space();
    } while (this.take(","));
    if (!this.take("}")) throw new JsonError("an object does not end");
    return { members, doubled };
  }

  private items(depth: number): Json[] {
    const items: Json[] = [];
    this.space();
    if (this.take("]")) return items;
    do {
      items.push(this.value(depth + 1));
      this.space();
    } while (this.take(","));
    if (!this.take("]")) throw new JsonError("an array does not end");
    return items;
  }

  private number(): number {
    const form = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
    form.lastIndex = this.at;
    const found = form.exec(this.text);
    if (found === null) throw new JsonError("no JSON value");
    this.at = form.lastIndex;
    const value = Number(found[0]);
    if (!Number.isFinite(value)) throw new JsonError("a number that is too large");
    return value;
  }

  private string(): string {
    // Runs of plain characters are one loop each: a list in base64 may have millions.
    const form = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y;
    form.lastIndex = this.at;
    const found = form.exec(this.text);
    if (found === null) throw new JsonError("no JSON string");
    this.at = form.lastIndex;
    const value = JSON.parse(found[0]) as string;
    // Half of a surrogate pair has no UTF-8, so it can be in no text that was signed.
    if (/\p{Surrogate}/u.test(value)) throw new JsonError("half a character");
    return value;
  }
}
