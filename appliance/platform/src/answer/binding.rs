use yanqian_vocabulary::{Reason, Timestamp};

use super::{AnswerChecker, Expected, StepName, Walk};
use yanqian_messages::Members;

/// Characters of a platform's serial at most; printable ASCII without spaces, so that a record can hold it.
const MAX_SERIAL: usize = 128;

impl AnswerChecker<'_> {
    /// Binds a signed answer to this request and this moment: nonce, digest of the request's octets, time, first use. Gives
    /// the serial that stands in the member of that name.
    pub(super) fn check_binding(
        &self,
        walk: &mut Walk,
        package: &Members<'_>,
        serial_member: &str,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<String, Reason> {
        let form = &self.profile.answer;
        let forms = &self.profile.forms;
        let equal = |member: &str, text: &str, reason| {
            if package.text(member).is_some_and(|found| found == text) { Ok(()) } else { Err(reason) }
        };
        let nonce = equal(&form.nonce, &forms.nonce.write(expected.nonce), Reason::PlatformNonce);
        walk.step(StepName::Nonce, nonce)?;
        let digest = equal(&form.digest, &forms.digest.write(expected.digest.as_bytes()), Reason::PlatformDigest);
        walk.step(StepName::Digest, digest)?;

        let window = self.profile.limits.time_window_millis;
        let time = package
            .raw(&form.time)
            .and_then(|json| forms.times.read(json))
            .filter(|time| time.is_within(window, now))
            .ok_or(Reason::PlatformTime);
        let time = walk.step(StepName::Time, time)?;
        walk.found.time = Some(time.first);

        let serial = package
            .text(serial_member)
            .filter(|text| (1..=MAX_SERIAL).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic()));
        let Some(serial) = serial else {
            return walk.step(StepName::Schema, Err(Reason::PlatformSchema));
        };
        walk.found.serial = Some(serial.clone());
        let expires = now.plus_millis(self.profile.replay_memory_millis());
        let first = match self.replay.accept_once(expected.nonce, &serial, expires) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Reason::PlatformReplay),
            Err(_) => Err(Reason::PlatformUnproven),
        };
        walk.step(StepName::Replay, first)?;
        Ok(serial)
    }
}
