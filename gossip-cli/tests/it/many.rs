//! Asking a member of a cluster that is as large as clusters get.

use core::net::{Ipv4Addr, SocketAddr};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use gossip_core::ApplicationState;
use gossip_core::internode::{
    Accept, ConnectionType, FrameKind, Framing, Initiate, VersionRange, negotiate, wrap,
};
use gossip_core::wire::Writer;
use gossip_tokio::Builder;

use crate::node::{PATIENCE, gossip};

/// How many others the member knows.
const OTHERS: usize = 10_000;

#[test]
fn a_member_that_knows_ten_thousand_endpoints_is_asked() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let seed = TcpListener::bind("127.0.0.1:0").unwrap();
    let member = Builder::new("Test Cluster")
        .listen("127.0.0.1:0".parse().unwrap())
        .seed(seed.local_addr().unwrap())
        .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,0")
        .tune(|config| config.change_membership(|membership| membership.shadow_round = true));
    let (member, _) = runtime.block_on(member.start()).unwrap();
    let connections = answer_the_question(&seed, member.listen_address());
    let mut view = member.view().wait().unwrap();
    view.wait_until(PATIENCE, |now| now.len() > OTHERS).expect("in time").unwrap();

    let asked = member.listen_address().to_string();
    for what in ["gossipinfo", "describecluster"] {
        let asked = gossip(&[what, "--seed", &asked, "--cluster", "Test Cluster", "--timeout", "60s"]);
        assert_eq!((asked.code, asked.stderr.as_str()), (Some(0), ""), "{what}");
        match what {
            "gossipinfo" => {
                let heads = asked.stdout.lines().filter(|line| line.starts_with('/')).count();
                assert_eq!(heads, OTHERS + 1);
                assert_eq!(asked.stdout.lines().filter(|line| line.ends_with(":east")).count(), OTHERS);
            }
            _ => assert!(asked.stdout.contains(&format!("east #Nodes: {OTHERS} ")), "{}", asked.stdout),
        }
    }
    drop((member, connections));
}

/// Plays the seed, which knows all others: answers the question of the member before it joins. No other node answers anything.
fn answer_the_question(seed: &TcpListener, member: SocketAddr) -> [TcpStream; 2] {
    let (mut question, _) = seed.accept().unwrap();
    let mut head = Vec::new();
    let initiate = loop {
        let mut byte = [0];
        question.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
        if let Some((initiate, _)) = Initiate::decode(&head).unwrap() {
            break initiate;
        }
    };
    let version = u32::from(VersionRange::WITHOUT_METADATA.max);
    assert!(
        initiate.versions().contains(version),
        "{:?}",
        negotiate(initiate.versions(), VersionRange::WITHOUT_METADATA)
    );
    question.write_all(&Accept { max: version, version }.to_bytes()).unwrap();
    assert!(question.read(&mut [0; 1024]).unwrap() > 0, "it asks");

    let mut answer = TcpStream::connect(member).unwrap();
    let mut buffer = [0; Initiate::MAX_SIZE];
    let mut out = Writer::new(&mut buffer);
    let from = seed.local_addr().unwrap();
    let initiate =
        Initiate::messaging(ConnectionType::Large, Framing::Crc, VersionRange::WITHOUT_METADATA, from.into());
    initiate.encode(&mut out).unwrap();
    answer.write_all(out.written()).unwrap();
    answer.read_exact(&mut [0; Accept::SIZE]).unwrap();
    for piece in ack(from).chunks(100_000) {
        let mut frame = [&[0; 6], piece, &[0; 4]].concat();
        let place = wrap(Framing::Crc, FrameKind::Piece, &mut frame, 6..6 + piece.len()).unwrap();
        answer.write_all(&frame[place]).unwrap();
    }
    [question, answer]
}

/// An ACK of messaging version 13 that asks for nothing and tells of all: `seed` and others of this machine, without a listener.
fn ack(seed: SocketAddr) -> Vec<u8> {
    let mut body = Vec::new();
    let int = |body: &mut Vec<u8>, value: usize| {
        body.extend(u32::try_from(value).unwrap().to_be_bytes());
    };
    int(&mut body, 0);
    int(&mut body, OTHERS);
    for number in 0..OTHERS {
        let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
        let at = match number {
            0 => seed,
            _ => SocketAddr::from((Ipv4Addr::new(127, 77, high, low), 7_000)),
        };
        let SocketAddr::V4(at) = at else { panic!("{at}") };
        body.push(6);
        body.extend(at.ip().octets());
        body.extend(at.port().to_be_bytes());
        int(&mut body, 1_700_000_000);
        int(&mut body, 100);
        let host_id = format!("00000000-0000-4000-8000-{number:012x}");
        let status = format!("NORMAL,{number}");
        let states = [
            (ApplicationState::DC, "east"),
            (ApplicationState::RACK, "r1"),
            (ApplicationState::RELEASE_VERSION, "0.1.0"),
            (ApplicationState::HOST_ID, &host_id),
            (ApplicationState::STATUS_WITH_PORT, &status),
        ];
        int(&mut body, states.len());
        for (version, (key, value)) in (1..).zip(states) {
            int(&mut body, usize::try_from(key.number()).unwrap());
            body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            body.extend(value.as_bytes());
            int(&mut body, version);
        }
    }
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let created = u32::try_from(created & u128::from(u32::MAX)).unwrap();
    // Id, creation, expiry (10 s later), verb, flags, parameters, length in four bytes.
    let mut message = vec![1];
    message.extend(created.to_be_bytes());
    message.extend([0xa7, 0x10, 15, 0, 0]);
    let length = u32::try_from(body.len()).unwrap();
    assert!(length < 1 << 28);
    message.extend((0xe000_0000 | length).to_be_bytes());
    message.extend(body);
    message
}
