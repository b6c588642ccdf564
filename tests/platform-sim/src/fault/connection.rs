//! Connections over which no request may go.

use super::{Change, Fault};

/// What is wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connection {
    /// Closed as soon as it is there.
    Closed,
    /// Closed when the client has spoken.
    ClosedInTheHandshake,
    /// Closed, as TLS wants it or without a word, when the first octets of a request have come.
    ClosedInTheRequest { dropped: bool },
    /// No handshake, and no end.
    Silent,
    /// HTTP without TLS.
    Plain,
    /// Octets that are no TLS.
    Garbage,
    /// A TLS alert.
    Alert,
    /// TLS 1.1 at most.
    OldTls,
    /// A certificate that no client may take.
    Certificate(Shown),
}

/// The TLS server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    OtherName,
    OtherAddress,
    NoName,
    Expired,
    NotYetValid,
    OtherAuthority,
    SelfSigned,
    ForClients,
    ForSigning,
    WithoutItsIssuer,
}

const fn row(name: &'static str, connection: Connection) -> Fault {
    Fault::new(name, Change::Connection(connection))
}

pub(super) const ALL: &[Fault] = &[
    row("tls/closed-at-once", Connection::Closed),
    row("tls/closed-in-the-handshake", Connection::ClosedInTheHandshake),
    row("tls/silent", Connection::Silent),
    row("tls/plain-http", Connection::Plain),
    row("tls/garbage", Connection::Garbage),
    row("tls/alert", Connection::Alert),
    row("tls/version-1.1", Connection::OldTls),
    row("tls/certificate-of-another-name", Connection::Certificate(Shown::OtherName)),
    row("tls/certificate-of-another-address", Connection::Certificate(Shown::OtherAddress)),
    row("tls/certificate-without-a-name", Connection::Certificate(Shown::NoName)),
    row("tls/certificate-expired", Connection::Certificate(Shown::Expired)),
    row("tls/certificate-not-yet-valid", Connection::Certificate(Shown::NotYetValid)),
    row("tls/certificate-of-another-authority", Connection::Certificate(Shown::OtherAuthority)),
    row("tls/certificate-self-signed", Connection::Certificate(Shown::SelfSigned)),
    row("tls/certificate-for-clients", Connection::Certificate(Shown::ForClients)),
    row("tls/certificate-for-signing-messages", Connection::Certificate(Shown::ForSigning)),
    row("tls/certificate-without-its-issuer", Connection::Certificate(Shown::WithoutItsIssuer)),
    row("close/in-the-request", Connection::ClosedInTheRequest { dropped: false }),
    row("close/in-the-request-without-a-word", Connection::ClosedInTheRequest { dropped: true }),
];
