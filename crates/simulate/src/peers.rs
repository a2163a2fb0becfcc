//! Other systems' rules for raising and lowering, with the defaults that they ship, as their sources had them in November 2026.
//!
//! Each is a function from what its scaler sees to what it does. What cannot be told from outside is left out, in the peer's favour: failures
//! of calls, races between a look and an act, and how long a call takes, where the system does not make a queue of it.

use std::time::Duration;

use lightsout_core::time::Tick;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Buildkite's scaler with the defaults of its Elastic CI Stack: the whole need each 10 s, then nothing for 300 s; agents leave after 600 s
    /// without a job.
    Buildkite,
    /// The same without its pause, which then asks for one more instance whenever fewer than half of those in service have registered.
    BuildkiteEager,
    /// Spacelift's autoscaler: each minute, one instance at most, and none before every one that was asked for has registered; one that is idle
    /// goes each minute.
    Spacelift,
    /// The same with five at a time, as in its module's example.
    SpaceliftFive,
    /// StackGuardian's autoscaler: from three waiting jobs on one instance, and one goes when one job waits or none; five minutes between two
    /// of either.
    StackGuardian,
    /// The Terraform module for GitHub: one instance for each job that still waits 30 s after it came, one after the other; those that are
    /// idle and older than five minutes go each five minutes.
    GitHub,
    /// CircleCI's sample: each minute as many as jobs wait and run, at once and in both directions, without protection.
    CircleCi,
}

/// All of them, as tables list them.
pub const PEERS: [Peer; 7] = [
    Peer::Buildkite,
    Peer::BuildkiteEager,
    Peer::Spacelift,
    Peer::SpaceliftFive,
    Peer::StackGuardian,
    Peer::GitHub,
    Peer::CircleCi,
];

/// How long an instance of the Elastic CI Stack stays without a job.
pub(crate) const BUILDKITE_IDLE: Duration = Duration::from_secs(600);
/// How long before a spot instance's end its jobs are cancelled there.
pub(crate) const BUILDKITE_MARGIN: Duration = Duration::from_secs(20);
/// How long after a job came GitHub's module looks whether it waits, and how long one launch takes: 3 to 5 s were reported.
pub(crate) const GITHUB_DELAY: Duration = Duration::from_secs(30);
pub(crate) const GITHUB_LAUNCH: Duration = Duration::from_secs(4);
/// The youngest that its scale-down ends.
pub(crate) const GITHUB_YOUNGEST: Duration = Duration::from_secs(300);
const BUILDKITE_COOLDOWN: Duration = Duration::from_secs(300);
const STACKGUARDIAN_COOLDOWN: Duration = Duration::from_secs(300);
/// So many waiting jobs make StackGuardian's autoscaler add an instance, and so few let it take one away.
const STACKGUARDIAN_MANY: u32 = 3;
const STACKGUARDIAN_FEW: u32 = 1;

impl Peer {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Buildkite => "Buildkite, Elastic CI Stack",
            Self::BuildkiteEager => "Buildkite, no cooldown",
            Self::Spacelift => "Spacelift, 1 at a time",
            Self::SpaceliftFive => "Spacelift, 5 at a time",
            Self::StackGuardian => "StackGuardian",
            Self::GitHub => "GitHub, Terraform module",
            Self::CircleCi => "CircleCI, sample",
        }
    }

    /// From one look to the next.
    pub(crate) fn interval(self) -> Duration {
        Duration::from_secs(match self {
            Self::Buildkite | Self::BuildkiteEager => 10,
            Self::Spacelift | Self::SpaceliftFive | Self::StackGuardian | Self::CircleCi => 60,
            Self::GitHub => 300,
        })
    }

    /// What its scaler does when it sees this.
    pub(crate) fn act(self, seen: &PoolView, memory: &mut Memory, now: Tick) -> Vec<Act> {
        match self {
            Self::Buildkite => buildkite(seen, memory, BUILDKITE_COOLDOWN, now),
            Self::BuildkiteEager => buildkite(seen, memory, Duration::ZERO, now),
            Self::Spacelift => spacelift(seen, 1),
            Self::SpaceliftFive => spacelift(seen, 5),
            Self::StackGuardian => stackguardian(seen, memory, now),
            Self::GitHub => seen.old_idle.iter().map(|id| Act::End(*id)).collect(),
            Self::CircleCi => {
                let wanted = (seen.queued + seen.running).clamp(seen.min, seen.max);
                if wanted == seen.desired { Vec::new() } else { vec![Act::Desire(wanted)] }
            }
        }
    }
}

/// What a scaler sees.
#[derive(Clone, Debug, Default)]
pub(crate) struct PoolView {
    pub(crate) queued: u32,
    pub(crate) running: u32,
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) desired: u32,
    pub(crate) in_service: u32,
    /// Those that take jobs, or run one.
    pub(crate) registered: u32,
    /// Registered and without a job, the oldest first; and those of them that are older than five minutes.
    pub(crate) idle: Vec<u32>,
    pub(crate) old_idle: Vec<u32>,
    /// The oldest that runs a job.
    pub(crate) busy: Option<u32>,
    /// Those that were told to take no more jobs and have none.
    pub(crate) drained: Vec<u32>,
}

/// What a scaler remembers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    raised: Option<Tick>,
    lowered: Option<Tick>,
}

/// What a scaler does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Sets the desired capacity; who goes when it falls, the group decides, among those that are not protected.
    Desire(u32),
    /// Ends this instance, the desired capacity one lower.
    End(u32),
    /// Protects all that are registered but this one, which takes no more jobs.
    Drain(u32),
    /// Lets one that drains take jobs again.
    Undrain,
}

fn buildkite(seen: &PoolView, memory: &mut Memory, cooldown: Duration, now: Tick) -> Vec<Act> {
    let need = seen.queued + seen.running;
    let mut wanted = need;
    // It compares with those in service, which includes those that have not registered yet.
    if need > 0 && seen.in_service == seen.desired && 2 * seen.registered < seen.in_service {
        wanted = wanted.max(seen.desired + 1);
    }
    let wanted = wanted.clamp(seen.min, seen.max);
    let rests = memory.raised.is_some_and(|at| now.since(at) < cooldown);
    if wanted <= seen.desired || rests {
        return Vec::new();
    }
    memory.raised = Some(now);
    vec![Act::Desire(wanted)]
}

fn spacelift(seen: &PoolView, create: u32) -> Vec<Act> {
    if seen.registered != seen.desired {
        return Vec::new();
    }
    let wanted = (seen.queued + seen.running).clamp(seen.min, seen.max);
    if wanted > seen.registered {
        return vec![Act::Desire(seen.desired + create.min(wanted - seen.registered))];
    }
    let surplus = wanted < seen.registered;
    seen.idle.first().filter(|_| surplus).map(|id| Act::End(*id)).into_iter().collect()
}

fn stackguardian(seen: &PoolView, memory: &mut Memory, now: Tick) -> Vec<Act> {
    let rests = |at: Option<Tick>| at.is_some_and(|at| now.since(at) < STACKGUARDIAN_COOLDOWN);
    let mut acts = Vec::new();
    if seen.queued >= STACKGUARDIAN_MANY || (seen.registered == 0 && seen.queued > 0) {
        if !rests(memory.raised) {
            memory.raised = Some(now);
            acts.push(if seen.drained.is_empty() {
                Act::Desire((seen.desired + 1).min(seen.max))
            } else {
                Act::Undrain
            });
        }
        return acts;
    }
    let drained = u32::try_from(seen.drained.len()).unwrap_or(u32::MAX);
    if drained > 0 {
        acts.push(Act::Desire(seen.desired.saturating_sub(drained).max(seen.min)));
    }
    let leaves = seen.idle.first().copied().or(seen.busy);
    if seen.queued <= STACKGUARDIAN_FEW
        // Its module refuses a group that may be empty.
        && seen.registered > seen.min.max(1)
        && !rests(memory.lowered)
        && let Some(id) = leaves
    {
        memory.lowered = Some(now);
        acts.push(Act::Drain(id));
    }
    acts
}

#[cfg(test)]
mod tests;
