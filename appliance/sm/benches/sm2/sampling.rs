//! Samples on machines that other programs use too. Each pair of samples, a baseline's and ours, is taken back to back and gives one ratio; a
//! probe of pure arithmetic before, between and after tells whether the processor was ours meanwhile, and what it tells no good of is
//! thrown away. Medians of what is left.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Length of a sample.
const SAMPLE: Duration = Duration::from_millis(12);
/// Pairs of samples that count.
const ROUNDS: usize = 15;
/// Tries for each of them; the last one counts whatever the probe says.
const TRIES: usize = 12;
/// What a probe must reach of the fastest one so far.
const GATE: f64 = 0.92;

#[derive(Debug)]
pub(crate) struct Sampler {
    fastest: f64,
    ungated: usize,
}

/// Medians: microseconds of a call of ours, of one of the baseline, and baseline/ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) ours: f64,
    pub(crate) baseline: f64,
    pub(crate) ratio: f64,
}

/// Steps per second of four chains of additions and multiplications.
fn probe() -> f64 {
    const STEPS: u32 = 100_000;
    let mut chains = black_box([1u64, 3, 5, 7]);
    let start = Instant::now();
    for _ in 0..STEPS {
        for chain in &mut chains {
            *chain = chain.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7) ^ 0x5555;
        }
    }
    black_box(chains);
    f64::from(STEPS) / start.elapsed().as_secs_f64()
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Microseconds of one call.
fn time(calls: u32, work: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        work();
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

/// Calls that fill a sample.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn calls(work: &mut dyn FnMut()) -> u32 {
    work();
    let once = time(3, work).min(time(3, work));
    (SAMPLE.as_secs_f64() * 1e6 / once).max(1.0) as u32
}

impl Sampler {
    pub(crate) fn new() -> Self {
        Self { fastest: (0..200).map(|_| probe()).fold(0.0, f64::max), ungated: 0 }
    }

    fn undisturbed(&mut self) -> bool {
        let speed = probe();
        self.fastest = self.fastest.max(speed);
        speed >= GATE * self.fastest
    }

    pub(crate) fn compare(&mut self, mut baseline: impl FnMut(), mut ours: impl FnMut()) -> Outcome {
        let (baseline_calls, our_calls) = (calls(&mut baseline), calls(&mut ours));
        let rounds: Vec<[f64; 2]> = (0..ROUNDS)
            .map(|_| {
                let mut pair = [0.0; 2];
                for attempt in 0..TRIES {
                    let before = self.undisturbed();
                    pair[0] = time(baseline_calls, &mut baseline);
                    let between = self.undisturbed();
                    pair[1] = time(our_calls, &mut ours);
                    if before && between && self.undisturbed() {
                        break;
                    }
                    self.ungated += usize::from(attempt + 1 == TRIES);
                }
                pair
            })
            .collect();
        Outcome {
            ours: median(rounds.iter().map(|pair| pair[1])),
            baseline: median(rounds.iter().map(|pair| pair[0])),
            ratio: median(rounds.iter().map(|pair| pair[0] / pair[1])),
        }
    }

    /// Pairs that count although the processor was not ours.
    pub(crate) const fn ungated(&self) -> usize {
        self.ungated
    }
}
