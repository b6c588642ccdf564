// The words of records, spelled as in docs/ledger-format.md and docs/reasons.md. A test holds the reasons against that page.

export const MODES = ["real-name", "real-person", "chip-reading"] as const;
export const DOCUMENT_TYPES = [
  "prc-passport", "hong-kong-macao-permit", "taiwan-permit", "foreign-permanent-resident-card",
  "exit-permit-to-hong-kong-macao", "resident-identity-card", "residence-permit",
] as const;
export const FIELDS = ["number", "name", "birth_date", "nationality", "expiry", "portrait", "chip"] as const;
export const VERDICTS = ["match", "mismatch", "not-found", "undecided"] as const;
export const FIELD_VERDICTS = ["match", "mismatch", "undecided"] as const;
export const GRADES = ["hsm", "sealed", "development"] as const;

/** Checks of an answer, in the order of docs/platform-protocol.md; a chip reading that matched goes on to `reading` and `unseal`. */
export const CHECKS = [
  "status", "envelope", "signer", "key-usage", "chain", "revocation", "signature", "nonce", "digest", "time", "replay",
  "schema", "code",
] as const;

/** Of status 4xx: they refuse a check before its intent, never after it. */
export const EARLY_REASONS = [
  "body-too-large", "body-timeout", "body-incomplete", "content-type-unsupported", "content-encoding-unsupported",
  "json-invalid", "field-unknown", "field-duplicate", "field-missing", "field-type", "field-invalid",
  "purpose-malformed", "document-type-unknown", "document-number-malformed", "document-check-digit", "name-malformed",
  "birth-date-invalid", "birth-date-contradicts-number", "nationality-unknown", "nationality-contradicts-number",
  "expiry-invalid", "portrait-encoding", "portrait-size", "portrait-dimensions", "chip-file", "chip-mrz",
  "chip-document-type", "chip-contradicts-field", "chip-digest", "chip-signature", "chip-signer",
  "idempotency-key-malformed", "idempotency-in-flight", "idempotency-mismatch",
  "agreement-not-in-force", "agreement-mode", "agreement-document-type", "agreement-purpose",
  "agreement-caller-purpose", "agreement-field", "agreement-network", "agreement-hours", "agreement-rate",
  "agreement-quota",
] as const;

export const REASONS = [
  ...EARLY_REASONS,
  "signer-unavailable", "signer-busy", "signature-defective", "signing-certificate-invalid",
  "encryption-certificate-invalid", "unseal-unavailable", "evidence-unavailable", "state-unavailable", "overloaded",
  "shutting-down", "outcome-unknown", "platform-unreachable", "platform-identity", "platform-status", "platform-answer-too-large",
  "platform-deadline", "platform-envelope", "platform-signer-unknown", "platform-chain",
  "platform-certificate-validity", "platform-certificate-usage", "platform-signer-revoked",
  "platform-revocation-stale", "platform-signature", "platform-chain-disputed", "platform-signature-disputed",
  "platform-nonce", "platform-digest", "platform-time", "platform-replay", "platform-schema", "platform-code-unknown",
  "platform-field-unasked", "platform-unproven",
  "platform-reading", "platform-refused", "platform-trust-unusable", "platform-stopped", "clock-untrusted",
  "platform-encoding",
] as const;

export type Mode = (typeof MODES)[number];
export type DocumentType = (typeof DOCUMENT_TYPES)[number];
export type FieldWord = (typeof FIELDS)[number];
export type Verdict = (typeof VERDICTS)[number];
export type FieldVerdict = (typeof FIELD_VERDICTS)[number];
export type Reason = (typeof REASONS)[number];
