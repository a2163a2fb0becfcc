//! Who may take how much of the listener. Whoever has sent an authentic webhook lately has a share of its own, which
//! nobody else can use up; all others together have one.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Connections at once; whoever comes after them is turned away.
const MAX_CONNECTIONS: usize = 64;
/// Of these, at most so many for strangers.
const MAX_STRANGERS: usize = 48;
/// Of these, at most so many for one peer.
const MAX_OF_ONE: usize = 16;
/// How many connections are answered for each request that may be made: those beyond the requests hear that they are too many, and whoever goes
/// on all the same is heard no more.
const ANSWERED: u32 = 2;
/// How long an authentic webhook makes its sender known.
const KNOWN_FOR: Duration = Duration::from_secs(3600);
/// How many peers are told apart.
const MAX_PEERS: usize = 4096;

/// Requests a second in the long run, and at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) rate: u32,
    pub(crate) burst: u32,
}

/// What bodies may take while they are in memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bodies {
    /// Of each connection: what nobody else can use up. As much as a webhook mostly has.
    pub(crate) own: usize,
    /// Beyond that, of all strangers together, and as much again of known senders. One peer has half of it at most.
    pub(crate) long: usize,
}

/// Something that may be done so often.
#[derive(Debug)]
pub(super) struct TokenBucket {
    left: f64,
    at: Instant,
}

impl TokenBucket {
    pub(super) fn full(burst: u32, now: Instant) -> Self {
        Self { left: f64::from(burst), at: now }
    }

    /// Takes one of those that may be done now. `per_second` come back in a second, up to `burst`.
    pub(super) fn take(&mut self, per_second: f64, burst: u32, now: Instant) -> bool {
        let grown = now.saturating_duration_since(self.at).as_secs_f64() * per_second;
        self.left = (self.left + grown).min(f64::from(burst));
        self.at = now;
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

/// Everybody who has a connection or had one lately.
#[derive(Debug)]
pub(super) struct Peers {
    rate: Rate,
    bodies: Bodies,
    all: Mutex<All>,
}

#[derive(Debug)]
struct All {
    peers: BTreeMap<IpAddr, Peer>,
    connections: usize,
    /// Connections of those who are not known.
    strangers: usize,
    /// What those who are not known have together.
    shared: TokenBucket,
    /// Bytes that long bodies may still take while they are in memory: of strangers, and of known senders.
    room: [usize; 2],
}

#[derive(Debug)]
struct Peer {
    connections: usize,
    /// Connections that may still come.
    arrivals: TokenBucket,
    bucket: TokenBucket,
    known_since: Option<Instant>,
    /// Bytes that its long bodies take, of either room.
    held: [usize; 2],
}

impl Peer {
    fn is_known(&self, now: Instant) -> bool {
        self.known_since.is_some_and(|since| now.saturating_duration_since(since) < KNOWN_FOR)
    }
}

/// A connection that was admitted; its end makes room.
#[derive(Debug)]
pub(super) struct Admitted {
    peers: Arc<Peers>,
    address: IpAddr,
    stranger: bool,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut all = self.peers.lock();
        all.connections = all.connections.saturating_sub(1);
        if self.stranger {
            all.strangers = all.strangers.saturating_sub(1);
        }
        if let Some(peer) = all.peers.get_mut(&self.address) {
            peer.connections = peer.connections.saturating_sub(1);
        }
    }
}

/// What a body takes of the memory for bodies; its end gives it back.
#[derive(Debug)]
pub(super) struct BodyBudget<'a> {
    of: &'a Admitted,
    /// All that it takes.
    bytes: usize,
    /// Of these, what is beyond the connection's own.
    long: usize,
}

impl Drop for BodyBudget<'_> {
    fn drop(&mut self) {
        let (mut all, kind) = (self.of.peers.lock(), self.of.kind());
        all.room[kind] += self.long;
        if let Some(peer) = all.peers.get_mut(&self.of.address) {
            peer.held[kind] = peer.held[kind].saturating_sub(self.long);
        }
    }
}

impl BodyBudget<'_> {
    /// Takes room for so many more bytes: first what is the connection's own, whatever others hold, and what is longer of what all have together.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let (Bodies { own, long }, kind) = (self.of.peers.bodies, self.of.kind());
        let more = (self.bytes + bytes).saturating_sub(own) - self.long;
        if more > 0 {
            let mut guard = self.of.peers.lock();
            let All { peers, room, .. } = &mut *guard;
            let Some(peer) = peers.get_mut(&self.of.address) else { return false };
            let (held, room) = (&mut peer.held[kind], &mut room[kind]);
            if more > *room || *held + more > long / 2 {
                return false;
            }
            *room -= more;
            *held += more;
            self.long += more;
        }
        self.bytes += bytes;
        true
    }
}

impl Peers {
    pub(super) fn new(rate: Rate, bodies: Bodies, now: Instant) -> Self {
        let shared = TokenBucket::full(rate.burst, now);
        let all = All { peers: BTreeMap::new(), connections: 0, strangers: 0, shared, room: [bodies.long; 2] };
        Self { rate, bodies, all: Mutex::new(all) }
    }

    /// Lets a connection in, if there is room for one of this peer's.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr, now: Instant) -> Option<Admitted> {
        let address = network_of(address);
        let mut guard = self.lock();
        let all = &mut *guard;
        make_room(&mut all.peers, address, now);
        if !all.peers.contains_key(&address) && all.peers.len() >= MAX_PEERS {
            return None;
        }
        let Rate { rate, burst } = self.rate;
        let fresh = || Peer {
            connections: 0,
            arrivals: TokenBucket::full(ANSWERED * burst, now),
            bucket: TokenBucket::full(burst, now),
            known_since: None,
            held: [0; 2],
        };
        let peer = all.peers.entry(address).or_insert_with(fresh);
        let stranger = !peer.is_known(now);
        let room = all.connections < MAX_CONNECTIONS
            && peer.connections < MAX_OF_ONE
            && (!stranger || all.strangers < MAX_STRANGERS)
            && peer.arrivals.take((ANSWERED * rate).into(), ANSWERED * burst, now);
        if !room {
            return None;
        }
        peer.connections += 1;
        all.connections += 1;
        all.strangers += usize::from(stranger);
        Some(Admitted { peers: Arc::clone(self), address, stranger })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Takes one of the requests that this peer may make now.
    pub(super) fn take_token(&self, now: Instant) -> bool {
        let Rate { rate, burst } = self.peers.rate;
        let mut guard = self.peers.lock();
        let all = &mut *guard;
        let Some(peer) = all.peers.get_mut(&self.address) else { return false };
        peer.bucket.take(rate.into(), burst, now) && (peer.is_known(now) || all.shared.take(rate.into(), burst, now))
    }

    /// The budget of one more body, of which nothing is taken yet.
    pub(super) fn body_budget(&self) -> BodyBudget<'_> {
        BodyBudget { of: self, bytes: 0, long: 0 }
    }

    /// Which room is its own: it is a stranger's when it had sent no authentic webhook lately as it came.
    fn kind(&self) -> usize {
        usize::from(!self.stranger)
    }

    /// It has sent an authentic webhook.
    pub(super) fn is_authentic(&self, now: Instant) {
        if let Some(peer) = self.peers.lock().peers.get_mut(&self.address) {
            peer.known_since = Some(now);
        }
    }
}

/// Forgets who has no connection: first those whom to forget changes nothing, and if all would have to stay, a stranger.
fn make_room(peers: &mut BTreeMap<IpAddr, Peer>, newcomer: IpAddr, now: Instant) {
    if peers.len() < MAX_PEERS || peers.contains_key(&newcomer) {
        return;
    }
    let minute = Duration::from_secs(60);
    peers.retain(|_, peer| {
        let idle = now.saturating_duration_since(peer.arrivals.at.max(peer.bucket.at));
        peer.connections > 0 || peer.is_known(now) || idle < minute
    });
    if peers.len() >= MAX_PEERS {
        let stranger = peers.iter().find(|(_, peer)| peer.connections == 0 && !peer.is_known(now));
        if let Some(address) = stranger.map(|(address, _)| *address) {
            peers.remove(&address);
        }
    }
}

/// Whoever has one address of IPv6 has its whole network of 64 bits.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { rate: 20, burst: 100 };
    const BODIES: Bodies = Bodies { own: 16, long: 128 };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn requests(connection: &Admitted, now: Instant) -> usize {
        (0..1000).take_while(|_| connection.take_token(now)).count()
    }

    #[test]
    fn junk_does_not_use_up_what_genuine_senders_have() {
        let now = Instant::now();
        let peers = Arc::new(Peers::new(RATE, BODIES, now));
        let genuine = peers.admit(address("192.0.2.1"), now).unwrap();
        assert!(genuine.take_token(now));
        genuine.is_authentic(now);
        drop(genuine);
        // From many addresses at once, and for a minute.
        let junk: Vec<_> = (0..60).filter_map(|n| peers.admit(IpAddr::from([198, 51, 100, n]), now)).collect();
        assert_eq!(junk.len(), MAX_STRANGERS, "some room is left");
        let at_once: usize = junk.iter().map(|connection| requests(connection, now)).sum();
        assert_eq!(at_once, 99, "all strangers together have one share");
        for second in 0..60 {
            let then = now + Duration::from_secs(second);
            for connection in &junk {
                requests(connection, then);
            }
            let genuine = peers.admit(address("192.0.2.1"), then).expect("room for a known sender");
            assert!(genuine.take_token(then), "second {second}");
        }
        let later = now + KNOWN_FOR + Duration::from_secs(1);
        assert!(peers.admit(address("192.0.2.1"), later).is_none(), "known for an hour");
    }

    #[test]
    fn one_peer_takes_no_more_than_its_share() {
        let now = Instant::now();
        let peers = Arc::new(Peers::new(RATE, BODIES, now));
        let of_one: Vec<_> =
            (0..64).filter_map(|n| peers.admit(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, n]), now)).collect();
        assert_eq!(of_one.len(), MAX_OF_ONE, "a network of 64 bits is one");
        assert!(peers.admit(address("2001:db8:0:2::1"), now).is_some());
        assert_eq!(requests(&of_one[0], now), 100);
        assert_eq!(requests(&of_one[1], now), 0);
        assert_eq!(requests(&of_one[1], now + Duration::from_secs(1)), 20);
        drop(of_one);
        assert!(peers.admit(address("2001:db8:0:1::1"), now).is_some());
        assert_eq!(peers.lock().connections, 0);
    }

    /// Each costs an answer, whatever it asks for.
    #[test]
    fn whoever_comes_over_and_over_is_heard_no_more() {
        let now = Instant::now();
        let peers = Arc::new(Peers::new(RATE, BODIES, now));
        let heard = |now| (0..1000).filter(|_| peers.admit(address("192.0.2.1"), now).is_some()).count();
        assert_eq!(heard(now), 200);
        assert_eq!(heard(now + Duration::from_secs(1)), 40);
        assert!(peers.admit(address("192.0.2.2"), now).is_some(), "this one alone");
    }

    #[test]
    fn peers_are_forgotten_before_they_are_too_many() {
        let now = Instant::now();
        let peers = Arc::new(Peers::new(RATE, BODIES, now));
        let known = peers.admit(address("192.0.2.1"), now).unwrap();
        known.is_authentic(now);
        drop(known);
        for n in 0..20_000u32 {
            drop(peers.admit(IpAddr::from((n + 0x0a00_0000).to_be_bytes()), now).expect("room"));
        }
        assert!(peers.lock().peers.len() <= MAX_PEERS);
        assert!(peers.lock().peers[&address("192.0.2.1")].is_known(now));
    }

    proptest! {
        /// Whoever comes with how many bodies of whatever length: one more that is short finds room, all together take no more than is there for them,
        /// no peer takes more than half of it, and what ended leaves nothing behind.
        #[test]
        fn short_bodies_have_room_whatever_others_hold(
            takes in proptest::collection::vec((0..6_u8, any::<bool>(), 0..80_usize), 0..200),
        ) {
            let now = Instant::now();
            let peers = Arc::new(Peers::new(RATE, BODIES, now));
            let known = |n: u8| n % 2 == 1;
            for n in (0..6).filter(|&n| known(n)) {
                peers.admit(IpAddr::from([192, 0, 2, n]), now).unwrap().is_authentic(now);
            }
            let admitted: Vec<Vec<_>> =
                (0..6).map(|n| (0..7).filter_map(|_| peers.admit(IpAddr::from([192, 0, 2, n]), now)).collect()).collect();
            let mut budgets: Vec<Vec<_>> =
                admitted.iter().map(|all| all[1..].iter().map(Admitted::body_budget).collect()).collect();
            for (turn, (peer, ends, bytes)) in takes.into_iter().enumerate() {
                let of_peer = &mut budgets[usize::from(peer)];
                let at = turn % of_peer.len();
                if ends {
                    of_peer[at] = admitted[usize::from(peer)][1 + at].body_budget();
                } else {
                    of_peer[at].take(bytes);
                }
                for kind in 0..2 {
                    let of_kind = budgets.iter().zip(0..).filter(|(_, n)| usize::from(known(*n)) == kind);
                    let long: Vec<usize> = of_kind.map(|(of, _)| of.iter().map(|budget| budget.long).sum()).collect();
                    prop_assert!(long.iter().all(|&of_one| of_one <= BODIES.long / 2));
                    prop_assert_eq!(peers.lock().room[kind] + long.iter().sum::<usize>(), BODIES.long);
                }
                prop_assert!(budgets.iter().flatten().all(|budget| budget.bytes <= BODIES.own + budget.long));
            }
            for of_peer in &admitted {
                prop_assert!(of_peer[0].body_budget().take(BODIES.own), "what is its own");
            }
            drop(budgets);
            prop_assert_eq!(peers.lock().room, [BODIES.long; 2]);
            prop_assert!(peers.lock().peers.values().all(|peer| peer.held == [0; 2]));
        }
    }
}
