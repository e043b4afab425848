//! This library beside others that do similar work, in one process and turn by turn: see `benches/README.md`.

#![forbid(unsafe_code)]

pub mod chitchat;
pub mod foca;
pub mod memberlist;
pub mod ours;
pub mod record;

use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

/// Something that is measured. Its runs take turns with those of all others.
pub struct Subject<'a> {
    /// The step that it belongs to: one picture shows all that belong to one step.
    pub step: &'static str,
    /// What it is called there.
    pub name: String,
    /// How many digests, states or endpoints one run works through.
    pub items: u64,
    /// Does one run, and says how long it took.
    pub run: Box<dyn FnMut() -> Duration + 'a>,
}

/// How long that took: by the clock, or by the processor time of this thread if that is less, since other programs may run meanwhile.
pub fn time(work: impl FnOnce()) -> Duration {
    let (processor, clock) = (ThreadTime::now(), Instant::now());
    work();
    let by_clock = clock.elapsed();
    by_clock.min(processor.elapsed())
}

/// Runs all subjects in turn, so many times; gives back nanoseconds for each item, medians.
pub fn measure(subjects: &mut [Subject<'_>], samples: usize) -> Vec<f64> {
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); subjects.len()];
    for _ in 0..samples {
        for (subject, times) in subjects.iter_mut().zip(&mut times) {
            // What ran before has filled the caches with its own: the second of two runs is measured.
            (subject.run)();
            times.push((subject.run)());
        }
    }
    subjects
        .iter()
        .zip(times)
        .map(|(subject, mut times)| {
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64() * 1e9 / subject.items as f64
        })
        .collect()
}
