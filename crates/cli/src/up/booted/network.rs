//! A machine's network: one cable, and at its other end, in a network namespace of its own, the metadata service. Nothing
//! else is there: whatever a machine sends elsewhere goes nowhere.

use std::{
    fs::File,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener as StdTcpListener},
    os::fd::AsFd,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};

/// The address and port of the metadata service.
const METADATA: (Ipv4Addr, u16) = (Ipv4Addr::new(169, 254, 169, 254), 80);
/// The machine's end of the cable. Each machine has the same, since none sees another.
const MACHINE: &str = "172.31.0.2";
/// The other end of it.
const ROUTER: &str = "172.31.0.1";

/// What answers to a machine, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct Network {
    metadata: Arc<TcpListener>,
    _relays: JoinSet<()>,
}

impl Network {
    /// Gives the machine whose first process is given its cable. At `169.254.169.254` it finds `metadata`, whose answers
    /// travel `hop_limit` hops, and on its loopback `cloud` with the same address and port as here.
    ///
    /// # Errors
    /// When this process may not, or `ip` (iproute2) cannot.
    pub(crate) async fn plug_in(init: u32, metadata: SocketAddr, hop_limit: u8, cloud: SocketAddr) -> io::Result<Self> {
        let (done, laid) = oneshot::channel();
        // A thread of its own, which ends in the namespace that it went to.
        thread::spawn(move || drop(done.send(lay(init, cloud))));
        let (at_metadata, at_cloud) = laid.await.map_err(io::Error::other)??;
        let at_metadata = Arc::new(listener(at_metadata)?);
        at_metadata.set_ttl(hop_limit.into())?;
        let mut relays = JoinSet::new();
        relays.spawn(relay(Arc::clone(&at_metadata), metadata));
        relays.spawn(relay(Arc::new(listener(at_cloud)?), cloud));
        Ok(Self { metadata: at_metadata, _relays: relays })
    }

    /// From now on connections of the metadata service have this hop limit.
    pub(crate) fn set_hop_limit(&self, hop_limit: u8) -> io::Result<()> {
        self.metadata.set_ttl(hop_limit.into())
    }
}

/// Lays the cable from a new namespace to the machine, and listens at both ends. The namespace lives as long as the socket in
/// it, and the cable as long as both namespaces: whatever becomes of this process, nothing is left.
fn lay(init: u32, cloud: SocketAddr) -> io::Result<(StdTcpListener, StdTcpListener)> {
    let machine = File::open(format!("/proc/{init}/ns/net"))?;
    #[expect(deprecated, reason = "its successor is unsafe because of file tables, which are not touched here")]
    rustix::thread::unshare(UnshareFlags::NEWNET)?;
    let (address, _) = METADATA;
    ip(&format!(
        "link add name machine type veth peer name eth0 netns {init}\n\
         address add {ROUTER}/30 dev machine\n\
         address add {address}/32 dev machine\n\
         link set dev machine up\n"
    ))?;
    let metadata = StdTcpListener::bind(METADATA)?;
    move_into_link_name_space(machine.as_fd(), Some(LinkNameSpaceType::Network))?;
    let cloud = StdTcpListener::bind(cloud)?;
    // The route comes last: the machine boots as soon as it is there.
    ip(&format!(
        "address add {MACHINE}/30 dev eth0\n\
         link set dev eth0 up\n\
         route add default via {ROUTER}\n"
    ))?;
    Ok((metadata, cloud))
}

/// Runs these commands of `ip` in the namespace of this thread.
fn ip(commands: &str) -> io::Result<()> {
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| io::Error::other(format!("ip (iproute2) cannot be run: {error}")))?;
    if let Some(mut input) = ip.stdin.take() {
        input.write_all(commands.as_bytes())?;
    }
    let output = ip.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("ip: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

fn listener(socket: StdTcpListener) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

/// Carries every connection on to `to`, for as long as it is polled.
async fn relay(listener: Arc<TcpListener>, to: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(carry(stream, to))),
                Err(error) => {
                    tracing::warn!(%error, "a machine's connection is not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(mut machine: TcpStream, to: SocketAddr) {
    if let Ok(mut service) = TcpStream::connect(to).await {
        // Whoever hangs up in the middle has its reasons.
        let _ = tokio::io::copy_bidirectional(&mut machine, &mut service).await;
    }
}
