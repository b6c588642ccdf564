// Receipts that `yanqian-verify` judged, with its verdict on each step: written by the tests of appliance/verifier.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readAsked } from "../src/asked.ts";
import type { Report } from "../src/report.ts";
import { readTrust } from "../src/trust.ts";
import { verify } from "../src/verify.ts";

export interface Case {
  readonly test: string;
  /** Base64. */
  readonly receipt: string;
  /** Base64, by path. */
  readonly trust: Record<string, string>;
  readonly at: number | null;
  readonly grace_seconds: number;
  readonly asked: string | null;
  readonly report: {
    readonly at: string | null;
    readonly proven: boolean;
    readonly platform_said: string | null;
    readonly checks: { readonly step: string; readonly part: string | null; readonly finding: string; readonly says: string }[];
  };
}

export function corpus(directory: string): Case[] {
  const names = readdirSync(directory).filter((name) => name.endsWith(".json")).sort();
  return names.map((name) => JSON.parse(readFileSync(join(directory, name), "utf8")) as Case);
}

export const octets = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, "base64"));

export const trustFiles = ({ trust }: Case): Map<string, Uint8Array> =>
  new Map(Object.entries(trust).map(([path, text]) => [path, octets(text)]));

export function judge(one: Case): Report {
  return verify(octets(one.receipt), readTrust(trustFiles(one)), {
    at: one.at ?? undefined,
    graceSeconds: one.grace_seconds,
    asked: one.asked === null ? undefined : readAsked(new TextEncoder().encode(one.asked)),
  });
}
