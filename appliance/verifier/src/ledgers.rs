//! `ledgers.toml`: whose checkpoints an auditor believes, and which witnesses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use yanqian_evidence::{CheckpointKey, Origin};
use yanqian_sm::PublicKey;

/// Keys of ledgers and witnesses.
#[derive(Debug, Clone, Default)]
pub struct Ledgers {
    /// Each ledger's origin with a key of it.
    pub ledgers: Vec<(Origin, CheckpointKey)>,
    pub witnesses: Vec<CheckpointKey>,
    /// How many of the witnesses must have cosigned.
    pub minimum_witnesses: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLedgers {
    format_version: u32,
    #[serde(default)]
    minimum_witnesses: usize,
    #[serde(default)]
    ledgers: Vec<RawLedger>,
    #[serde(default)]
    witnesses: Vec<RawWitness>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLedger {
    origin: String,
    name: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWitness {
    name: String,
    key: String,
}

fn key(name: &str, key: &str, table: &str) -> Result<CheckpointKey, String> {
    let public = STANDARD.decode(key).ok().and_then(|der| PublicKey::from_spki_der(&der).ok());
    let public =
        public.ok_or_else(|| format!("`{table}.key` of `{name}`: not the base64 of an SM2 SubjectPublicKeyInfo"))?;
    Ok(CheckpointKey { name: origin(name, table, "name")?, public })
}

fn origin(text: &str, table: &str, member: &str) -> Result<Origin, String> {
    Origin::new(text).map_err(|error| format!("`{table}.{member}`: {error}"))
}

impl Ledgers {
    /// Reads the file's text; the error names the key.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let raw: RawLedgers = toml::from_str(text).map_err(|error| error.to_string())?;
        if raw.format_version != 1 {
            return Err("`format_version`: this version reads 1".to_owned());
        }
        let ledgers = raw.ledgers.iter().map(|ledger| {
            Ok((origin(&ledger.origin, "ledgers", "origin")?, key(&ledger.name, &ledger.key, "ledgers")?))
        });
        let ledgers: Vec<_> = ledgers.collect::<Result<_, String>>()?;
        let witnesses = raw.witnesses.iter().map(|witness| key(&witness.name, &witness.key, "witnesses"));
        let witnesses: Vec<_> = witnesses.collect::<Result<_, String>>()?;
        // Counted twice, one witness would pass for two.
        let twice = |key: &CheckpointKey| witnesses.iter().filter(|other| other.public == key.public).count() > 1;
        if let Some(witness) = witnesses.iter().find(|witness| twice(witness)) {
            return Err(format!("`witnesses.key` of `{}` is listed twice", witness.name));
        }
        if raw.minimum_witnesses > witnesses.len() {
            return Err(format!("`minimum_witnesses`: only {} are listed", witnesses.len()));
        }
        Ok(Self { ledgers, witnesses, minimum_witnesses: raw.minimum_witnesses })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KEY: &[u8] = include_bytes!("../../evidence/fixtures/tree-1/ledger-key.der");

    fn file(rest: &str) -> Result<Ledgers, String> {
        let key = STANDARD.encode(KEY);
        Ledgers::from_toml(&format!("format_version = 1\n{}", rest.replace("KEY", &key)))
    }

    #[test]
    fn what_is_wrong_is_named() {
        let ledger = "[[ledgers]]\norigin = \"a/b\"\nname = \"a/b\"\nkey = \"KEY\"\n";
        let witness = "[[witnesses]]\nname = \"w\"\nkey = \"KEY\"\n";
        let read = file(&format!("minimum_witnesses = 1\n{ledger}{witness}")).unwrap();
        assert_eq!((read.ledgers.len(), read.witnesses.len(), read.minimum_witnesses), (1, 1, 1));
        for (rest, problem) in [
            (format!("minimum_witnesses = 2\n{ledger}{witness}"), "`minimum_witnesses`: only 1"),
            (format!("{witness}{}", witness.replace("\"w\"", "\"v\"")), "`witnesses.key` of `w` is listed twice"),
            (ledger.replace("a/b", "a b"), "`ledgers.origin`"),
            (ledger.replace("KEY", "MAA="), "`ledgers.key` of `a/b`"),
            (witness.replace("name", "nmae"), "nmae"),
        ] {
            let error = file(&rest).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
        assert!(Ledgers::from_toml("format_version = 2").unwrap_err().contains("`format_version`"));
        assert!(Ledgers::from_toml("").unwrap_err().contains("format_version"));
    }
}
