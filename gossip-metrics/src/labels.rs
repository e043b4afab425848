//! Labels, of bounded length whatever an endpoint publishes.

use std::borrow::Cow;

use gossip_core::Endpoint;
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};

/// The most bytes of a published value that become a label.
const MAX_LABEL: usize = 128;

/// Cassandra's port: an endpoint with this port is named by its address alone, as other exporters do.
const USUAL_PORT: u16 = 7000;

/// The label of an endpoint: its IP address; and its port, if that is not 7000.
pub(crate) fn endpoint_label(endpoint: Endpoint) -> String {
    let address = std::net::SocketAddr::from(endpoint);
    if address.port() == USUAL_PORT { address.ip().to_string() } else { address.to_string() }
}

/// A published text as a label: cut, and without what cannot be printed.
pub(crate) fn text_label(text: &str) -> Cow<'_, str> {
    let end = text.floor_char_boundary(MAX_LABEL);
    let cut = &text[..end];
    if cut.chars().any(char::is_control) {
        Cow::Owned(cut.chars().filter(|c| !c.is_control()).collect())
    } else {
        Cow::Borrowed(cut)
    }
}

/// Some labels.
pub(crate) struct Labels<'a, const N: usize>(pub(crate) [(&'static str, &'a str); N]);

impl<const N: usize> EncodeLabelSet for Labels<'_, N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        for label in self.0 {
            label.encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_short_and_printable_whatever_is_published() {
        let long = "ä".repeat(10_000);
        assert!(text_label(&long).len() <= MAX_LABEL);
        assert_eq!(text_label("a\nb\u{0}\u{7f}c"), "abc");
        assert_eq!(text_label("5.0.2"), "5.0.2");
    }

    #[test]
    fn a_port_is_shown_where_it_is_not_the_usual_one() {
        assert_eq!(endpoint_label(Endpoint::v4([10, 0, 0, 1], 7000)), "10.0.0.1");
        assert_eq!(endpoint_label(Endpoint::v4([10, 0, 0, 1], 7001)), "10.0.0.1:7001");
    }
}
