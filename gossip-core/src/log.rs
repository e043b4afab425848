//! The one place that knows whether there is a log.

/// Emits a debug record, where the feature `tracing` is on.
macro_rules! debug {
    ($($record:tt)*) => {
        #[cfg(feature = "tracing")]
        tracing::debug!($($record)*);
    };
}

pub(crate) use debug;
