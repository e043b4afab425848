//! `gossip decode`.

mod counts;
mod hex;
mod input;
mod output;
mod text;

use gossip_core::MessagingVersion;
use gossip_core::internode::Framing;
use gossip_decode::{Decoder, Options, Shape, Summary, Unrecognised, decode_bytes, is_capture};

use self::input::{CHUNK, Input};
use self::output::{Kind, Output, Times};
use crate::address::GOSSIP_PORT;
use crate::client::Format;
use crate::failure::Failure;
use crate::names::StateArgs;

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Hexadecimal digits, the names of files, or - for standard input, which is read too if nothing is given and it is no terminal
    #[arg(value_name = "HEX|FILE|-")]
    input: Vec<String>,
    /// A file: a capture (pcap, pcapng), hexadecimal text, or the bytes themselves; - is standard input. May be repeated; default: the arguments, or standard input
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    file: Vec<String>,
    /// What the bytes are, where it is not a capture
    #[arg(long = "as", value_name = "WHAT", value_enum, default_value_t = As::Auto)]
    shape: As,
    /// The messaging version of bytes that do not name it, 10 to 14; default: it is detected
    #[arg(long, value_name = "NUMBER", value_parser = parse_version)]
    version: Option<MessagingVersion>,
    /// The framing of a connection, if no handshake names it; default: it is detected
    #[arg(long, value_enum)]
    framing: Option<FramingArg>,
    /// The ports that nodes listen on, in a capture
    #[arg(long = "port", value_name = "PORT", value_delimiter = ',', default_values_t = [GOSSIP_PORT])]
    ports: Vec<u16>,
    #[command(flatten)]
    states: StateArgs,
    /// Prints these kinds of records only; default: all
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND")]
    only: Vec<Kind>,
    /// Counts by endpoint, by verb and by connection instead of printing each record, for large captures
    #[arg(long, conflicts_with = "only")]
    summary: bool,
    /// How times are printed in text
    #[arg(long, value_enum, default_value_t = Times::Relative)]
    time: Times,
    /// How to print what is found: for people, or a line of JSON for each record
    #[arg(long, value_enum, hide_possible_values = true, value_name = "text|json", default_value_t = Format::Text)]
    format: Format,
}

const AFTER_HELP: &str = "\
What is decoded: handshakes, frames, message headers, and the whole bodies of SYN, ACK, ACK2, SHUTDOWN,
ECHO, PING, SCHEMA_VERSION and FAILURE, in messaging versions 10 to 14. Of other messages it prints verb, name and
length; streaming is named and skipped. TLS is not decrypted: versions, cipher suite, server name,
alerts and, up to TLS 1.2, certificates are named. Key logs are of no use here.

A capture may begin and end anywhere; TCP is put into order first. Link types: Ethernet (also with VLAN
tags), Linux cooked, raw IP, BSD loopback. What no handshake says is found out, and a note says so: the
framing and the place of the first frame by checksums, the version by what fits (12 if several fit).
The states of an endpoint have the names of the release that it publishes, or else of Cassandra 5.0.

With --format json every record is a line, whose \"type\" is handshake, frame, message, body, passed, note,
damage or, last of all, summary. With --summary it is endpoint, verb, connection, damage, summary. Of several
files each begins with a line of type file, and a line of type total comes last.

Bytes whose kind is not given (--as) must show it: by a handshake, a frame's checksum or, up to 16 MiB,
by messages as a node would send them.

Exit codes:
  0  everything was decoded, except what the notes and the summary list
  1  something is damaged, or missing in the middle: each such place is a line on standard error (what the
     end of a capture or a reset cuts off is a note); or nothing was decoded: no connection to the
     port, TLS only, or nothing that could be found out
  2  misuse

Examples:
  gossip decode ca552dfa 0c0a0c11 06 7f000001 1b58 d66821b5
  gossip decode cassandra.pcap --format json --only message
  tcpdump -i any -U -w - port 7000 | gossip decode -
  gossip decode --as ack2 --version 11 --file body.bin";

/// What the bytes are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum As {
    /// Found out from the bytes
    Auto,
    /// What a dialler sends, from its handshake on
    Connection,
    /// What an acceptor answers to the handshake
    Accept,
    /// Frames without a handshake
    Frames,
    /// Messages, header and body, one after the other
    #[value(alias = "message")]
    Messages,
    /// The body of a GOSSIP_DIGEST_SYN
    Syn,
    /// The body of a GOSSIP_DIGEST_ACK
    Ack,
    /// The body of a GOSSIP_DIGEST_ACK2
    Ack2,
    /// The body of a GOSSIP_SHUTDOWN
    Shutdown,
    /// The state of one endpoint
    State,
}

impl As {
    const fn shape(self) -> Option<Shape> {
        Some(match self {
            Self::Auto => return None,
            Self::Connection => Shape::Connection,
            Self::Accept => Shape::Answer,
            Self::Frames => Shape::Frames,
            Self::Messages => Shape::Messages,
            Self::Syn => Shape::Syn,
            Self::Ack => Shape::Ack,
            Self::Ack2 => Shape::Ack2,
            Self::Shutdown => Shape::Shutdown,
            Self::State => Shape::State,
        })
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum FramingArg {
    /// With checksums
    Crc,
    /// Compressed, with checksums
    Lz4,
    /// Without checksums
    #[value(name = "none", alias = "unprotected")]
    Unprotected,
}

/// Decodes bytes or a capture, and prints what is in them.
///
/// # Errors
///
/// Misuse if the bytes are not given right, or their kind cannot be found out. Failure if they are damaged, or there is
/// nothing in a capture to decode.
pub(crate) fn decode(args: &Args) -> Result<(), Failure> {
    let options = args.options()?;
    let mut inputs = Input::open(&args.input, &args.file)?;
    let mut output = Output::new(args.format, &args.only, args.time, args.summary);
    if let [input] = inputs.as_mut_slice() {
        let summary = decode_one(args, options, input, &mut output)?;
        return if output.is_closed() { Ok(()) } else { verdict(&summary) };
    }
    let (mut total, mut has_failed) = (Summary::default(), false);
    for input in &mut inputs {
        output.begin(input.name());
        let decoded = decode_one(args, options.clone(), input, &mut output);
        if output.is_closed() {
            return output.flush();
        }
        let judged = decoded.and_then(|summary| {
            add(&mut total, &summary);
            verdict(&summary)
        });
        if let Err(failure) = judged {
            output.fail(&failure);
            has_failed = true;
        }
    }
    output.total(inputs.len(), &total);
    output.flush()?;
    if has_failed { Err(Failure::Told) } else { Ok(()) }
}

/// Decodes one file, or what stands on the command line.
fn decode_one(
    args: &Args,
    options: Options,
    input: &mut Input,
    output: &mut Output,
) -> Result<Summary, Failure> {
    let first = input.first()?;
    if is_capture(&first) {
        if args.shape != As::Auto {
            return Err(Failure::misuse("a capture is nothing else (leave out --as)"));
        }
        return decode_capture(options, &first, input, output);
    }
    let bytes = input.bytes(first)?;
    let decoded = decode_bytes(&bytes, args.shape.shape(), &options, &mut |record| output.tell(record));
    output.finish()?;
    if output.is_closed() {
        return Ok(Summary::default());
    }
    decoded.map_err(|error| {
        let told = format!("{error} (say what they are with --as)");
        match error {
            Unrecognised::Ambiguous { .. } => Failure::misuse(told),
            Unrecognised::Nothing { .. } | Unrecognised::TooMany => Failure::failed(told),
        }
    })
}

fn decode_capture(
    options: Options,
    first: &[u8],
    input: &mut Input,
    output: &mut Output,
) -> Result<Summary, Failure> {
    let ports = options.ports.clone();
    let mut decoder = Decoder::new(options);
    output.begin_reading(input.size());
    output.has_read(first.len());
    decoder.feed(first, &mut |record| output.tell(record));
    let mut chunk = vec![0; CHUNK];
    while !output.is_closed() {
        // What is there is shown before more is waited for: the capture may be a live one.
        output.flush()?;
        match input.read(&mut chunk)? {
            [] => break,
            bytes => {
                output.has_read(bytes.len());
                decoder.feed(bytes, &mut |record| output.tell(record));
            }
        }
    }
    output.end_reading();
    let finished = decoder.finish(&mut |record| output.tell(record));
    output.finish()?;
    if output.is_closed() {
        return Ok(finished.summary);
    }
    let summary = &finished.summary;
    if summary.connections + summary.silent_connections == 0 && summary.damages == 0 {
        let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
        let others: Vec<_> = finished.other_ports.iter().map(ToString::to_string).collect();
        let hint = match others.as_slice() {
            [] => "name the port that nodes listen on with --port".to_owned(),
            others => format!("others in it begin like Cassandra's: --port {}", others.join(",")),
        };
        return Err(Failure::failed(format!(
            "no connection to port {} is in this capture of {} packets ({hint})",
            ports.join(", "),
            summary.packets
        )));
    }
    Ok(finished.summary)
}

/// Adds what one file has to what all have.
const fn add(total: &mut Summary, summary: &Summary) {
    total.packets += summary.packets;
    total.other_packets += summary.other_packets;
    total.connections += summary.connections;
    total.silent_connections += summary.silent_connections;
    total.streaming_connections += summary.streaming_connections;
    total.encrypted_connections += summary.encrypted_connections;
    total.handshakes += summary.handshakes;
    total.frames += summary.frames;
    total.messages += summary.messages;
    total.gossip_messages += summary.gossip_messages;
    total.bytes += summary.bytes;
    total.passed_bytes += summary.passed_bytes;
    total.undecoded_bytes += summary.undecoded_bytes;
    total.missing_bytes += summary.missing_bytes;
    total.damages += summary.damages;
}

/// What the exit code says.
fn verdict(summary: &Summary) -> Result<(), Failure> {
    if summary.damages > 0 {
        return Err(Failure::Told);
    }
    let others = summary.handshakes + summary.frames + summary.messages;
    if summary.encrypted_connections > 0 && others == 0 {
        return Err(Failure::failed(
            "all of it is encrypted (TLS) and cannot be decoded (ask a node what it knows instead: gossip gossipinfo \
             --seed, nodetool gossipinfo)",
        ));
    }
    if summary.undecoded_bytes > 0 && others == 0 {
        return Err(Failure::failed(
            "none of it could be decoded (does it begin before the connections do, and is it a port of Cassandra's?)",
        ));
    }
    Ok(())
}

impl Args {
    fn options(&self) -> Result<Options, Failure> {
        let names = self.states.names()?.into_inner();
        let framing = self.framing.map(|framing| match framing {
            FramingArg::Crc => Framing::Crc,
            FramingArg::Lz4 => Framing::Lz4,
            FramingArg::Unprotected => Framing::Unprotected,
        });
        Ok(Options { ports: self.ports.clone(), version: self.version, framing, names, ..Options::default() })
    }
}

fn parse_version(text: &str) -> Result<MessagingVersion, String> {
    let version = text.trim_start_matches('v').parse().ok().and_then(MessagingVersion::from_number);
    version.ok_or_else(|| "a messaging version is a number from 10 to 14".to_owned())
}
