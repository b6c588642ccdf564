// Readers of CBOR values that fit together: a record's schema is written as data, and its type follows from it. Maps are
// closed: a key that is not in the schema, or that came with a later one, makes the record unreadable.
import type { Cbor } from "./cbor.ts";
import { single } from "./der.ts";
import { hex, type Octets } from "./octets.ts";

export class SchemaError extends Error {}

/** Takes a value of a record whose schema number is given. */
export type Reader<T> = (value: Cbor, schema: number) => T;

interface Field<T> {
  readonly key: number;
  readonly read: Reader<T>;
  readonly optional: boolean;
  /** The first schema that has this key. */
  readonly since: number;
}
// `any`: each member brings its own type, and MapOf takes it from there.
type Fields = Record<string, Field<any>>;
type Value<F> = F extends Field<infer T> ? T : never;
export type MapOf<F extends Fields> = { readonly [K in keyof F]: Value<F[K]> };

export const field = <T>(key: number, read: Reader<T>, since = 1): Field<T> => ({ key, read, optional: false, since });
export const maybe = <T>(key: number, read: Reader<T>, since = 1): Field<T | undefined> => ({
  key, read, optional: true, since,
});

export function map<F extends Fields>(fields: F): Reader<MapOf<F>> {
  return (value, schema) => {
    if (value.kind !== "map") throw new SchemaError("expected a map");
    const found: Record<string, unknown> = {};
    let seen = 0;
    for (const [name, { key, read, optional, since }] of Object.entries(fields)) {
      const entry = since <= schema ? value.entries.get(key) : undefined;
      if (entry === undefined) {
        if (!optional) throw new SchemaError(`key ${key} (${name}) is missing`);
        continue;
      }
      seen++;
      found[name] = inside(name, () => read(entry, schema));
    }
    if (seen !== value.entries.size) throw new SchemaError("a key that this schema does not have");
    return found as MapOf<F>;
  };
}

function inside<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new SchemaError(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export function list<T>(read: Reader<T>): Reader<T[]> {
  return (value, schema) => {
    if (value.kind !== "array") throw new SchemaError("expected an array");
    return value.items.map((item) => read(item, schema));
  };
}

/** An array of two. */
export function pair<A, B>(a: Reader<A>, b: Reader<B>): Reader<[A, B]> {
  return (value, schema) => {
    if (value.kind !== "array" || value.items.length !== 2) throw new SchemaError("expected an array of two");
    return [a(value.items[0] as Cbor, schema), b(value.items[1] as Cbor, schema)];
  };
}

// `any`: as above, for Chosen.
type Choices = Record<number, [string, Reader<any>, since?: number]>;
type Chosen<C extends Choices> = {
  [K in keyof C]: C[K] extends [infer N, Reader<infer T>, number?] ? { readonly kind: N; readonly value: T } : never;
}[keyof C];

/** An array of a number and the value whose form the number chooses. */
export function choice<const C extends Choices>(choices: C): Reader<Chosen<C>> {
  return (value, schema) => {
    if (value.kind !== "array" || value.items.length !== 2) throw new SchemaError("expected an array of two");
    const chosen = choices[uint(value.items[0] as Cbor, schema)];
    if (chosen === undefined || (chosen[2] ?? 1) > schema) throw new SchemaError("a choice that this schema does not have");
    return { kind: chosen[0], value: inside(chosen[0], () => chosen[1](value.items[1] as Cbor, schema)) } as Chosen<C>;
  };
}

export const uint: Reader<number> = (value) => {
  if (value.kind !== "int" || value.value < 0) throw new SchemaError("expected an unsigned integer");
  return value.value;
};

export const int: Reader<number> = (value) => {
  if (value.kind !== "int") throw new SchemaError("expected an integer");
  return value.value;
};

/** The end of the year 9999. */
export const MAX_TIME = 253_402_300_799_999;

/** UTC milliseconds since 1970, to the end of the year 9999. */
export const time: Reader<number> = (value, schema) => {
  const millis = uint(value, schema);
  if (millis > MAX_TIME) throw new SchemaError("a time after the year 9999");
  return millis;
};

/** Byte string, of this length where one is given. */
export const octets =
  (length?: number): Reader<Octets> =>
  (value) => {
    if (value.kind !== "bytes") throw new SchemaError("expected octets");
    if (length !== undefined && value.value.length !== length) throw new SchemaError(`expected ${length} octets`);
    return value.value;
  };

/** 32 octets, in hexadecimal: hashes are compared and shown, and nothing else. */
export const hash: Reader<string> = (value, schema) => hex(octets(32)(value, schema));

/** A byte string of one DER value. */
export const der: Reader<Octets> = (value, schema) => {
  const whole = octets()(value, schema);
  single(whole);
  return whole;
};

export const text =
  (form: RegExp): Reader<string> =>
  (value) => {
    if (value.kind !== "text" || !form.test(value.value)) throw new SchemaError("expected a text of another form");
    return value.value;
  };

export const name = text(/^[a-z0-9][a-z0-9._-]{0,63}$/);

export const word =
  <const W extends readonly string[]>(words: W): Reader<W[number]> =>
  (value) => {
    if (value.kind !== "text" || !words.includes(value.value)) throw new SchemaError("a word that is not known here");
    return value.value;
  };

/** UUID of version 7, in lowercase with hyphens. */
export const uuid: Reader<string> = (value, schema) => {
  const digits = hex(octets(16)(value, schema));
  const written = digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  if (!isUuid(written)) throw new SchemaError("no UUID of version 7");
  return written;
};

export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(text);
}
