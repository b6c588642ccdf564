//! Whatever comes, a form reads it without a panic.

use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn no_body_makes_a_form_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        for form in Form::ALL {
            for path in ["/auth/real-name", "/auth/apply"] {
                let _ = form.read_request(path, &HeaderMap::new(), &body);
            }
            for service in [Service::RealName, Service::RealPerson, Service::ChipReading] {
                let _ = form.read_inquiry(service, &body);
            }
        }
    }

    #[test]
    fn no_member_value_makes_a_form_panic(value in "\\PC{0,40}", at in 0usize..8) {
        let names = ["version", "custNum", "appName", "timeStamp", "nonce", "authMode", "purposeCode", "idAuthData"];
        let good = ["1.0", "C", "A", "20261123120000000", "00112233445566778899aabbccddeeff", "R01", "P01", "MAA="];
        let members: Vec<_> = names.iter().zip(good).enumerate()
            .map(|(i, (name, good))| (*name, quoted(if i == at { &value } else { good }))).collect();
        let package = object(&members);
        let body = Form::Reference.body(&package, "MAA=");
        let _ = Form::Reference.read_request("/auth/real-name", &HeaderMap::new(), body.as_bytes());
    }
}
