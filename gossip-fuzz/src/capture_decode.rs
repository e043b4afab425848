//! What `gossip decode` reads: captures of connections, and bytes without a capture around them.

use arbitrary::Arbitrary;
use gossip_core::MessagingVersion;
use gossip_core::internode::{Accept, ConnectionKind, Framing, VersionRange, negotiate};
use gossip_decode::{Decoder, Finished, Message, Options, Record, Shape, Summary, decode_bytes};

use crate::frames::{FrameWriter, Part, Seen};
use crate::handshake::{Dialler, chunks, written};
use crate::tape::{FIN, Format, Network, Packet, RST, SYN, Segment};
use crate::{script, show};

/// Once a stream is so long nothing more is written, in bytes: looking for a frame at each of them takes a microsecond.
const MAX_STREAM: usize = 32 << 10;

/// How many bytes a packet carries at the most.
const MAX_SEGMENT: usize = 60_000;

/// For how long the capture may pause, in microseconds, before bytes that are out of order need not be waited for.
const MAX_PAUSE: u64 = 500_000;

/// In how many packets a connection is opened and both ends greet each other. Those have to come in order.
const OPENING_PACKETS: usize = 4;

#[derive(Arbitrary, Debug)]
enum Given<'a> {
    Capture(Tape<'a>),
    File { head: u8, bytes: &'a [u8], pieces: Vec<u8> },
    Connection { said: Said<'a>, shape: Option<u8>, hints: Hints, damages: Vec<(u16, u8)> },
    Bytes { bytes: &'a [u8], shape: Option<u8>, hints: Hints },
}

/// Two ends of a connection that is captured.
#[derive(Arbitrary, Debug)]
struct Tape<'a> {
    format: Format,
    network: Network,
    opening: Opening,
    said: Said<'a>,
    steps: Vec<Step<'a>>,
    hints: Hints,
    damages: Vec<(u16, u8)>,
    pieces: Vec<u8>,
}

/// How much of the beginning was captured.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Opening {
    /// All of it, in order.
    Whole,
    /// The handshake comes with the rest, after the packets that open the connection.
    Opened,
    /// As before, without those.
    Midway,
    /// Frames alone.
    Frames,
}

/// What both ends say.
#[derive(Arbitrary, Debug)]
struct Said<'a> {
    dialler: Dialler,
    answer: Option<(u8, u8)>,
    parts: Vec<Part<'a>>,
}

/// What is captured next.
#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// The next bytes of one end.
    Send {
        end: bool,
        length: u16,
    },
    /// Bytes that were sent before.
    Again {
        end: bool,
        back: u16,
        length: u16,
    },
    /// Bytes are sent, and not captured.
    Miss {
        end: bool,
        length: u16,
    },
    /// The last packet comes before the one that came before it.
    Overtake,
    Acknowledge {
        end: bool,
    },
    Pause {
        millis: u16,
    },
    /// All that is left, and the end.
    Finish {
        end: bool,
    },
    Reset {
        end: bool,
    },
    /// Another connection begins, between the same ports or others.
    Redial {
        port: u8,
    },
    /// Of the last packet only the front is captured.
    Cut {
        length: u8,
    },
    Any {
        bytes: &'a [u8],
    },
}

/// The options of the caller, and the bounds of memory.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Hints {
    version: Option<u8>,
    framing: Option<u8>,
    is_tight: bool,
}

impl Hints {
    fn options(self) -> Options {
        let version =
            self.version.map(|n| MessagingVersion::ALL[usize::from(n) % MessagingVersion::ALL.len()]);
        let framing = self.framing.map(|n| Framing::ALL[usize::from(n) % Framing::ALL.len()]);
        let options = Options { version, framing, ..Options::default() };
        if self.is_tight {
            Options { max_message: 256, max_held: 2_048, max_connections: 2, max_reordered: 512, ..options }
        } else {
            options
        }
    }

    const fn are_none(self) -> bool {
        self.version.is_none() && self.framing.is_none() && !self.is_tight
    }
}

/// Captures and bytes, damaged or not: decoding never panics; a file is read alike in one piece and in many; the summary counts
/// what was reported, and each byte; of a connection that was captured whole every message comes out, in whatever packets it came.
pub fn capture_decode(data: &[u8]) {
    match script::<Given<'_>>(data) {
        None => {}
        Some(Given::Capture(tape)) => tape.run(),
        Some(Given::File { head, bytes, pieces }) => {
            let heads: [&[u8]; 5] =
                [&[], &[0xd4, 0xc3, 0xb2, 0xa1], &[0xa1, 0xb2, 0x3c, 0x4d], &[0x0a, 0x0d, 0x0d, 0x0a], NG];
            decode_file(
                &[heads[usize::from(head) % heads.len()], bytes].concat(),
                &pieces,
                &Options::default(),
            );
        }
        Some(Given::Connection { said, shape, hints, damages }) => {
            let mut bytes = [said.greeting(), said.frames().0].concat();
            change(&mut bytes, &damages);
            decode_loose(&bytes, shape, &hints.options());
        }
        Some(Given::Bytes { bytes, shape, hints }) => decode_loose(bytes, shape, &hints.options()),
    }
}

/// What a little-endian pcapng file begins with.
const NG: &[u8] = &[
    0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255,
    255, 255,
];

impl Said<'_> {
    fn greeting(&self) -> Vec<u8> {
        written(|out| self.dialler.initiate().encode(out))
    }

    fn accept(&self) -> Accept {
        match self.answer {
            Some((max, version)) => Accept { max: u32::from(max % 16), version: u32::from(version % 16) },
            None => self.honest().0,
        }
    }

    /// The answer of a node that speaks everything, and whether both agree by it.
    fn honest(&self) -> (Accept, bool) {
        let negotiated = negotiate(self.dialler.initiate().versions(), VersionRange { min: 12, max: 14 });
        (negotiated.accept, negotiated.compatible)
    }

    /// The frames, and what must come out of them; `None` if it is not known.
    fn frames(&self) -> (Vec<u8>, Option<Vec<Seen>>) {
        let (accept, compatible) = self.honest();
        let version = MessagingVersion::from_number(accept.version).unwrap_or(MessagingVersion::V12);
        let mut writer = FrameWriter::new(self.dialler.framing(), version);
        for part in &self.parts {
            if writer.bytes.len() < MAX_STREAM {
                writer.write(part);
            }
        }
        let carries_messages = matches!(self.dialler.initiate().kind, ConnectionKind::Messaging(_));
        let is_plain = compatible && self.answer.is_none() && carries_messages;
        (writer.bytes, writer.sent.filter(|_| is_plain))
    }
}

impl Tape<'_> {
    fn run(&self) {
        let (frames, sent) = self.said.frames();
        let mut recorder = Recorder::new(self.network);
        let (greeting, accept) = (self.said.greeting(), self.said.accept().to_bytes());
        match self.opening {
            Opening::Whole => {
                recorder.open();
                recorder.lanes = [greeting, accept.to_vec()];
                (0..2).for_each(|end| recorder.send(end, usize::MAX, 0));
                recorder.lanes[0].extend(frames);
            }
            Opening::Opened => {
                recorder.open();
                recorder.lanes = [[greeting, frames].concat(), accept.to_vec()];
            }
            Opening::Midway => recorder.lanes = [[greeting, frames].concat(), accept.to_vec()],
            Opening::Frames => recorder.lanes[0] = frames,
        }
        self.steps.iter().for_each(|step| recorder.step(step));
        while recorder.is_whole && recorder.sent[0] < recorder.lanes[0].len() {
            recorder.send(0, MAX_SEGMENT, 0);
        }
        let mut file = self.format.file(self.network, &recorder.packets);
        change(&mut file, &self.damages);
        let (records, finished) = decode_file(&file, &self.pieces, &self.hints.options());

        let is_whole = recorder.is_whole && matches!(self.opening, Opening::Whole) && self.network.is_known();
        if let Some(sent) = sent.filter(|_| is_whole && self.damages.is_empty() && self.hints.are_none()) {
            let Summary { damages, undecoded_bytes, missing_bytes, bytes, .. } = finished.summary;
            assert_eq!((damages, undecoded_bytes, missing_bytes), (0, 0, 0), "{records:#?}");
            assert_eq!(bytes, recorder.lanes.iter().map(|lane| lane.len() as u64).sum::<u64>());
            let mut messages = records.iter().filter_map(|record| match record {
                Record::Message(message) => Some(message),
                _ => None,
            });
            for sent in sent {
                let message = messages.next().expect("a message was sent that is not reported");
                assert_message(message, &sent);
            }
            assert_eq!(messages.next(), None, "a message is reported that was not sent");
        }
    }
}

fn assert_message(message: &Message, sent: &Seen) {
    let Seen::Message { verb, id, payload } = sent else { panic!("{sent:?} is none that was sent") };
    assert_eq!((message.verb, message.id.cast_unsigned()), (verb.number(), *id));
    assert!(
        message.length == payload.len() && message.body.is_some() && !message.version_assumed,
        "{message:?}"
    );
}

/// Writes down both ends of a connection.
struct Recorder {
    network: Network,
    port: u16,
    /// What each end has to say, how much of that was sent, and the number of its first byte.
    lanes: [Vec<u8>; 2],
    sent: [usize; 2],
    first: [u32; 2],
    packets: Vec<Packet>,
    now: u64,
    paused: u64,
    /// Whether all of it was captured.
    is_whole: bool,
}

impl Recorder {
    fn new(network: Network) -> Self {
        Self {
            network,
            port: 50_000,
            lanes: Default::default(),
            sent: [0; 2],
            // Numbers wrap around soon.
            first: [u32::MAX - 20, 0x7fff_fff0],
            packets: Vec::new(),
            now: 0,
            paused: 0,
            is_whole: true,
        }
    }

    fn open(&mut self) {
        for end in 0..2 {
            let before_first = self.first[end].wrapping_sub(1);
            let acknowledged = (end == 1).then(|| self.first[0]);
            self.packet(end, before_first, acknowledged, SYN, &[]);
        }
    }

    fn packet(&mut self, from: usize, sequence: u32, acknowledged: Option<u32>, flags: u8, payload: &[u8]) {
        let segment = Segment { from, port: self.port, sequence, acknowledged, flags, payload };
        let bytes = self.network.packet(&segment);
        let length = bytes.len();
        self.now += 10;
        self.packets.push(Packet { after: self.now, bytes, length });
    }

    /// The number of a byte of one end.
    fn number(&self, end: usize, at: usize) -> u32 {
        self.first[end].wrapping_add(u32::try_from(at).expect("streams are short"))
    }

    /// The next bytes of one end.
    fn send(&mut self, end: usize, length: usize, flags: u8) {
        let begin = self.sent[end];
        let length = length.min(self.lanes[end].len() - begin).min(MAX_SEGMENT);
        self.sent[end] += length;
        self.repeat(end, begin, length, flags);
    }

    fn repeat(&mut self, end: usize, begin: usize, length: usize, flags: u8) {
        let payload = self.lanes[end][begin..begin + length].to_vec();
        let acknowledged = self.number(1 - end, self.sent[1 - end]);
        self.packet(end, self.number(end, begin), Some(acknowledged), flags, &payload);
    }

    fn step(&mut self, step: &Step<'_>) {
        match *step {
            Step::Send { end, length } => self.send(end.into(), usize::from(length) + 1, 0),
            Step::Again { end, back, length } => {
                let end = usize::from(end);
                let begin = self.sent[end].saturating_sub(back.into());
                let length = usize::from(length).min(self.sent[end] - begin).min(MAX_SEGMENT);
                self.repeat(end, begin, length, 0);
            }
            Step::Miss { end, length } => {
                let end = usize::from(end);
                self.sent[end] = (self.sent[end] + usize::from(length)).min(self.lanes[end].len());
                self.is_whole = false;
            }
            Step::Overtake => {
                // Packets change places, and times do not.
                if let [.., a, b] = &mut self.packets[..] {
                    core::mem::swap(&mut a.bytes, &mut b.bytes);
                    core::mem::swap(&mut a.length, &mut b.length);
                }
                self.is_whole &= self.packets.len() >= OPENING_PACKETS + 2;
            }
            Step::Acknowledge { end } => self.repeat(end.into(), self.sent[usize::from(end)], 0, 0),
            Step::Pause { millis } => {
                let pause = u64::from(millis) * 1_000;
                self.now += pause;
                self.paused += pause;
                self.is_whole &= self.paused < MAX_PAUSE;
            }
            Step::Finish { end } => {
                let end = usize::from(end);
                while self.lanes[end].len() - self.sent[end] > MAX_SEGMENT {
                    self.send(end, MAX_SEGMENT, 0);
                }
                self.send(end, MAX_SEGMENT, FIN);
            }
            Step::Reset { end } => {
                self.repeat(end.into(), self.sent[usize::from(end)], 0, RST);
                self.is_whole = false;
            }
            Step::Redial { port } => {
                self.port = 50_000 + u16::from(port % 4);
                self.first = self.first.map(|first| first.wrapping_add(0x1234_5678));
                self.sent = [0; 2];
                self.open();
                self.is_whole = false;
            }
            Step::Cut { length } => {
                if let Some(packet) = self.packets.last_mut() {
                    packet.bytes.truncate(length.into());
                }
                self.is_whole = false;
            }
            Step::Any { bytes } => {
                self.now += 10;
                self.packets.push(Packet { after: self.now, bytes: bytes.to_vec(), length: bytes.len() });
                self.is_whole = false;
            }
        }
    }
}

/// Decodes a capture file, in one piece and in these.
fn decode_file(file: &[u8], pieces: &[u8], options: &Options) -> (Vec<Record>, Finished) {
    let whole = decoded(&[file], options);
    let in_pieces = decoded(&chunks(file, pieces), options);
    assert_eq!(in_pieces, whole);
    let (records, Finished { summary, .. }) = &whole;
    assert_counted(records, summary);
    assert!(summary.bytes <= file.len() as u64 && summary.other_packets <= summary.packets);
    whole
}

fn decoded(pieces: &[&[u8]], options: &Options) -> (Vec<Record>, Finished) {
    let mut records = Vec::new();
    let mut decoder = Decoder::new(options.clone());
    for piece in pieces {
        decoder.feed(piece, &mut |record| records.push(record));
    }
    let finished = decoder.finish(&mut |record| records.push(record));
    (records, finished)
}

/// Decodes bytes, whose kind may be given. Either none is reported, or all is counted.
fn decode_loose(bytes: &[u8], shape: Option<u8>, options: &Options) {
    let shape = shape.map(|n| Shape::ALL[usize::from(n) % Shape::ALL.len()]);
    let mut records = Vec::new();
    match decode_bytes(bytes, shape, options, &mut |record| records.push(record)) {
        Ok(summary) => {
            assert_counted(&records, &summary);
            assert_eq!(summary.bytes, bytes.len() as u64);
            let is_noted = records.iter().any(|record| matches!(record, Record::Note(_)));
            assert!(summary.undecoded_bytes == 0 || summary.damages > 0 || is_noted, "{records:#?}");
        }
        Err(unrecognised) => {
            assert!(shape.is_none() && records.is_empty(), "{unrecognised}, and {records:#?}");
            assert_eq!(unrecognised.to_string().lines().count(), 1);
        }
    }
}

/// The last record counts the others right.
fn assert_counted(records: &[Record], summary: &Summary) {
    let count = |is: fn(&Record) -> bool| records.iter().filter(|record| is(record)).count() as u64;
    assert!(matches!(records.last(), Some(Record::Summary(last)) if last == summary));
    assert_eq!(count(|record| matches!(record, Record::Summary(_))), 1);
    assert_eq!(summary.handshakes, count(|record| matches!(record, Record::Handshake(_))));
    assert_eq!(summary.frames, count(|record| matches!(record, Record::Frame(_))));
    assert_eq!(summary.messages, count(|record| matches!(record, Record::Message(_))));
    assert_eq!(summary.damages, count(|record| matches!(record, Record::Damage(_))));
    assert!(summary.passed_bytes <= summary.bytes && summary.gossip_messages <= summary.messages);
}

fn change(bytes: &mut [u8], damages: &[(u16, u8)]) {
    for (at, bits) in damages {
        if let Some(byte) = bytes.get_mut(usize::from(*at)) {
            *byte ^= bits;
        }
    }
}

/// How an input of [`capture_decode`] reads.
pub(crate) fn show_capture_decode(data: &[u8]) -> String {
    show::<Given<'_>>(data)
}
