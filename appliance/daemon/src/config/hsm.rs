//! `[hsm]` of the configuration file: the tokens, and which of their keys are ours.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use yanqian_vocabulary::KeyLine;

use super::pairs::{RawEncryption, RawPairs, RawSigning, Reader};
use super::{ConfigError, Hsm, Token};
use crate::grade::LeastGrade;

/// The name of the one token of a configuration that names none; also its label in metrics.
const ONLY_TOKEN: &str = "hsm";
/// Of a token's name, which is a label of metrics.
const MAX_NAME: usize = 32;

/// The worker that holds the token, and which of its keys are ours. With `[[hsm.tokens]]`, several of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHsm {
    /// The worker's Unix socket. Either this, or `[[hsm.tokens]]`.
    socket: Option<PathBuf>,
    /// Refuse a worker whose socket was made by another user than this one.
    worker_uid: Option<u32>,
    /// The least that must protect the tokens' keys; a worker of a lower grade is not used. Without it any is.
    grade: Option<LeastGrade>,
    /// Label (`CKA_LABEL`) of the signing key pair in the token; 1 to 64 octets. Read again on reload, like all keys and certificates
    /// here.
    signing_key: Option<String>,
    /// Its certificate, PEM or DER.
    signing_certificate: Option<PathBuf>,
    /// Label of the encryption key pair; needed for chip readings. Together with `encryption_certificate`, or not at all.
    encryption_key: Option<String>,
    /// Its certificate, PEM or DER: the platform seals readings to it.
    encryption_certificate: Option<PathBuf>,
    #[serde(default)]
    signing: Vec<RawSigning>,
    #[serde(default)]
    encryption: Vec<RawEncryption>,
    #[serde(default)]
    tokens: Vec<RawToken>,
}

/// Several tokens with the same keys, each with a worker of its own (`yanqian-hsm@NAME`). Calls are balanced, and one that fails is left
/// out until it serves again. A key counts by its public half, whatever its label.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawToken {
    /// As operators know it, and the label `token` of metrics; 1 to 32 characters of `a-z 0-9 - _ .`, the first a letter or
    /// digit.
    #[schemars(with = "String")]
    name: Spanned<String>,
    /// The Unix socket of its worker.
    #[schemars(with = "PathBuf")]
    socket: Spanned<PathBuf>,
    /// Refuse a worker whose socket was made by another user than this one.
    worker_uid: Option<u32>,
    /// Labels of keys that are called otherwise in this token: `{ "yanqian-sign" = "sign-b" }`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    labels: BTreeMap<String, Spanned<String>>,
}

/// A value that is wrong, and where it stands.
struct Wrong(&'static str, KeyLine, String);

/// The file that is read, for messages.
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) file: &'a Path,
}

impl Source<'_> {
    fn key(&self, key: &'static str, problem: &str) -> Wrong {
        Wrong(key, KeyLine::find(self.text, key), problem.to_owned())
    }

    fn value<T>(&self, key: &'static str, value: &Spanned<T>, problem: impl Into<String>) -> Wrong {
        Wrong(key, KeyLine::at(self.text, value.span().start), problem.into())
    }

    fn at(&self, path: PathBuf) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && !text.chars().any(char::is_control)
}

const LABEL: &str = "1 to 64 octets without control characters";

impl RawHsm {
    /// `ledger` is the label of the ledger key, which tokens may call otherwise too.
    pub(super) fn read(self, source: &Source<'_>, ledger: Option<&str>) -> Result<Hsm, ConfigError> {
        let pairs = Reader { text: source.text, file: source.file }.read(RawPairs {
            signing_key: self.signing_key,
            signing_certificate: self.signing_certificate,
            encryption_key: self.encryption_key,
            encryption_certificate: self.encryption_certificate,
            signing: self.signing,
            encryption: self.encryption,
        })?;
        let pair_labels = pairs.signing.iter().chain(&pairs.encryption).map(|pair| pair.label.as_str());
        let labels = pair_labels.chain(ledger).collect();
        let tokens = tokens(self.socket, self.worker_uid, self.tokens, source, &labels);
        let tokens = tokens.map_err(|Wrong(key, line, problem)| ConfigError::Value {
            file: source.file.to_owned(),
            line,
            key,
            problem,
        })?;
        Ok(Hsm { tokens, grade: self.grade.map(Into::into), pairs })
    }
}

/// `labels` are those of the pairs and of the ledger key.
fn tokens(
    socket: Option<PathBuf>,
    worker_uid: Option<u32>,
    tokens: Vec<RawToken>,
    source: &Source<'_>,
    labels: &BTreeSet<&str>,
) -> Result<Vec<Token>, Wrong> {
    match (socket, tokens.is_empty()) {
        (Some(socket), true) => {
            let name = ONLY_TOKEN.to_owned();
            Ok(vec![Token { name, socket: source.at(socket), worker_uid, labels: BTreeMap::new() }])
        }
        (None, false) if worker_uid.is_some() => {
            Err(source.key("hsm.worker_uid", "stands in each `[[hsm.tokens]]` where there are several"))
        }
        (None, false) => {
            let tokens = tokens.into_iter().map(|token| token.validated(source, labels));
            let tokens = tokens.collect::<Result<Vec<_>, _>>()?;
            must_differ(&tokens, source)?;
            Ok(tokens.into_iter().map(|(token, ..)| token).collect())
        }
        (Some(_), false) => Err(source.key("hsm.socket", "stands in each `[[hsm.tokens]]`, or alone without them")),
        (None, true) => Err(source.key("hsm", "needs `socket`, or `[[hsm.tokens]]` with one each")),
    }
}

/// A token, and where its name and socket stand.
type Placed = (Token, Spanned<String>, Spanned<PathBuf>);

impl RawToken {
    fn validated(self, source: &Source<'_>, pairs: &BTreeSet<&str>) -> Result<Placed, Wrong> {
        const LABELS: &str = "hsm.tokens.labels";
        let (name, socket) = (self.name, self.socket);
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        let begins = name.get_ref().starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if !begins || name.get_ref().len() > MAX_NAME || !name.get_ref().chars().all(known) {
            let problem = "1 to 32 characters of `a-z 0-9 - _ .`, the first a letter or digit";
            return Err(source.value("hsm.tokens.name", &name, problem));
        }
        for (label, own) in &self.labels {
            if !pairs.contains(label.as_str()) {
                return Err(source.value(LABELS, own, format!("`{label}` is the label of no pair above")));
            }
            if !is_label(own.get_ref()) {
                return Err(source.value(LABELS, own, LABEL));
            }
        }
        let labels: BTreeMap<_, _> =
            self.labels.iter().map(|(label, own)| (label.clone(), own.get_ref().clone())).collect();
        // Two pairs under one label would be one key.
        let mut used = BTreeSet::new();
        for pair in pairs {
            let own = labels.get(*pair).map_or(*pair, String::as_str);
            if !used.insert(own) {
                let at = self.labels.values().find(|value| value.get_ref() == own);
                let problem = format!("`{own}` stands for two pairs, which are separate");
                return Err(
                    at.map_or_else(|| source.key(LABELS, &problem), |at| source.value(LABELS, at, problem.clone()))
                );
            }
        }
        let token = Token {
            name: name.get_ref().clone(),
            socket: source.at(socket.get_ref().clone()),
            worker_uid: self.worker_uid,
            labels,
        };
        Ok((token, name, socket))
    }
}

/// A worker that stands there twice would be no second one.
fn must_differ(tokens: &[Placed], source: &Source<'_>) -> Result<(), Wrong> {
    let (mut names, mut sockets) = (BTreeSet::new(), BTreeSet::new());
    for (token, name, socket) in tokens {
        if !names.insert(&token.name) {
            return Err(source.value("hsm.tokens.name", name, format!("`{}` stands there twice", token.name)));
        }
        if !sockets.insert(&token.socket) {
            let problem = format!("{} stands there twice: each token has a worker of its own", token.socket.display());
            return Err(source.value("hsm.tokens.socket", socket, problem));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const SAMPLE: &str = include_str!("../../../../samples/yanqian.toml");

    fn with_hsm(hsm: &str) -> String {
        let (before, rest) = SAMPLE.split_once("[hsm]").expect("the sample has the table");
        let (_, after) = rest.split_once("\n[verification]").expect("and the next");
        format!("{before}{hsm}\n[verification]{after}")
    }

    const TWO: &str = "[hsm]\nsigning_key = \"sign\"\nsigning_certificate = \"s.pem\"\nencryption_key = \"open\"\n\
                       encryption_certificate = \"e.pem\"\n[[hsm.tokens]]\nname = \"a\"\nsocket = \"/run/a.sock\"\n\
                       [[hsm.tokens]]\nname = \"b\"\nsocket = \"b.sock\"\nworker_uid = 7\n\
                       labels = { sign = \"sign-b\", open = \"open-b\" }\n";

    fn read(hsm: &str) -> Result<Hsm, String> {
        parse(&with_hsm(hsm), Path::new("/etc/yanqian/yanqian.toml"))
            .map(|config| config.hsm)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn one_token_needs_no_name_and_several_may_differ_in_labels() {
        let one = parse(SAMPLE, Path::new("/etc/yanqian/yanqian.toml")).expect("the sample is valid").hsm;
        let [only] = one.tokens.as_slice() else { panic!("one token") };
        assert_eq!((only.name.as_str(), only.labels.len()), ("hsm", 0));
        let two = read(TWO).expect("two tokens");
        let [a, b] = two.tokens.as_slice() else { panic!("two tokens") };
        assert_eq!((a.name.as_str(), a.socket.to_str(), a.worker_uid), ("a", Some("/run/a.sock"), None));
        assert_eq!((b.name.as_str(), b.socket.to_str(), b.worker_uid), ("b", Some("/etc/yanqian/b.sock"), Some(7)));
        let labels = [("open", "open-b"), ("sign", "sign-b")].map(|(of, own)| (of.to_owned(), own.to_owned()));
        assert_eq!((a.labels.len(), &b.labels), (0, &BTreeMap::from(labels)));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_key_and_line() {
        let first = with_hsm(TWO).lines().position(|line| line == "[hsm]").expect("it stands there") + 1;
        for (from, to, key, line) in [
            ("[hsm]\n", "[hsm]\nsocket = \"c.sock\"\n", "hsm.socket", 1),
            ("[hsm]\n", "[hsm]\nworker_uid = 3\n", "hsm.worker_uid", 1),
            ("name = \"b\"", "name = \"a\"", "hsm.tokens.name", 9),
            ("name = \"b\"", "name = \"B\"", "hsm.tokens.name", 9),
            ("b.sock", "/run/a.sock", "hsm.tokens.socket", 10),
            ("\"sign-b\"", "\"\"", "hsm.tokens.labels", 12),
            ("open-b", "sign-b", "hsm.tokens.labels", 12),
            ("sign-b", "open-b", "hsm.tokens.labels", 12),
            ("open = \"open-b\"", "other = \"open-b\"", "hsm.tokens.labels", 12),
        ] {
            let changed = TWO.replacen(from, to, 1);
            let error = read(&changed).expect_err(to);
            let place = format!("/etc/yanqian/yanqian.toml:{}: key `{key}`", first + line);
            assert!(error.starts_with(&place), "{error} does not start with {place}");
        }
        let none = TWO.split("[[hsm.tokens]]").next().expect("the table itself");
        let error = read(none).expect_err("no token");
        assert!(error.contains("key `hsm`") && error.contains("[[hsm.tokens]]"), "{error}");
    }
}
