//! Which token a call goes to: of two taken by chance, the one where one more request weighs less.

/// What is known of a candidate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Its place in the pool.
    pub(super) index: usize,
    /// Its breaker is closed. Those whose breaker is open are asked only when no other is left.
    pub(super) serves: bool,
    /// Seconds that one more request is expected to take there.
    pub(super) weight: f64,
}

/// The place of the token to ask; none when there is no candidate.
pub(super) fn choose(candidates: &[Candidate], random: u64) -> Option<usize> {
    let serving = candidates.iter().filter(|candidate| candidate.serves).count();
    let tier: Vec<&Candidate> =
        candidates.iter().filter(|candidate| serving == 0 || candidate.serves).collect();
    let count = u64::try_from(tier.len()).ok().filter(|count| *count > 0)?;
    let first = random % count;
    // Another one than the first, each as likely, when there is another.
    let second = (first + 1 + (random >> 32) % (count - 1).max(1)) % count;
    let at = |place: u64| usize::try_from(place).ok().and_then(|place| tier.get(place));
    let (first, second) = (at(first)?, at(second)?);
    Some(if second.weight < first.weight { second.index } else { first.index })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn one_that_serves_is_asked_as_long_as_there_is_one_and_never_the_heaviest_of_several(
            tokens in proptest::collection::vec((any::<bool>(), 0..1000_u32), 0..6),
            random: u64,
        ) {
            let candidates: Vec<_> = tokens
                .iter()
                .enumerate()
                .map(|(index, (serves, weight))| Candidate { index, serves: *serves, weight: f64::from(*weight) })
                .collect();
            let Some(chosen) = choose(&candidates, random) else {
                prop_assert!(candidates.is_empty());
                return Ok(());
            };
            let some_serve = candidates.iter().any(|candidate| candidate.serves);
            prop_assert_eq!(candidates[chosen].serves, some_serve);
            let tier: Vec<_> = candidates.iter().filter(|other| other.serves == some_serve).collect();
            let heavier = tier.iter().any(|other| other.index != chosen && other.weight >= candidates[chosen].weight);
            prop_assert!(tier.len() == 1 || heavier, "the heaviest of all was chosen");
        }
    }

    #[test]
    fn of_two_the_lighter_is_always_asked_and_of_equals_either() {
        let two = |first, second| {
            [Candidate { index: 0, serves: true, weight: first }, Candidate { index: 1, serves: true, weight: second }]
        };
        let mut asked = [0, 0];
        for random in 0..1000_u64 {
            assert_eq!(choose(&two(1.0, 2.0), random.wrapping_mul(0x9e37_79b9_7f4a_7c15)), Some(0));
            let index = choose(&two(1.0, 1.0), random).expect("there are two");
            asked[index] += 1;
        }
        assert!(asked[0] > 300 && asked[1] > 300, "{asked:?}");
    }
}
