//! Records for people.

use core::net::SocketAddr;
use std::io::{self, Write};

use gossip_decode::{
    Body, Damage, Digest, Frame, Handshake, LooseBody, Message, Passed, Place, Record, State, StateValue,
    Summary, Tls,
};

use super::output::Times;
use crate::text::{printable, utc};

/// How many tokens of an endpoint are printed.
const MAX_TOKENS: usize = 16;

/// Prints records as text: one line each, and under a message what it says.
pub(crate) struct Printer {
    times: Times,
    /// When the first record was captured, in microseconds since the Unix epoch.
    start: Option<u64>,
}

impl Printer {
    pub(crate) const fn new(times: Times) -> Self {
        Self { times, start: None }
    }

    /// Begins with another file, whose times are its own.
    pub(crate) const fn begin(&mut self) {
        self.start = None;
    }

    /// Prints `record`.
    ///
    /// # Errors
    ///
    /// What writing to `out` says.
    pub(crate) fn print(&mut self, record: &Record, out: &mut impl Write) -> io::Result<()> {
        match record {
            Record::Handshake(handshake) => self.handshake(handshake, out),
            Record::Frame(frame) => self.frame(frame, out),
            Record::Message(message) => self.message(message, out),
            Record::Body(loose) => self.loose_body(loose, out),
            Record::Passed(passed) => self.passed(passed, out),
            Record::Note(note) => {
                self.head(&note.place, out)?;
                let place = match (note.place.connection, note.place.packet) {
                    (None, Some(packet)) => format!("packet {packet}"),
                    _ => at(&note.place),
                };
                writeln!(out, "note at {place}: {}", printable(&note.text))
            }
            // It goes to standard error, as a line of its own.
            Record::Damage(_) => Ok(()),
            Record::Summary(summary) => print_summary(summary, out),
            _ => Ok(()),
        }
    }

    /// The line about a damaged place.
    pub(crate) fn damage(&self, damage: &Damage) -> String {
        let Damage { place, within, expected, found } = damage;
        let mut text = String::new();
        if let Some(number) = place.connection {
            text += &format!("connection {number}{}, ", ends(place));
        }
        text += &at(place);
        if let Some(packet) = place.packet {
            text += &format!(" (packet {packet})");
        }
        if let Some(within) = within {
            text += &format!(", in {}", printable(within));
        }
        format!("{text}: expected {}, found {}", printable(expected), printable(found))
    }

    /// The time, the sender and the receiver.
    fn head(&mut self, place: &Place, out: &mut impl Write) -> io::Result<()> {
        if let Some(now) = place.unix_us {
            let start = match self.start {
                Some(start) => start,
                None => {
                    if self.times == Times::Relative {
                        writeln!(out, "0.000000 is {}", utc(now / 1_000))?;
                    }
                    *self.start.insert(now)
                }
            };
            match self.times {
                Times::Utc => {
                    // Milliseconds are what the text has; the other digits follow.
                    let text = utc(now / 1_000);
                    write!(out, "{}{:03}Z ", text.trim_end_matches('Z'), now % 1_000)?;
                }
                // Packets are not always captured in the order of their times.
                Times::Relative => match now.checked_sub(start) {
                    Some(passed) => write!(out, "{}.{:06} ", passed / 1_000_000, passed % 1_000_000)?,
                    None => write!(out, "-{}.{:06} ", (start - now) / 1_000_000, (start - now) % 1_000_000)?,
                },
            }
        }
        if let Some(number) = place.connection {
            write!(out, "#{number} ")?;
        }
        match (place.from, place.to) {
            (Some(from), Some(to)) => write!(out, "{from} -> {to} "),
            (Some(from), None) => write!(out, "{from} "),
            _ => Ok(()),
        }
    }

    fn handshake(&mut self, handshake: &Handshake, out: &mut impl Write) -> io::Result<()> {
        self.head(&handshake.place, out)?;
        write!(out, "{}handshake", if handshake.legacy { "legacy " } else { "" })?;
        if let Some(kind) = handshake.connection_type {
            write!(out, " {kind}")?;
        }
        if let Some(framing) = handshake.framing {
            write!(out, ", framing {framing}")?;
        }
        match (handshake.min, handshake.max, handshake.request) {
            (Some(min), Some(max), Some(request)) => {
                write!(out, ", takes versions {min} to {max} (asks for {request})")?;
            }
            (_, Some(max), Some(request)) => write!(out, ", asks for version {request}, speaks {max}")?,
            (_, _, Some(request)) => write!(out, ", asks for version {request}")?,
            _ => {}
        }
        match handshake.answer {
            Some(answer) if answer.version == answer.max => {
                writeln!(out, "; answer: version {}", answer.version)
            }
            Some(answer) => {
                writeln!(out, "; answer: version {}, speaks up to {}", answer.version, answer.max)
            }
            None => writeln!(out, "; no answer"),
        }
    }

    fn frame(&mut self, frame: &Frame, out: &mut impl Write) -> io::Result<()> {
        self.head(&frame.place, out)?;
        let kind = match frame.kind {
            "self_contained" => "frame",
            "piece" => "frame, a piece of a message",
            other => other,
        };
        write!(out, "{kind} at {}: {} {}", frame.place.offset, frame.framing, bytes(frame.length))?;
        if let Some(length) = frame.uncompressed_length {
            write!(out, ", {length} uncompressed")?;
        }
        match frame.checksum {
            "none" => writeln!(out),
            sum => writeln!(out, ", checksum {sum}"),
        }
    }

    fn message(&mut self, message: &Message, out: &mut impl Write) -> io::Result<()> {
        self.head(&message.place, out)?;
        match (message.verb_name, message.verb_group) {
            (Some(name), _) => write!(out, "{name} ({})", message.verb)?,
            (None, Some(group)) => write!(out, "verb {}, {group},", message.verb)?,
            (None, None) => write!(out, "verb {}", message.verb)?,
        }
        let assumed = if message.version_assumed { " (assumed)" } else { "" };
        write!(out, " id {} v{}{assumed}, {}", message.id, message.version, bytes(message.length))?;
        if let Some(epoch) = message.epoch {
            write!(out, ", epoch {epoch}")?;
        }
        match message.created_unix_ms {
            Some(created) => write!(out, ", created {}", utc(created))?,
            None => write!(out, ", created at {:08x}", message.created_at)?,
        }
        if let Some(expires_in) = message.expires_in {
            write!(out, ", expires in {expires_in} ms")?;
        }
        if message.flags != 0 {
            write!(out, ", flags {:#x}", message.flags)?;
            if !message.flag_names.is_empty() {
                write!(out, " ({})", message.flag_names.join(", "))?;
            }
        }
        writeln!(out)?;
        for param in &message.params {
            let name = match (&param.name, param.id) {
                (Some(name), _) => printable(name).into_owned(),
                (None, Some(id)) => id.to_string(),
                (None, None) => "?".into(),
            };
            let value = param.meaning.as_ref().unwrap_or(&param.value);
            writeln!(out, "    parameter {name}: {value}")?;
        }
        message.body.as_ref().map_or(Ok(()), |body| print_body(body, out))
    }

    fn loose_body(&mut self, loose: &LooseBody, out: &mut impl Write) -> io::Result<()> {
        self.head(&loose.place, out)?;
        writeln!(out, "{} v{}, {}", loose.kind, loose.version, bytes(loose.length))?;
        print_body(&loose.body, out)
    }

    fn passed(&mut self, passed: &Passed, out: &mut impl Write) -> io::Result<()> {
        self.head(&passed.place, out)?;
        match &passed.tls {
            None => write!(out, "{}", passed.what)?,
            Some(Tls { version, cipher_suite, .. }) => {
                write!(out, "TLS")?;
                if let (Some(version), Some(suite)) = (version, cipher_suite) {
                    write!(out, " {version} ({suite})")?;
                }
                write!(out, ", which cannot be read")?;
            }
        }
        writeln!(out, ": {} bytes sent and {} received were skipped", passed.sent, passed.received)?;
        passed.tls.as_ref().map_or(Ok(()), |tls| print_tls(tls, out))
    }
}

/// What a connection under TLS says in the clear.
fn print_tls(tls: &Tls, out: &mut impl Write) -> io::Result<()> {
    if !tls.offered.is_empty() {
        write!(out, "    the dialler offers TLS {}", printable(&tls.offered.join(", ")))?;
        match &tls.server_name {
            Some(name) => writeln!(out, ", and asks for the server {}", printable(name))?,
            None => writeln!(out)?,
        }
    }
    if tls.demands_certificate {
        writeln!(out, "    the acceptor demands a certificate")?;
    }
    for certificate in &tls.certificates {
        let from = certificate.from;
        match (&certificate.subject, &certificate.issuer) {
            _ if certificate.chain == 0 => writeln!(out, "    the {from} presents no certificate")?,
            (Some(subject), Some(issuer)) => {
                let (subject, issuer) = (printable(subject), printable(issuer));
                write!(out, "    certificate of the {from}: {subject}, issued by {issuer}")?;
                if !certificate.names.is_empty() {
                    write!(out, ", for {}", printable(&certificate.names.join(", ")))?;
                }
                if let (Some(from), Some(until)) = (day(certificate.not_before), day(certificate.not_after)) {
                    write!(out, ", valid from {from} to {until}")?;
                }
                writeln!(out)?;
            }
            _ => writeln!(out, "    the certificate of the {from} cannot be read")?,
        }
    }
    for alert in &tls.alerts {
        let name = alert.name.unwrap_or("of unknown name");
        writeln!(out, "    alert of the {}: {name} ({}), {}", alert.from, alert.number, alert.level)?;
    }
    Ok(())
}

/// The day of a time in seconds since the Unix epoch.
fn day(seconds: Option<i64>) -> Option<String> {
    let milliseconds = u64::try_from(seconds?).ok()?.checked_mul(1_000)?;
    // The time of the day follows the letter.
    utc(milliseconds).split('T').next().map(str::to_owned)
}

/// Where in its direction something is.
fn at(place: &Place) -> String {
    match place.uncompressed_offset {
        Some(inner) => format!("offset {}, {inner} of the uncompressed payload", place.offset),
        None => format!("offset {}", place.offset),
    }
}

fn ends(place: &Place) -> String {
    match (place.from, place.to) {
        (Some(from), Some(to)) => format!(" ({from} -> {to})"),
        _ => String::new(),
    }
}

fn print_body(body: &Body, out: &mut impl Write) -> io::Result<()> {
    match body {
        Body::Syn { cluster, partitioner, metadata_id, digests } => {
            let (cluster, partitioner) = (printable(cluster), printable(partitioner));
            write!(out, "    cluster {cluster:?}, partitioner {partitioner}")?;
            if let Some(id) = metadata_id {
                write!(out, ", metadata id {id}")?;
            }
            let what = if digests.is_empty() { "no digests: asks for everything" } else { "" };
            writeln!(out, "{}{what}", if what.is_empty() { "" } else { ", " })?;
            for Digest { endpoint, generation, max_version } in digests {
                writeln!(out, "    has {endpoint} generation {generation} version {max_version}")?;
            }
            Ok(())
        }
        Body::Ack { requests, endpoints } => {
            for Digest { endpoint, generation, max_version } in requests {
                writeln!(out, "    wants {endpoint} generation {generation} above version {max_version}")?;
            }
            print_states(endpoints, out)?;
            if requests.is_empty() && endpoints.is_empty() { writeln!(out, "    nothing") } else { Ok(()) }
        }
        Body::Ack2 { endpoints } => {
            print_states(endpoints, out)?;
            if endpoints.is_empty() { writeln!(out, "    nothing") } else { Ok(()) }
        }
        Body::State(state) => print_state(state, out),
        Body::Ping { connection_type_number, connection_type } => {
            let name = connection_type.unwrap_or("unknown");
            writeln!(out, "    to be answered on a connection of type {connection_type_number} ({name})")
        }
        Body::PeerLogRequest { epoch } => writeln!(out, "    asks for what follows epoch {epoch}"),
        Body::PeerLog { serialization_version, metadata_id, base_state, entries, rest_bytes } => {
            write!(out, "    serialization version {serialization_version}")?;
            match metadata_id {
                Some(id) => write!(out, ", metadata id {id}")?,
                None => write!(out, ", which tells no metadata id")?,
            }
            write!(out, ", {} base state", if *base_state { "with a" } else { "no" })?;
            if let Some(entries) = entries {
                write!(out, ", {entries} entries")?;
            }
            if *rest_bytes > 0 {
                write!(out, ", {rest_bytes} bytes not decoded")?;
            }
            writeln!(out)
        }
        Body::SchemaVersion { schema } => writeln!(out, "    schema {schema}"),
        Body::Failure { reason, reason_name } => {
            writeln!(out, "    reason {reason} ({})", reason_name.unwrap_or("not known"))
        }
        _ => Ok(()),
    }
}

fn print_states(states: &[State], out: &mut impl Write) -> io::Result<()> {
    states.iter().try_for_each(|state| print_state(state, out))
}

fn print_state(state: &State, out: &mut impl Write) -> io::Result<()> {
    let of =
        state.endpoint.map_or_else(|| "the sender".to_owned(), |endpoint: SocketAddr| endpoint.to_string());
    let named_as =
        if state.states.is_empty() { String::new() } else { format!(", named as in {}", state.named_as) };
    let (generation, heartbeat) = (state.generation, state.heartbeat);
    writeln!(out, "    tells {of} generation {generation} heartbeat {heartbeat}{named_as}")?;
    for StateValue { key, name, version, value, tokens, .. } in &state.states {
        write!(out, "        {}({key})@{version} = ", printable(name))?;
        match (value, tokens) {
            (_, Some(tokens)) => {
                let (shown, hidden) = tokens.split_at(tokens.len().min(MAX_TOKENS));
                let noun = if tokens.len() == 1 { "token" } else { "tokens" };
                write!(out, "{} {noun}: {}", tokens.len(), shown.join(" "))?;
                match hidden.len() {
                    0 => writeln!(out)?,
                    count => writeln!(out, " and {count} more (--format json has all)")?,
                }
            }
            (value, None) => writeln!(out, "{}", printable(value.as_deref().unwrap_or_default()))?,
        }
    }
    match state.replaced {
        0 => Ok(()),
        count => writeln!(out, "        {count} values are replaced by later ones of the same key"),
    }
}

/// The last line: what there was in all.
pub(crate) fn print_summary(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    let counted = |count: u64, one: &str, many: &str| {
        (count > 0).then(|| format!("{count} {}", if count == 1 { one } else { many }))
    };
    let among = |whole: Option<String>, parts: [(u64, &str); 2]| {
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        whole.map(|whole| if parts.is_empty() { whole } else { format!("{whole} ({})", parts.join(", ")) })
    };
    let parts = [
        counted(summary.packets, "packet", "packets"),
        among(
            counted(summary.connections, "connection", "connections"),
            [(summary.streaming_connections, "streaming"), (summary.encrypted_connections, "encrypted")],
        ),
        counted(summary.silent_connections, "connection without a byte", "connections without a byte"),
        counted(summary.handshakes, "handshake", "handshakes"),
        counted(summary.frames, "frame", "frames"),
        among(
            counted(summary.messages, "message", "messages"),
            [(summary.gossip_messages, "of gossip"), (0, "")],
        ),
        among(
            counted(summary.bytes, "byte", "bytes"),
            [(summary.passed_bytes, "skipped"), (summary.missing_bytes, "more missing in the capture")],
        ),
        counted(summary.damages, "damaged place", "damaged places"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let parts = if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") };
    writeln!(out, "in all: {parts}, {} bytes undecoded", summary.undecoded_bytes)
}

/// So many bytes, in words.
fn bytes(count: usize) -> String {
    format!("{count} byte{}", if count == 1 { "" } else { "s" })
}
