//! A client that is not ours: `pkcs11-tool` of the package `opensc`.

use std::path::Path;
use std::process::Command;

use cryptoki_sys::*;

use crate::support::*;

const SO: &str = "so-12345678";
const USER: &str = "user-1234";
/// A self-signed SM2 certificate by OpenSSL 3; its key was not kept.
const CERTIFICATE: &str = "308201bf30820165a003020102021463f4d34386a5f9d887daf99f66bef64c3266d370300a06082a811ccf55018375303431\
     18301606035504030c0f736f667420746f6b656e207465737431183016060355040a0c0f59616e7169616e2070726f6a6563\
     743020170d3236313132333139313032355a180f32313236313033303139313032355a30343118301606035504030c0f736f\
     667420746f6b656e207465737431183016060355040a0c0f59616e7169616e2070726f6a6563743059301306072a8648ce3d\
     020106082a811ccf5501822d034200047c23278435e450ee43fc0ddecb55b509a28f84ab80d63a2d385b93426974fd4f3234\
     fc3f2a1627f6d9005d6c5f84172759fdebd7307f1d3e25278ad9b966606fa3533051301d0603551d0e041604149bbace4230\
     bef0d217d82e230c0f91e034ce232b301f0603551d230418301680149bbace4230bef0d217d82e230c0f91e034ce232b300f\
     0603551d130101ff040530030101ff300a06082a811ccf550183750348003045022100fb7f00c6d3ec8906cbd890ae94264e\
     eda747f6597e1b68c864831ed5f1f274b60220616e5a756b4824905a560649f195bd503490e93c967cf078898ac0d351e8d7\
     15";

/// Runs it to a good end and returns what it printed.
fn tool(directory: &Path, arguments: &[&str]) -> String {
    let (good, text) = run(directory, arguments);
    assert!(good, "pkcs11-tool {arguments:?}: {text}");
    text
}

fn run(directory: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("pkcs11-tool")
        .arg("--module")
        .arg(library_path())
        .args(arguments)
        .env(DIRECTORY, directory)
        .output()
        .expect("pkcs11-tool is required by this test: install the package `opensc`");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn it_lists_initialises_and_logs_in() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let slots = tool(at, &["-L"]);
    assert!(slots.contains("SOFT token, development grade, not an HSM"), "{slots}");
    assert!(slots.contains("uninitialized"), "{slots}");
    let mechanisms = tool(at, &["-M"]);
    for number in ["0x80008001", "0x80008102", "0x80008105", "0x80008200", "0x80009001"] {
        assert!(mechanisms.contains(number), "{number}: {mechanisms}");
    }
    tool(at, &["--init-token", "--label", "by tool", "--so-pin", SO]);
    tool(at, &["--init-pin", "--login", "--so-pin", SO, "--pin", USER]);
    let slots = tool(at, &["-L"]);
    for text in ["by tool", "Yanqian project", "SOFT development", "PIN initialized"] {
        assert!(slots.contains(text), "{text}: {slots}");
    }
    tool(at, &["--login", "--pin", USER, "-O"]);
    let (good, text) = run(at, &["--login", "--pin", "wrong-pin", "-O"]);
    assert!(!good && text.contains("CKR_PIN_INCORRECT"), "{text}");
    assert!(tool(at, &["-L"]).contains("user PIN count low"));
    tool(at, &["--change-pin", "--login", "--pin", USER, "--new-pin", "another-1"]);
    tool(at, &["--login", "--pin", "another-1", "-O"]);
    assert_eq!(
        tool(at, &["--generate-random", "16", "-o", at.join("random").to_str().unwrap()]).matches("error").count(),
        0
    );
    assert_eq!(std::fs::read(at.join("random")).unwrap().len(), 16);
}

#[test]
fn it_signs_with_the_vendor_mechanisms_by_number() {
    let (token, session) = Token::user();
    let public = Template::new().bool(CKA_TOKEN, true).octets(CKA_LABEL, b"k").octets(CKA_ID, b"\x0A");
    let (public, _) = token.generate(session, &public, &public).unwrap();
    let point = token.point(session, public);
    let (input, output) = (token.path().join("input"), token.path().join("output"));
    let sign = |mechanism: &str, data: &[u8]| {
        std::fs::write(&input, data).unwrap();
        let files = ["-i", input.to_str().unwrap(), "-o", output.to_str().unwrap()];
        let arguments = ["--login", "--pin", USER, "--sign", "-m", mechanism, "--id", "0a"];
        tool(token.path(), &[arguments.as_slice(), &files].concat());
        std::fs::read(&output).unwrap()
    };
    let signature = sign("0x80008105", &[0xE1; 32]);
    assert_eq!(signature.len(), 64);
    assert!(independent_verify(&point, &[0xE1; 32], &signature, false));
    let signature = sign("0x80008102", b"a message");
    assert!(independent_verify(&point, b"a message", &signature, true));
    // Longer than the tool's buffer: it goes through C_SignUpdate.
    let signature = sign("0x80008102", &[0x77; 5000]);
    assert!(independent_verify(&point, &[0x77; 5000], &signature, true));

    let objects = tool(token.path(), &["--login", "--pin", USER, "-O"]);
    assert!(objects.contains("Private Key Object") && objects.contains("Public Key Object"), "{objects}");
    let public_only = tool(token.path(), &["-O"]);
    assert!(!public_only.contains("Private Key Object"), "{public_only}");
}

// Decryption is not here: the tool refuses every decryption mechanism that it has no name for.
#[test]
fn it_hashes_relabels_and_deletes() {
    let (token, session) = Token::user();
    let private = Template::new().bool(CKA_TOKEN, true).octets(CKA_ID, b"\x0B");
    token.generate(session, &Template::new(), &private).unwrap();
    let (input, output) = (token.path().join("input"), token.path().join("output"));
    std::fs::write(&input, b"abc").unwrap();
    let files = ["-i", input.to_str().unwrap(), "-o", output.to_str().unwrap()];
    tool(token.path(), &[["--hash", "-m", "0x80009001"].as_slice(), &files].concat());
    assert_eq!(
        hex::encode(std::fs::read(&output).unwrap()),
        "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    );
    let login = ["--login", "--pin", USER, "--type", "privkey"];
    tool(token.path(), &[login.as_slice(), &["--id", "0b", "--set-id", "0c"]].concat());
    assert_eq!(token.find(session, &Template::new().octets(CKA_ID, b"\x0C")).len(), 1);
    tool(token.path(), &[login.as_slice(), &["--id", "0c", "--delete-object"]].concat());
    assert!(token.find(session, &Template::class(CKO_PRIVATE_KEY)).is_empty());
}

#[test]
fn it_stores_a_certificate_and_reads_it_back() {
    let token = Token::ready();
    let (input, output) = (token.path().join("cert.der"), token.path().join("output"));
    let der = hex::decode(CERTIFICATE).unwrap();
    std::fs::write(&input, &der).unwrap();
    let write =
        ["--login", "--pin", USER, "-w", input.to_str().unwrap(), "--type", "cert", "--id", "0d", "--label", "c"];
    tool(token.path(), &write);
    tool(token.path(), &["-r", "--type", "cert", "--id", "0d", "-o", output.to_str().unwrap()]);
    assert_eq!(std::fs::read(output).unwrap(), der);
}
