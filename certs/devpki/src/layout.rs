//! Where everything lies. Tests, the simulator and the demo ask here instead of spelling paths.

use std::path::{Path, PathBuf};

/// A certificate and its private key, both PEM (key: PKCS#8, mode 0600).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// `NAME.pem`
    pub certificate: PathBuf,
    /// `NAME.key`
    pub key: PathBuf,
}

impl Pair {
    fn at(directory: &Path, name: &str) -> Self {
        Self { certificate: directory.join(format!("{name}.pem")), key: directory.join(format!("{name}.key")) }
    }
}

/// The platform's certification authorities that publish a CRL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// `platform/root`, issuer of `platform/issuing`.
    Root,
    /// `platform/issuing`, issuer of the platform's signing, encryption and TLS certificates.
    Issuing,
}

impl Authority {
    /// File stem: `root` or `issuing`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Issuing => "issuing",
        }
    }
}

/// Paths inside one development PKI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    directory: PathBuf,
}

/// Names of the internal callers that get a client certificate. `stranger` is in no agreement.
pub const CALLERS: [&str; 3] = ["core-banking", "branch-kiosk", "stranger"];

impl Layout {
    /// The layout below `directory`; nothing is read.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// `platform/NAME`: root, issuing, signing, encryption, ocsp, tls, signing-revoked, signing-unpinned, other-ca, signing-other-ca.
    pub fn platform(&self, name: &str) -> Pair {
        Pair::at(&self.directory.join("platform"), name)
    }

    /// `platform/{root,issuing}.crl.pem`.
    pub fn crl(&self, authority: Authority) -> PathBuf {
        self.directory.join("platform").join(format!("{}.crl.pem", authority.name()))
    }

    /// `entity/NAME`: ca, tls. The keys that sign and decrypt live in the token: none of them is ever here.
    pub fn entity(&self, name: &str) -> Pair {
        Pair::at(&self.directory.join("entity"), name)
    }

    /// `internal/NAME`: ca, server.
    pub fn internal(&self, name: &str) -> Pair {
        Pair::at(&self.directory.join("internal"), name)
    }

    /// `internal/callers/NAME`, one of [`CALLERS`].
    pub fn caller(&self, name: &str) -> Pair {
        Pair::at(&self.directory.join("internal").join("callers"), name)
    }

    /// `trust/reference`: the trust store of the reference platform as the appliance reads it.
    pub fn trust(&self) -> PathBuf {
        self.directory.join("trust").join("reference")
    }

    /// `trust/reference/crls/{root,issuing}.pem`.
    pub fn trust_crl(&self, authority: Authority) -> PathBuf {
        self.trust().join("crls").join(format!("{}.pem", authority.name()))
    }
}
