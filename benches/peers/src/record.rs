//! What was measured, as a file of lines: step, name, number of endpoints, nanoseconds for each item.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A SYN of which nothing is new.
pub const SYN_NOTHING: &str = "SYN to ACK, nothing is new";
/// A SYN of which two thirds differ.
pub const SYN_TWO_THIRDS: &str = "SYN to ACK, two thirds differ";
/// As before, and one endpoint in a hundred has a new value.
pub const SYN_VALUES: &str = "SYN to ACK, 1 % has new values";
/// An ACK with as many requests as heartbeats.
pub const ACK: &str = "ACK to ACK2";
/// An ACK2 with heartbeats.
pub const ACK2: &str = "Heartbeats applied (ACK2)";
/// What a node does once in an interval.
pub const ROUND: &str = "A round";

/// All steps, each with the name of its picture.
pub const STEPS: [(&str, &str); 6] = [
    (SYN_NOTHING, "syn-nothing"),
    (SYN_TWO_THIRDS, "syn-two-thirds"),
    (SYN_VALUES, "syn-values"),
    (ACK, "ack"),
    (ACK2, "ack2"),
    (ROUND, "round"),
];

/// One figure.
#[derive(Clone, Debug)]
pub struct Line {
    /// The step that it belongs to.
    pub step: String,
    /// What was measured there.
    pub name: String,
    /// How many endpoints were known.
    pub known: u32,
    /// Nanoseconds for each digest, state or endpoint.
    pub nanos: f64,
}

/// The folder of the benches.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn path() -> PathBuf {
    folder().join("peers").join("record.tsv")
}

/// Writes a new record.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write(lines: &[Line]) -> Result<(), String> {
    let mut text = String::from("# step\tname\tendpoints\tnanoseconds for each item\n");
    for Line { step, name, known, nanos } in lines {
        let _ = writeln!(text, "{step}\t{name}\t{known}\t{nanos:.2}");
    }
    std::fs::write(path(), text).map_err(|error| format!("{}: {error}", path().display()))
}

/// Reads the record.
///
/// # Errors
///
/// If the file cannot be read, or is not a record.
pub fn read() -> Result<Vec<Line>, String> {
    let text = std::fs::read_to_string(path()).map_err(|error| format!("{}: {error}", path().display()))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| parse(line).ok_or_else(|| format!("{}: not a record: {line}", path().display())))
        .collect()
}

fn parse(line: &str) -> Option<Line> {
    let mut parts = line.split('\t');
    Some(Line {
        step: parts.next()?.into(),
        name: parts.next()?.into(),
        known: parts.next()?.parse().ok()?,
        nanos: parts.next()?.parse().ok()?,
    })
}
