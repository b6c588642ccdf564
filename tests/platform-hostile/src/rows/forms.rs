//! Which rows each form of messages can have, and where it stops them if not where the reference form does.

use yanqian_harness::Form;
use yanqian_platform::StepName as Step;
use yanqian_vocabulary::Reason as R;

use super::{Check, Row};

/// About what is said; every form says it.
const SAID: &[&str] = &[
    "nonce",
    "digest",
    "time",
    "serial",
    "version",
    "member",
    "code",
    "refusal",
    "fields",
    "contradiction",
    "binding",
];
/// About the signature; every form has one.
const SIGNED: &[&str] = &["signature", "encoding", "signed-octets", "altered"];
/// About the message around it.
const MESSAGES: &[&str] = &["message", "signer", "certificate"];

/// Whether a row can befall the answer to an application, which says less than a check's.
pub(crate) fn befalls_applications(row: Row) -> bool {
    !["fields", "contradiction", "honest"].iter().any(|family| row.name.starts_with(family))
}

/// The row as it ends in a form; none where the form cannot have it. Ways of travelling are tried in the reference form alone:
/// they know nothing of forms. So are the simulator's plain misbehaviours, which the platform room's own tests try in all.
pub(crate) fn expected_of(form: Form, row: Row) -> Option<Row> {
    let (family, _) = row.name.split_once('/').unwrap_or(("", row.name));
    let among = |families: &[&[&str]]| families.concat().contains(&family);
    let has = family == "honest"
        || match form {
            Form::Reference => !among(&[&["field"]]) && row.name != "attributes/unsigned-ones-where-the-form-has-none",
            Form::Second => {
                let own = row.name == "attributes/unsigned-ones-where-the-form-has-none";
                own || among(&[SAID, SIGNED, MESSAGES, &["json", "signed", "outer", "sign", "reading"]])
            }
            Form::TwoStep => among(&[SAID, SIGNED]),
            Form::Attached => among(&[SAID, SIGNED, MESSAGES, &["json", "signed", "attributes"]]),
            Form::SortedPairs | Form::CanonicalJson => {
                among(&[SAID, SIGNED]) || row.name.starts_with("json/name-twice")
            }
            Form::SignedBody => among(&[SAID, SIGNED, &["json", "signed", "field"]]),
        };
    let lacks = LACKING.iter().any(|(forms, names)| forms.contains(&form) && names.contains(&row.name));
    if !has || lacks {
        return None;
    }
    let otherwise = OTHERWISE.iter().find(|(forms, _, _, names)| forms.contains(&form) && names.contains(&row.name));
    Some(otherwise.map_or(row, |(_, step, reason, _)| Row { stopped: Some((Check::Step(*step), *reason)), ..row }))
}

const RAW: &[Form] = &[Form::SortedPairs, Form::SignedBody];
const BARE: &[Form] = &[Form::SortedPairs, Form::CanonicalJson, Form::SignedBody];
const INSIDE: &[Form] = &[Form::SortedPairs, Form::CanonicalJson];

/// What would be nothing, or something else, in these forms.
#[rustfmt::skip]
const LACKING: &[(&[Form], &[&str])] = &[
    // Nothing but the content is signed.
    (&[Form::Second, Form::SortedPairs, Form::CanonicalJson, Form::SignedBody], &["signed-octets/content-where-attributes-stand", "signed-octets/attributes-without-their-head", "signed-octets/attributes-under-tag-a0"]),
    (&[Form::Attached], &["attributes/unsigned-ones-where-the-form-has-none"]),
    (&[Form::Second], &["attributes/taken-away"]),
    // Its answers have no message to people.
    (&[Form::Second], &["honest/no-message"]),
    (BARE, &[
        "honest/whole-chain-along", "honest/certificates-of-others-along", "honest/certificate-renewed-for-the-same-key",
        "honest/version-four", "honest/pkcs-7-content-types", "honest/algorithms-without-parameters",
        "honest/algorithm-sm2-with-sm3", "honest/unsigned-attributes", "honest/revocation-lists-along",
    ]),
    (&[Form::Second, Form::SortedPairs, Form::CanonicalJson, Form::SignedBody], &["honest/attributes-signed-out-of-order", "honest/attributes-of-unknown-kinds", "honest/no-signing-time"]),
    (&[Form::Attached, Form::SortedPairs, Form::CanonicalJson, Form::SignedBody], &["honest/sign-first", "honest/white-space-around", "honest/names-of-the-envelope-escaped", "honest/slashes-escaped"]),
    // A number of seconds or milliseconds has no day and no hour to be wrong, and in these no milliseconds are left out.
    (&[Form::TwoStep, Form::CanonicalJson], &["time/impossible-date", "time/month-zero", "time/hour-24"]),
    (&[Form::TwoStep, Form::Attached, Form::SortedPairs, Form::SignedBody], &["time/without-milliseconds-of-a-day-ago"]),
    // A bare number has no characters around it, and only it can be written as a text or the other way and be one still.
    (&[Form::CanonicalJson], &[
        "time/without-milliseconds-of-a-day-ago", "time/space-after", "time/full-width", "time/three-digits-more", "time/sign-before",
    ]),
    (&[Form::Reference, Form::Second, Form::Attached, Form::SortedPairs, Form::SignedBody], &[
        "time/as-text-where-a-number-belongs-or-the-other-way",
    ]),
    // r ‖ s has no DER that could be wrong.
    (RAW, &["encoding/raw-where-der-belongs", "encoding/negative"]),
    // The signed octets are made from the members, and a space between them is none of them.
    (INSIDE, &["altered/a-space-more", "altered/nothing-left"]),
];

/// Where a form stops a row at another place than the reference form does.
#[rustfmt::skip]
const OTHERWISE: &[(&[Form], Step, R, &[&str])] = &[
    (&[Form::Attached, Form::SignedBody], Step::Schema, R::PlatformSchema, &[
        "json/byte-order-mark", "json/invalid-utf-8", "json/overlong-utf-8", "json/surrogate-in-utf-8", "json/gbk",
        "json/trailing-comma", "json/comment", "json/not-a-number", "json/single-quotes", "json/control-character", "json/unclosed",
        "json/two-objects",
    ]),
    (&[Form::Attached], Step::Signature, R::PlatformSignature, &["message/content-of-something-else"]),
    (&[Form::Second], Step::Envelope, R::PlatformEnvelope, &["attributes/unsigned-ones-where-the-form-has-none"]),
    // The signed octets are made from the members, so they must be readable first.
    (INSIDE, Step::Envelope, R::PlatformEnvelope, &["json/name-twice", "json/name-twice-another-value", "json/name-twice-escaped"]),
    (&[Form::CanonicalJson], Step::Envelope, R::PlatformEnvelope, &["fields/one-twice", "fields/one-twice-otherwise"]),
];
