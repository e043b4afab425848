//! How silent endpoints are found.

use core::time::Duration;

use super::{Bounds, all_in_range, durations_in_range, group};
use crate::config::{ConfigError, Transport};

group! {
    /// The failure detector. A duration that is `None` is a multiple of the gossip interval, as its field says.
    ///
    /// ```
    /// # use gossip_core::Detector;
    /// let detector = Detector { phi_convict_threshold: 12.0, ..Detector::default() };
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Detector {
        /// The phi above which a silent endpoint is convicted. A greater threshold takes longer and errs less. At one heartbeat a
        /// second 8 means 18.4 s of silence, 12 means 27.6 s. Default 8; 1 to 1,000.
        pub phi_convict_threshold: f64,
        /// The number of intervals between heartbeats that are remembered of each endpoint, 2 bytes each. With more of them the mean
        /// follows a change more slowly. Default 64; 1 to 1,000.
        pub arrival_window: u16,
        /// The interval that is assumed for the first heartbeat of an endpoint. A greater one forgives a slow start.
        /// Default 2 intervals; 1 µs to 71 min.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text::optional"))]
        pub initial_arrival_interval: Option<Duration>,
        /// Longer intervals between heartbeats do not count into the mean. Default 2 intervals, as in Cassandra. Over datagrams
        /// the default depends on whether packets get lost, as the answers to SYNs show. While none do, an interval of up to four
        /// and a half gossip intervals counts as nine tenths of one. Otherwise intervals of up to 8 gossip intervals count, and shorter ones than
        /// those nine tenths count as that. 1 µs to 71 min.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text::optional"))]
        pub max_arrival_interval: Option<Duration>,
        /// If a round comes later than this, the node itself was paused. It convicts no endpoint then, and for as long again.
        /// Default 5 intervals; at least 2.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text::optional"))]
        pub max_local_pause: Option<Duration>,
        /// The time that an echo waits for its answer; until then the echo is repeated each round. Default 10 intervals;
        /// at least 1.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text::optional"))]
        pub echo_timeout: Option<Duration>,
        /// A live endpoint from which nothing came for this time is asked directly whether it can be reached.
        /// Default: twice as many intervals as there are endpoints, at least 10. In that time nearly each was chosen for an exchange, or chose us.
        /// One that leaves a SYN unanswered is asked after 10 intervals.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text::optional"))]
        pub probe_after: Option<Duration>,
        /// Whether an endpoint that does not answer a direct probe is convicted. Default: off, and an event reports it.
        pub probe_convicts: bool,
    }
}

impl Default for Detector {
    fn default() -> Self {
        Self {
            phi_convict_threshold: 8.0,
            arrival_window: 64,
            initial_arrival_interval: None,
            max_arrival_interval: None,
            max_local_pause: None,
            echo_timeout: None,
            probe_after: None,
            probe_convicts: false,
        }
    }
}

/// A [`Detector`] whose durations are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolvedDetector {
    pub(crate) phi_convict_threshold: f64,
    pub(crate) arrival_window: u16,
    pub(crate) initial_arrival_interval: Duration,
    pub(crate) max_arrival_interval: Duration,
    /// See [`crate::phi::Settings::pace`].
    pub(crate) pace: Option<Duration>,
    pub(crate) max_local_pause: Duration,
    pub(crate) echo_timeout: Duration,
    pub(crate) probe_after: Option<Duration>,
    pub(crate) probe_convicts: bool,
}

impl Detector {
    pub(in crate::config) fn resolve(
        &self,
        interval: Duration,
        transport: Transport,
    ) -> Result<ResolvedDetector, ConfigError> {
        let intervals = |set: Option<Duration>, count| set.unwrap_or(interval.saturating_mul(count));
        // A window keeps intervals in 32 bits of microseconds.
        let greatest = Duration::from_micros(u64::from(u32::MAX));
        // At 20 % loss among 1,000 nodes many are longer than 2: were they dropped, the few short ones would convict the living.
        let longest = if transport == Transport::Datagram { 8 } else { 2 };
        let resolved = ResolvedDetector {
            phi_convict_threshold: self.phi_convict_threshold,
            arrival_window: self.arrival_window,
            initial_arrival_interval: self
                .initial_arrival_interval
                .unwrap_or_else(|| interval.saturating_mul(2).min(greatest)),
            max_arrival_interval: self
                .max_arrival_interval
                .unwrap_or_else(|| interval.saturating_mul(longest).min(greatest)),
            pace: (transport == Transport::Datagram && self.max_arrival_interval.is_none())
                .then(|| (interval * 9 / 10).min(greatest)),
            max_local_pause: intervals(self.max_local_pause, 5),
            echo_timeout: intervals(self.echo_timeout, 10),
            probe_after: self.probe_after,
            probe_convicts: self.probe_convicts,
        };
        if !(1.0..=1_000.0).contains(&resolved.phi_convict_threshold) {
            return Err(ConfigError::Threshold { value: resolved.phi_convict_threshold });
        }
        all_in_range([Bounds("detector.arrival_window", usize::from(self.arrival_window), 1, 1_000)])?;
        let micro = Duration::from_micros(1);
        let two = interval.saturating_mul(2);
        durations_in_range([
            Bounds("detector.initial_arrival_interval", resolved.initial_arrival_interval, micro, greatest),
            Bounds("detector.max_arrival_interval", resolved.max_arrival_interval, micro, greatest),
            Bounds("detector.max_local_pause", resolved.max_local_pause, two, Duration::MAX),
            Bounds("detector.echo_timeout", resolved.echo_timeout, interval, Duration::MAX),
        ])?;
        Ok(resolved)
    }
}

impl From<ResolvedDetector> for Detector {
    fn from(resolved: ResolvedDetector) -> Self {
        Self {
            phi_convict_threshold: resolved.phi_convict_threshold,
            arrival_window: resolved.arrival_window,
            initial_arrival_interval: Some(resolved.initial_arrival_interval),
            max_arrival_interval: Some(resolved.max_arrival_interval),
            max_local_pause: Some(resolved.max_local_pause),
            echo_timeout: Some(resolved.echo_timeout),
            probe_after: resolved.probe_after,
            probe_convicts: resolved.probe_convicts,
        }
    }
}
