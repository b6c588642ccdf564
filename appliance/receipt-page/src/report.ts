// What the steps came to.
import { Failure, type Text, text } from "./text.ts";

export type Finding = "proven" | "failed" | "not-applicable";

export interface Check {
  /** Stable name, as `yanqian-verify` prints it. */
  readonly step: string;
  /** The request that it is about, where a check took more than one. */
  readonly part: string | undefined;
  readonly finding: Finding;
  readonly says: Text;
}

/** What a reader throws (no DER, no CBOR, …) fails the step that asked it to read, whatever the step was about. */
function sayingOf(error: unknown): Text {
  if (error instanceof Failure) return error.says;
  const what = error instanceof Error ? error.message : String(error);
  return text(`something in it cannot be read: ${what}`, `其中有内容无法解读：${what}`);
}

export class Report {
  verification: string | undefined;
  /** Milliseconds since 1970: as of when certificates and lists were judged. */
  at: number | undefined;
  /** The object that the platform signed last. */
  platformSaid: string | undefined;
  readonly checks: Check[] = [];

  get holds(): boolean {
    return this.checks.length > 0 && this.checks.every(({ finding }) => finding !== "failed");
  }

  /** Notes a step by what it says or how it fails; gives whether it holds. */
  prove(step: string, part: string | undefined, judge: () => Text): boolean {
    try {
      this.checks.push({ step, part, finding: "proven", says: judge() });
      return true;
    } catch (error) {
      this.checks.push({ step, part, finding: "failed", says: sayingOf(error) });
      return false;
    }
  }

  skip(step: string, part: string | undefined, says: Text): void {
    this.checks.push({ step, part, finding: "not-applicable", says });
  }
}
