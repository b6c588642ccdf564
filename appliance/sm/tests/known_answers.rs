//! Known answers of the standards.
#![allow(clippy::unwrap_used)]

use yanqian_sm::{DistinguishingId, E, HkdfSm3, PublicKey, Signature, hmac_sm3, sm3, sm3_many, verify};

fn octets<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// GB/T 32918.5-2017 Annex A.2: the signer of "message digest".
fn annex_key() -> PublicKey {
    PublicKey::from_raw(&octets(
        "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020\
         ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13",
    ))
    .unwrap()
}

fn annex_signature() -> Signature {
    Signature::from_raw(&octets(
        "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3\
         b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa",
    ))
    .unwrap()
}

#[test]
fn sm3_of_abc_is_that_of_gb_t_32905_annex_a_1() {
    assert_eq!(hex::encode(sm3(&[b"a", b"bc"])), "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
}

#[test]
fn z_and_e_are_those_of_gb_t_32918_5_annex_a_2() {
    let id = DistinguishingId::default();
    let key = annex_key();
    assert_eq!(
        hex::encode(key.z_value(&id).as_bytes()),
        "b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3"
    );
    let e = E::of_message(&key, &id, &[b"message ", b"digest"]);
    assert_eq!(hex::encode(e.as_bytes()), "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640");
}

#[test]
fn the_signature_of_gb_t_32918_5_annex_a_2_verifies_and_its_neighbours_do_not() {
    let key = annex_key();
    let e = E::of_message(&key, &DistinguishingId::default(), &[b"message digest"]);
    assert_eq!(verify(&key, &e, &annex_signature()), Ok(()));

    let empty_id = DistinguishingId::new("").unwrap();
    assert!(verify(&key, &E::of_message(&key, &empty_id, &[b"message digest"]), &annex_signature()).is_err());
    assert!(verify(&key, &E::from_digest(sm3(&[b"message digest"])), &annex_signature()).is_err(), "without Z");
    for bit in 0..512 {
        let mut raw = annex_signature().to_raw();
        raw[bit / 8] ^= 1 << (bit % 8);
        let altered = Signature::from_raw(&raw).map_or(true, |altered| verify(&key, &e, &altered).is_err());
        assert!(altered, "bit {bit}");
    }
}

/// The vectors that OpenSSL carries for SM2 (`evppkey_sm2.txt`): a key, and e with its signature in DER.
#[test]
fn openssls_vectors_verify() {
    let key = PublicKey::from_raw(&octets(
        "393a2ad9e27e43acaaab85a19d3b85591e14406157175addd37bf77ff0caf9ed\
         37fcf3a8b4f55c038523261fca6636afe6a7afa2a1482a606f5cb3a18b2e2a1e",
    ))
    .unwrap();
    let vectors = [
        (
            "d7ad397f6ffa5d4f7f11e7217f241607dc30618c236d2c09c1b9ea8fdadee2e8",
            "3046022100ab1db64de7c40edbde6651c9b8ebdb804673db836e5d5c7fe15dcf9ed2725037\
             022100eba714451ff69b0bb930b379e192e7cd5fa6e3c41c7fbd8303b799ab54a54621",
        ),
        (
            "b1139602c6ecc9e15e2f3f9c635a1afe737058bc15387479c1ea0d0b3d90e9e5",
            "3045022100e6e0414ebd3a656c35602af14ab20287dbf30d57af75c49a188ed4b42391f224\
             02202f54f277c606f4605e1ce9514947ffddf94c67a539804a4ed17f852288bdbe2e",
        ),
    ];
    for (e, der) in vectors {
        let signature = Signature::from_der(&hex::decode(der).unwrap()).unwrap();
        assert_eq!(verify(&key, &E::from_digest(octets(e)), &signature), Ok(()));
        assert_eq!(hex::encode(signature.to_der()), der);
    }
    let swapped = Signature::from_der(&hex::decode(vectors[1].1).unwrap()).unwrap();
    assert!(verify(&key, &E::from_digest(octets(vectors[0].0)), &swapped).is_err());
}

/// RFC 8998 §3.2.1: in TLS 1.3 the signer's id is this text. The RFC's appendix has vectors for SM4 only, so OpenSSL signs.
#[test]
fn signatures_with_the_distinguishing_id_of_rfc_8998_verify_under_that_id_only() {
    use openssl::ec::{EcGroup, EcKey};
    use openssl::md::Md;
    use openssl::md_ctx::MdCtx;
    use openssl::nid::Nid;
    use openssl::pkey::PKey;
    let tls = b"TLSv1.3+GM+Cipher+Suite";
    let pkey = PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(Nid::SM2).unwrap()).unwrap()).unwrap();
    let key = PublicKey::from_spki_der(&pkey.public_key_to_der().unwrap()).unwrap();
    // The safe binding cannot tell OpenSSL's signer an id: so OpenSSL hashes Z and the message, and signs that as e.
    let id = DistinguishingId::new(tls.as_slice()).unwrap();
    let mut hasher = MdCtx::new().unwrap();
    hasher.digest_init(Md::sm3()).unwrap();
    let message = b"TLS 1.3, server CertificateVerify";
    hasher.digest_update(&z_by_openssl(&key, tls)).unwrap();
    hasher.digest_update(message).unwrap();
    let mut e = [0; 32];
    hasher.digest_final(&mut e).unwrap();
    let mut signer = openssl::pkey_ctx::PkeyCtx::new(&pkey).unwrap();
    signer.sign_init().unwrap();
    let mut der = Vec::new();
    signer.sign_to_vec(&e, &mut der).unwrap();
    let signature = Signature::from_der(&der).unwrap();
    assert_eq!(verify(&key, &E::of_message(&key, &id, &[message]), &signature), Ok(()));
    assert!(verify(&key, &E::of_message(&key, &DistinguishingId::default(), &[message]), &signature).is_err());
}

/// Z by OpenSSL's SM3, from the curve's parameters as OpenSSL has them.
fn z_by_openssl(key: &PublicKey, id: &[u8]) -> Vec<u8> {
    use openssl::bn::{BigNum, BigNumContext};
    use openssl::ec::EcGroup;
    let group = EcGroup::from_curve_name(openssl::nid::Nid::SM2).unwrap();
    let mut context = BigNumContext::new().unwrap();
    let mut numbers: [BigNum; 5] = std::array::from_fn(|_| BigNum::new().unwrap());
    let [prime, a, b, generator @ ..] = &mut numbers;
    group.components_gfp(prime, a, b, &mut context).unwrap();
    let [x, y] = generator;
    group.generator_opt().unwrap().affine_coordinates_gfp(&group, x, y, &mut context).unwrap();
    let mut input = u16::try_from(id.len() * 8).unwrap().to_be_bytes().to_vec();
    input.extend_from_slice(id);
    for number in &numbers[1..] {
        input.extend(number.to_vec_padded(32).unwrap());
    }
    input.extend_from_slice(&key.to_sec1()[1..]);
    openssl::hash::hash(openssl::hash::MessageDigest::sm3(), &input).unwrap().to_vec()
}

#[test]
fn z_of_ids_of_every_length_that_there_is_agrees_with_openssl() {
    let key = annex_key();
    for length in [0, 1, 16, 31, 32, 63, 64, 8190, 8191] {
        let id = vec![0x5a; length];
        let ours = key.z_value(&DistinguishingId::new(id.clone()).unwrap());
        assert_eq!(ours.as_bytes().as_slice(), z_by_openssl(&key, &id), "{length} octets");
    }
    assert!(DistinguishingId::new(vec![0x5a; 8192]).is_err());
}

/// GB/T 32905-2016 Annex A.2.
#[test]
fn sm3_of_sixty_four_octets_is_that_of_gb_t_32905_annex_a_2() {
    let digest = "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732";
    assert_eq!(hex::encode(sm3(&[&b"abcd".repeat(16)])), digest);
    let message = b"abcd".repeat(16);
    let mut digests = [[0; 32]; 20];
    sm3_many(&[[message.as_slice()].as_slice(); 20], &mut digests);
    assert!(digests.iter().all(|many| hex::encode(many) == digest));
}

/// GM/T 0042-2015 Appendix D.3.
#[test]
fn hmac_sm3_is_that_of_gm_t_0042_appendix_d_3() {
    let counting = |length: u8| (1..=length).collect::<Vec<u8>>();
    let twice = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".repeat(2);
    for (key, message, mac) in [
        (counting(32), twice, "ca05e144ed05d1857840d1f318a4a8669e559fc8391f414485bfdf7bb408963a"),
        (counting(37), vec![0xcd; 50], "220bf579ded555393f0159f66c99877822a3ecf610d1552154b41d44b94db3ae"),
        (vec![0x0b; 32], b"Hi There".to_vec(), "c0ba18c68b90c88bc07de794bfc7d2c8d19ec31ed8773bc2b390c9604e0be11e"),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?".to_vec(),
            "2e87f1d16862e6d964b50a5200bf2b10b764faa9680a296a2405f24bec39f882",
        ),
    ] {
        assert_eq!(hex::encode(hmac_sm3(&key, &[&message])), mac);
    }
}

#[test]
fn hmac_sm3_agrees_with_openssl() {
    use openssl::pkey::PKey;
    use openssl::sign::Signer;
    for length in [1, 32, 63, 64, 65, 200] {
        let key = vec![0xa5; length];
        let pkey = PKey::hmac(&key).unwrap();
        let mut signer = Signer::new(openssl::hash::MessageDigest::sm3(), &pkey).unwrap();
        signer.update(b"one two").unwrap();
        assert_eq!(hmac_sm3(&key, &[b"one ", b"two"]).to_vec(), signer.sign_to_vec().unwrap(), "key of {length}");
    }
}

/// The inputs of RFC 5869 Appendix A.1 and A.2 under SM3, as GmSSL publishes their outputs (hkdftest.c).
#[test]
fn hkdf_sm3_gives_what_gmssl_publishes() {
    let hkdf = HkdfSm3::extract(&(0..=0x0c).collect::<Vec<u8>>(), &[0x0b; 22]);
    let prk = "e0d6f7b0bd056327b7659f1f39ad850561fbcf4fb10fb58e88eafa55cf7cd01e";
    let okm = "c69fe91b7aaee2dd5718d72dcaee0cce93f1b8e41f792da51261b6a517e68b36ed2c595572b01dfa359b";
    let info: Vec<u8> = (0xf0..=0xf9).collect();
    assert_eq!(hex::encode(hkdf.key::<42>(&[&info])), okm);
    let (head, tail) = info.split_at(3);
    assert_eq!(hex::encode(HkdfSm3::from_prk(&octets(prk)).key::<42>(&[head, tail])), okm);

    let count = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
    let hkdf = HkdfSm3::extract(&count(0x60, 0xaf), &count(0, 0x4f));
    assert_eq!(
        hex::encode(hkdf.key::<82>(&[&count(0xb0, 0xff)])),
        "c1226236bbdefa7921f9febe27b864f33e449201b436d8844ea53f58170dd6426defbd22ed1f3c5960f35523e62e3b6c\
         0d657f2c61893436f539013199bfaef25aafd1e7726ede927623a9f5cbb8885c7e5d"
    );
}

#[test]
fn hkdf_sm3_agrees_with_openssl_at_every_length() {
    use openssl::md::Md;
    use openssl::pkey::Id;
    use openssl::pkey_ctx::{HkdfMode, PkeyCtx};
    for (salt, secret, info, length) in
        [(0, 1, 0, 1), (1, 32, 7, 31), (32, 32, 32, 32), (64, 65, 10, 33), (100, 300, 200, 1000), (3, 8, 5, 8160)]
    {
        let (salt, secret, info) = (vec![1; salt], vec![2; secret], vec![3; info]);
        let mut theirs = PkeyCtx::new_id(Id::HKDF).unwrap();
        theirs.derive_init().unwrap();
        theirs.set_hkdf_mode(HkdfMode::EXTRACT_THEN_EXPAND).unwrap();
        theirs.set_hkdf_md(Md::sm3()).unwrap();
        theirs.set_hkdf_salt(&salt).unwrap();
        theirs.set_hkdf_key(&secret).unwrap();
        theirs.add_hkdf_info(&info).unwrap();
        let (mut expected, mut ours) = (vec![0; length], vec![0; length]);
        theirs.derive(Some(&mut expected)).unwrap();
        HkdfSm3::extract(&salt, &secret).expand(&[&info], &mut ours).unwrap();
        assert_eq!(ours, expected, "{length} octets");
    }
    assert!(HkdfSm3::extract(b"", b"secret").expand(&[], &mut vec![0; HkdfSm3::MOST_OCTETS + 1]).is_err());
    assert_eq!(format!("{:?}", HkdfSm3::extract(b"", b"secret")), "HkdfSm3(..)");
}
