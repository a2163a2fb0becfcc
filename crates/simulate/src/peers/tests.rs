//! The rules beside what was seen of the genuine programs, and beside a model of them that was made apart from this one.

use std::time::Duration;

use super::*;
use crate::{
    setup::{Boots, Fleet, LightsoutSettings, Setup},
    trace::{Job, Trace},
    world::simulate,
};

/// What the first look does.
fn first(peer: Peer, seen: &PoolView) -> Vec<Act> {
    peer.act(&PoolView { max: 200, ..seen.clone() }, &mut Memory::default(), Tick(1_000_000))
}

#[test]
fn the_first_look_does_what_the_genuine_programs_did() {
    let thirty = PoolView { queued: 30, ..PoolView::default() };
    let five_boot = PoolView { queued: 5, desired: 5, ..PoolView::default() };
    for (peer, for_thirty, while_five_boot) in [
        (Peer::Buildkite, Act::Desire(30), None),
        (Peer::Spacelift, Act::Desire(1), None),
        // Five wait and five boot: it asks for a sixth.
        (Peer::StackGuardian, Act::Desire(1), Some(Act::Desire(6))),
    ] {
        assert_eq!(first(peer, &thirty), [for_thirty], "{peer:?}");
        assert_eq!(first(peer, &five_boot), Vec::from_iter(while_five_boot), "{peer:?}");
    }
}

fn jobs(arrivals: impl IntoIterator<Item = u64>) -> Trace {
    let job = |at| Job { arrives: Duration::from_secs(at), runs: Duration::from_secs(300) };
    Trace::new(arrivals.into_iter().map(job).collect())
}

/// The means over the phases of a tick: the median wait, the 95th percentile, instances.
fn means(trace: &Trace, fleet: &Fleet) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for seed in 0..15 {
        let setup = Setup {
            seed,
            boots: Boots::new(vec![Duration::from_secs(90)]).unwrap(),
            launch: Duration::ZERO,
            max: 200,
            ..Setup::default()
        };
        let outcome = simulate(trace, &setup, fleet);
        assert_eq!((outcome.unserved, outcome.violation), (0, None));
        #[expect(clippy::cast_precision_loss, reason = "some dozens")]
        let launched = outcome.launched as f64;
        for (sum, value) in sums.iter_mut().zip([outcome.waits.p50, outcome.waits.p95, launched]) {
            *sum += value / 15.0;
        }
    }
    sums
}

#[test]
fn a_model_that_was_made_apart_says_the_same() {
    let traces = [jobs([0; 2]), jobs([0; 30]), jobs((0..30).map(|n| n / 10 * 120)), jobs((0..30).map(|n| n * 20))];
    let every = |seconds| {
        Fleet::Lightsout(LightsoutSettings { tick: Duration::from_secs(seconds), ..LightsoutSettings::default() })
    };
    // Of each trace the waits, p50 and p95, and the instances.
    for (fleet, expected) in [
        (Fleet::Peer(Peer::Buildkite), [[95, 95, 2], [95, 95, 30], [155, 275, 30], [215, 355, 29]]),
        (Fleet::Peer(Peer::BuildkiteEager), [[95, 95, 4], [95, 95, 32], [95, 95, 30], [95, 95, 20]]),
        (Fleet::Peer(Peer::Spacelift), [[119, 239, 2], [959, 1319, 12], [839, 1079, 12], [659, 799, 12]]),
        (Fleet::Peer(Peer::SpaceliftFive), [[119, 119, 2], [359, 539, 25], [239, 299, 25], [139, 206, 23]]),
        (Fleet::Peer(Peer::StackGuardian), [[119, 419, 1], [1319, 2219, 7], [1199, 1979, 7], [1119, 1639, 7]]),
        (Fleet::Peer(Peer::GitHub), [[120, 124, 2], [176, 232, 30], [136, 156, 30], [120, 120, 28]]),
        (Fleet::Peer(Peer::CircleCi), [[119, 119, 2], [119, 119, 30], [119, 119, 30], [99, 139, 21]]),
        (every(60), [[119, 119, 2], [119, 119, 30], [119, 119, 30], [99, 139, 21]]),
        (every(10), [[95, 95, 2], [95, 95, 30], [95, 95, 30], [95, 95, 20]]),
        (every(5), [[92, 92, 2], [92, 92, 30], [92, 92, 30], [92, 92, 20]]),
    ] {
        let mut wrong = Vec::new();
        for (trace, expected) in traces.iter().zip(expected) {
            let found = means(trace, &fleet);
            // Phases are drawn, not spread evenly; and how long one of a queue of launches takes was said roughly.
            let same = |(found, expected): (f64, i32)| (found - f64::from(expected)).abs() <= 4.0;
            if !found.into_iter().zip(expected).all(same) {
                wrong.push((found, expected));
            }
        }
        assert!(wrong.is_empty(), "{fleet:?}: {wrong:?}");
    }
}
