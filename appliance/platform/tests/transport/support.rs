//! A platform, a client of it, and requests whose answers nobody proves here.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::ssl::{AlpnError, Ssl, SslContext, SslContextBuilder, SslFiletype, SslMethod, select_next_proto};
use openssl::x509::{X509, X509NameBuilder, X509ReqBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio_openssl::SslStream;
use yanqian_devpki::{Layout, Options, Pair, generate, issue_entity_signing};
use yanqian_messages::{Certificate, certificates_from_pem_or_der};
use yanqian_platform::{ClientKey, Endpoint, LinkSettings, PlatformClient, Profile, RequestContext, SignedRequest};
use yanqian_platform_sim::{Config, Form, Running, Simulator};
use yanqian_sm::Signature;
use yanqian_trust::TrustStore;
use yanqian_vocabulary::{
    BirthDate, CivilDate, Claim, DocumentClaim, DocumentNumber, DocumentType, Mode, Nonce, PersonalName, Timestamp,
};

pub(crate) type TlsStream = SslStream<TcpStream>;

pub(crate) struct World {
    pub(crate) layout: Layout,
    pub(crate) trust: TrustStore,
    pub(crate) profile: Arc<Profile>,
    key: PKey<Private>,
    certificate: Certificate,
    _directory: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|profile| profile)
    }

    /// With the reference profile changed in its text.
    pub(crate) fn with(change: impl FnOnce(String) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options::default();
        let layout = generate(&directory.path().join("pki"), &options).unwrap();
        let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "entity").unwrap();
        let mut request = X509ReqBuilder::new().unwrap();
        request.set_subject_name(&name.build()).unwrap();
        request.set_pubkey(&key).unwrap();
        request.sign(&key, MessageDigest::sm3()).unwrap();
        let pem = issue_entity_signing(&layout, &request.build().to_pem().unwrap(), options.now, 30).unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../platform-profiles/reference.toml");
        let text = change(std::fs::read_to_string(&file).unwrap());
        Self {
            trust: TrustStore::load(&layout.trust(), 0).unwrap(),
            profile: Arc::new(Profile::parse(&text, &file).unwrap()),
            certificate: certificates_from_pem_or_der(&pem).unwrap().remove(0),
            layout,
            key,
            _directory: directory,
        }
    }

    pub(crate) async fn platform(&self, with: impl FnOnce(&mut Config)) -> Running {
        let mut config = Config::new(self.layout.directory(), Form::Reference);
        with(&mut config);
        Simulator::start(config).await.unwrap()
    }

    pub(crate) fn client(&self, with: impl FnOnce(&mut LinkSettings), addresses: &[SocketAddr]) -> PlatformClient {
        let endpoint = |address: &SocketAddr| Endpoint::https(&format!("https://{address}"), Vec::new()).unwrap();
        let mut settings = LinkSettings::new(addresses.iter().map(endpoint).collect());
        with(&mut settings);
        PlatformClient::with_settings(Arc::clone(&self.profile), settings).unwrap()
    }

    pub(crate) fn client_key(&self) -> ClientKey {
        let pair = self.layout.entity("tls");
        ClientKey::from_pem(&std::fs::read(pair.certificate).unwrap(), &std::fs::read(pair.key).unwrap()).unwrap()
    }

    pub(crate) fn request(&self) -> SignedRequest {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        let context = RequestContext {
            customer: "YQ000001",
            application: "yanqian",
            purpose_code: "P001",
            mode: Mode::RealName,
            now: Timestamp::from_utc(time::OffsetDateTime::now_utc()).unwrap(),
            nonce: Nonce::new(nonce),
            applied: None,
            certificate: &self.certificate,
        };
        let claim = Claim::RealName(DocumentClaim {
            document_type: DocumentType::PrcPassport,
            number: DocumentNumber::new("E00000000"),
            name: PersonalName::new("赵不是"),
            birth_date: BirthDate(CivilDate::parse_iso("1990-01-01").unwrap()),
            nationality: None,
            expiry: None,
        });
        let recipient = self.trust.encryption_certificate().into();
        let outbound = self.profile.encode(&context, &claim, recipient, &mut getrandom::SysRng).unwrap();
        let mut signer = Signer::new(MessageDigest::sm3(), &self.key).unwrap();
        signer.update(outbound.to_be_signed()).unwrap();
        let signature = Signature::from_der(&signer.sign_to_vec().unwrap()).unwrap();
        outbound.finish(&self.profile, &signature, &self.certificate).unwrap()
    }
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) fn in_seconds(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// An address at which nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    std::net::TcpListener::bind(loopback()).unwrap().local_addr().unwrap()
}

/// A TLS listener with the identity of this pair. `talk` gets each connection.
pub(crate) async fn tls_server<F>(
    pair: &Pair,
    protocols: &'static [u8],
    talk: impl Fn(TlsStream) -> F + Send + 'static,
) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    tls_server_with(pair, protocols, |_| {}, talk).await
}

/// The same with other settings.
pub(crate) async fn tls_server_with<F>(
    pair: &Pair,
    protocols: &'static [u8],
    settings: impl FnOnce(&mut SslContextBuilder),
    talk: impl Fn(TlsStream) -> F + Send + 'static,
) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut context = SslContext::builder(SslMethod::tls_server()).unwrap();
    context.set_certificate_file(&pair.certificate, SslFiletype::PEM).unwrap();
    context.set_private_key_file(&pair.key, SslFiletype::PEM).unwrap();
    let issuing = pair.certificate.with_file_name("issuing.pem");
    if issuing.exists() {
        context.add_extra_chain_cert(X509::from_pem(&std::fs::read(issuing).unwrap()).unwrap()).unwrap();
    }
    context.set_alpn_select_callback(move |_, offered| select_next_proto(protocols, offered).ok_or(AlpnError::NOACK));
    settings(&mut context);
    let context = context.build();
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = SslStream::new(Ssl::new(&context).unwrap(), stream).unwrap();
            if Pin::new(&mut stream).accept().await.is_ok() {
                tokio::spawn(talk(stream));
            }
        }
    });
    address
}

/// The world's trust store with one more anchor for TLS.
pub(crate) fn trust_with_anchor(world: &World, anchor: &Path) -> TrustStore {
    std::fs::copy(anchor, world.layout.trust().join("tls-anchors").join("another.pem")).unwrap();
    TrustStore::load(&world.layout.trust(), 0).unwrap()
}
