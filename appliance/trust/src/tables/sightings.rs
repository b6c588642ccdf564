use std::collections::HashMap;

use super::stock::Name;

/// Keys counted at once.
const COUNTED: usize = 256;

/// How often keys without a table were met, in bounded memory (the counters of Misra and Gries): a count is never too high, and a key
/// that makes up more than one in 257 of what is met is among the counted, whatever else comes by.
#[derive(Debug, Default)]
pub(super) struct Sightings(HashMap<Name, u32>);

impl Sightings {
    /// Counts a key once more; true, and forgotten, when it was met `enough` times.
    pub(super) fn count(&mut self, name: &Name, enough: u32) -> bool {
        if self.0.len() >= COUNTED && !self.0.contains_key(name) {
            self.0.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
            return false;
        }
        let count = self.0.entry(*name).or_insert(0);
        *count += 1;
        let through = *count >= enough;
        if through {
            self.0.remove(name);
        }
        through
    }
}

#[cfg(test)]
mod tests {
    use super::super::KeyUse;
    use super::*;

    fn name(number: u32) -> Name {
        let mut point = [0; 65];
        point[..4].copy_from_slice(&number.to_be_bytes());
        (KeyUse::Verify, point)
    }

    #[test]
    fn a_key_is_let_through_at_its_nth_sighting_and_begins_anew() {
        let mut sightings = Sightings::default();
        for round in 0..3 {
            for sighting in 1..=5 {
                assert_eq!(sightings.count(&name(1), 5), sighting == 5, "{round} {sighting}");
            }
        }
    }

    #[test]
    fn a_stream_of_keys_met_once_neither_gets_through_nor_takes_memory_nor_hides_a_frequent_one() {
        let mut sightings = Sightings::default();
        let mut through = 0;
        for stranger in 0..100_000 {
            assert!(!sightings.count(&name(1_000 + stranger), 32));
            if stranger % 100 == 0 {
                through += u32::from(sightings.count(&name(1), 32));
            }
            assert!(sightings.0.len() <= COUNTED);
        }
        assert!(through > 10, "{through} of at most 31");
    }
}
