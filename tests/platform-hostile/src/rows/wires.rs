//! How an answer travels, and connections over which none can.

use StepName::{Envelope, Status};
use yanqian_platform::StepName;
use yanqian_vocabulary::Reason as R;

use super::{Group, step, transport};

#[rustfmt::skip]
pub(super) const ALL: &[Group] = &[
    step(Status, R::PlatformStatus, &[
        "status-500", "status-503", "redirect",
        "status/101", "status/201", "status/202", "status/203", "status/204", "status/206", "status/304", "status/301", "status/307",
        "status/401", "status/404", "status/408", "status/429", "status/500", "status/502", "status/503", "status/599",
    ]),
    step(Envelope, R::PlatformEnvelope, &[
        "wrong-content-type",
        "type/missing", "type/page", "type/text", "type/of-another-kind-of-json", "type/empty", "type/twice",
        "type/two-that-differ", "type/two-in-one-field", "type/charset-gbk", "type/charset-utf-7", "type/parameter-unknown",
        "coding/gzip-that-nobody-asked-for", "coding/gzip-without-a-word", "coding/gzip-said-and-not-done", "coding/unknown",
        "coding/compression-bomb", "coding/gzip-as-transfer-coding",
        "framing/length-too-short", "framing/length-zero", "framing/length-and-chunks", "framing/chunks-and-length",
        "framing/chunked-twice", "framing/chunked-in-disguise",
    ]),
    transport(R::PlatformUnreachable, &[
        "tls/closed-at-once", "tls/closed-in-the-handshake", "tls/silent", "tls/plain-http", "tls/garbage", "tls/alert",
        "tls/version-1.1",
    ]),
    transport(R::PlatformIdentity, &[
        "tls/certificate-of-another-name", "tls/certificate-of-another-address",
        "tls/certificate-without-a-name", "tls/certificate-expired", "tls/certificate-not-yet-valid",
        "tls/certificate-of-another-authority", "tls/certificate-self-signed", "tls/certificate-for-clients",
        "tls/certificate-for-signing-messages", "tls/certificate-without-its-issuer",
    ]),
    transport(R::PlatformAnswerTooLarge, &[
        "huge-body", "endless-body",
        "framing/length-of-exabytes", "body/without-end", "body/chunks-without-end", "body/sixteen-mebibytes",
        "body/one-octet-above-the-limit",
    ]),
    transport(R::PlatformDeadline, &[
        "slow-body",
        "body/one-octet-a-second", "body/chunk-of-one-octet-a-second", "body/never", "body/half-and-no-more",
    ]),
    transport(R::OutcomeUnknown, &[
        "cut-body", "close-before-answer", "hang",
        "status/100-and-nothing-more",
        "framing/length-too-long", "framing/length-negative", "framing/length-signed", "framing/length-hexadecimal",
        "framing/length-that-overflows", "framing/two-lengths", "framing/two-lengths-in-one-field",
        "framing/chunks-said-and-not-done", "framing/chunk-size-no-number", "framing/chunk-size-negative",
        "framing/chunk-size-that-overflows", "framing/chunk-size-empty", "framing/chunk-longer-than-its-size",
        "framing/chunk-without-its-end", "framing/last-chunk-missing", "framing/chunk-extension-without-end",
        "framing/trailers-without-end", "framing/until-the-end-and-dropped-half-way", "body/empty-chunk-extensions-without-end",
        "head/garbage", "head/zeros", "head/tls-record-inside", "head/body-without-it", "head/http-2-preface",
        "head/version-unknown", "head/version-missing", "head/another-protocol", "head/status-of-two-digits",
        "head/status-of-four-digits", "head/status-in-letters", "head/status-zero", "head/field-without-colon",
        "head/field-with-space-before-colon", "head/field-with-nul", "head/field-folded", "head/field-name-empty",
        "head/more-than-fits", "head/thousands-of-fields", "head/without-end", "head/one-line-without-end", "head/flood-of-100",
        "head/flood-of-103", "head/one-octet-a-second",
        "close/in-the-request", "close/in-the-request-without-a-word",
        "close/instead-of-an-answer", "close/instead-of-an-answer-without-a-word", "close/in-the-status-line",
        "close/in-the-head", "close/after-the-head", "close/in-the-body", "close/before-the-last-octet", "close/in-a-chunk",
        "close/hangs",
    ]),
];

/// Those that end with a limit of the profile. They are tried side by side.
#[rustfmt::skip]
pub(super) const PATIENT: &[&str] = &[
    "slow-body", "hang", "tls/silent", "status/100-and-nothing-more", "body/one-octet-a-second",
    "body/chunk-of-one-octet-a-second", "body/never", "body/half-and-no-more", "head/flood-of-100", "head/flood-of-103",
    "head/one-octet-a-second", "close/hangs",
];
