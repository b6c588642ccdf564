//! Requests about the simulator's invented people.

#![allow(clippy::missing_panics_doc)] // the register is the same in every run, and the unit test below reads it

use base64::Engine as _;
use serde_json::{Value, json};
use yanqian_platform_sim::DEFAULT_SEED;
pub use yanqian_platform_sim::chip::zone;
pub use yanqian_platform_sim::numbers::{DocumentKind, NumberForm};
pub use yanqian_platform_sim::portrait::{of_size as portrait_of_size, portrait, reencoded as portrait_reencoded};
pub use yanqian_platform_sim::registry::Holder;
use yanqian_platform_sim::registry::{find, first_with, seeded};

/// Everyone the platform knows.
pub fn register() -> Vec<Holder> {
    seeded(DEFAULT_SEED)
}

/// Somebody with a number of this form, about whom the platform can tell everything.
pub fn holder(form: NumberForm) -> Holder {
    let register = register();
    first_with(&register, form).cloned().expect("the register has holders of every form")
}

/// Somebody with a number of this form whose name the platform cannot compare.
pub fn undecided_holder(form: NumberForm) -> Holder {
    let mut with_form = register().into_iter().filter(|holder| holder.form == form && holder.name_undecided);
    with_form.next().expect("the last holder of every form is undecided")
}

/// The API's word for a type of document.
pub fn document_type(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Passport => "prc-passport",
        DocumentKind::HongKongMacaoPermit => "hong-kong-macao-permit",
        DocumentKind::TaiwanPermit => "taiwan-permit",
        DocumentKind::ForeignResidentCard => "foreign-permanent-resident-card",
    }
}

/// The document as its holder would show it, with all fields that the API takes.
pub fn document(holder: &Holder) -> Value {
    json!({
        "type": document_type(holder.kind),
        "number": holder.number,
        "name": holder.name,
        "birth_date": holder.birth_date.to_string(),
        "nationality": holder.nationality,
        "expiry": holder.expiry_date.to_string(),
    })
}

/// A request body.
pub fn request(purpose: &str, reference: &str, document: &Value) -> Value {
    json!({ "purpose": purpose, "reference": reference, "document": document })
}

/// A request about a holder for the purpose that every caller of the sample agreement has.
pub fn about(holder: &Holder, reference: &str) -> Value {
    request("account-opening", reference, &document(holder))
}

/// The same request with a picture: a real-person check.
pub fn with_portrait(request: &Value, jpeg: &[u8]) -> Value {
    let mut request = request.clone();
    request["portrait"] = base64::engine::general_purpose::STANDARD.encode(jpeg).into();
    request
}

/// A request to read the chip of a holder's document; `chip` holds its files in base64.
pub fn chip_request(holder: &Holder, reference: &str, chip: &Value) -> Value {
    json!({
        "purpose": "account-opening",
        "reference": reference,
        "document": { "type": document_type(holder.kind) },
        "chip": chip,
    })
}

/// A well-formed passport number that nobody has.
pub fn free_passport_number() -> String {
    let register = register();
    (10_000_000..20_000_000)
        .map(|number: u32| format!("E{number}"))
        .find(|number| find(&register, DocumentKind::Passport, number).is_none())
        .expect("the register is small")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_request_spells_dates_as_the_interface_wants_them() {
        let holder = holder(NumberForm::PassportDigits);
        let request = about(&holder, "r-1");
        let date = request["document"]["birth_date"].as_str().unwrap();
        assert!(date.len() == 10 && date.as_bytes()[4] == b'-' && date.as_bytes()[7] == b'-', "{date}");
        assert_eq!(request["document"]["type"], "prc-passport");
        assert_eq!(free_passport_number().len(), 9);
    }
}
