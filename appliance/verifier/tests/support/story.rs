//! A check as its records tell it.

use super::*;

/// Records before they are written: tests change what they are about.
#[derive(Clone)]
pub struct Story {
    pub context: Context,
    pub at: Timestamp,
    pub intent: Intent,
    pub exchange: Option<Exchange>,
    pub outcome: Outcome,
    pub certificates: Vec<Vec<u8>>,
    pub lists: Vec<Vec<u8>>,
    pub salt: Option<[u8; 32]>,
}

impl Story {
    /// A real-name check with a match, in one request.
    pub fn of(site: &Site) -> Self {
        let verification = VerificationId::new(site.now, [7; 10]);
        let (request, to_be_signed, signature) = site.request(REQUEST);
        let fields = BTreeSet::from([Field::Number, Field::Name, Field::BirthDate]);
        let intent = Intent {
            verification,
            caller: CallerId::new("core-banking").unwrap(),
            mode: Mode::RealName,
            purpose: PurposeCode::new("account-opening").unwrap(),
            document_type: DocumentType::PrcPassport,
            rule: RuleId::new("rule-1").unwrap(),
            fields: fields.clone(),
            request,
            nonce: Nonce::new(NONCE),
            to_be_signed,
            search: None,
            commitment: commitment(&SALT, &claim()),
            idempotency: None,
            received: site.now,
        };
        let outcome = Outcome {
            verification,
            intent: 41,
            decision: Decision::Verdict {
                overall: Verdict::Match,
                fields: fields.into_iter().map(|field| (field, FieldVerdict::Match)).collect(),
            },
            signature: Some(signature),
            answer: Some(site.answer(&object(&request, NONCE, "S-1", ""), "")),
            signer: Some(signer(&site.platform)),
            chain: site.chain.iter().map(|certificate| CertificateHash::new(certificate.hash())).collect(),
            revocation: site.revocation(),
            platform_time: Some(site.now),
            platform_serial: Some(PlatformSerial::new("S-1").unwrap()),
            steps: steps(),
            times: Times { received: site.now, signed: Some(site.now), sent: Some(site.now), answered: Some(site.now) },
            trust: Some(TrustHash::new([0xc6; 32])),
            platform_status: Some(200),
            exchange: None,
            reading: None,
        };
        Self {
            context: site.context(),
            at: site.now,
            intent,
            exchange: None,
            outcome,
            certificates: site.certificates(),
            lists: site.lists.clone(),
            salt: Some(SALT),
        }
    }

    /// The same check in two requests.
    pub fn two_steps(site: &Site) -> Self {
        let mut story = Self::of(site);
        let outcome = &story.outcome;
        let second = [0x29; 16];
        let (request, to_be_signed, signature) = site.request(b"{\"the\":\"second\"}");
        story.exchange = Some(Exchange {
            verification: outcome.verification,
            intent: 41,
            step: Label::new("apply"),
            signature: outcome.signature.clone().unwrap(),
            answer: outcome.answer.clone().unwrap(),
            signer: outcome.signer.clone().unwrap(),
            chain: outcome.chain.clone(),
            revocation: outcome.revocation.clone(),
            platform_time: outcome.platform_time,
            platform_serial: outcome.platform_serial.clone(),
            steps: outcome.steps.clone(),
            times: outcome.times.clone(),
            trust: TrustHash::new([0xc6; 32]),
            platform_status: 200,
            next: NextRequest { request, nonce: Nonce::new(second), to_be_signed },
        });
        story.outcome.exchange = Some(42);
        story.outcome.signature = Some(signature);
        story.outcome.answer = Some(site.answer(&object(&request, second, "S-2", ""), ""));
        story.outcome.platform_serial = Some(PlatformSerial::new("S-2").unwrap());
        story
    }

    /// A chip reading with a match.
    pub fn chip(site: &Site) -> Self {
        let mut story = Self::of(site);
        let envelope = ContentDigest::new([0xee; 32]);
        story.intent.mode = Mode::ChipReading;
        story.intent.fields = BTreeSet::from([Field::Chip]);
        let fields = BTreeMap::from([(Field::Chip, FieldVerdict::Match)]);
        story.outcome.decision = Decision::Verdict { overall: Verdict::Match, fields };
        let object = object(&story.intent.request, NONCE, "S-1", &format!(r#","readingDigest":"{envelope}""#));
        story.outcome.answer = Some(site.answer(&object, r#","reading":null"#));
        story.outcome.reading = Some(envelope);
        story
    }

    pub fn records(&self) -> Vec<Record> {
        let mut bodies: Vec<Body> = vec![self.intent.clone().into()];
        bodies.extend(self.exchange.clone().map(Body::from));
        bodies.push(self.outcome.clone().into());
        let record = |(body, sequence)| Record {
            schema: Schema::Two,
            sequence,
            time: self.at,
            context: self.context.clone(),
            body,
        };
        bodies.into_iter().zip(41..).map(record).collect()
    }

    pub fn receipt(&self) -> Receipt {
        let octets = self.records().iter().map(Record::encode).collect();
        Receipt::new(octets, self.certificates.clone(), self.lists.clone(), self.salt).unwrap()
    }

    /// The report on this story's receipt, with what was asked.
    pub fn report(&self, site: &Site) -> Report {
        report(&self.receipt(), site)
    }

    /// The steps that fail.
    pub fn failures(&self, site: &Site) -> Vec<&'static str> {
        failures(&self.report(site))
    }
}
