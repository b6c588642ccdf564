//! Which token a call goes to: of two taken by chance the first, unless one more request weighs far less at the second. So tokens of
//! like pace share the load, and a slow or busy one is spared.

/// What is known of a candidate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Its place in the pool.
    pub(super) index: usize,
    /// Its breaker is closed. Those whose breaker is open are asked only when no other is left.
    pub(super) serves: bool,
    /// Seconds that one more request is expected to take there; none before anything is known, which counts as alike.
    pub(super) weight: Option<f64>,
}

impl Candidate {
    fn is_far_lighter_than(&self, other: &Self) -> bool {
        self.weight.zip(other.weight).is_some_and(|(own, others)| own * FAR_LESS < others)
    }
}

/// So many times lighter the second must be.
const FAR_LESS: f64 = 2.0;

/// The place of the token to ask; none when there is no candidate.
pub(super) fn choose(candidates: &[Candidate], random: u64) -> Option<usize> {
    let serving = candidates.iter().filter(|candidate| candidate.serves).count();
    let tier: Vec<&Candidate> = candidates.iter().filter(|candidate| serving == 0 || candidate.serves).collect();
    let count = u64::try_from(tier.len()).ok().filter(|count| *count > 0)?;
    let first = random % count;
    // Another one than the first, each as likely, when there is another.
    let second = (first + 1 + (random >> 32) % (count - 1).max(1)) % count;
    let at = |place: u64| usize::try_from(place).ok().and_then(|place| tier.get(place));
    let (first, second) = (at(first)?, at(second)?);
    Some(if second.is_far_lighter_than(first) { second.index } else { first.index })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn one_that_serves_is_asked_as_long_as_there_is_one_and_never_one_far_heavier_than_all_others(
            tokens in proptest::collection::vec((any::<bool>(), proptest::option::of(0..1000_u32)), 0..6),
            random: u64,
        ) {
            let candidates: Vec<_> = tokens
                .iter()
                .enumerate()
                .map(|(index, (serves, weight))| Candidate { index, serves: *serves, weight: weight.map(f64::from) })
                .collect();
            let Some(chosen) = choose(&candidates, random) else {
                prop_assert!(candidates.is_empty());
                return Ok(());
            };
            let some_serve = candidates.iter().any(|candidate| candidate.serves);
            prop_assert_eq!(candidates[chosen].serves, some_serve);
            let tier: Vec<_> = candidates.iter().filter(|other| other.serves == some_serve).collect();
            let mut others = tier.iter().filter(|other| other.index != chosen);
            let like = others.any(|other| !other.is_far_lighter_than(&candidates[chosen]));
            prop_assert!(tier.len() == 1 || like, "one far heavier than all others was chosen");
        }
    }

    #[test]
    fn of_two_the_far_lighter_is_always_asked_and_of_alike_ones_either() {
        let two =
            |first, second| [(0, first), (1, second)].map(|(index, weight)| Candidate { index, serves: true, weight });
        let (mut asked, mut unknown) = ([0, 0], [0, 0]);
        for random in 0..1000_u64 {
            assert_eq!(choose(&two(Some(1.0), Some(2.1)), random.wrapping_mul(0x9e37_79b9_7f4a_7c15)), Some(0));
            let index = choose(&two(Some(1.0), Some(1.9)), random).expect("there are two");
            asked[index] += 1;
            unknown[choose(&two(Some(0.001), None), random).expect("there are two")] += 1;
        }
        for asked in [asked, unknown] {
            assert!(asked[0] > 300 && asked[1] > 300, "{asked:?}");
        }
    }
}
