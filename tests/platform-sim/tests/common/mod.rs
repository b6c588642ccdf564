//! A client of the simulator: a fresh PKI, an entity key, requests written by hand, and the checks that an honest reader of
//! answers makes. Synchronous on purpose, so that it shares no HTTP code with the simulator either.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::ssl::{SslConnector, SslMethod};
use openssl::x509::{X509, X509Name, X509ReqBuilder};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;
use yanqian_devpki::{Layout, Options};
use yanqian_platform_sim::numbers::{DocumentKind, NumberForm};
use yanqian_platform_sim::pki::Identity;
use yanqian_platform_sim::registry::{self, Holder};
use yanqian_platform_sim::{Config, Form, Running, Simulator, envelope, signed_data, sm};

const LIMIT: usize = 1 << 20;
/// Generous for a loaded machine; a slow or hanging answer takes much longer.
const DEADLINE: Duration = Duration::from_secs(3);

pub struct World {
    pub form: Form,
    pub layout: Layout,
    pub running: Running,
    pub entity: Identity,
    pub holders: Vec<Holder>,
    _runtime: tokio::runtime::Runtime,
    _directory: tempfile::TempDir,
}

/// What a request says. Everything is right until a test changes it.
#[derive(Clone)]
pub struct Ask {
    pub customer: String,
    pub purpose: String,
    pub nonce: [u8; 16],
    pub time: OffsetDateTime,
    pub signing_time: Option<OffsetDateTime>,
    pub inquiry: Value,
    pub recipient: Vec<u8>,
}

pub struct Sent {
    pub package: String,
    pub body: String,
    pub nonce: String,
}

pub struct Got {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

pub fn new_entity(layout: &Layout) -> Identity {
    let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "Bank One Signing").unwrap();
    let mut request = X509ReqBuilder::new().unwrap();
    request.set_subject_name(&name.build()).unwrap();
    request.set_pubkey(&key).unwrap();
    request.sign(&key, MessageDigest::sm3()).unwrap();
    let csr = request.build().to_pem().unwrap();
    let pem = yanqian_devpki::issue_entity_signing(layout, &csr, OffsetDateTime::now_utc(), 30).unwrap();
    Identity::new(X509::from_pem(&pem).unwrap(), key).unwrap()
}

impl World {
    pub fn new(form: Form) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = yanqian_devpki::generate(directory.path(), &Options::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config = Config {
            customers: vec!["YQ000001".into()],
            purposes: vec!["P01".into(), "P02".into()],
            ..Config::new(directory.path(), form)
        };
        let holders = registry::seeded(config.seed);
        let running = runtime.block_on(Simulator::start(config)).unwrap();
        let entity = new_entity(&layout);
        Self { form, layout, running, entity, holders, _runtime: runtime, _directory: directory }
    }

    pub fn holder(&self, form: NumberForm) -> &Holder {
        registry::first_with(&self.holders, form).unwrap()
    }

    pub fn certificate(&self, name: &str) -> X509 {
        X509::from_pem(&fs::read(self.layout.platform(name).certificate).unwrap()).unwrap()
    }

    /// A request about a holder as registered, with all fields.
    pub fn ask(&self, holder: &Holder) -> Ask {
        let now = OffsetDateTime::now_utc();
        Ask {
            customer: "YQ000001".into(),
            purpose: "P01".into(),
            nonce: sm::random().unwrap(),
            time: now,
            signing_time: (self.form == Form::Reference).then_some(now),
            inquiry: inquiry(self.form, holder),
            recipient: self.certificate("encryption").to_der().unwrap(),
        }
    }

    pub fn write(&self, ask: &Ask) -> Sent {
        let sealed = STANDARD.encode(envelope::seal(ask.inquiry.to_string().as_bytes(), &ask.recipient).unwrap());
        let local = ask.time.to_offset(time::UtcOffset::from_hms(8, 0, 0).unwrap());
        let (package, nonce) = match self.form {
            Form::Reference => {
                let form = format_description!("[year][month][day][hour][minute][second][subsecond digits:3]");
                let (at, nonce) = (local.format(&form).unwrap(), hex::encode(ask.nonce));
                // Odd white space on purpose: what counts are the octets as sent.
                let package = format!(
                    "{{ \"version\":\"1.0\",\"custNum\":\"{}\", \"appName\":\"test\",\"timeStamp\":\"{at}\",\"nonce\":\"{nonce}\",\
                     \"authMode\":\"R01\",\"purposeCode\":\"{}\",\"idAuthData\":\"{sealed}\"\n}}",
                    ask.customer, ask.purpose
                );
                (package, nonce)
            }
            Form::Second => {
                let form = format_description!(
                    "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3][offset_hour sign:mandatory]:[offset_minute]"
                );
                let (at, nonce) = (local.format(&form).unwrap(), URL_SAFE_NO_PAD.encode(ask.nonce));
                let package = format!(
                    "{{\"v\":\"2\",\"client\":\"{}\",\"system\":\"test\",\"time\":\"{at}\",\"serialNonce\":\"{nonce}\",\
                     \"service\":\"NAME_CHECK\",\"usage\":\"{}\",\"payload\":\"{sealed}\"}}",
                    ask.customer, ask.purpose
                );
                (package, nonce)
            }
            _ => unreachable!("the appliance's own tests ask in the other forms"),
        };
        let body = self.sign(&package, &self.entity, ask.signing_time);
        Sent { package, body, nonce }
    }

    pub fn sign(&self, package: &str, signer: &Identity, signing_time: Option<OffsetDateTime>) -> String {
        let signature = STANDARD.encode(signed_data::build(package.as_bytes(), false, signer, signing_time).unwrap());
        self.form.body(package, &signature)
    }

    /// Sends; an error is `deadline` or `transport`.
    pub fn send(&self, body: &str) -> Result<Got, &'static str> {
        https(self.running.https_addr, &self.layout, "POST", "/auth/real-name", "application/json", body)
    }

    /// Sends and checks as an honest reader does; the error is the first check that failed.
    pub fn check(&self, ask: &Ask) -> Result<Value, &'static str> {
        let sent = self.write(ask);
        let got = self.send(&sent.body)?;
        self.examine(&got, &sent)
    }

    pub fn examine(&self, got: &Got, sent: &Sent) -> Result<Value, &'static str> {
        let yes = |ok: bool, label: &'static str| if ok { Ok(()) } else { Err(label) };
        yes(got.status == 200, "status")?;
        yes(got.head.to_ascii_lowercase().contains("content-type: application/json"), "content-type")?;
        yes(got.body.len() <= LIMIT, "size")?;
        let text = std::str::from_utf8(&got.body).map_err(|_| "json")?;
        let (outer, sign) = self.form.members();
        let value: Value = serde_json::from_str(text).map_err(|_| "json")?;
        let signature = value[sign].as_str().ok_or("signature missing")?;
        yes(text.matches(&format!("\"{outer}\":")).count() == 1, "package twice")?;
        let start = text.find(&format!("\"{outer}\":")).unwrap() + outer.len() + 3;
        let end = text.find(&format!(",\"{sign}\"")).unwrap();
        let package = &text[start..end];
        let der = STANDARD.decode(signature).map_err(|_| "base64")?;
        let message = signed_data::read(&der).map_err(|_| "der")?;
        let signer = message.signer().map_err(|_| "der")?;
        yes(signer.to_der().unwrap() == self.certificate("signing").to_der().unwrap(), "signer")?;
        let signing_time = message.verify(&signer, package.as_bytes(), self.form.attributes());
        let signing_time =
            signing_time.map_err(|e| if e.contains("attributes") { "attributes" } else { "signature" })?;
        yes(
            package.matches(if self.form == Form::Reference { "\"resultCode\"" } else { "\"outcome\"" }).count() < 2,
            "twice",
        )?;
        let (nonce, digest, code, fields) = match self.form {
            Form::Second => ("serialNonce", "digest", "outcome", "items"),
            _ => ("nonce", "requestDigest", "resultCode", "fieldResults"),
        };
        let package: Value = serde_json::from_str(package).map_err(|_| "json")?;
        yes(package[nonce] == sent.nonce.as_str(), "nonce")?;
        let expected = sm::sm3(sent.package.as_bytes()).unwrap();
        let expected = if self.form == Form::Reference { hex::encode(expected) } else { STANDARD.encode(expected) };
        yes(package[digest] == expected, "digest")?;
        yes(signing_time.is_none_or(|at| (OffsetDateTime::now_utc() - at).abs() < time::Duration::MINUTE), "time")?;
        let code = package[code].as_str().ok_or("code missing")?;
        yes(!["7777", "E_FLYING_PIG"].contains(&code), "code unknown")?;
        if ["0000", "MATCH"].contains(&code) {
            let fields = package[fields].as_object().ok_or("fields missing")?;
            yes(fields.values().all(|v| *v == "1" || *v == true), "contradiction")?;
        }
        Ok(package)
    }
}

pub fn inquiry(form: Form, holder: &Holder) -> Value {
    let dashed = |date: time::Date| date.to_string();
    let compact = |date: time::Date| date.to_string().replace('-', "");
    match form {
        Form::Second => json!({
            "type": match holder.kind {
                DocumentKind::Passport => "PASSPORT",
                DocumentKind::HongKongMacaoPermit => "HKMO",
                DocumentKind::TaiwanPermit => "TWN",
                DocumentKind::ForeignResidentCard => "FPR",
            },
            "no": holder.number, "fullName": holder.name, "dob": dashed(holder.birth_date),
            "country": holder.nationality, "validUntil": dashed(holder.expiry_date),
        }),
        _ => json!({
            "docType": match holder.kind {
                DocumentKind::Passport => "414",
                DocumentKind::HongKongMacaoPermit => "516",
                DocumentKind::TaiwanPermit => "511",
                DocumentKind::ForeignResidentCard => "553",
            },
            "docNumber": holder.number, "name": holder.name, "birthDate": compact(holder.birth_date),
            "nationality": holder.nationality, "expiryDate": compact(holder.expiry_date),
        }),
    }
}

pub fn https(
    to: SocketAddr,
    layout: &Layout,
    method: &str,
    path: &str,
    content_type: &str,
    body: &str,
) -> Result<Got, &'static str> {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_ca_file(layout.trust().join("tls-anchors/root.pem")).unwrap();
    let stream = TcpStream::connect(to).map_err(|_| "transport")?;
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut stream = connector.build().connect("127.0.0.1", stream).map_err(|_| "handshake")?;
    assert_eq!(stream.ssl().version_str(), "TLSv1.3");
    exchange(&mut stream, method, path, content_type, body)
}

pub fn exchange<S: Read + Write>(
    stream: &mut S,
    method: &str,
    path: &str,
    content_type: &str,
    body: &str,
) -> Result<Got, &'static str> {
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: platform\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
    .map_err(|_| "transport")?;
    let began = Instant::now();
    let (mut octets, mut buffer) = (Vec::new(), [0; 16 << 10]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => octets.extend_from_slice(&buffer[..read]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Err("deadline"),
            Err(_) => break,
        }
        if octets.len() > LIMIT + (64 << 10) {
            break;
        }
        if began.elapsed() > DEADLINE {
            return Err("deadline");
        }
    }
    let at = octets.windows(4).position(|w| w == b"\r\n\r\n").ok_or("transport")?;
    let head = String::from_utf8(octets[..at].to_vec()).unwrap();
    let body = octets.split_off(at + 4);
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    if length.is_some_and(|length: usize| body.len() < length && body.len() <= LIMIT) {
        return Err("transport");
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("transport")?;
    Ok(Got { status, head, body })
}
