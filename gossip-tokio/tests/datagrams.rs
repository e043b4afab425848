//! A node that gossips over datagrams: its socket.

use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use gossip_tokio::{Builder, StartError, Transport};

#[tokio::test]
async fn packets_of_strangers_do_no_harm() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let gone = silent.local_addr().unwrap();
    // What is sent there now is answered by the system with an error.
    drop(silent);
    let node = Builder::new("a").transport(Transport::Datagram).listen("127.0.0.1:0".parse().unwrap());
    let (handle, _) = node.seed(gone).interval(Duration::from_millis(10)).start().await.unwrap();
    let address = handle.listen_address();
    assert!(TcpStream::connect(address).is_err());
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for len in 0..100 {
        stranger.send_to(&vec![0xa5; len], address).unwrap();
    }
    let rounds = handle.stats().await.unwrap().rounds;
    while handle.stats().await.unwrap().rounds < rounds + 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let again = Builder::new("a").transport(Transport::Datagram).listen(address).start().await;
    assert!(matches!(again, Err(StartError::Bind { address: taken, .. }) if taken == address));
    handle.shutdown().await.unwrap();
    // The port is free when the wait for the end is over.
    UdpSocket::bind(address).unwrap();
}
