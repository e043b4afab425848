//! Times of two things that take turns, so that a machine that changes its speed changes both.

use std::time::{Duration, Instant};

use allocation_counter::measure;

/// How often each is measured.
#[derive(Clone, Copy, Debug)]
pub enum Effort {
    /// Once, to see that it runs.
    Test,
    /// Enough for a figure.
    Quick,
    /// Enough for a good one.
    Full,
}

impl Effort {
    /// As the arguments of the bench have it.
    pub fn from_args() -> Self {
        let arguments: Vec<String> = std::env::args().collect();
        let has = |option: &str| arguments.iter().any(|argument| argument == option);
        match (has("--test"), has("--quick")) {
            (true, _) => Self::Test,
            (_, true) => Self::Quick,
            _ => Self::Full,
        }
    }

    const fn samples(self) -> usize {
        match self {
            Self::Test => 1,
            Self::Quick => 21,
            Self::Full => 101,
        }
    }
}

/// What came of it: medians.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Nanoseconds for each item.
    pub ours: f64,
    /// The same for the baseline.
    pub floor: f64,
    /// The median of the ratios of neighbours.
    pub ratio: f64,
    /// How often memory was taken in all that was measured of ours.
    pub allocations: u64,
}

/// Measures `ours` and `floor` in turn. Each call works through so many items; `prepare` comes before each, and is not measured.
pub fn compare<T>(
    effort: Effort,
    items: u64,
    mut prepare: impl FnMut() -> T,
    mut ours: impl FnMut(&mut T),
    mut floor: impl FnMut(&mut T),
) -> Measured {
    let (mut all_ours, mut all_floors, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    // What is taken once, such as room for a list of this length, is taken before.
    ours(&mut prepare());
    let mut allocations = 0;
    for _ in 0..effort.samples() {
        let mut input = prepare();
        let floor_time = time(|| floor(&mut input));
        let mut our_time = Duration::ZERO;
        allocations += measure(|| our_time = time(|| ours(&mut input))).count_total;
        ratios.push(our_time.as_secs_f64() / floor_time.as_secs_f64().max(1e-9));
        all_ours.push(our_time);
        all_floors.push(floor_time);
    }
    #[expect(clippy::cast_precision_loss, reason = "they are few")]
    let each = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e9 / items as f64
    };
    ratios.sort_unstable_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    Measured { ours: each(&mut all_ours), floor: each(&mut all_floors), ratio, allocations }
}

fn time(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}
