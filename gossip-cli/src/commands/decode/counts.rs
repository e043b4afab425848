//! How much of what there is, instead of each record.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::io::{self, Write};

use gossip_decode::{Place, Record};
use serde::Serialize;

use crate::client::Format;
use crate::text::{Layout, json};

/// How many endpoints, and how many connections, are counted one by one. The others are counted together.
const MAX_ROWS: usize = 10_000;

/// How many messages, and how many bytes of them.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Count {
    messages: u64,
    bytes: u64,
}

/// What one connection carried.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<SocketAddr>,
    connection_type: Option<&'static str>,
    frames: u64,
    #[serde(flatten)]
    count: Count,
    damages: u64,
}

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// By sender; `None` counts those beyond the limit, and unknown senders.
    endpoints: BTreeMap<Option<SocketAddr>, Count>,
    verbs: BTreeMap<(u64, Option<&'static str>), Count>,
    /// By number; what is beyond the limit, or of no connection, is under none.
    connections: BTreeMap<Option<u64>, Line>,
}

impl Counts {
    /// Counts `record`.
    pub(crate) fn add(&mut self, record: &Record) {
        match record {
            Record::Handshake(handshake) => {
                let line = self.line(&handshake.place);
                line.connection_type = line.connection_type.or(handshake.connection_type);
            }
            Record::Frame(frame) => self.line(&frame.place).frames += 1,
            Record::Message(message) => {
                let size = message.size as u64;
                let line = self.line(&message.place);
                line.connection_type = line.connection_type.or(message.connection_type);
                line.count.add(size);
                entry(&mut self.endpoints, message.place.from).add(size);
                self.verbs.entry((message.verb, message.verb_name)).or_default().add(size);
            }
            Record::Passed(passed) => {
                let line = self.line(&passed.place);
                line.connection_type = line.connection_type.or(Some(passed.what));
            }
            Record::Damage(damage) => self.line(&damage.place).damages += 1,
            _ => {}
        }
    }

    fn line(&mut self, place: &Place) -> &mut Line {
        let is_kept = self.connections.contains_key(&place.connection) || self.connections.len() < MAX_ROWS;
        let number = place.connection.filter(|_| is_kept);
        let line = self.connections.entry(number).or_default();
        if number.is_some() && line.from.is_none() {
            (line.from, line.to) = (place.from, place.to);
        }
        line
    }

    /// Prints what was counted, the most frequent verbs and endpoints first.
    ///
    /// # Errors
    ///
    /// `out` cannot be written.
    pub(crate) fn print(&self, format: Format, out: &mut impl Write) -> io::Result<()> {
        for (endpoint, count) in by_messages(&self.endpoints) {
            match format {
                Format::Json => print(out, "endpoint", &serde_json::json!({ "from": endpoint }), count)?,
                Format::Text => writeln!(out, "from {}: {}", shown(*endpoint), count.text())?,
            }
        }
        for ((verb, name), count) in by_messages(&self.verbs) {
            match format {
                Format::Json => {
                    print(out, "verb", &serde_json::json!({ "verb": verb, "verb_name": name }), count)?;
                }
                Format::Text => writeln!(out, "{} ({verb}): {}", name.unwrap_or("unknown"), count.text())?,
            }
        }
        for (number, line) in &self.connections {
            if format == Format::Json {
                print(out, "connection", &serde_json::json!({ "connection": number }), line)?;
                continue;
            }
            let number =
                number.map_or_else(|| "no or other connections".into(), |it| format!("connection {it}"));
            write!(out, "{number}")?;
            if line.from.is_some() || line.to.is_some() {
                write!(out, " {} > {}", shown(line.from), shown(line.to))?;
            }
            let kind = line.connection_type.unwrap_or("of unknown type");
            write!(out, " {kind}: {} frames, {}", line.frames, line.count.text())?;
            match line.damages {
                0 => writeln!(out)?,
                damages => writeln!(out, ", {damages} damaged")?,
            }
        }
        Ok(())
    }
}

impl Count {
    const fn add(&mut self, size: u64) {
        self.messages += 1;
        self.bytes += size;
    }

    fn text(self) -> String {
        format!("{} messages, {} bytes", self.messages, self.bytes)
    }
}

/// The count of `key`, or that of all others.
fn entry(counts: &mut BTreeMap<Option<SocketAddr>, Count>, key: Option<SocketAddr>) -> &mut Count {
    let is_kept = counts.contains_key(&key) || counts.len() < MAX_ROWS;
    counts.entry(key.filter(|_| is_kept)).or_default()
}

fn by_messages<K: Ord>(counts: &BTreeMap<K, Count>) -> Vec<(&K, &Count)> {
    let mut rows: Vec<_> = counts.iter().collect();
    rows.sort_by_key(|(_, count)| core::cmp::Reverse(count.messages));
    rows
}

fn shown(endpoint: Option<SocketAddr>) -> String {
    endpoint.map_or_else(|| "others".into(), |endpoint| endpoint.to_string())
}

/// Prints a line of JSON: `key` and what was counted under it.
fn print(
    out: &mut impl Write,
    kind: &str,
    key: &serde_json::Value,
    counted: &impl Serialize,
) -> io::Result<()> {
    let mut line = serde_json::json!({ "type": kind });
    let counted = serde_json::to_value(counted)?;
    if let Some(line) = line.as_object_mut() {
        for part in [key, &counted] {
            line.extend(
                part.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())),
            );
        }
    }
    writeln!(out, "{}", json(&line, Layout::Line)?)
}
