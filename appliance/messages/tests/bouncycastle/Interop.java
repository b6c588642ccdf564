import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Security;
import java.security.Signature;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import java.util.Date;
import java.util.List;
import javax.crypto.Cipher;
import javax.crypto.CipherOutputStream;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.asn1.ASN1Encodable;
import org.bouncycastle.asn1.ASN1Encoding;
import org.bouncycastle.asn1.ASN1Integer;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.ASN1OctetString;
import org.bouncycastle.asn1.ASN1Primitive;
import org.bouncycastle.asn1.ASN1Sequence;
import org.bouncycastle.asn1.ASN1Set;
import org.bouncycastle.asn1.DERNull;
import org.bouncycastle.asn1.DEROctetString;
import org.bouncycastle.asn1.DERSequence;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.DERTaggedObject;
import org.bouncycastle.asn1.cms.ContentInfo;
import org.bouncycastle.asn1.cms.EncryptedContentInfo;
import org.bouncycastle.asn1.cms.EnvelopedData;
import org.bouncycastle.asn1.cms.IssuerAndSerialNumber;
import org.bouncycastle.asn1.cms.KeyTransRecipientInfo;
import org.bouncycastle.asn1.cms.RecipientInfo;
import org.bouncycastle.asn1.cms.SignerInfo;
import org.bouncycastle.asn1.gm.GMNamedCurves;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.asn1.x9.X9ECParameters;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cert.jcajce.JcaX509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.cms.CMSEnvelopedData;
import org.bouncycastle.cms.CMSEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.jcajce.JcaSignerInfoVerifierBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoGeneratorBuilder;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.crypto.engines.SM2Engine;
import org.bouncycastle.crypto.params.ECPrivateKeyParameters;
import org.bouncycastle.crypto.params.ECPublicKeyParameters;
import org.bouncycastle.crypto.params.ParametersWithRandom;
import org.bouncycastle.jcajce.provider.asymmetric.util.ECUtil;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.jce.spec.ECNamedCurveParameterSpec;
import org.bouncycastle.jce.spec.ECParameterSpec;
import org.bouncycastle.jce.spec.ECPrivateKeySpec;
import org.bouncycastle.jce.spec.ECPublicKeySpec;
import org.bouncycastle.operator.GenericKey;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;

/**
 * GB/T 35275 and CMS messages with SM2, SM3 and SM4 by Bouncy Castle, which shares no code with this project.
 *
 *   java -cp ... Interop.java make DIR ...  writes messages over DIR/content, and the certificates that go with them
 *   java -cp ... Interop.java read DIR ...  reads messages of ours, and fails unless each says what DIR/content does
 */
public final class Interop {
    private static final String GM = "1.2.156.10197.6.1.4.2.";
    private static final AlgorithmIdentifier SM3 = algorithm("1.2.156.10197.1.401", null);
    private static final AlgorithmIdentifier SM2_SIGN = algorithm("1.2.156.10197.1.301.1", null);
    private static final String SM2_ENCRYPT = "1.2.156.10197.1.301.3";
    private static final String SM4_CBC = "1.2.156.10197.1.104.2";
    private static final SecureRandom RANDOM = new SecureRandom();

    private static Path directory;
    private static byte[] content;

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        for (String folder : Arrays.asList(arguments).subList(1, arguments.length)) {
            directory = Path.of(folder);
            content = read("content");
            switch (arguments[0]) {
                case "make" -> make();
                case "read" -> readOurs();
                default -> throw new IllegalArgumentException(arguments[0]);
            }
        }
    }

    // What both directions need.

    private static byte[] read(String file) throws IOException {
        return Files.readAllBytes(directory.resolve(file));
    }

    private static void write(String file, byte[] octets) throws IOException {
        Files.write(directory.resolve(file), octets);
    }

    private static ASN1ObjectIdentifier oid(String text) {
        return new ASN1ObjectIdentifier(text);
    }

    private static AlgorithmIdentifier algorithm(String text, ASN1Encodable parameters) {
        return parameters == null ? new AlgorithmIdentifier(oid(text)) : new AlgorithmIdentifier(oid(text), parameters);
    }

    private static byte[] sm2(boolean encrypt, java.security.Key key, byte[] input) throws Exception {
        SM2Engine engine = new SM2Engine(SM2Engine.Mode.C1C3C2);
        if (encrypt) {
            ECPublicKeyParameters to = (ECPublicKeyParameters) ECUtil.generatePublicKeyParameter((PublicKey) key);
            engine.init(true, new ParametersWithRandom(to, RANDOM));
        } else {
            engine.init(false, (ECPrivateKeyParameters) ECUtil.generatePrivateKeyParameter((PrivateKey) key));
        }
        return engine.processBlock(input, 0, input.length);
    }

    private static byte[] sm4(int mode, byte[] key, byte[] iv, byte[] input) throws Exception {
        Cipher cipher = Cipher.getInstance("SM4/CBC/PKCS7Padding", "BC");
        cipher.init(mode, new SecretKeySpec(key, "SM4"), new IvParameterSpec(iv));
        return cipher.doFinal(input);
    }

    private static byte[] random(int length) {
        byte[] octets = new byte[length];
        RANDOM.nextBytes(octets);
        return octets;
    }

    private static void require(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException(what);
        }
    }

    // Theirs.

    private record Party(PrivateKey key, X509Certificate certificate) {
        /** With the key pair of GB/T 32918.5-2017 Annex A.2, which is no secret: anyone can open what is sealed to it. */
        static Party published(String name, int usage) throws Exception {
            X9ECParameters curve = GMNamedCurves.getByName("sm2p256v1");
            ECParameterSpec domain = new ECNamedCurveParameterSpec(
                "sm2p256v1", curve.getCurve(), curve.getG(), curve.getN(), curve.getH());
            BigInteger scalar = new BigInteger("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8", 16);
            KeyFactory factory = KeyFactory.getInstance("EC", "BC");
            return make(name, usage, new KeyPair(
                factory.generatePublic(new ECPublicKeySpec(curve.getG().multiply(scalar), domain)),
                factory.generatePrivate(new ECPrivateKeySpec(scalar, domain))));
        }

        static Party fresh(String name, int usage) throws Exception {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", "BC");
            generator.initialize(new ECGenParameterSpec("sm2p256v1"), RANDOM);
            return make(name, usage, generator.generateKeyPair());
        }

        private static Party make(String name, int usage, KeyPair pair) throws Exception {
            X500Name subject = new X500Name("C=CN,O=Bouncy Castle,CN=" + name);
            // From 2025 to 2045, so that golden files of it last.
            JcaX509v3CertificateBuilder builder = new JcaX509v3CertificateBuilder(
                subject, new BigInteger(1, random(16)), new Date(1735689600000L), new Date(2366841600000L), subject, pair.getPublic());
            builder.addExtension(Extension.keyUsage, true, new KeyUsage(usage));
            builder.addExtension(
                Extension.subjectKeyIdentifier, false, new JcaX509ExtensionUtils().createSubjectKeyIdentifier(pair.getPublic()));
            X509CertificateHolder holder =
                builder.build(new JcaContentSignerBuilder("SM3withSM2").setProvider("BC").build(pair.getPrivate()));
            X509Certificate certificate = (X509Certificate) CertificateFactory.getInstance("X.509", "BC")
                .generateCertificate(new java.io.ByteArrayInputStream(holder.getEncoded()));
            return new Party(pair.getPrivate(), certificate);
        }

        IssuerAndSerialNumber name() throws Exception {
            return new IssuerAndSerialNumber(
                new JcaX509CertificateHolder(certificate).getIssuer(), certificate.getSerialNumber());
        }

        byte[] sign(byte[] octets) throws Exception {
            Signature signature = Signature.getInstance("SM3withSM2", "BC");
            signature.initSign(key);
            signature.update(octets);
            return signature.sign();
        }
    }

    private static void make() throws Exception {
        Party signer = Party.published("signer", KeyUsage.digitalSignature | KeyUsage.nonRepudiation);
        Party recipient = Party.published("recipient", KeyUsage.keyEncipherment | KeyUsage.dataEncipherment);
        Party other = Party.fresh("other recipient", KeyUsage.keyEncipherment);
        write("signer.der", signer.certificate.getEncoded());
        write("recipient.der", recipient.certificate.getEncoded());

        write("cms-detached.der", cmsSigned(signer, "1.2.840.113549.1.7.1", false).getEncoded(ASN1Encoding.DER));
        CMSSignedData attached = cmsSigned(signer, "1.2.840.113549.1.7.1", true);
        write("cms-attached.der", attached.getEncoded(ASN1Encoding.DER));
        write("cms-attached.ber", attached.getEncoded(ASN1Encoding.BER));
        // Bouncy Castle's own attributes and signature, under the names of GB/T 35275.
        ASN1Encodable named = cmsSigned(signer, GM + "1", true).toASN1Structure().getContent();
        write("gm-attached.der", new ContentInfo(oid(GM + "2"), named).getEncoded(ASN1Encoding.DER));
        write("gm-detached-plain.der", gmSigned(signer));

        write("cms-enveloped.der", cmsEnveloped(recipient));
        write("gm-enveloped.der", gmEnveloped(List.of(other, recipient)));
        write("gm-signed-enveloped.der", gmSignedEnveloped(signer, recipient));
    }

    private static CMSSignedData cmsSigned(Party signer, String contentType, boolean attached) throws Exception {
        CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
        generator.addSignerInfoGenerator(
            new JcaSimpleSignerInfoGeneratorBuilder().setProvider("BC").build("SM3withSM2", signer.key, signer.certificate));
        generator.addCertificates(new JcaCertStore(List.of(signer.certificate)));
        return generator.generate(new CMSProcessableByteArray(oid(contentType), content), attached);
    }

    private static SignerInfo plainSigner(Party signer) throws Exception {
        AlgorithmIdentifier withNull = algorithm("1.2.156.10197.1.401", DERNull.INSTANCE);
        return new SignerInfo(
            new org.bouncycastle.asn1.cms.SignerIdentifier(signer.name()), withNull, (ASN1Set) null,
            algorithm("1.2.156.10197.1.301.1", DERNull.INSTANCE), new DEROctetString(signer.sign(content)), (ASN1Set) null);
    }

    private static DERTaggedObject certificates(Party signer) throws Exception {
        return new DERTaggedObject(
            false, 0, new DERSet(new JcaX509CertificateHolder(signer.certificate).toASN1Structure()));
    }

    /** Detached, without attributes, with NULL parameters: the form of published samples. */
    private static byte[] gmSigned(Party signer) throws Exception {
        DERSequence body = new DERSequence(new ASN1Encodable[] {
            new ASN1Integer(1), new DERSet(algorithm("1.2.156.10197.1.401", DERNull.INSTANCE)),
            new DERSequence(oid(GM + "1")), certificates(signer), new DERSet(plainSigner(signer))});
        return new ContentInfo(oid(GM + "2"), body).getEncoded(ASN1Encoding.DER);
    }

    /** SM4-CBC, which this library has as a cipher but not by its name in CMS. */
    private record Sm4Encryptor(byte[] session, byte[] iv) implements OutputEncryptor {
        public AlgorithmIdentifier getAlgorithmIdentifier() {
            return algorithm(SM4_CBC, new DEROctetString(iv));
        }

        public OutputStream getOutputStream(OutputStream out) {
            try {
                Cipher cipher = Cipher.getInstance("SM4/CBC/PKCS7Padding", "BC");
                cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(session, "SM4"), new IvParameterSpec(iv));
                return new CipherOutputStream(out, cipher);
            } catch (java.security.GeneralSecurityException failed) {
                throw new IllegalStateException(failed);
            }
        }

        public GenericKey getKey() {
            return new GenericKey(session);
        }
    }

    private static byte[] cmsEnveloped(Party recipient) throws Exception {
        CMSEnvelopedDataGenerator generator = new CMSEnvelopedDataGenerator();
        // The engine's output as it is: 04, C1, C2, C3.
        generator.addRecipientInfoGenerator(new JceKeyTransRecipientInfoGenerator(
            recipient.certificate, algorithm(SM2_ENCRYPT, null)).setAlgorithmMapping(oid(SM2_ENCRYPT), "SM2").setProvider("BC"));
        CMSEnvelopedData message = generator.generate(
            new CMSProcessableByteArray(content), new Sm4Encryptor(random(16), random(16)));
        return message.toASN1Structure().getEncoded(ASN1Encoding.DER);
    }

    private static DERSet recipients(List<Party> recipients, byte[] session) throws Exception {
        ASN1Encodable[] infos = new ASN1Encodable[recipients.size()];
        for (int index = 0; index < infos.length; index++) {
            Party recipient = recipients.get(index);
            byte[] sealed = sm2(true, recipient.certificate.getPublicKey(), session);
            DERSequence cipher = new DERSequence(new ASN1Encodable[] {
                new ASN1Integer(new BigInteger(1, Arrays.copyOfRange(sealed, 1, 33))),
                new ASN1Integer(new BigInteger(1, Arrays.copyOfRange(sealed, 33, 65))),
                new DEROctetString(Arrays.copyOfRange(sealed, 65, 97)),
                new DEROctetString(Arrays.copyOfRange(sealed, 97, sealed.length))});
            infos[index] = new DERSequence(new ASN1Encodable[] {
                new ASN1Integer(1), recipient.name(), algorithm(SM2_ENCRYPT, null), new DEROctetString(cipher)});
        }
        return new DERSet(infos);
    }

    private static EncryptedContentInfo encrypted(byte[] session) throws Exception {
        byte[] iv = random(16);
        return new EncryptedContentInfo(
            oid(GM + "1"), algorithm(SM4_CBC, new DEROctetString(iv)),
            new DEROctetString(sm4(Cipher.ENCRYPT_MODE, session, iv, content)));
    }

    private static byte[] gmEnveloped(List<Party> to) throws Exception {
        byte[] session = random(16);
        DERSequence body =
            new DERSequence(new ASN1Encodable[] {new ASN1Integer(1), recipients(to, session), encrypted(session)});
        return new ContentInfo(oid(GM + "3"), body).getEncoded(ASN1Encoding.DER);
    }

    private static byte[] gmSignedEnveloped(Party signer, Party recipient) throws Exception {
        byte[] session = random(16);
        DERSequence body = new DERSequence(new ASN1Encodable[] {
            new ASN1Integer(1), recipients(List.of(recipient), session), new DERSet(SM3), encrypted(session),
            certificates(signer), new DERSet(plainSigner(signer))});
        return new ContentInfo(oid(GM + "4"), body).getEncoded(ASN1Encoding.DER);
    }

    // Ours.

    private static void readOurs() throws Exception {
        X509Certificate signer = certificate("signer.der");
        PrivateKey key = KeyFactory.getInstance("EC", "BC").generatePrivate(new PKCS8EncodedKeySpec(read("recipient.key")));

        CMSSignedData detached = new CMSSignedData(new CMSProcessableByteArray(oid(GM + "1"), content), read("detached.der"));
        require(verifies(detached, signer), "detached.der");
        CMSSignedData attached = new CMSSignedData(read("attached.der"));
        require(verifies(attached, signer), "attached.der");
        require(attached.getSignedContentTypeOID().equals(GM + "1"), "attached.der: content type");
        require(Arrays.equals((byte[]) attached.getSignedContent().getContent(), content), "attached.der: content");
        require(!verifies(new CMSSignedData(new CMSProcessableByteArray(oid(GM + "1"), random(8)), read("detached.der")), signer),
            "detached.der verifies over other content");

        // Without attributes GB/T 35275 signs the content with Z, which CMS does not know.
        ASN1Sequence plain = body("plain.der", 2);
        require(signedPlainly(plain, signer, content), "plain.der");

        ASN1Sequence enveloped = body("enveloped.der", 3);
        EnvelopedData read = EnvelopedData.getInstance(enveloped);
        KeyTransRecipientInfo info =
            (KeyTransRecipientInfo) RecipientInfo.getInstance(read.getRecipientInfos().getObjectAt(0)).getInfo();
        require(Arrays.equals(opened(info, read.getEncryptedContentInfo(), key), content), "enveloped.der");

        ASN1Sequence both = body("signed-enveloped.der", 4);
        info = (KeyTransRecipientInfo)
            RecipientInfo.getInstance(ASN1Set.getInstance(both.getObjectAt(1)).getObjectAt(0)).getInfo();
        byte[] inside = opened(info, EncryptedContentInfo.getInstance(both.getObjectAt(3)), key);
        require(Arrays.equals(inside, content), "signed-enveloped.der");
        require(signedPlainly(both, signer, inside), "signed-enveloped.der: signature");
        require(both.getObjectAt(0).equals(new ASN1Integer(1)), "signed-enveloped.der: version");
    }

    private static X509Certificate certificate(String file) throws Exception {
        return (X509Certificate) CertificateFactory.getInstance("X.509", "BC")
            .generateCertificate(new java.io.ByteArrayInputStream(read(file)));
    }

    private static ASN1Sequence body(String file, int kind) throws Exception {
        byte[] octets = read(file);
        ContentInfo info = ContentInfo.getInstance(ASN1Primitive.fromByteArray(octets));
        require(info.getContentType().equals(oid(GM + kind)), file + ": content type");
        require(Arrays.equals(info.getEncoded(ASN1Encoding.DER), octets), file + ": is not DER");
        return ASN1Sequence.getInstance(info.getContent());
    }

    private static boolean verifies(CMSSignedData message, X509Certificate signer) throws Exception {
        require(
            List.copyOf(message.getCertificates().getMatches(null)).equals(List.of(new JcaX509CertificateHolder(signer))), "certificates");
        SignerInformation information = message.getSignerInfos().getSigners().iterator().next();
        // CMS in this library knows SM2-with-SM3 by its own name, not SM2 beside SM3 as GB/T 35275 has them.
        JcaSignerInfoVerifierBuilder verifier =
            new JcaSignerInfoVerifierBuilder(new JcaDigestCalculatorProviderBuilder().setProvider("BC").build())
                .setProvider("BC")
                .setSignatureAlgorithmNameGenerator((digest, signature) -> {
                    require(digest.equals(SM3) && signature.equals(SM2_SIGN), "algorithms");
                    return "SM3WITHSM2";
                });
        try {
            return information.verify(verifier.build(signer));
        } catch (org.bouncycastle.cms.CMSSignerDigestMismatchException mismatch) {
            return false;
        }
    }

    private static boolean signedPlainly(ASN1Sequence body, X509Certificate signer, byte[] octets) throws Exception {
        SignerInfo info =
            SignerInfo.getInstance(ASN1Set.getInstance(body.getObjectAt(body.size() - 1)).getObjectAt(0));
        require(info.getAuthenticatedAttributes() == null, "attributes");
        require(info.getDigestEncryptionAlgorithm().equals(SM2_SIGN) && info.getDigestAlgorithm().equals(SM3), "algorithms");
        Signature signature = Signature.getInstance("SM3withSM2", "BC");
        signature.initVerify(signer.getPublicKey());
        signature.update(octets);
        return signature.verify(info.getEncryptedDigest().getOctets());
    }

    private static byte[] opened(KeyTransRecipientInfo info, EncryptedContentInfo encrypted, PrivateKey key) throws Exception {
        require(info.getKeyEncryptionAlgorithm().equals(algorithm(SM2_ENCRYPT, null)), "key encryption algorithm");
        ASN1Sequence cipher = ASN1Sequence.getInstance(info.getEncryptedKey().getOctets());
        ByteArrayOutputStream raw = new ByteArrayOutputStream();
        raw.write(4);
        for (int index = 0; index < 2; index++) {
            byte[] coordinate = ASN1Integer.getInstance(cipher.getObjectAt(index)).getPositiveValue().toByteArray();
            byte[] padded = new byte[32];
            int length = Math.min(coordinate.length, 32);
            System.arraycopy(coordinate, coordinate.length - length, padded, 32 - length, length);
            raw.write(padded);
        }
        raw.write(ASN1OctetString.getInstance(cipher.getObjectAt(2)).getOctets());
        raw.write(ASN1OctetString.getInstance(cipher.getObjectAt(3)).getOctets());
        byte[] session = sm2(false, key, raw.toByteArray());
        AlgorithmIdentifier algorithm = encrypted.getContentEncryptionAlgorithm();
        require(algorithm.getAlgorithm().equals(oid(SM4_CBC)), "content encryption algorithm");
        byte[] iv = ASN1OctetString.getInstance(algorithm.getParameters()).getOctets();
        return sm4(Cipher.DECRYPT_MODE, session, iv, encrypted.getEncryptedContent().getOctets());
    }
}
