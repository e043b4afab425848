//! `gossip decode` on the command line.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::node::{Output, command, gossip, refused};
use gossip_testing::shared;

const INITIATE: &str = "ca552dfa 0c0a0c11 06 7f000001 1b58 d66821b5";
const ECHO: &str = "0b 00 02 94 08 11 01 cf e5 68 00 a7 10 1f 00 00 00 2d ec b9 7b";

/// The captures that lie beside the repository.
fn captures() -> Vec<PathBuf> {
    let folder = shared().join("transcripts");
    let entries = fs::read_dir(&folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "pcap"));
    files.sort();
    assert!(!files.is_empty(), "there is no capture in {}", folder.display());
    files
}

/// Runs `gossip decode` with `input` on its standard input.
fn decode(args: &[&str], input: &[u8]) -> Output {
    let mut child = command(&[&["decode"], args].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    // It prints while it reads.
    let writer = thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn lines(output: &Output) -> Vec<Value> {
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines of one type.
fn of_type<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == name).collect()
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn every_capture_is_decoded_to_its_last_byte() {
    for file in captures() {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let path = file.to_str().unwrap();
        let output = gossip(&["decode", path, "--format", "json"]);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{name}");
        let lines = lines(&output);
        let (summary, records) = lines.split_last().unwrap();
        assert_eq!(summary["type"], "summary");
        for (field, count) in [("undecoded_bytes", 0), ("missing_bytes", 0), ("damages", 0)] {
            assert_eq!(summary[field], count, "{name}: {field}");
        }
        for message in of_type(records, "message") {
            for field in ["from", "to", "verb_name"] {
                assert!(message[field].is_string(), "{name}: {field} of {message}");
            }
            for field in ["verb", "id", "version", "connection", "packet", "unix_us", "length"] {
                assert!(message[field].is_number(), "{name}: {field} of {message}");
            }
            let is_decoded = ![3, 28, 63, 88].contains(&message["verb"].as_u64().unwrap());
            assert_eq!(message["body"].is_object(), is_decoded, "{name}: {message}");
        }
        let gossip_verbs = [14, 15, 16, 29, 31, 91];
        let counted = gossip_verbs.map(|verb| {
            records.iter().filter(|line| line["type"] == "message" && line["verb"] == verb).count()
        });
        // As the core counts them in its own way.
        let expected = match name.as_str() {
            "c40-2node-all.pcap" => [82, 82, 81, 1, 2, 2],
            "c40-2node-none.pcap" => [268, 189, 186, 1, 6, 6],
            "c40-3node-dc.pcap" => [343, 316, 314, 2, 11, 11],
            "c40-member.pcap" => [83, 74, 71, 1, 4, 4],
            "c50-2node-compatNONE.pcap" => [84, 84, 83, 1, 2, 2],
            other => panic!("{other} is new: count what is in it"),
        };
        assert_eq!(counted, expected, "{name}");
        assert_eq!(summary["connections"], of_type(records, "handshake").len(), "{name}");

        let text = gossip(&["decode", path]);
        assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""));
        assert!(text.stdout.lines().last().unwrap().ends_with(", 0 bytes undecoded"), "{name}");
        assert!(text.stdout.lines().all(|line| !line.contains(char::is_control)), "{name}");
    }
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn the_large_ack_of_a_capture() {
    for file in captures().iter().filter(|file| file.ends_with("c40-member.pcap")) {
        let args = ["decode", "--format", "json", "--only", "message", "--file", file.to_str().unwrap()];
        let output = gossip(&args);
        let lines = lines(&output);
        assert!(lines.iter().all(|line| line["type"] == "message" || line["type"] == "summary"));
        let large: Vec<_> =
            lines.iter().filter(|line| line["connection_type"] == "large" && line["verb"] == 15).collect();
        let [ack] = large[..] else { panic!("{} large ACKs", large.len()) };
        assert_eq!((&ack["length"], &ack["from"]), (&75_008.into(), &"127.0.0.11:7000".into()));
        assert_eq!(ack["body"]["requests"].as_array().unwrap().len(), 5_000);
    }
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn captures_come_over_a_pipe_and_go_into_one() {
    for file in captures() {
        let bytes = fs::read(&file).unwrap();
        let path = file.to_str().unwrap();
        let piped = decode(&["-"], &bytes);
        assert_eq!((piped.code, &piped.stdout), (Some(0), &gossip(&["decode", path]).stdout));

        // A reader that has seen enough.
        let mut child =
            command(&["decode", path]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8(output.stderr).unwrap()),
            (Some(0), String::new())
        );
    }
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn damaged_captures_are_exit_code_1_with_the_place() {
    let dir = TempDir::new().unwrap();
    let copy = dir.path().join("damaged.pcap");
    for file in captures() {
        let bytes = fs::read(&file).unwrap();
        fs::write(&copy, &bytes[..bytes.len() - 5]).unwrap();
        let output = gossip(&["decode", copy.to_str().unwrap()]);
        assert_eq!((output.code, output.stderr.lines().count()), (Some(1), 1), "{output:?}");
        let place = format!("error: offset {} ", bytes.len() - 5);
        assert!(output.stderr.starts_with(&place), "{}", output.stderr);
        assert!(output.stderr.contains("expected the rest of a packet"), "{}", output.stderr);
        assert!(output.stdout.lines().count() > 100, "what comes before is decoded");
        // Another port than any.
        let line = refused_with_output(1, &["decode", file.to_str().unwrap(), "--port", "7001"]);
        assert!(line.contains("--port 7000"), "{line}");
    }
}

/// As [`refused`], where something may be printed.
fn refused_with_output(code: i32, args: &[&str]) -> String {
    let output = gossip(args);
    assert_eq!((output.code, output.stderr.lines().count()), (Some(code), 1), "{args:?}: {output:?}");
    assert!(output.stderr.starts_with("error: "), "{args:?}: {}", output.stderr);
    output.stderr
}

#[test]
fn hexadecimal_on_the_command_line() {
    let output = gossip(&["decode", INITIATE, ECHO]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    let expected = "\
127.0.0.1:7000 handshake urgent, framing crc, takes versions 10 to 12 (asks for 12); no answer
127.0.0.1:7000 frame at 19: crc 11 bytes, checksum ok
127.0.0.1:7000 ECHO_REQ (31) id 1 v12, 0 bytes, created at cfe56800, expires in 10000 ms
in all: 1 handshake, 1 frame, 1 message (1 of gossip), 40 bytes, 0 bytes undecoded
";
    assert_eq!(output.stdout, expected);
    for words in [
        &["0x01cfe56800a7101f000000"][..],
        &["01:cf:e5:68:00:a7:10:1f:00:00:00"],
        &["01", "cfe56800a7", "101f000000"],
    ] {
        let output = gossip(&[&["decode"], words].concat());
        assert!(output.code == Some(0) && output.stdout.starts_with("ECHO_REQ (31) id 1 v12"), "{output:?}");
    }
    let output = gossip(&["decode", "01 05 cf e5 68 00 a7 10 1f 00 00 00", "--format", "json"]);
    let lines = lines(&output);
    assert_eq!((&lines[0]["version"], &lines[0]["epoch"]), (&14.into(), &5.into()));
}

#[test]
fn states_and_bodies_are_readable() {
    let ack = "00000001 060a0000021b586553f16400000000 00000001 060a0000011b58 5e9b1b0b 00000121 00000003 \
               00000001 0008 3232343237392e30 0000011d 00000005 0006 342e302e3134 00000002 \
               00000013 0001 78 00000003";
    let output = gossip(&["decode", ack]);
    let expected = "\
ack v12, 87 bytes
    wants 10.0.0.2:7000 generation 1700000100 above version 0
    tells 10.0.0.1:7000 generation 1587223307 heartbeat 289, named as in 4.0
        LOAD(1)@285 = 224279.0
        RELEASE_VERSION(5)@2 = 4.0.14
        X1(19)@3 = x
in all: 87 bytes, 0 bytes undecoded
";
    assert_eq!(output.stdout, expected);
    let named = gossip(&["decode", ack, "--state", "19=WORKLOAD", "--state", "1000=ROLE"]);
    assert!(named.stdout.contains("WORKLOAD(19)@3 = x"), "{named:?}");
    let ack2 = "00000001 060a0000021b586553f16400000008 00000000";
    let line = refused(2, &["decode", ack2]);
    assert!(line.contains("ack or ack2") && line.contains("--as"), "{line}");
    let output = gossip(&["decode", ack2, "--as", "ack2"]);
    assert!(output.stdout.contains("tells 10.0.0.2:7000 generation 1700000100 heartbeat 8"), "{output:?}");
    let old = "00000001 040a000002 6553f164 00000008 00000000";
    let output = gossip(&["decode", old, "--as", "ack2", "--version", "11", "--port", "7010"]);
    assert!(output.stdout.contains("tells 10.0.0.2:7010"), "{output:?}");
}

#[test]
fn files_of_bytes_and_of_text() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("bytes");
    let path = file.to_str().unwrap();
    let bytes = [0x01, 0xcf, 0xe5, 0x68, 0x00, 0xa7, 0x10, 0x1f, 0x00, 0x00, 0x00];
    let dump = b"00000000: 01cf e568 00a7 101f 0000 00              ...h.......\n";
    for content in [&bytes[..], b"01 cf e5 68\n00 a7 10 1f 00 00 00\n", dump] {
        fs::write(&file, content).unwrap();
        for args in [&["decode", path][..], &["decode", "--file", path]] {
            let output = gossip(args);
            assert!(output.code == Some(0) && output.stdout.starts_with("ECHO_REQ (31) id 1"), "{output:?}");
        }
        let output = decode(&["-"], content);
        assert!(output.code == Some(0) && output.stdout.starts_with("ECHO_REQ (31) id 1"), "{output:?}");
    }
}

#[test]
fn what_is_piped_in_is_read_without_being_named() {
    let output = decode(&[], b"01 cf e5 68 00 a7 10 1f 00 00 00");
    assert!(output.code == Some(0) && output.stdout.starts_with("ECHO_REQ (31) id 1"), "{output:?}");
}

#[test]
fn several_files_are_decoded_one_after_the_other() {
    let dir = TempDir::new().unwrap();
    let [good, bad, last] = ["good", "bad", "last"].map(|name| dir.path().join(name));
    fs::write(&good, [INITIATE, ECHO].join(" ")).unwrap();
    fs::write(&bad, [INITIATE, &ECHO.replace("7b", "7c")].join(" ")).unwrap();
    fs::write(&last, "deadbeef").unwrap();
    let [good, bad, last] = [&good, &bad, &last].map(|path| path.to_str().unwrap());
    for args in [&["decode", good, good][..], &["decode", "--file", good, "--file", good]] {
        let output = gossip(args);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
        assert_eq!(output.stdout.matches(&format!("file {good}:\n")).count(), 2, "{output:?}");
        let total = output.stdout.lines().last().unwrap();
        assert!(total.starts_with("2 files, in all: 2 handshakes, 2 frames, 2 messages"), "{total}");
    }
    // What is wrong with one keeps no other from being decoded.
    let output = gossip(&["decode", "--format", "json", bad, last, good]);
    assert_eq!((output.code, output.stderr.lines().count()), (Some(1), 2), "{output:?}");
    for name in [bad, last] {
        assert!(output.stderr.contains(&format!("error: {name}: ")), "{}", output.stderr);
    }
    let lines = lines(&output);
    assert_eq!(of_type(&lines, "file").len(), 3);
    let total = lines.last().unwrap();
    assert_eq!((&total["type"], &total["files"]), (&"total".into(), &3.into()));
    assert_eq!((&total["messages"], &total["damages"]), (&1.into(), &1.into()));
}

#[test]
fn zeros_are_no_messages() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("zeros");
    let path = file.to_str().unwrap();
    // The last is more than is believed without a checksum.
    for (byte, size) in [(0, 10), (0, 1_000), (0, 2_000_000), (1, 1_300), (1, 13_000), (0, 20_000_000)] {
        fs::write(&file, vec![byte; size]).unwrap();
        let line = refused_with_output(1, &["decode", path]);
        assert!(line.contains("--as"), "{size} times {byte}: {line}");
    }
}

#[test]
fn a_summary_counts_instead_of_printing() {
    let output = gossip(&["decode", "--summary", INITIATE, ECHO, ECHO]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    let lines_of_text: Vec<_> = output.stdout.lines().collect();
    let [from, verb, connection, all] = lines_of_text[..] else { panic!("{output:?}") };
    assert_eq!(from, "from 127.0.0.1:7000: 2 messages, 22 bytes");
    assert_eq!(verb, "ECHO_REQ (31): 2 messages, 22 bytes");
    assert!(connection.ends_with("urgent: 2 frames, 2 messages, 22 bytes"), "{connection}");
    assert!(all.starts_with("in all: 1 handshake, 2 frames, 2 messages"), "{all}");
    let output = gossip(&["decode", "--summary", "--format", "json", INITIATE, ECHO, ECHO]);
    let lines = lines(&output);
    let types: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["endpoint", "verb", "connection", "summary"]);
    assert_eq!((&lines[0]["from"], &lines[1]["verb"]), (&"127.0.0.1:7000".into(), &31.into()));
    assert!(lines[..3].iter().all(|line| line["messages"] == 2 && line["bytes"] == 22), "{output:?}");
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn a_summary_of_a_capture_counts_all_its_messages() {
    for file in captures() {
        let path = file.to_str().unwrap();
        let output = gossip(&["decode", "--summary", "--format", "json", path]);
        let lines = lines(&output);
        let messages = &lines.last().unwrap()["messages"];
        for kind in ["endpoint", "verb", "connection"] {
            let sum: u64 = of_type(&lines, kind).iter().map(|line| line["messages"].as_u64().unwrap()).sum();
            assert_eq!(messages, sum, "{path}: {kind}");
        }
    }
}

#[test]
fn damage_is_exit_code_1_with_the_place() {
    let last = ECHO.replace("7b", "7c");
    let output = gossip(&["decode", INITIATE, ECHO, &last, ECHO]);
    assert_eq!(output.code, Some(1));
    assert_eq!(output.stderr, "error: offset 57: expected the payload's checksum 2decb97b, found 2decb97c\n");
    assert_eq!(output.stdout.matches("ECHO_REQ (31) id 1").count(), 2, "before and after it");
    let output = gossip(&["decode", INITIATE, &last, "--format", "json"]);
    let lines = lines(&output);
    let [damage] = of_type(&lines, "damage")[..] else { panic!("{output:?}") };
    assert_eq!((&damage["offset"], &damage["found"]), (&36.into(), &"2decb97c".into()));
    assert_eq!((&lines.last().unwrap()["damages"], output.code), (&1.into(), Some(1)));

    for (args, expected) in [
        (
            &["ca552dfa0c0a0c11067f0000011b58d66821b6"][..],
            "offset 15: expected the handshake's checksum d66821b5",
        ),
        (&[&INITIATE[..20]], "offset 9: expected the rest of a handshake"),
        (
            &["02cfe56800c493e00e00005d000c"],
            "offset 12: expected the body of GOSSIP_DIGEST_SYN id 2, 93 bytes",
        ),
        (&["--as", "syn", "0003616263"], "offset 5: expected the partitioner, found the end"),
        (&["--as", "frames", "00"], "offset 0: expected a frame header"),
        (&["deadbeef"], "nothing that is known"),
    ] {
        let line = refused_with_output(1, &[&["decode"], args].concat());
        assert!(line.contains(expected), "{args:?}: {line}");
    }
}

#[test]
fn what_is_encrypted_cannot_be_decoded() {
    let line = refused_with_output(1, &["decode", "16030100050100000100"]);
    assert!(line.contains("TLS"), "{line}");
}

/// A capture (raw IP) of one packet from the middle of a connection to port 7000.
fn one_packet(payload: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    ip[2..4].copy_from_slice(&u16::try_from(40 + payload.len()).unwrap().to_be_bytes());
    // Ports 50000 and 7000, two numbers, a header of 20 bytes, ACK.
    let tcp = [0xc3, 0x50, 0x1b, 0x58, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0];
    let length = u32::try_from(ip.len() + tcp.len() + payload.len()).unwrap().to_le_bytes();
    let mut capture = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 0xffff, 101, 0, 0].map(u32::to_le_bytes).concat();
    capture.extend([length, length].concat());
    capture.extend([&ip[..], &tcp, payload].concat());
    capture
}

#[test]
fn nothing_that_can_be_decoded_is_a_failure() {
    let output = decode(&["-"], &one_packet(&[0; 500]));
    assert_eq!(output.code, Some(1), "{}", output.stdout);
    assert!(output.stdout.contains("500 bytes undecoded"), "{}", output.stdout);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains("none of it could be decoded"), "{}", output.stderr);
}

#[test]
fn wrong_input_is_misuse() {
    let dir = TempDir::new().unwrap();
    let packed = dir.path().join("capture.pcap.gz");
    fs::write(&packed, [0x1f, 0x8b, 8, 0]).unwrap();
    let text = dir.path().join("text");
    fs::write(&text, "ca55\nno digits").unwrap();
    let empty = dir.path().join("empty");
    fs::write(&empty, "").unwrap();
    let blank = dir.path().join("blank");
    fs::write(&blank, " \n\n").unwrap();
    for (args, words) in [
        (&["decode"][..], "standard input is empty"),
        (&["decode", "-", "-"], "only once"),
        (&["decode", empty.to_str().unwrap(), "no.pcap"], "there is no file 'no.pcap'"),
        (&["decode", "00", "--summary", "--only", "frame"], "--only"),
        (&["decode", "ca5g"], "'g' is no hexadecimal digit at position 4"),
        (&["decode", "ca 55 2"], "a digit without its second at position 7"),
        (&["decode", "no.pcap"], "there is no file 'no.pcap'"),
        (&["decode", "--file", "/no/such/file"], "/no/such/file"),
        (&["decode", dir.path().to_str().unwrap()], "directory"),
        (&["decode", packed.to_str().unwrap()], "gunzip"),
        (&["decode", text.to_str().unwrap()], "'n' is no hexadecimal digit in line 2 at position 1"),
        (&["decode", empty.to_str().unwrap()], "is empty"),
        (&["decode", blank.to_str().unwrap()], "is empty"),
        (&["decode", " "], "no digits"),
        (&["decode", "00000000"], "ack2 or accept"),
        (&["decode", "00", "--version", "9"], "10 to 14"),
        (&["decode", "00", "--as", "nothing"], "connection"),
        (&["decode", "00", "--state", "x=ROLE"], "21=WORKLOAD"),
        (&["decode", "00", "--state", "21"], "NUMBER=NAME"),
        (&["decode", "00", "--state", "21=A", "--state", "21=B"], "name it once"),
        (&["decode", "00", "--port", "70000"], "70000"),
    ] {
        let line = refused(2, args);
        assert!(line.contains(words), "{args:?}: {line}");
    }
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn a_capture_is_no_file_of_frames() {
    for file in captures() {
        let line = refused(2, &["decode", "--as", "frames", file.to_str().unwrap()]);
        assert!(line.contains("--as"), "{line}");
    }
}

#[test]
fn a_connection_under_tls_is_named_by_what_it_says_in_the_clear() {
    // A node of 4.0 dials (`docs/protocol/tls.md#versions-and-suites`), and gives the other end up with an alert.
    let hello = "16 03 01 00 72 01 00 00 6e 03 03 0000000000000000000000000000000000000000000000000000000000000000 00 \
        00 12 c02c c02b c02f c030 c013 c014 009c 002f 0035 01 00 00 33 0017 0000 ff01 0001 00 \
        000a 0008 0006 001d 0017 0018 000b 0002 01 00 000d 0014 0012 0403 0804 0401 0503 0805 0501 0806 0601 0201";
    let input = format!("{hello} 15 03 03 00 02 02 50");
    let output = decode(&["-"], input.as_bytes());
    assert_eq!(output.code, Some(1), "nothing of it can be decoded");
    let lines: Vec<_> = output.stdout.lines().collect();
    assert!(lines[0].starts_with("TLS, which cannot be read: 126 bytes sent and 0 received"), "{lines:?}");
    assert_eq!(lines[1].trim(), "the dialler offers TLS 1.2");
    assert_eq!(lines[2].trim(), "alert of the dialler: internal_error (80), fatal");
    assert!(output.stderr.contains("TLS"), "{}", output.stderr);
}
