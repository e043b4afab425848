//! What a driver does while its sockets fail: it goes on with everything else, asks the system rarely, and counts.
//!
//! The sockets are the test's own, since no system fails on demand. The runtime is tokio's, of one thread: a driver that never
//! gave way would hold up the test itself.

use std::collections::HashMap;
use std::future::{pending, ready};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use gossip_adapter::{ACCEPT_PAUSE, Builder, Driver, Handle, Reactor, Runtime, StartError, Transport};

/// The error of a device that is broken. The standard library has no kind of its own for it.
const EIO: i32 = 5;
/// The error of a process that has no file descriptor left.
const EMFILE: i32 = 24;

#[test]
fn a_node_keeps_its_rounds_while_no_packet_can_be_received() {
    fails_and_heals(Transport::Datagram, 7_001, EIO);
}

#[test]
fn a_node_keeps_its_rounds_while_no_connection_can_be_accepted() {
    fails_and_heals(Transport::Internode, 7_002, EMFILE);
}

/// A packet that cannot be sent is lost, which gossip survives; it is counted, and the rounds go on.
#[test]
fn a_node_keeps_its_rounds_while_no_packet_can_be_sent() {
    let socket = Socket::at(7_003, EIO);
    socket.is_healed.store(true, Ordering::Relaxed);
    socket.cannot_send.store(true, Ordering::Relaxed);
    let builder = builder(Transport::Datagram, 7_003).seed(address(7_004));
    run(builder, async move |handle| {
        until_rounds(&handle, 5).await;
        let stats = handle.stats().await.expect("it runs");
        assert!(socket.sends.load(Ordering::Relaxed) > 0, "its seed is asked");
        assert!(stats.socket_errors > 0);
    });
}

fn fails_and_heals(transport: Transport, port: u16, error: i32) {
    let socket = Socket::at(port, error);
    run(builder(transport, port), async move |handle| {
        let began = Instant::now();
        until_rounds(&handle, 10).await;
        let asked = socket.asked.load(Ordering::Relaxed);
        let pauses = began.elapsed().as_nanos() / ACCEPT_PAUSE.as_nanos();
        assert!(asked > 0, "it never asked the system");
        // The first time it asks at once, and the last pause may not be over. However slow the machine is, no pause is shorter.
        assert!(u128::from(asked) <= pauses + 2, "it asked {asked} times within {pauses} pauses");
        let counted = handle.stats().await.expect("it runs").socket_errors;
        assert!(counted >= asked, "{counted} of {asked} failures were counted");
        // It notices that the socket works again.
        socket.is_healed.store(true, Ordering::Relaxed);
        while socket.asked_healed.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let rounds = handle.stats().await.expect("it runs").rounds;
        until_rounds(&handle, rounds + 3).await;
    });
}

async fn until_rounds(handle: &Handle, rounds: u64) {
    while handle.stats().await.expect("it runs").rounds < rounds {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn builder(transport: Transport, port: u16) -> Builder<Broken> {
    Builder::new("a").listen(address(port)).interval(Duration::from_millis(20)).transport(transport)
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn run(builder: Builder<Broken>, test: impl AsyncFnOnce(Handle)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let (driver, handle, _events) = Driver::<Broken>::open(builder).await.expect("nothing to be refused");
        let stop = handle.clone();
        let (_, stopped) = tokio::join!(driver.run(), async move {
            test(handle).await;
            stop.shutdown().await
        });
        assert_eq!(stopped, Ok(()));
    });
}

/// A listener, or a socket for packets, of the test.
struct Socket {
    address: SocketAddr,
    error: i32,
    is_healed: AtomicBool,
    cannot_send: AtomicBool,
    /// How often something was asked of it while it failed, and afterwards.
    asked: AtomicU64,
    asked_healed: AtomicU64,
    sends: AtomicU64,
}

/// Nothing is opened in the system, so these ports are names: each test has its own.
static SOCKETS: LazyLock<Mutex<HashMap<SocketAddr, Arc<Socket>>>> = LazyLock::new(Mutex::default);

impl Socket {
    fn at(port: u16, error: i32) -> Arc<Self> {
        let socket = Arc::new(Self {
            address: address(port),
            error,
            is_healed: AtomicBool::new(false),
            cannot_send: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            asked_healed: AtomicU64::new(0),
            sends: AtomicU64::new(0),
        });
        let before = SOCKETS.lock().expect("no holder panics").insert(address(port), Arc::clone(&socket));
        assert!(before.is_none(), "two tests have port {port}");
        socket
    }

    fn find(address: SocketAddr) -> io::Result<Arc<Self>> {
        let sockets = SOCKETS.lock().expect("no holder panics");
        sockets.get(&address).cloned().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// What the system answers: an error, or that nothing has come.
    fn ask(&self) -> io::Error {
        if self.is_healed.load(Ordering::Relaxed) {
            self.asked_healed.fetch_add(1, Ordering::Relaxed);
            io::ErrorKind::WouldBlock.into()
        } else {
            self.asked.fetch_add(1, Ordering::Relaxed);
            io::Error::from_raw_os_error(self.error)
        }
    }
}

/// A runtime whose sockets fail.
#[derive(Debug)]
enum Broken {}

impl Runtime for Broken {
    type Start<M: 'static> = Result<(), StartError>;

    fn start<M: 'static>(_builder: Builder<Self, M>) -> Self::Start<M> {
        Ok(())
    }
}

impl Reactor for Broken {
    type Listener = Arc<Socket>;
    type Stream = ();
    type Packets = Arc<Socket>;

    fn listen(at: SocketAddr) -> impl Future<Output = io::Result<Arc<Socket>>> + Send {
        ready(Socket::find(at))
    }

    fn listens_at(listener: &Arc<Socket>) -> io::Result<SocketAddr> {
        Ok(listener.address)
    }

    async fn accept(listener: &Arc<Socket>) -> io::Result<((), SocketAddr)> {
        let error = listener.ask();
        if error.kind() == io::ErrorKind::WouldBlock {
            pending::<()>().await;
        }
        Err(error)
    }

    fn connect(_to: SocketAddr) -> impl Future<Output = io::Result<()>> + Send + 'static {
        pending()
    }

    fn set_nodelay((): &()) -> io::Result<()> {
        Ok(())
    }

    fn readable(_stream: Arc<()>) -> impl Future<Output = ()> + Send + 'static {
        pending()
    }

    fn writable(_stream: Arc<()>) -> impl Future<Output = ()> + Send + 'static {
        pending()
    }

    fn read((): &(), _into: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write((): &(), _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn bind(at: SocketAddr) -> impl Future<Output = io::Result<Arc<Socket>>> + Send {
        ready(Socket::find(at))
    }

    fn bound_at(socket: &Arc<Socket>) -> io::Result<SocketAddr> {
        Ok(socket.address)
    }

    /// The system says "ready" for a socket in error. Once healed it has nothing.
    async fn packets_ready(socket: &Arc<Socket>) {
        if socket.asked_healed.load(Ordering::Relaxed) > 0 {
            pending::<()>().await;
        }
    }

    fn receive(socket: &Arc<Socket>, _into: &mut [u8]) -> io::Result<usize> {
        Err(socket.ask())
    }

    fn send(socket: &Arc<Socket>, bytes: &[u8], _to: SocketAddr) -> io::Result<usize> {
        socket.sends.fetch_add(1, Ordering::Relaxed);
        if socket.cannot_send.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(socket.error));
        }
        Ok(bytes.len())
    }

    async fn sleep_until(until: Instant) {
        tokio::time::sleep_until(until.into()).await;
    }

    async fn yield_now() {
        tokio::task::yield_now().await;
    }

    async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        Some(run())
    }
}
