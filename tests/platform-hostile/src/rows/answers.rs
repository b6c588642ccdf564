//! What an answer says and how it is written. All of it is signed by the right key.

use StepName::{Code, Digest, Fields, Nonce, Reading, Replay, Schema, Time};
use yanqian_platform::StepName;
use yanqian_vocabulary::Reason as R;

use super::{Check, Group, step};

#[rustfmt::skip]
pub(super) const ALL: &[Group] = &[
    step(Nonce, R::PlatformNonce, &[
        "wrong-request", "other-nonce", "replay",
        "nonce/another", "nonce/missing", "nonce/empty", "nonce/other-case", "nonce/truncated", "nonce/longer", "nonce/space-before",
        "nonce/space-after", "nonce/line-feed-after", "nonce/nul-after", "nonce/full-width", "nonce/number", "nonce/null",
        "nonce/array", "nonce/of-the-previous-request", "nonce/is-the-digest",
        "binding/another-entitys-answer", "binding/yesterdays-answer",
        "json/empty-object",
        "twice/the-previous-answer-first",
    ]),
    step(Digest, R::PlatformDigest, &[
        "other-digest",
        "digest/another", "digest/missing", "digest/empty", "digest/other-case", "digest/truncated", "digest/space-after",
        "digest/number", "digest/null", "digest/of-the-previous-request", "digest/of-nothing",
    ]),
    step(Time, R::PlatformTime, &[
        "stale-time", "future-time",
        "time/an-hour-ago", "time/in-an-hour", "time/yesterday", "time/just-before-the-window", "time/just-after-the-window",
        "time/of-utc-written-as-local", "time/the-epoch", "time/missing", "time/empty", "time/words", "time/number", "time/null",
        "time/impossible-date", "time/month-zero", "time/hour-24", "time/without-milliseconds-of-a-day-ago", "time/space-after",
        "time/full-width", "time/three-digits-more", "time/sign-before",
        "time/as-text-where-a-number-belongs-or-the-other-way",
    ]),
    step(Replay, R::PlatformReplay, &["serial/of-an-earlier-answer"]),
    step(Schema, R::PlatformSchema, &[
        "missing-member", "duplicate-member",
        "serial/missing", "serial/empty", "serial/129-characters", "serial/space", "serial/line-feed", "serial/nul", "serial/escape",
        "serial/not-ascii", "serial/right-to-left", "serial/number", "serial/null",
        "version/another", "version/missing", "version/empty", "version/number", "version/null", "version/space-after",
        "member/unknown", "member/unknown-and-empty", "member/code-in-another-case", "member/reading-that-nobody-asked-for",
        "member/request-fields-echoed",
        "code/missing", "code/number", "code/null", "code/true", "code/array", "code/object",
        "json/name-twice", "json/name-twice-another-value", "json/name-twice-escaped", "json/ignored-name-twice",
        "json/lone-surrogate-escaped-in-the-code", "json/array", "json/text", "json/null", "json/deep-nesting", "json/many-members",
    ]),
    step(Fields, R::PlatformFieldUnasked, &["fields/one-that-nobody-asked-for", "fields/one-unknown"]),
    step(Fields, R::PlatformSchema, &[
        "missing-fields", "contradiction", "missing-portrait",
        "fields/missing", "fields/null", "fields/empty", "fields/array", "fields/text", "fields/one-missing",
        "fields/one-twice", "fields/one-twice-otherwise",
        "fields/value-unknown", "fields/value-number", "fields/value-text-of-truth", "fields/value-array", "fields/value-object",
        "fields/value-with-space",
        "contradiction/match-with-a-mismatch", "contradiction/match-with-an-undecided",
        "contradiction/match-with-nothing-but-mismatches", "contradiction/mismatch-with-matches-only",
        "contradiction/mismatch-with-an-undecided-only", "contradiction/undecided-with-matches-only",
        "contradiction/undecided-with-a-mismatch", "contradiction/not-found-with-fields",
        "contradiction/not-found-with-no-field",
    ]),
    step(Code, R::PlatformCodeUnknown, &[
        "unknown-code",
        "code/unknown", "code/empty", "code/space-after", "code/space-before", "code/truncated", "code/full-width",
        "code/nul-after",
    ]),
    step(Code, R::PlatformRefused, &[
        "suspended", "busy",
        "refusal/suspended", "refusal/purpose", "refusal/certificate", "refusal/nonce", "refusal/time", "refusal/signature",
        "refusal/envelope", "refusal/busy", "refusal/with-fields-that-match",
    ]),
    step(Reading, R::PlatformReading, &[
        "reading-missing", "reading-digest", "reading-other-key", "reading-unasked",
        "reading/to-somebody-else", "reading/hash-of-the-key-short", "reading/key-as-c1-c3-c2", "reading/key-as-c1-c2-c3",
        "reading/iv-of-eight-octets", "reading/iv-missing", "reading/by-aes", "reading/key-by-rsa", "reading/no-recipient",
        "reading/version-nine", "reading/of-a-message-type", "reading/octets-after-it", "reading/cut", "reading/empty",
        "reading/not-sealed",
    ]),
    Group { check: Check::Unseal, reason: R::PlatformReading, names: &[
        "reading-altered", "reading-garbage", "reading-other-document",
        "reading/key-of-somebody-else-under-our-name", "reading/hash-of-the-key-altered", "reading/hash-of-the-key-zero",
        "reading/key-altered", "reading/key-of-15-octets", "reading/key-of-32-octets", "reading/another-key",
        "reading/padding-altered", "reading/last-block-missing", "reading/first-block-altered", "reading/text-empty",
        "reading/text-not-an-object", "reading/member-missing", "reading/member-more", "reading/member-twice", "reading/two-objects",
        "reading/point-off-the-curve", "reading/point-zero", "reading/point-above-the-field", "reading/key-empty",
        "reading/last-octet-missing", "reading/content-empty",
        "reading/larger-than-any-reading", "reading/number-in-lowercase", "reading/birth-date-impossible",
    ] },
];

/// What an honest platform may do.
#[rustfmt::skip]
pub(super) const TAKEN: &[&str] = &[
    "honest/time-at-the-windows-start", "honest/time-at-the-windows-end", "honest/serial-of-128-characters",
    "honest/members-in-reverse", "honest/no-message", "honest/white-space-in-the-package", "honest/names-escaped",
    "honest/values-escaped", "honest/whole-chain-along", "honest/certificates-of-others-along",
    "honest/certificate-renewed-for-the-same-key", "honest/version-four", "honest/pkcs-7-content-types",
    "honest/algorithms-without-parameters", "honest/algorithm-sm2-with-sm3", "honest/unsigned-attributes",
    "honest/revocation-lists-along", "honest/attributes-signed-out-of-order", "honest/attributes-of-unknown-kinds",
    "honest/no-signing-time", "honest/sign-first", "honest/white-space-around", "honest/names-of-the-envelope-escaped",
    "honest/slashes-escaped", "honest/chunked", "honest/until-the-end", "honest/http-1.0", "honest/no-reason-phrase",
    "honest/fields-nobody-knows", "honest/early-hints-first", "honest/type-in-another-case", "honest/octet-by-octet",
    "honest/another-answer-behind-it",
];
