//! The one place that knows whether there is a log.

/// Emits a debug record, where the feature `tracing` is on.
macro_rules! debug {
    ($($record:tt)*) => {
        #[cfg(feature = "tracing")]
        tracing::debug!($($record)*);
    };
}

/// Emits a trace record, where the feature `tracing` is on: one for each message.
macro_rules! trace {
    ($($record:tt)*) => {
        #[cfg(feature = "tracing")]
        tracing::trace!($($record)*);
    };
}

/// Says until the end of the block whose records these are: several nodes may run in one process. It costs nothing unless debug records
/// are wanted.
macro_rules! of_node {
    ($local:expr) => {
        #[cfg(feature = "tracing")]
        let _span = tracing::debug_span!("node", at = %$local).entered();
    };
}

/// Says until the end of the block of which message of an exchange the records are. It is not there without the feature `spans`, and with
/// it costs a look at a flag unless trace records are wanted.
macro_rules! of_exchange {
    ($peer:expr, $verb:expr, $id:expr) => {
        #[cfg(feature = "spans")]
        let _span = tracing::trace_span!("exchange", peer = %$peer, verb = %$verb, id = $id).entered();
    };
}

pub(crate) use {debug, of_exchange, of_node, trace};
