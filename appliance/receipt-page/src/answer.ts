// The signed object of an answer, found by what its signature covers: docs/receipt-format.md, section The signed object of
// an answer.
import { rfc8785, sortedPairs } from "./canonical.ts";
import { messageDigest, readSignedData, type SignedData } from "./cms.ts";
import { type Json, octetsOf, parseJson } from "./json.ts";
import { equal, fromHex, fromLaxBase64, fromUtf8, hex, type Octets, toBase64, toBase64Url } from "./octets.ts";
import type { RecordedAnswer } from "./records.ts";
import { type Signature, signatureFromDer, signatureFromLaxDer, signatureFromRaw, verifiesMessage } from "./sm2.ts";
import { sm3 } from "./sm3.ts";
import { fail } from "./text.ts";
import type { Certificate } from "./x509.ts";

/** A signature as found in the answer. */
interface Found {
  readonly signature: Signature;
  /** r and s alone. */
  readonly bare: boolean;
  readonly attributes: Octets | undefined;
  readonly certificate: Octets | undefined;
  readonly issuer?: Octets;
  readonly serial?: Octets;
}
export interface SignedObject {
  readonly octets: Octets;
  /** Its members that are texts. */
  readonly texts: string[];
}
/** What a signature may cover, and the object that is signed by it. */
interface Candidate {
  readonly octets: Octets;
  readonly object: Octets;
  readonly found: Found | undefined;
}

/** What the signer signed. Fails when no reading of the answer has a signature that is the record's and holds. */
export function signedObject(answer: RecordedAnswer, signer: Certificate): SignedObject {
  const recorded = answer.signature && signatureFromDer(answer.signature);
  if (recorded === undefined) fail("the record holds no signature of the answer", "记录中没有应答的签名");
  const candidates = candidatesOf(answer.octets);
  const own = candidates.filter(({ found }) => found === undefined || isTheRecords(found, recorded, answer.attributes, signer));
  if (own.length === 0) fail("the signature in the answer is not the record's", "应答中的签名与记录不符");
  const covered = own.find(({ octets }) => covers(octets, recorded, answer.attributes, signer));
  if (covered === undefined) fail("the platform's signature does not verify over the answer", "平台签名对应答验证不通过");
  const members = objectMembers(covered.object).map(([, value]) => value);
  const texts = members.flatMap((value) => (value.kind === "string" ? [value.value] : []));
  return { octets: covered.object, texts };
}

function isTheRecords(found: Found, recorded: Signature, attributes: Octets | undefined, signer: Certificate): boolean {
  const same = (a: Octets | undefined, b: Octets | undefined) => (a === undefined || b === undefined ? a === b : equal(a, b));
  return (
    found.signature.r === recorded.r && found.signature.s === recorded.s && (found.bare || same(found.attributes, attributes)) &&
    (found.certificate === undefined || equal(found.certificate, signer.der)) &&
    (found.issuer === undefined || equal(found.issuer, signer.issuer)) &&
    (found.serial === undefined || equal(found.serial, signer.serial))
  );
}

function covers(octets: Octets, signature: Signature, attributes: Octets | undefined, { key }: Certificate): boolean {
  if (key === undefined) return false;
  if (attributes === undefined) return verifiesMessage(key, octets, signature);
  return equal(messageDigest(attributes), sm3(octets)) && verifiesMessage(key, attributes, signature);
}

function candidatesOf(octets: Octets): Candidate[] {
  const attached = signedData(octets) ?? spelledSignedData(octets);
  if (attached?.content !== undefined) return [{ octets: attached.content, object: attached.content, found: foundIn(attached) }];
  const members = objectMembers(octets);
  const pair = packageOf(members);
  if (pair !== undefined) return [pair];
  const inside = members.flatMap(([name, value]): Candidate[] => {
    const found = value.kind === "string" ? signatureIn(value.value) : undefined;
    if (found === undefined) return [];
    const others = members.filter(([other]) => other !== name);
    const forms = [sortedPairs(others, false), sortedPairs(others, true), rfc8785(others)];
    return forms.flatMap((form) => (form === undefined ? [] : [{ octets: form, object: octets, found }]));
  });
  return [...inside, { octets, object: octets, found: undefined }];
}

/** One object, one string, and otherwise only `null`: package and signature. */
function packageOf(members: [string, Json][]): Candidate | undefined {
  const [object, ...objects] = members.filter(([, { kind }]) => kind === "object");
  const [text, ...texts] = members.filter(([, { kind }]) => kind === "string");
  const only = members.every(([, { kind }]) => kind === "object" || kind === "string" || kind === "null");
  if (object === undefined || text === undefined || objects.length + texts.length > 0 || !only) return undefined;
  if (text[1].kind !== "string") return undefined;
  const found = signatureIn(text[1].value);
  if (found === undefined) fail("the answer's signature cannot be read", "无法解读应答中的签名");
  const signed = octetsOf(object[1]);
  return { octets: signed, object: signed, found };
}

function objectMembers(octets: Octets): [string, Json][] {
  try {
    const value = parseJson(octets);
    if (value.kind === "object" && !value.doubled) return [...value.members];
  } catch {
    // Said below, for other values too.
  }
  fail("the answer is neither a signed message nor a JSON object without a name twice", "应答既不是签名消息，也不是无重名成员的 JSON 对象");
}

function signedData(octets: Octets): SignedData | undefined {
  try {
    return readSignedData(octets);
  } catch {
    return undefined;
  }
}

/** A SignedData as text: base64, or hexadecimal of either case. */
function spelledSignedData(octets: Octets): SignedData | undefined {
  const text = fromUtf8(octets) ?? "-";
  for (const decoded of [fromLaxBase64(text), fromHex(text.toLowerCase())]) {
    const data = decoded && signedData(decoded);
    if (data !== undefined) return data;
  }
  return undefined;
}

function foundIn(data: SignedData): Found | undefined {
  const signature = signatureFromDer(data.signature);
  return signature && { ...data, signature, bare: false };
}

/** A detached SignedData, DER or r ‖ s, in base64 or hexadecimal, as leniently as any profile reads them. */
function signatureIn(text: string): Found | undefined {
  for (const octets of [fromHex(text.toLowerCase()), fromLaxBase64(text)]) {
    if (octets === undefined) continue;
    const data = signedData(octets);
    if (data !== undefined) return data.content === undefined ? foundIn(data) : undefined;
    const signature = signatureFromRaw(octets) ?? signatureFromLaxDer(octets);
    if (signature !== undefined) return { signature, bare: true, attributes: undefined, certificate: undefined };
  }
  return undefined;
}

/** Whether a member of the signed object is these octets in one of the spellings that profiles know. */
export function names({ texts }: SignedObject, value: Octets): boolean {
  return [hex(value), toBase64(value), toBase64Url(value)].some((text) => texts.includes(text));
}
