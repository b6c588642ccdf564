// Sentences in the page's two languages.

export interface Text {
  readonly en: string;
  readonly zh: string;
}

export const text = (en: string, zh: string): Text => ({ en, zh });

/** A step that does not hold, and why. */
export class Failure extends Error {
  constructor(readonly says: Text) {
    super(says.en);
  }
}

export function fail(en: string, zh: string): never {
  throw new Failure(text(en, zh));
}
