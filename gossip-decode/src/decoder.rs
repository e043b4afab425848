//! A capture becomes records.

use std::collections::BTreeSet;

use pcap_file::DataLink;

use crate::capture::{Capture, Captured};
use crate::env::{Env, Seen};
use crate::fault::{Fault, end_after};
use crate::learned::Learned;
use crate::legacy::MAGIC;
use crate::options::Options;
use crate::packet::{Packet, parse};
use crate::record::{Damage, Place, Record, Summary};
use crate::tcp::Flows;

/// How many other ports are remembered that seem to carry gossip.
const MAX_OTHER_PORTS: usize = 8;

/// Decodes a capture file whose bytes come in pieces of any size.
///
/// Memory is bounded by [`Options`], whatever the file holds; records are handed out as soon as they are whole, in the
/// order of the packets that made them so.
#[derive(Default)]
pub struct Decoder {
    options: Options,
    capture: Capture,
    flows: Flows,
    learned: Learned,
    summary: Summary,
    scratch: Vec<u8>,
    other_ports: BTreeSet<u16>,
    told: Told,
}

/// What is reported once, however often it comes.
#[derive(Default)]
struct Told {
    cut_packet: bool,
    fragment: bool,
    link: bool,
}

impl Decoder {
    /// A decoder that was given nothing so far.
    pub fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    /// Takes the next bytes of the file.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Record)) {
        let mut capture = core::mem::take(&mut self.capture);
        capture.feed(bytes);
        loop {
            match capture.next() {
                Ok(Some(captured)) => self.packet(&captured, capture.packet(&captured), sink),
                Ok(None) => break,
                Err(Fault { expected, found, .. }) => {
                    self.file_damage(capture.offset(), expected, found, sink);
                }
            }
        }
        self.capture = capture;
    }

    /// Ends the file: what waits is reported as far as it is there, and a [`Summary`] comes last.
    pub fn finish(mut self, sink: &mut dyn FnMut(Record)) -> Finished {
        let left = self.capture.left();
        if left > 0 {
            let offset = self.capture.offset() + left as u64;
            self.file_damage(offset, self.capture.awaited().to_owned(), end_after(left), sink);
        }
        let mut flows = core::mem::take(&mut self.flows);
        flows.finish(&mut self.env(sink));
        sink(Record::Summary(self.summary.clone()));
        Finished { summary: self.summary, other_ports: self.other_ports.into_iter().collect() }
    }

    fn packet(&mut self, captured: &Captured, bytes: &[u8], sink: &mut dyn FnMut(Record)) {
        self.summary.packets += 1;
        let seen = Seen { packet: Some(self.summary.packets), unix_us: captured.unix_us };
        let parsed = parse(captured.link, bytes);
        if let Packet::Tcp(segment) = parsed {
            let mut flows = core::mem::take(&mut self.flows);
            let is_ours = flows.segment(&segment, seen, &mut self.env(sink));
            self.flows = flows;
            if is_ours {
                if captured.is_cut && !core::mem::replace(&mut self.told.cut_packet, true) {
                    let text = "packets were cut when they were captured (tcpdump -s 0 captures them whole)";
                    self.note(seen, text.to_owned(), sink);
                }
                return;
            }
            if segment.payload.starts_with(&MAGIC) && self.other_ports.len() < MAX_OTHER_PORTS {
                self.other_ports.insert(segment.to.port());
            }
        }
        self.summary.other_packets += 1;
        let told = &mut self.told;
        match parsed {
            Packet::Fragment if !core::mem::replace(&mut told.fragment, true) => {
                self.note(seen, "parts of packets that IP cut are not put together".to_owned(), sink);
            }
            Packet::UnknownLink if !core::mem::replace(&mut told.link, true) => {
                let text = format!("packets of the link type {} cannot be read", link_name(captured.link));
                self.note(seen, text, sink);
            }
            _ => {}
        }
    }

    fn note(&mut self, seen: Seen, text: String, sink: &mut dyn FnMut(Record)) {
        let place = Place { unix_us: seen.unix_us, packet: seen.packet, ..Place::default() };
        self.env(sink).note(place, text);
    }

    fn file_damage(&mut self, offset: u64, expected: String, found: String, sink: &mut dyn FnMut(Record)) {
        let place = Place { packet: Some(self.summary.packets + 1), offset, ..Place::default() };
        let within = Some("the capture file".to_owned());
        self.env(sink).tell(Record::Damage(Damage { place, within, expected, found }));
    }

    fn env<'a>(&'a mut self, sink: &'a mut dyn FnMut(Record)) -> Env<'a> {
        Env {
            options: &self.options,
            learned: &mut self.learned,
            summary: &mut self.summary,
            scratch: &mut self.scratch,
            sink,
        }
    }
}

impl core::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Decoder").field("summary", &self.summary).finish_non_exhaustive()
    }
}

/// What can be said when a capture has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finished {
    /// What there was in all.
    pub summary: Summary,
    /// Other ports on which something begins as connections of Cassandra do; the first few of them.
    pub other_ports: Vec<u16>,
}

fn link_name(link: DataLink) -> String {
    match link {
        DataLink::Unknown(number) => number.to_string(),
        link => format!("{link:?}"),
    }
}
