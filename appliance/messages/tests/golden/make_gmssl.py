"""Makes the golden messages `gmssl-*.der` with PyPI's gmssl (SM2, SM3, SM4) and asn1crypto (DER), neither of which shares
code with this project. Run once; the files are checked in:

    python3 -m venv venv && venv/bin/pip install gmssl==3.2.2 asn1crypto==1.5.1 && venv/bin/python make_gmssl.py
"""
import datetime
import pathlib

from asn1crypto import algos, core, keys, x509
from gmssl import func, sm2, sm3, sm4

HERE = pathlib.Path(__file__).parent
# The key pair of GB/T 32918.5-2017 Annex A.2.
PRIVATE = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"
PUBLIC = (
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
CONTENT = '{"greeting":"来自另一个实现"}'.encode()
DATA, SIGNED, ENVELOPED, SIGNED_AND_ENVELOPED = ("1.2.156.10197.6.1.4.2.%d" % n for n in (1, 2, 3, 4))
CRYPT = sm2.CryptSM2(private_key=PRIVATE, public_key=PUBLIC, mode=1)


def tlv(tag, *parts):
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        head = bytes([tag, length])
    else:
        octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
        head = bytes([tag, 0x80 | len(octets)]) + octets
    return head + content


def oid(text):
    return core.ObjectIdentifier(text).dump()


def integer(value):
    return core.Integer(value).dump()


def algorithm(text, parameters=b""):
    return tlv(0x30, oid(text), parameters)


def sign(octets):
    raw = CRYPT.sign_with_sm3(octets)
    return tlv(0x30, integer(int(raw[:64], 16)), integer(int(raw[64:], 16)))


def digest(octets):
    return bytes.fromhex(sm3.sm3_hash(func.bytes_to_list(octets)))


def certificate():
    name = x509.Name.build({"country_name": "CN", "organization_name": "gmssl", "common_name": "golden signer"})
    spki = tlv(0x30, tlv(0x30, oid("1.2.840.10045.2.1"), oid("1.2.156.10197.1.301")), tlv(3, b"\0\4", bytes.fromhex(PUBLIC)))
    validity = tlv(0x30, tlv(0x17, b"250101000000Z"), tlv(0x17, b"450101000000Z"))
    usage = tlv(0x30, oid("2.5.29.15"), tlv(1, b"\xff"), tlv(4, tlv(3, b"\x06\xc0")))
    tbs = tlv(
        0x30, tlv(0xA0, integer(2)), integer(0x00A1B2C3D4E5F60718), algorithm("1.2.156.10197.1.501"), name.dump(),
        validity, name.dump(), spki, tlv(0xA3, tlv(0x30, usage)),
    )
    return name.dump(), tlv(0x30, tbs, algorithm("1.2.156.10197.1.501"), tlv(3, b"\0", sign(tbs)))


NAME, CERTIFICATE = certificate()
ISSUER_AND_SERIAL = tlv(0x30, NAME, integer(0x00A1B2C3D4E5F60718))
NULL = b"\5\0"


def signed(attributes, parameters, signature_algorithm, version=1):
    value = b""
    if attributes:
        members = sorted(
            tlv(0x30, oid(kind), tlv(0x31, content))
            for kind, content in [
                ("1.2.840.113549.1.9.3", oid(DATA)),
                ("1.2.840.113549.1.9.4", tlv(4, digest(CONTENT))),
                ("1.2.840.113549.1.9.5", tlv(0x17, b"260102030405Z")),
            ]
        )
        value = tlv(0xA0, *members)
        signature = sign(tlv(0x31, *members))
    else:
        signature = sign(CONTENT)
    sm3_algorithm = algorithm("1.2.156.10197.1.401", parameters)
    signer = tlv(
        0x30, integer(1), ISSUER_AND_SERIAL, sm3_algorithm, value, algorithm(signature_algorithm, parameters), tlv(4, signature)
    )
    body = tlv(
        0x30, integer(version), tlv(0x31, sm3_algorithm), tlv(0x30, oid(DATA)), tlv(0xA0, CERTIFICATE), tlv(0x31, signer)
    )
    return tlv(0x30, oid(SIGNED), tlv(0xA0, body))


SESSION, IV = bytes(range(16)), bytes(range(100, 116))


def sm4_encrypt(mode):
    cipher = sm4.CryptSM4()
    cipher.set_key(SESSION, sm4.SM4_ENCRYPT)
    return cipher.crypt_cbc(IV, CONTENT) if mode == "cbc" else cipher.crypt_ecb(CONTENT)


def recipient(key, parameters=NULL):
    return tlv(0x30, integer(1), ISSUER_AND_SERIAL, algorithm("1.2.156.10197.1.301.3", parameters), tlv(4, key))


def sm2_cipher():
    sealed = CRYPT.encrypt(SESSION)
    x, y, c3, c2 = sealed[:32], sealed[32:64], sealed[64:96], sealed[96:]
    return tlv(0x30, integer(int.from_bytes(x, "big")), integer(int.from_bytes(y, "big")), tlv(4, c3), tlv(4, c2))


def content(mode, name, parameters):
    return tlv(0x30, oid(DATA), algorithm(name, parameters), tlv(0x80, sm4_encrypt(mode)))


def enveloped(version, key, encrypted):
    return tlv(0x30, oid(ENVELOPED), tlv(0xA0, tlv(0x30, integer(version), tlv(0x31, recipient(key)), encrypted)))


def old_cfca():
    """C1, C2, C3 without 04, and SM4 by its bare name with an initial vector."""
    key = sm2.CryptSM2(private_key=PRIVATE, public_key=PUBLIC, mode=0).encrypt(SESSION)
    return enveloped(1, key, content("cbc", "1.2.156.10197.1.104", tlv(4, IV)))


def signed_enveloped():
    signer = tlv(
        0x30, integer(1), ISSUER_AND_SERIAL, algorithm("1.2.156.10197.1.401", NULL), algorithm("1.2.156.10197.1.301.1", NULL),
        tlv(4, sign(CONTENT)),
    )
    body = tlv(
        0x30, integer(1), tlv(0x31, recipient(sm2_cipher())), tlv(0x31, algorithm("1.2.156.10197.1.401", NULL)),
        content("cbc", "1.2.156.10197.1.104.2", tlv(4, IV)), tlv(0xA0, CERTIFICATE), tlv(0x31, signer),
    )
    return tlv(0x30, oid(SIGNED_AND_ENVELOPED), tlv(0xA0, body))


FILES = {
    "gmssl-certificate.der": CERTIFICATE,
    "gmssl-content.txt": CONTENT,
    "gmssl-signed-attributes.der": signed(True, b"", "1.2.156.10197.1.301.1"),
    "gmssl-signed-plain-null.der": signed(False, NULL, "1.2.156.10197.1.301.1"),
    "gmssl-signed-501.der": signed(True, NULL, "1.2.156.10197.1.501"),
    "gmssl-enveloped.der": enveloped(0, sm2_cipher(), content("cbc", "1.2.156.10197.1.104.2", tlv(4, IV))),
    # As CTID's samples are: SM4 by its bare name, without parameters.
    "gmssl-enveloped-ecb.der": enveloped(0, sm2_cipher(), content("ecb", "1.2.156.10197.1.104", b"")),
    "gmssl-enveloped-old-order.der": old_cfca(),
    "gmssl-signed-enveloped.der": signed_enveloped(),
}
for file, octets in FILES.items():
    # asn1crypto reads back what was written, strictly.
    if file.endswith(".der"):
        core.load(octets, strict=True)
    (HERE / file).write_bytes(octets)
