"""The soft token's life as PyKCS11 sees it; its signatures are verified here by the definition of SM2 (GB/T 32918.2)."""

import os
import sys

import PyKCS11 as p11

KEYGEN, SIGN_E, CKK_SM2 = 0x80008001, 0x80008105, 0x80000004
CURVE = bytes.fromhex("06082a811ccf5501822d")
P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)


def add(one, other):
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    slope = (3 * x1 * x1 + A) * pow(2 * y1, -1, P) if one == other else (y2 - y1) * pow(x2 - x1, -1, P)
    x = (slope * slope - x1 - x2) % P
    return x, (slope * (x1 - x) - y1) % P


def times(number, point):
    product = None
    for bit in bin(number)[2:]:
        product = add(product, product)
        if bit == "1":
            product = add(product, point)
    return product


def verifies(point, e, signature):
    key = (int.from_bytes(point[1:33], "big"), int.from_bytes(point[33:], "big"))
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not (0 < r < N and 0 < s < N) or (r + s) % N == 0:
        return False
    x, _ = add(times(s, G), times((r + s) % N, key))
    return (int.from_bytes(e, "big") + x) % N == r


def refused(code, work):
    try:
        work()
    except p11.PyKCS11Error as error:
        assert error.value == code, error
    else:
        raise AssertionError(f"not refused with {p11.CKR[code]}")


def main():
    library = p11.PyKCS11Lib()
    library.load(sys.argv[1])
    (slot,) = library.getSlotList(tokenPresent=True)
    assert "SOFT" in library.getTokenInfo(slot).model
    # The label is 32 octets, padded by whoever calls (PKCS#11 v2.40 §5.5).
    library.initToken(slot, "so-12345678", "by python".ljust(32))
    writing = p11.CKF_SERIAL_SESSION | p11.CKF_RW_SESSION
    session = library.openSession(slot, writing)
    session.login("so-12345678", p11.CKU_SO)
    session.initPin("user-1234")
    session.logout()
    refused(p11.CKR_PIN_INCORRECT, lambda: session.login("wrong-pin"))
    session.login("user-1234")
    refused(p11.CKR_USER_ALREADY_LOGGED_IN, lambda: session.login("user-1234"))

    label = [(p11.CKA_TOKEN, True), (p11.CKA_LABEL, "k"), (p11.CKA_ID, b"\x01")]
    public, private = session.generateKeyPair(
        label + [(p11.CKA_EC_PARAMS, CURVE), (p11.CKA_VERIFY, True)],
        label + [(p11.CKA_SIGN, True), (p11.CKA_PRIVATE, True), (p11.CKA_SENSITIVE, True)],
        mecha=p11.Mechanism(KEYGEN),
    )
    point = bytes(session.getAttributeValue(public, [p11.CKA_EC_POINT])[0])
    assert point[:3] == b"\x04\x41\x04" and len(point) == 67
    for _ in range(10):
        e = os.urandom(32)
        signature = bytes(session.sign(private, e, p11.Mechanism(SIGN_E)))
        assert verifies(point[2:], e, signature)
        assert not verifies(point[2:], os.urandom(32), signature)
        assert session.verify(public, e, signature, p11.Mechanism(SIGN_E))
    refused(p11.CKR_MECHANISM_INVALID, lambda: session.sign(private, e, p11.Mechanism(p11.CKM_ECDSA)))
    assert session.getAttributeValue(private, [p11.CKA_VALUE]) == [None]
    assert session.getAttributeValue(private, [p11.CKA_KEY_TYPE]) == [CKK_SM2]

    session.logout()
    assert session.findObjects([(p11.CKA_CLASS, p11.CKO_PRIVATE_KEY)]) == []
    session.closeSession()
    session = library.openSession(slot, writing)
    session.login("user-1234")
    (private,) = session.findObjects([(p11.CKA_CLASS, p11.CKO_PRIVATE_KEY), (p11.CKA_LABEL, "k")])
    assert verifies(point[2:], e, bytes(session.sign(private, e, p11.Mechanism(SIGN_E))))
    session.setPin("user-1234", "another-1")
    session.logout()
    refused(p11.CKR_PIN_INCORRECT, lambda: session.login("user-1234"))
    session.login("another-1")
    assert len(bytes(session.generateRandom(100))) == 100
    for thing in session.findObjects([(p11.CKA_LABEL, "k")]):
        session.destroyObject(thing)
    assert session.findObjects([(p11.CKA_LABEL, "k")]) == []
    session.logout()
    session.closeSession()
    print("PyKCS11: the soft token's life, 11 signatures verified by the definition of SM2")


main()
