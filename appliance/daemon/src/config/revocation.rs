//! `[platform.revocation]` of the configuration file.

use std::time::Duration;

use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use yanqian_messages::ocsp::CertIdHash;
use yanqian_trust::{Decides, Nonce};

/// What decides on revocation, and where the daemon fetches it ahead of need; all optional. Without it, lists decide that somebody
/// else puts into the trust store.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRevocation {
    /// What decides on the signer's certificate: its authority's list, its responder, either of them, or both together. With
    /// `either`, one that says revoked is enough.
    signer: RawDecides,
    /// The same for the authorities above it.
    authorities: RawDecides,
    /// The same for the certificate that the platform shows in TLS; with `none` nobody is asked about it, and pins and the handshake judge it
    /// alone. With another, `authorities` decides on those above it, and where it is revoked or nobody vouches for it nothing is sent.
    tls: RawTls,
    /// Lists to fetch, `http://…`; what is fetched is signed, so nothing else is needed. `ldap://` is not supported.
    crl_urls: Vec<String>,
    /// Hosts from which lists are fetched that certificates name themselves (cRLDistributionPoints). A certificate that names
    /// another host is not followed.
    distribution_hosts: Vec<String>,
    /// `http://host:port` of a proxy for all of these.
    proxy: Option<String>,
    /// Seconds after which everything is fetched again at the latest, 10 to 604800; sooner when half of its time is over.
    refresh_seconds: u32,
    /// Milliseconds for one fetch.
    fetch_ms: u32,
    /// Responders.
    responder: Vec<RawResponder>,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum RawDecides {
    #[default]
    Crl,
    Ocsp,
    Either,
    Both,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum RawTls {
    #[default]
    None,
    Crl,
    Ocsp,
    Either,
    Both,
}

/// An OCSP responder, asked ahead of need about every signer and TLS certificate that is known or was met, and the intermediates.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawResponder {
    /// `http://…`
    url: String,
    /// Key id (SM3 of the public key as it stands in a certificate, 64 hexadecimal digits) of the authority that it answers for; all of them without it.
    authority: Option<String>,
    /// What it names certificates with.
    #[serde(default)]
    hash: RawHash,
    /// Whether a nonce is sent, and must come back. `offer`: sent, and if one comes back it must be ours.
    #[serde(default)]
    nonce: RawNonce,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum RawHash {
    #[default]
    Sm3,
    Sha256,
    Sha1,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum RawNonce {
    Require,
    #[default]
    Offer,
    Omit,
}

impl Default for RawRevocation {
    fn default() -> Self {
        Self {
            signer: RawDecides::Crl,
            authorities: RawDecides::Crl,
            tls: RawTls::None,
            crl_urls: Vec::new(),
            distribution_hosts: Vec::new(),
            proxy: None,
            refresh_seconds: 3_600,
            fetch_ms: 10_000,
            responder: Vec::new(),
        }
    }
}

/// What decides on revocation, and where it is fetched.
#[derive(Debug, Clone)]
pub(crate) struct Revocation {
    pub(crate) signer: Decides,
    pub(crate) authorities: Decides,
    /// None: nobody is asked.
    pub(crate) tls: Option<Decides>,
    pub(crate) lists: Vec<HttpUrl>,
    pub(crate) distribution_hosts: Vec<String>,
    pub(crate) responders: Vec<Responder>,
    pub(crate) proxy: Option<HttpUrl>,
    /// The longest time between two fetches.
    pub(crate) refresh: Duration,
    /// How long one fetch may take.
    pub(crate) limit: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct Responder {
    pub(crate) url: HttpUrl,
    /// SM3 of the authority's `SubjectPublicKeyInfo`.
    pub(crate) authority: Option<[u8; 32]>,
    pub(crate) hash: CertIdHash,
    pub(crate) nonce: Nonce,
}

impl Revocation {
    /// Whether a responder's word counts for anything.
    pub(crate) fn asks_responders(&self) -> bool {
        [Some(self.signer), Some(self.authorities), self.tls]
            .into_iter()
            .flatten()
            .any(|decides| decides != Decides::Crl)
    }

    /// Whether the daemon fetches anything itself.
    pub(crate) fn fetches(&self) -> bool {
        !self.lists.is_empty() || !self.distribution_hosts.is_empty() || !self.responders.is_empty()
    }
}

/// `http://host[:port]/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpUrl(Uri);

impl HttpUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let scheme = text.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if scheme.starts_with("ldap") {
            return Err(format!(
                "`{text}` is LDAP, which is not supported: fetch over HTTP, or put the list into crls/"
            ));
        }
        let uri: Uri = text.parse().map_err(|_| format!("`{text}` is not a URL"))?;
        let plain = uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty());
        let anonymous = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if plain && anonymous { Ok(Self(uri)) } else { Err(format!("`{text}`: expected http://host[:port]/path")) }
    }

    pub(crate) const fn uri(&self) -> &Uri {
        &self.0
    }

    pub(crate) fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(80)
    }
}

impl std::fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

const fn decides(raw: RawDecides) -> Decides {
    match raw {
        RawDecides::Crl => Decides::Crl,
        RawDecides::Ocsp => Decides::Ocsp,
        RawDecides::Either => Decides::Either,
        RawDecides::Both => Decides::Both,
    }
}

const fn decides_on_tls(raw: RawTls) -> Option<Decides> {
    match raw {
        RawTls::None => None,
        RawTls::Crl => Some(Decides::Crl),
        RawTls::Ocsp => Some(Decides::Ocsp),
        RawTls::Either => Some(Decides::Either),
        RawTls::Both => Some(Decides::Both),
    }
}

/// A key and what is wrong with it.
type Wrong = (&'static str, String);

impl RawRevocation {
    /// `shows_certificate`: whether the platform's end of the way shows a TLS certificate to this program.
    pub(super) fn validate(self, shows_certificate: bool) -> Result<Revocation, Wrong> {
        let tls = decides_on_tls(self.tls);
        if tls.is_some() && !shows_certificate {
            return Err(("platform.revocation.tls", "a gateway shows no TLS certificate: expected none".to_owned()));
        }
        let url = |key: &'static str, text: &str| HttpUrl::parse(text).map_err(|problem| (key, problem));
        if !(10..=604_800).contains(&self.refresh_seconds) {
            return Err(("platform.revocation.refresh_seconds", "expected 10 to 604800".to_owned()));
        }
        if !(100..=60_000).contains(&self.fetch_ms) {
            return Err(("platform.revocation.fetch_ms", "expected 100 to 60000".to_owned()));
        }
        let responder = |raw: RawResponder| {
            let authority = raw.authority.map(|id| {
                let mut octets = [0; 32];
                hex::decode_to_slice(&id, &mut octets).map(|()| octets).map_err(|_| {
                    ("platform.revocation.responder.authority", "expected 64 hexadecimal digits".to_owned())
                })
            });
            Ok(Responder {
                url: url("platform.revocation.responder.url", &raw.url)?,
                authority: authority.transpose()?,
                hash: match raw.hash {
                    RawHash::Sm3 => CertIdHash::Sm3,
                    RawHash::Sha256 => CertIdHash::Sha256,
                    RawHash::Sha1 => CertIdHash::Sha1,
                },
                nonce: match raw.nonce {
                    RawNonce::Require => Nonce::Require,
                    RawNonce::Offer => Nonce::Offer,
                    RawNonce::Omit => Nonce::Omit,
                },
            })
        };
        let lists = self.crl_urls.iter().map(|text| url("platform.revocation.crl_urls", text));
        Ok(Revocation {
            signer: decides(self.signer),
            authorities: decides(self.authorities),
            tls,
            lists: lists.collect::<Result<_, _>>()?,
            distribution_hosts: self.distribution_hosts,
            responders: self.responder.into_iter().map(responder).collect::<Result<_, Wrong>>()?,
            proxy: self.proxy.map(|text| url("platform.revocation.proxy", &text)).transpose()?,
            refresh: Duration::from_secs(self.refresh_seconds.into()),
            limit: Duration::from_millis(self.fetch_ms.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(from: &str, to: &str) -> Result<super::super::Config, String> {
        let sample = include_str!("../../../../samples/yanqian.toml");
        assert!(sample.contains(from), "{from}");
        super::super::parse(&sample.replacen(from, to, 1), std::path::Path::new("yanqian.toml"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_faulty_place_or_time_is_refused_by_its_key() {
        for (from, to, key) in [
            ("crl_urls = []", "crl_urls = [\"ldap://crl.example/cn=x\"]", "platform.revocation.crl_urls"),
            (
                "# proxy = \"http://proxy.example:3128\"     # for all",
                "proxy = \"https://proxy.example:3128\" # for all",
                "platform.revocation.proxy",
            ),
            ("refresh_seconds = 3600", "refresh_seconds = 9", "platform.revocation.refresh_seconds"),
            ("fetch_ms = 10000", "fetch_ms = 60001", "platform.revocation.fetch_ms"),
        ] {
            let error = parsed(from, to).expect_err(key);
            assert!(error.contains(key), "{error}");
        }
        let config = parsed("signer = \"crl\"", "signer = \"both\"").expect("a sample");
        assert_eq!(config.platform.revocation.signer, Decides::Both);
        assert!(!config.platform.revocation.fetches());
    }

    #[test]
    fn nobody_is_asked_about_tls_certificates_by_default_nor_where_there_is_none() {
        let policy = |to: &str| parsed("tls = \"none\"", to).map(|config| config.platform.revocation.tls);
        assert_eq!(policy("tls = \"none\""), Ok(None));
        assert_eq!(policy(""), Ok(None));
        assert_eq!(policy("tls = \"either\""), Ok(Some(Decides::Either)));
        assert!(policy("tls = \"never\"").is_err());
        let sample = include_str!("../../../../samples/yanqian.toml");
        let gateway = sample
            .replacen("endpoint = \"https://platform.example:443\"", "endpoint = \"http://127.0.0.1:8080\"", 1)
            .replacen("transport = \"tls\"", "transport = \"gateway\"", 1);
        let parse = |text: &str| super::super::parse(text, std::path::Path::new("yanqian.toml"));
        assert!(parse(&gateway).is_ok(), "{:?}", parse(&gateway).err().map(|error| error.to_string()));
        let error =
            parse(&gateway.replacen("tls = \"none\"", "tls = \"crl\"", 1)).expect_err("no certificate").to_string();
        assert!(error.contains("platform.revocation.tls"), "{error}");
    }

    #[test]
    fn only_plain_http_is_fetched_and_ldap_is_refused_by_name() {
        for good in ["http://crl.example/root.crl", "http://[::1]:8080/ocsp?x=1"] {
            assert!(HttpUrl::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["https://crl.example/", "file:///etc/passwd", "http://", "crl.example", "http://user:pw@crl.example/"]
        {
            assert!(HttpUrl::parse(bad).is_err(), "{bad}");
        }
        for ldap in ["ldap://crl.example/cn=x", "LDAPS://crl.example/"] {
            assert!(HttpUrl::parse(ldap).is_err_and(|problem| problem.contains("LDAP")), "{ldap}");
        }
    }
}
