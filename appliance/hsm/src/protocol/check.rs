use super::{MAX_CIPHER, MAX_IMPORT, MAX_LABEL, MAX_RANDOM, MAX_TBS, NONCE_RANGE, Operation, Refusal, codes};

impl Operation {
    /// Checks everything that needs no token: what is out of range is refused by the field's name.
    pub fn check(&self) -> Result<(), Refusal> {
        let bad = |message: String| Err(Refusal::new(codes::BAD_REQUEST, message));
        let fits = |octets: &[u8], longest: usize| (1..=longest).contains(&octets.len());
        let label = match self {
            Operation::Unseal { label, cipher } => {
                if !fits(cipher, MAX_CIPHER) {
                    return bad(format!("cipher: 1 to {MAX_CIPHER} octets"));
                }
                label
            }
            Operation::ImportEncryptionKey { label, wrapping_label, enveloped_key, certificate } => {
                if wrapping_label.is_empty() || wrapping_label.len() > MAX_LABEL || wrapping_label == label {
                    return bad(format!("wrapping_label: another than label, 1 to {MAX_LABEL} octets"));
                }
                for (name, octets) in [("enveloped_key", enveloped_key), ("certificate", certificate)] {
                    if !fits(octets, MAX_IMPORT) {
                        return bad(format!("{name}: 1 to {MAX_IMPORT} octets"));
                    }
                }
                label
            }
            Operation::Sign { label, tbs, .. } | Operation::SignDigest { label, tbs, .. } => {
                if tbs.as_ref().is_some_and(|tbs| tbs.len() > MAX_TBS) {
                    return bad(format!("tbs: at most {MAX_TBS} octets"));
                }
                label
            }
            Operation::SelfProof { label, nonce } => {
                if !NONCE_RANGE.contains(&nonce.len()) {
                    return bad(format!("nonce: {} to {} octets", NONCE_RANGE.start(), NONCE_RANGE.end()));
                }
                label
            }
            Operation::Random { count } => {
                return if (1..=MAX_RANDOM).contains(count) {
                    Ok(())
                } else {
                    bad(format!("count: 1 to {MAX_RANDOM}"))
                };
            }
            Operation::PublicKey { label }
            | Operation::GenerateKey { label, .. }
            | Operation::Csr { label, .. }
            | Operation::ImportCertificate { label, .. }
            | Operation::DestroyKey { label, .. } => label,
            Operation::ListKeys | Operation::Status | Operation::Journal { .. } => return Ok(()),
        };
        if label.is_empty() || label.len() > MAX_LABEL || label.chars().any(char::is_control) {
            return bad(format!("label: 1 to {MAX_LABEL} octets without control characters"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::KeyAlgorithm;

    #[test]
    fn fields_out_of_range_are_refused_by_name() {
        let label = || "k".to_owned();
        let import = |wrapping_label: &str, enveloped_key, certificate| Operation::ImportEncryptionKey {
            label: label(),
            wrapping_label: wrapping_label.to_owned(),
            enveloped_key,
            certificate,
        };
        for (operation, field) in [
            (Operation::PublicKey { label: String::new() }, "label"),
            (Operation::PublicKey { label: "x".repeat(MAX_LABEL + 1) }, "label"),
            (Operation::GenerateKey { label: "a\nb".into(), algorithm: KeyAlgorithm::Sm2 }, "label"),
            (Operation::Sign { label: label(), e: [0; 32], tbs: Some(vec![0; MAX_TBS + 1]) }, "tbs"),
            (Operation::SelfProof { label: label(), nonce: vec![0; 15] }, "nonce"),
            (Operation::SelfProof { label: label(), nonce: vec![0; 65] }, "nonce"),
            (Operation::Unseal { label: String::new(), cipher: vec![1] }, "label"),
            (Operation::Unseal { label: label(), cipher: Vec::new() }, "cipher"),
            (Operation::Unseal { label: label(), cipher: vec![0; MAX_CIPHER + 1] }, "cipher"),
            (import("k", vec![1], vec![1]), "wrapping_label"),
            (import("", vec![1], vec![1]), "wrapping_label"),
            (import("w", Vec::new(), vec![1]), "enveloped_key"),
            (import("w", vec![0; MAX_IMPORT + 1], vec![1]), "enveloped_key"),
            (import("w", vec![1], vec![0; MAX_IMPORT + 1]), "certificate"),
            (Operation::Random { count: 0 }, "count"),
            (Operation::Random { count: MAX_RANDOM + 1 }, "count"),
        ] {
            let refusal = operation.check().expect_err("must be refused");
            assert_eq!(refusal.code, codes::BAD_REQUEST);
            assert!(refusal.message.starts_with(field), "{}", refusal.message);
        }
        let sign = Operation::Sign { label: label(), e: [0; 32], tbs: Some(vec![0; MAX_TBS]) };
        assert_eq!(sign.check(), Ok(()));
    }
}
