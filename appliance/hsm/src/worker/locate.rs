//! Which object of the token is the key that a request names, and what a key that was found is called.

use std::collections::BTreeMap;

use cryptoki::object::{Attribute, ObjectClass};

use super::config::KeyRule;
use super::engine::Engine;
use super::management::ID_LENGTH;
use super::sealed;
use crate::profile::Locator;
use crate::protocol::{Refusal, codes};

/// What the private key called `label` must have.
pub(crate) fn template(
    locator: Locator,
    rules: &BTreeMap<String, KeyRule>,
    label: &str,
) -> Result<Vec<Attribute>, Refusal> {
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    if locator != Locator::Id {
        template.push(Attribute::Label(label.as_bytes().to_vec()));
    }
    if locator != Locator::Label {
        let id = rules.get(label).and_then(|rule| rule.id.clone()).ok_or_else(|| no_id(locator, label))?;
        template.push(Attribute::Id(id));
    }
    Ok(template)
}

fn no_id(locator: Locator, label: &str) -> Refusal {
    let why = format!(
        "the profile's key.locator is {:?}, and the configuration's [[keys]] have no id for {label:?}",
        locator.as_str()
    );
    Refusal::new(codes::UNKNOWN_KEY, why)
}

impl Engine {
    pub(super) fn locate(&self, label: &str) -> Result<Vec<Attribute>, Refusal> {
        let mut template = template(self.profile.key.locator, &self.rules, label)?;
        if self.profile.key.sealed.is_some() {
            // In place of the class of private keys, which comes first.
            template.splice(..1, sealed::scalars());
        }
        Ok(template)
    }

    /// What a key with this `CKA_LABEL` and `CKA_ID` is called, or why no request can name it.
    pub(super) fn name_of(&self, label: &str, id: &[u8]) -> Result<String, String> {
        let has_id = |rule: &KeyRule| rule.id.as_deref() == Some(id);
        let named = match self.profile.key.locator {
            Locator::Label => return Ok(label.to_owned()),
            Locator::Id => self.rules.iter().find(|(_, rule)| has_id(rule)).map(|(name, _)| name.clone()),
            Locator::LabelAndId => self.rules.get(label).filter(|rule| has_id(rule)).map(|_| label.to_owned()),
        };
        named.ok_or_else(|| {
            let id = hex::encode(id);
            format!(
                "no [[keys]] of the configuration fit: key.locator is {:?}, its id {id}",
                self.profile.key.locator.as_str()
            )
        })
    }

    /// The `CKA_ID` of a key to be made: the configured one, else random, so that it is unlike any other's.
    pub(super) fn new_id(&self, label: &str) -> Result<Vec<u8>, Refusal> {
        if let Some(id) = self.rules.get(label).and_then(|rule| rule.id.clone()) {
            return Ok(id);
        }
        if self.profile.key.locator != Locator::Label {
            return Err(no_id(self.profile.key.locator, label));
        }
        let mut id = vec![0; ID_LENGTH];
        getrandom::fill(&mut id)
            .map_err(|error| Refusal::new(codes::TOKEN, format!("the system's random numbers: {error}")))?;
        Ok(id)
    }
}
