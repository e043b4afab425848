//! Packets out of the bytes of a capture file, pcap or pcapng.
//!
//! `pcap-file` reads the headers. Packets are cut out here, as its own readers refuse captures that were cut to a
//! length (`tcpdump -s`) and take all times of pcapng for nanoseconds.

use core::ops::Range;

use pcap_file::pcap::PcapParser;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::{PcapNgParser, RawBlock};
use pcap_file::{DataLink, Endianness, PcapError, TsResolution};

use crate::fault::Fault;

/// The most bytes that a packet or block is believed to have. No capture of a network has packets so long.
const MAX_BLOCK: usize = 4 << 20;
/// The most interfaces that a capture is believed to have.
const MAX_INTERFACES: usize = 4_096;

/// Whether `bytes` begin a capture file. Four bytes tell.
pub fn is_capture(bytes: &[u8]) -> bool {
    let classic = [0xa1b2_c3d4_u32, 0xa1b2_3c4d];
    let Some(magic) = bytes.first_chunk().map(|magic| u32::from_be_bytes(*magic)) else { return false };
    magic == SECTION || classic.into_iter().any(|known| magic == known || magic == known.swap_bytes())
}

/// A capture file of which the bytes come in pieces.
#[derive(Default)]
pub(crate) struct Capture {
    format: Format,
    bytes: Vec<u8>,
    /// How many of `bytes` are done with.
    head: usize,
    /// Where in the file `bytes` begins.
    offset: u64,
}

#[derive(Default)]
enum Format {
    #[default]
    Unknown,
    Pcap(PcapParser),
    PcapNg(PcapNgParser),
    /// It cannot be read further.
    Broken,
}

/// A packet of the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Captured {
    /// When, in microseconds since the Unix epoch; a simple packet of pcapng does not say.
    pub(crate) unix_us: Option<u64>,
    pub(crate) link: DataLink,
    /// Whether the capture has only the front of it.
    pub(crate) is_cut: bool,
    /// Where its bytes are, for [`Capture::packet`].
    data: Range<usize>,
}

impl Capture {
    /// Takes more of the file. What was done with before is gone then.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.head);
        self.offset += self.head as u64;
        self.head = 0;
        if !matches!(self.format, Format::Broken) {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// The bytes of a packet that came since the last [`Capture::feed`].
    pub(crate) fn packet(&self, captured: &Captured) -> &[u8] {
        self.bytes.get(captured.data.clone()).unwrap_or_default()
    }

    /// Where in the file the next packet begins.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset + self.head as u64
    }

    /// How many bytes there are of a packet that is not whole.
    pub(crate) const fn left(&self) -> usize {
        self.bytes.len() - self.head
    }

    /// What the bytes that wait are the beginning of.
    pub(crate) const fn awaited(&self) -> &'static str {
        match self.format {
            Format::Unknown => "the rest of the file's header",
            _ => "the rest of a packet",
        }
    }

    /// The next packet; `None` if more of the file is needed for it.
    ///
    /// An error ends it: where the next packet begins is not known then.
    pub(crate) fn next(&mut self) -> Result<Option<Captured>, Fault> {
        let next = self.try_next();
        if next.is_err() {
            self.format = Format::Broken;
            self.bytes = Vec::new();
            self.offset += core::mem::take(&mut self.head) as u64;
        }
        next
    }

    fn try_next(&mut self) -> Result<Option<Captured>, Fault> {
        loop {
            let rest = self.bytes.get(self.head..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(None);
            }
            let len = rest.len();
            let (taken, captured) = match &mut self.format {
                Format::Broken => return Ok(None),
                Format::Unknown => match open(rest) {
                    Ok((after, format)) => {
                        let taken = len - after;
                        self.format = format;
                        (taken, None)
                    }
                    Err(PcapError::IncompleteBuffer) if len < MAX_BLOCK => return Ok(None),
                    Err(error) => return Err(fault("the header of a pcap or pcapng file", &error)),
                },
                Format::Pcap(parser) => match parser.next_raw_packet(rest) {
                    Ok((after, raw)) => {
                        let header = parser.header();
                        let taken = len - after.len();
                        let end = self.head + taken;
                        let fraction = match header.ts_resolution {
                            TsResolution::MicroSecond => raw.ts_frac,
                            TsResolution::NanoSecond => raw.ts_frac / 1_000,
                        };
                        let captured = Captured {
                            unix_us: Some(u64::from(raw.ts_sec) * 1_000_000 + u64::from(fraction)),
                            link: without_frame_check(header.datalink),
                            is_cut: raw.incl_len < raw.orig_len,
                            data: end - raw.data.len()..end,
                        };
                        (taken, Some(captured))
                    }
                    Err(PcapError::IncompleteBuffer) if len < MAX_BLOCK => return Ok(None),
                    Err(error) => return Err(fault("a packet", &error)),
                },
                Format::PcapNg(parser) => match parser.next_raw_block(rest) {
                    Ok((after, block)) => {
                        let taken = len - after.len();
                        // The body stands between type and length, and the length again.
                        let body = self.head + 8;
                        let captured = packet_of(&block, parser, body)?;
                        if parser.interfaces().len() > MAX_INTERFACES {
                            let found = "more".to_owned();
                            let expected = format!("at most {MAX_INTERFACES} interfaces");
                            return Err(Fault { at: 0, expected, found });
                        }
                        (taken, captured)
                    }
                    Err(PcapError::IncompleteBuffer) if len < MAX_BLOCK => return Ok(None),
                    Err(error) => return Err(fault("a block of a pcapng file", &error)),
                },
            };
            self.head += taken;
            if captured.is_some() {
                return Ok(captured);
            }
        }
    }
}

/// The type of the block that every pcapng file begins with.
const SECTION: u32 = 0x0a0d_0d0a;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Reads what a file begins with, and says how much is left after it.
fn open(bytes: &[u8]) -> Result<(usize, Format), PcapError> {
    let Some(magic) = bytes.first_chunk::<4>() else { return Err(PcapError::IncompleteBuffer) };
    if *magic == SECTION.to_be_bytes() {
        PcapNgParser::new(bytes).map(|(rest, parser)| (rest.len(), Format::PcapNg(parser)))
    } else {
        PcapParser::new(bytes).map(|(rest, parser)| (rest.len(), Format::Pcap(parser)))
    }
}

/// The packet in a block whose body lies at `body` of the buffer; `None` if the block holds something else.
fn packet_of(block: &RawBlock<'_>, parser: &PcapNgParser, body: usize) -> Result<Option<Captured>, Fault> {
    let endianness = parser.section().endianness;
    let u16_at = |at: usize| {
        let bytes = block.body.get(at..)?.first_chunk()?;
        Some(match endianness {
            Endianness::Big => u16::from_be_bytes(*bytes),
            Endianness::Little => u16::from_le_bytes(*bytes),
        })
    };
    let u32_at = |at: usize| {
        let bytes = block.body.get(at..)?.first_chunk()?;
        Some(match endianness {
            Endianness::Big => u32::from_be_bytes(*bytes),
            Endianness::Little => u32::from_le_bytes(*bytes),
        })
    };
    let fields = || -> Option<(u32, Option<u64>, usize, u32, u32)> {
        let interface = match block.type_ {
            ENHANCED_PACKET => u32_at(0)?,
            PACKET => u16_at(0)?.into(),
            _ => {
                // A simple packet is as long as the block, or as the packet was.
                let original = u32_at(0)?;
                let room = u32::try_from(block.body.len()).unwrap_or(u32::MAX).saturating_sub(4);
                return Some((0, None, 4, original.min(room), original));
            }
        };
        let ticks = u64::from(u32_at(4)?) << 32 | u64::from(u32_at(8)?);
        Some((interface, Some(ticks), 20, u32_at(12)?, u32_at(16)?))
    };
    if !matches!(block.type_, PACKET | SIMPLE_PACKET | ENHANCED_PACKET) {
        return Ok(None);
    }
    let wrong = |expected: &str, found: String| Err(Fault { at: 0, expected: expected.to_owned(), found });
    let Some((interface, ticks, start, len, original)) = fields() else {
        return wrong("a packet", format!("a block of {} bytes", block.body.len()));
    };
    let end = start.saturating_add(len as usize);
    if end > block.body.len() {
        return wrong("a packet as long as its block", format!("{len} bytes"));
    }
    let described = usize::try_from(interface).ok().and_then(|at| parser.interfaces().get(at));
    let Some(described) = described else {
        return wrong("an interface that is described", interface.to_string());
    };
    let (mut resolution, mut shift) = (6, 0);
    for option in &described.options {
        match option {
            InterfaceDescriptionOption::IfTsResol(number) => resolution = *number,
            InterfaceDescriptionOption::IfTsOffset(seconds) => shift = *seconds,
            _ => {}
        }
    }
    Ok(Some(Captured {
        unix_us: ticks.map(|ticks| micros(ticks, resolution).saturating_add(shift.saturating_mul(1_000_000))),
        link: described.linktype,
        is_cut: len < original,
        data: body + start..body + end,
    }))
}

/// Ticks of pcapng in microseconds: a second has 10ⁿ, or 2ⁿ if the highest bit of the resolution is set.
fn micros(ticks: u64, resolution: u8) -> u64 {
    const BINARY: u8 = 0x80;
    let micros = u128::from(ticks) * 1_000_000;
    let per_second = if resolution & BINARY == 0 {
        10_u128.checked_pow(resolution.into())
    } else {
        1_u128.checked_shl((resolution & !BINARY).into())
    };
    // A second of more ticks than can be counted is longer than all of them.
    per_second.map_or(0, |per_second| u64::try_from(micros / per_second).unwrap_or(u64::MAX))
}

/// The upper half of the number may say how long the checksums of frames are.
fn without_frame_check(link: DataLink) -> DataLink {
    match link {
        DataLink::Unknown(number) => DataLink::from(number & 0xffff),
        link => link,
    }
}

fn fault(expected: &str, error: &PcapError) -> Fault {
    let found = match error {
        PcapError::IncompleteBuffer => format!("one of more than {MAX_BLOCK} bytes"),
        PcapError::InvalidField(what) => format!("something else ({what})"),
        error => error.to_string(),
    };
    Fault { at: 0, expected: expected.to_owned(), found }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a packet was captured, whether it was cut, and its bytes.
    type Read = (Option<u64>, bool, Vec<u8>);

    /// All packets of a file that comes in pieces of `step` bytes.
    fn read(file: &[u8], step: usize) -> (Vec<Read>, Option<Fault>) {
        let mut capture = Capture::default();
        let mut packets = Vec::new();
        for piece in file.chunks(step) {
            capture.feed(piece);
            loop {
                match capture.next() {
                    Ok(Some(captured)) => {
                        let bytes = capture.packet(&captured).to_vec();
                        packets.push((captured.unix_us, captured.is_cut, bytes));
                    }
                    Ok(None) => break,
                    Err(fault) => return (packets, Some(fault)),
                }
            }
        }
        (packets, None)
    }

    fn pcap(magic: [u8; 4], packets: &[(u32, u32, &[u8], u32)]) -> Vec<u8> {
        let is_big = magic[0] == 0xa1;
        let u32_bytes = |number: u32| if is_big { number.to_be_bytes() } else { number.to_le_bytes() };
        let mut file = magic.to_vec();
        file.extend(if is_big { [0, 2, 0, 4] } else { [2, 0, 4, 0] });
        // A length to which packets are cut that is shorter than they were: tcpdump -s.
        for number in [0, 0, 4, 1] {
            file.extend(u32_bytes(number));
        }
        for (seconds, fraction, bytes, original) in packets {
            let len = u32::try_from(bytes.len()).unwrap();
            for number in [*seconds, *fraction, len, *original] {
                file.extend(u32_bytes(number));
            }
            file.extend(*bytes);
        }
        file
    }

    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let len = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
        [&kind.to_le_bytes()[..], &len, &body, &len].concat()
    }

    fn pcapng(options: &[u8], packets: &[&[u8]]) -> Vec<u8> {
        let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
        let interface = [&[1, 0, 0, 0, 0, 0, 0, 0][..], options].concat();
        [
            &[block(SECTION, &section), block(1, &interface)],
            &packets.iter().map(|it| it.to_vec()).collect::<Vec<_>>()[..],
        ]
        .concat()
        .concat()
    }

    fn enhanced(interface: u32, ticks: u64, bytes: &[u8], original: u32) -> Vec<u8> {
        let [high, low] = [ticks >> 32, ticks & 0xffff_ffff].map(|half| u32::try_from(half).unwrap());
        let len = u32::try_from(bytes.len()).unwrap();
        let head = [interface, high, low, len, original].map(u32::to_le_bytes).concat();
        block(ENHANCED_PACKET, &[&head, bytes].concat())
    }

    #[test]
    fn classic_files_of_both_orders_and_resolutions() {
        for (magic, fraction) in [
            ([0xa1, 0xb2, 0xc3, 0xd4], 5),
            ([0xd4, 0xc3, 0xb2, 0xa1], 5),
            ([0xa1, 0xb2, 0x3c, 0x4d], 5_999),
            ([0x4d, 0x3c, 0xb2, 0xa1], 5_999),
        ] {
            let file = pcap(magic, &[(7, fraction, b"abcd", 4), (8, 0, b"ef", 1_500)]);
            assert!(is_capture(&file) && !is_capture(&file[..3]));
            let expected =
                vec![(Some(7_000_005), false, b"abcd".to_vec()), (Some(8_000_000), true, b"ef".to_vec())];
            for step in [1, 7, 1_000] {
                assert_eq!(read(&file, step), (expected.clone(), None), "{step}");
            }
        }
    }

    #[test]
    fn pcapng_tells_time_in_any_unit() {
        let resolution = |number: u8| vec![9, 0, 1, 0, number, 0, 0, 0, 0, 0, 0, 0];
        let ticks = 5_u64 << 32;
        for (options, micros) in [
            (vec![], 5 << 32),
            (resolution(6), 5 << 32),
            (resolution(9), (5 << 32) / 1_000),
            (resolution(3), (5 << 32) * 1_000),
            (resolution(0x80 | 32), 5_000_000),
            (resolution(127), 0),
            // Seconds to be added.
            (vec![14, 0, 8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], (5 << 32) + 2_000_000),
        ] {
            let file = pcapng(&options, &[&enhanced(0, ticks, b"abc", 9)]);
            assert!(is_capture(&file));
            for step in [1, 1_000] {
                assert_eq!(read(&file, step), (vec![(Some(micros), true, b"abc".to_vec())], None));
            }
        }
    }

    #[test]
    fn other_blocks_are_skipped_and_simple_packets_read() {
        let simple = block(SIMPLE_PACKET, &[&3_u32.to_le_bytes()[..], b"xyz"].concat());
        let obsolete = block(
            PACKET,
            &[&[0, 0, 0, 0][..], &[0; 4], &7_u32.to_le_bytes(), &2_u32.to_le_bytes(), &[2, 0, 0, 0], b"ab"]
                .concat(),
        );
        let file = pcapng(&[], &[&block(5, &[0; 12]), &simple, &block(0x0bad, b"....."), &obsolete]);
        let expected = vec![(None, false, b"xyz".to_vec()), (Some(7), false, b"ab".to_vec())];
        assert_eq!(read(&file, 10), (expected, None));
    }

    #[test]
    fn damaged_files_say_what_is_wrong() {
        let fault = |file: &[u8]| read(file, 1 << 16).1.expect("it is damaged");
        assert_eq!(
            fault(b"nothing of the kind, and long enough").expected,
            "the header of a pcap or pcapng file"
        );
        let long = pcap([0xa1, 0xb2, 0xc3, 0xd4], &[]);
        let long = [&long[..], &[0; 8], &[0x7f; 8], &vec![0; MAX_BLOCK]].concat();
        assert!(fault(&long).found.contains("more than 4194304"), "{:?}", fault(&long));
        let nowhere = pcapng(&[], &[&enhanced(1, 0, b"abc", 3)]);
        assert_eq!(
            (fault(&nowhere).expected.as_str(), fault(&nowhere).found.as_str()),
            ("an interface that is described", "1")
        );
        let mut longer = pcapng(&[], &[&enhanced(0, 0, b"abc", 3)]);
        let at = longer.len() - 16;
        longer[at] = 200;
        assert_eq!(fault(&longer).found, "200 bytes");
    }
}
