//! Problem documents (RFC 9457), the only place where reasons meet HTTP.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;
use yanqian_vocabulary::{Reason, VerificationId};

/// A problem document before it is written. `code` is stable; `detail` never repeats what the caller sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) detail: Option<&'static str>,
    pub(crate) field: Option<&'static str>,
    pub(crate) id: Option<VerificationId>,
    pub(crate) retry_after_seconds: Option<u32>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
}

impl Problem {
    pub(crate) fn of_reason(reason: Reason, field: Option<&'static str>, id: Option<VerificationId>) -> Self {
        let (status, title, detail) = describe(reason);
        let retry_after_seconds = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Self { status, code: reason.code(), title, detail: Some(detail), field, id, retry_after_seconds }
    }

    /// The document as JSON, one line.
    pub(crate) fn to_json(&self) -> String {
        let document = Document {
            r#type: format!("urn:yanqian:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            field: self.field,
            instance: self.id.map(|id| format!("urn:uuid:{id}")),
        };
        serde_json::to_string(&document).unwrap_or_else(|_| "{}".to_owned())
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.to_json())));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Status, title and detail of every reason. 4xx: the caller can mend it. 403: the agreement says no. 429: not now. 502: the
/// platform's answer was not proven. 503: try again. 504: sent, and the end is not known.
#[rustfmt::skip]
fn describe(reason: Reason) -> (StatusCode, &'static str, &'static str) {
    use StatusCode as S;
    match reason {
        Reason::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "Body too large", "The request body exceeds the configured limit."),
        Reason::BodyTimeout => (S::REQUEST_TIMEOUT, "Body too slow", "The request body did not arrive within its deadline."),
        Reason::BodyIncomplete => (S::BAD_REQUEST, "Body incomplete", "The connection ended before the request body did."),
        Reason::ContentTypeUnsupported => (S::UNSUPPORTED_MEDIA_TYPE, "Content type unsupported", "Send Content-Type: application/json."),
        Reason::ContentEncodingUnsupported => (S::UNSUPPORTED_MEDIA_TYPE, "Content encoding unsupported", "Send the body as it is, without Content-Encoding."),
        Reason::JsonInvalid => (S::BAD_REQUEST, "Not a JSON object", "The body must be one JSON object in UTF-8."),
        Reason::FieldUnknown => (S::BAD_REQUEST, "Unknown field", "The body holds a field that this API does not know."),
        Reason::FieldDuplicate => (S::BAD_REQUEST, "Duplicate field", "The field stands more than once."),
        Reason::FieldMissing => (S::BAD_REQUEST, "Field missing", "The field is required."),
        Reason::FieldType => (S::BAD_REQUEST, "Wrong type", "The field holds another JSON type than it must have."),
        Reason::FieldInvalid => (S::BAD_REQUEST, "Field invalid", "The field is empty, too long, or holds characters that are not allowed."),
        Reason::PurposeMalformed => (S::BAD_REQUEST, "Purpose malformed", "A purpose code is 1 to 64 characters of a-z, 0-9, '-', '_', '.'."),
        Reason::DocumentTypeUnknown => (S::BAD_REQUEST, "Document type unknown", "The document type is not one that this appliance knows."),
        Reason::DocumentNumberMalformed => (S::UNPROCESSABLE_ENTITY, "Document number malformed", "The number does not have a form that this document type uses."),
        Reason::DocumentCheckDigit => (S::UNPROCESSABLE_ENTITY, "Check digit wrong", "The number's check digit does not agree with its other characters."),
        Reason::NameMalformed => (S::UNPROCESSABLE_ENTITY, "Name malformed", "The name is empty, too long, or holds characters that no document prints."),
        Reason::BirthDateInvalid => (S::UNPROCESSABLE_ENTITY, "Birth date invalid", "Expected a past date written yyyy-MM-dd."),
        Reason::BirthDateContradictsNumber => (S::UNPROCESSABLE_ENTITY, "Birth date contradicts number", "The number carries another date of birth."),
        Reason::NationalityUnknown => (S::UNPROCESSABLE_ENTITY, "Nationality unknown", "Expected an ISO 3166-1 alpha-3 code."),
        Reason::NationalityContradictsNumber => (S::UNPROCESSABLE_ENTITY, "Nationality contradicts number", "The number carries another nationality."),
        Reason::ExpiryInvalid => (S::UNPROCESSABLE_ENTITY, "Expiry date invalid", "Expected a date after the birth date, written yyyy-MM-dd."),
        Reason::PortraitEncoding => (S::UNPROCESSABLE_ENTITY, "Portrait unreadable", "Expected base64 of one whole JPEG picture, 8 bits a sample, grey or YCbCr."),
        Reason::PortraitSize => (S::UNPROCESSABLE_ENTITY, "Portrait too large", "The picture has more than 1048576 octets."),
        Reason::PortraitDimensions => (S::UNPROCESSABLE_ENTITY, "Portrait dimensions", "The picture has too few or too many pixels, or is too narrow or too wide."),
        Reason::ChipFile => (S::UNPROCESSABLE_ENTITY, "Chip file unreadable", "Expected base64 of the file as it stands in the chip (ICAO Doc 9303-10)."),
        Reason::ChipMrz => (S::UNPROCESSABLE_ENTITY, "Machine-readable zone unreadable", "The zone in DG1 cannot be read, or a check digit of it is wrong."),
        Reason::ChipDocumentType => (S::UNPROCESSABLE_ENTITY, "Document type contradicts chip", "The zone in DG1 belongs to another type of document."),
        Reason::ChipContradictsField => (S::UNPROCESSABLE_ENTITY, "Field contradicts chip", "The zone in DG1 holds another value of this field."),
        Reason::ChipDigest => (S::UNPROCESSABLE_ENTITY, "Chip altered", "A file of the chip is not the one whose digest was signed."),
        Reason::ChipSignature => (S::UNPROCESSABLE_ENTITY, "Chip signature invalid", "The signature over the digests of the chip's files is not valid."),
        Reason::ChipSigner => (S::UNPROCESSABLE_ENTITY, "Chip signer unknown", "No configured country signing authority vouches for the chip's document signer."),
        Reason::IdempotencyKeyMalformed => (S::BAD_REQUEST, "Idempotency key malformed", "Expected one Idempotency-Key header of 1 to 128 printable ASCII characters."),
        Reason::IdempotencyInFlight => (S::CONFLICT, "Check under way", "A check with this idempotency key is under way."),
        Reason::IdempotencyMismatch => (S::CONFLICT, "Idempotency key used", "This idempotency key was used for another request."),
        Reason::AgreementNotInForce => (S::FORBIDDEN, "Agreement not in force", "Today lies outside the agreement's effective dates."),
        Reason::AgreementMode => (S::FORBIDDEN, "Mode not agreed", "The agreement does not cover this way of identification."),
        Reason::AgreementDocumentType => (S::FORBIDDEN, "Document type not agreed", "The agreement does not cover this document type for this purpose."),
        Reason::AgreementPurpose => (S::FORBIDDEN, "Purpose not agreed", "The agreement does not name this purpose."),
        Reason::AgreementCallerPurpose => (S::FORBIDDEN, "Purpose not open to caller", "The agreement does not open this purpose to this caller."),
        Reason::AgreementField => (S::FORBIDDEN, "Field not agreed", "The agreement does not let this purpose ask for this field."),
        Reason::AgreementNetwork => (S::FORBIDDEN, "Network not agreed", "The agreement does not let this caller ask from this address."),
        Reason::AgreementHours => (S::FORBIDDEN, "Hour not agreed", "The agreement does not let this caller ask at this time of day."),
        Reason::AgreementRate => (S::TOO_MANY_REQUESTS, "Too many checks a second", "The agreement's checks a second are used up for now. Nothing was sent."),
        Reason::AgreementQuota => (S::TOO_MANY_REQUESTS, "Too many checks today", "The agreement's checks of this day are used up. Nothing was sent."),
        Reason::SignerUnavailable => (S::SERVICE_UNAVAILABLE, "Signer unavailable", "The token cannot sign at the moment."),
        Reason::SignerBusy => (S::SERVICE_UNAVAILABLE, "Signer busy", "More signatures are waiting than the token can make in time."),
        Reason::SignatureDefective => (S::SERVICE_UNAVAILABLE, "Signature defective", "The token's signature does not verify against the configured certificate. Nothing was sent."),
        Reason::SigningCertificateInvalid => (S::SERVICE_UNAVAILABLE, "Signing certificate invalid", "The configured signing certificate is outside its validity. Nothing was sent."),
        Reason::EncryptionCertificateInvalid => (S::SERVICE_UNAVAILABLE, "Encryption certificate invalid", "The entity has no encryption certificate inside its validity. Nothing was sent."),
        Reason::UnsealUnavailable => (S::BAD_GATEWAY, "Reading not opened", "The platform's answer is proven, but the token did not open the reading."),
        Reason::EvidenceUnavailable => (S::SERVICE_UNAVAILABLE, "Evidence unavailable", "The ledger cannot take a record, so nothing is decided or sent."),
        Reason::StateUnavailable => (S::SERVICE_UNAVAILABLE, "State unavailable", "The state store cannot be written, so nothing is sent."),
        Reason::Overloaded => (S::SERVICE_UNAVAILABLE, "Overloaded", "Too many checks are under way."),
        Reason::ShuttingDown => (S::SERVICE_UNAVAILABLE, "Shutting down", "The appliance is stopping. Nothing was sent."),
        Reason::OutcomeUnknown => (S::GATEWAY_TIMEOUT, "Outcome unknown", "The request was sent, and no proven answer came. It will not be sent again; reconcile with the platform."),
        Reason::PlatformUnreachable => (S::SERVICE_UNAVAILABLE, "Platform unreachable", "The platform was not reached. Nothing was sent."),
        Reason::PlatformIdentity => (S::BAD_GATEWAY, "Platform not identified", "Whoever is at the platform's address did not prove to be the platform. Nothing was sent."),
        Reason::PlatformStatus => (S::BAD_GATEWAY, "Platform answer refused: status", "The platform answered with another HTTP status than 200."),
        Reason::PlatformAnswerTooLarge => (S::BAD_GATEWAY, "Platform answer refused: size", "The answer exceeds the profile's limit."),
        Reason::PlatformDeadline => (S::BAD_GATEWAY, "Platform answer refused: deadline", "The answer was not complete within its deadline."),
        Reason::PlatformEnvelope => (S::BAD_GATEWAY, "Platform answer refused: envelope", "The answer is not a signed envelope of the profile's form."),
        Reason::PlatformSignerUnknown => (S::BAD_GATEWAY, "Platform answer refused: signer", "The answer's signer is not one that the trust store allows."),
        Reason::PlatformChain => (S::BAD_GATEWAY, "Platform answer refused: chain", "The signer's certificate does not chain to a trusted root."),
        Reason::PlatformCertificateValidity => (S::BAD_GATEWAY, "Platform answer refused: validity", "A certificate of the signer's chain is outside its validity."),
        Reason::PlatformCertificateUsage => (S::BAD_GATEWAY, "Platform answer refused: key usage", "The signer's certificate may not sign."),
        Reason::PlatformSignerRevoked => (S::BAD_GATEWAY, "Platform answer refused: revoked", "A certificate of the signer's chain is revoked."),
        Reason::PlatformRevocationStale => (S::BAD_GATEWAY, "Platform answer refused: revocation data", "Revocation data is missing or older than its grace."),
        Reason::PlatformSignature => (S::BAD_GATEWAY, "Platform answer refused: signature", "The answer's signature is not valid."),
        Reason::PlatformChainDisputed => (S::BAD_GATEWAY, "Chain disputed", "Two independent verifications of the signer's chain disagree, so nothing is believed."),
        Reason::PlatformSignatureDisputed => (S::BAD_GATEWAY, "Signature disputed", "Two independent verifications of the platform's signatures disagree, so nothing is believed."),
        Reason::PlatformNonce => (S::BAD_GATEWAY, "Platform answer refused: nonce", "The answer belongs to another request."),
        Reason::PlatformDigest => (S::BAD_GATEWAY, "Platform answer refused: request digest", "The answer belongs to other request octets."),
        Reason::PlatformTime => (S::BAD_GATEWAY, "Platform answer refused: time", "The answer's time lies outside the window."),
        Reason::PlatformReplay => (S::BAD_GATEWAY, "Platform answer refused: replay", "This answer was accepted before."),
        Reason::PlatformSchema => (S::BAD_GATEWAY, "Platform answer refused: schema", "The signed answer does not have the profile's members."),
        Reason::PlatformCodeUnknown => (S::BAD_GATEWAY, "Platform answer refused: result code", "The profile does not know the answer's result code."),
        Reason::PlatformFieldUnasked => (S::BAD_GATEWAY, "Platform answer refused: field", "The signed answer tells of a field that was not asked about."),
        Reason::PlatformReading => (S::BAD_GATEWAY, "Platform answer refused: reading", "The sealed reading is missing, is not the one that the answer signs, is not for this entity, or cannot be read."),
        Reason::PlatformRefused => (S::BAD_GATEWAY, "Platform refused", "The platform states, with a valid signature, that it did not perform the check."),
        Reason::PlatformUnproven => (S::BAD_GATEWAY, "Platform answer not proven", "An answer came, and what it is to be proven with here cannot be used. It will not be asked for again; reconcile with the platform."),
        Reason::PlatformTrustUnusable => (S::SERVICE_UNAVAILABLE, "Trust store unusable", "The trust store cannot be used, so no answer could be proven."),
        Reason::PlatformStopped => (S::SERVICE_UNAVAILABLE, "Platform route stopped", "The route to the platform is stopped until an operator opens it again. Nothing was sent."),
        Reason::ClockUntrusted => (S::SERVICE_UNAVAILABLE, "Clock not trusted", "This machine's clock is not known to be right, so no answer could be judged by it. Nothing was sent."),
        Reason::PlatformEncoding => (S::SERVICE_UNAVAILABLE, "Request not encodable", "The request could not be built from the platform profile. Nothing was sent."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden documents: one file per reason and per rejection, compared byte for byte. `UPDATE_GOLDEN=1` writes them.
    #[test]
    fn every_problem_has_its_golden_document() {
        use crate::metrics::RejectCause;
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/problems");
        let rejections = [
            RejectCause::CallerUnknown,
            RejectCause::MethodNotAllowed,
            RejectCause::NotFound,
            RejectCause::HttpMalformed,
            RejectCause::HeadTooLarge,
        ]
        .map(|cause| crate::reply::Rejected(cause).problem());
        let refusals = Reason::ALL.iter().map(|reason| Problem::of_reason(*reason, None, None));
        for problem in refusals.chain(rejections) {
            let json = problem.to_json() + "\n";
            let file = directory.join(format!("{}.json", problem.code));
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(&file, &json).expect("golden directory is writable");
            }
            let golden = std::fs::read_to_string(&file)
                .unwrap_or_else(|_| panic!("{} is missing: run with UPDATE_GOLDEN=1 and read it", file.display()));
            assert_eq!(json, golden, "{}", problem.code);
        }
    }

    #[test]
    fn the_documented_table_of_reasons_is_this_one() {
        let documented = include_str!("../../../../docs/reasons.md");
        for reason in Reason::ALL {
            let problem = Problem::of_reason(*reason, None, None);
            let detail = problem.detail.unwrap_or_default();
            let row = format!("| `{}` | {} | {detail} |", problem.code, problem.status.as_u16());
            assert!(documented.contains(&row), "docs/reasons.md lacks: {row}");
        }
    }

    #[test]
    fn a_problem_names_the_field_and_the_verification() {
        let id = VerificationId::new(yanqian_vocabulary::Timestamp::from_unix_millis(1), [0; 10]);
        let json = Problem::of_reason(Reason::NameMalformed, Some("document.name"), Some(id)).to_json();
        assert!(json.contains(r#""field":"document.name""#) && json.contains("urn:uuid:00000000-0001-7"), "{json}");
    }
}
