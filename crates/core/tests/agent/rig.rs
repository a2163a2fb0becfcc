//! A bench for one agent: time that is turned by hand, and answers given one by one.

use lightsout_core::cloud::{Capabilities, GroupSize, HookRules, Membership, ProtectionSupport};
use std::time::Duration;

use lightsout_core::{
    activity::Activity,
    agent::{
        Lifecycle,
        action::{Action, Request},
        event::{Event, Outcome, RequestId},
        host::JournalEntry,
        jitter::Jitter,
        phase::{Phase, Saved},
        policy::{AgentPolicy, Protection},
    },
    platform::Drained,
    time::Tick,
};

pub(crate) const IN_SERVICE: Outcome = Outcome::Member(Membership::InService { protected: true });
pub(crate) const EMPTY: Outcome = Outcome::Drained(Drained::Empty);
pub(crate) const QUIET: Outcome = Outcome::Snapshot(Activity::Quiet);

/// A cloud with everything that helps.
pub(crate) const CLOUD: Capabilities = Capabilities {
    protection: ProtectionSupport::AtLaunch,
    termination_hook: Some(HookRules { time_outs: 100, longest: Duration::from_secs(48 * 3600) }),
    leaving_lowers_capacity: false,
    replaces_unhealthy: true,
    power_off_ends_billing: true,
    conditional_raise: false,
    longest_notice: Duration::from_secs(120),
};
/// One that protects whoever asks for it, announces an ending once and holds it off no longer, and knows one way to leave.
pub(crate) const HELD_CLOUD: Capabilities = Capabilities {
    protection: ProtectionSupport::OnDemand,
    termination_hook: Some(HookRules { time_outs: 1, longest: Duration::from_secs(15 * 60) }),
    leaving_lowers_capacity: true,
    replaces_unhealthy: false,
    power_off_ends_billing: false,
    conditional_raise: true,
    longest_notice: Duration::from_secs(15 * 60),
};
/// One with nothing of it.
pub(crate) const BARE_CLOUD: Capabilities = Capabilities {
    protection: ProtectionSupport::OnDemand,
    termination_hook: None,
    leaving_lowers_capacity: true,
    replaces_unhealthy: true,
    power_off_ends_billing: false,
    conditional_raise: false,
    longest_notice: Duration::from_secs(120),
};

/// What a program of the user's stands for, unless it says more: who asks is protected, an ending is announced and not held off, one way to leave.
pub(crate) const PROGRAM_CLOUD: Capabilities =
    Capabilities { replaces_unhealthy: false, longest_notice: Duration::from_secs(24 * 3600), ..BARE_CLOUD };

/// One whose program says that nobody but the instance ends it, and that a power-off ends the bill.
pub(crate) const TRUSTED_CLOUD: Capabilities =
    Capabilities { protection: ProtectionSupport::Never, power_off_ends_billing: true, ..PROGRAM_CLOUD };

pub(crate) fn roomy() -> Outcome {
    Outcome::GroupSize(GroupSize { desired: 3, min: 0, floor: 0, members: 3, rank: 0 })
}

pub(crate) fn busy(job: &str) -> Activity {
    Activity::busy(job)
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A lifecycle, its clock, and the requests that wait for an answer.
#[derive(Clone)]
pub(crate) struct Rig {
    pub lifecycle: Lifecycle,
    pub now: Tick,
    open: Vec<Action>,
}

impl Rig {
    pub(crate) fn new(policy: AgentPolicy) -> Self {
        Self::with(|now| Lifecycle::new(policy, CLOUD, now))
    }

    pub(crate) fn on(cloud: Capabilities, policy: AgentPolicy) -> Self {
        Self::with(|now| Lifecycle::new(policy, cloud, now))
    }

    pub(crate) fn resumed(policy: AgentPolicy, saved: Saved, runner_alive: bool) -> Self {
        Self::resumed_with(policy, JournalEntry { saved, ..JournalEntry::FRESH }, runner_alive)
    }

    /// The same; where it is always protected, the cloud does that at once.
    pub(crate) fn resumed_with(policy: AgentPolicy, entry: JournalEntry, runner_alive: bool) -> Self {
        let always = policy.protection == Protection::Always;
        let mut rig = Self::with(|now| Lifecycle::resume(policy, CLOUD, entry, runner_alive, Jitter::NONE, now));
        if always && rig.open().contains(&Request::Protect(true)) {
            rig.answer(Request::Protect(true), Outcome::Done);
        }
        rig
    }

    /// A fresh instance that is not alone.
    pub(crate) fn with_jitter(policy: AgentPolicy, jitter: Jitter) -> Self {
        Self::with(|now| Lifecycle::resume(policy, CLOUD, JournalEntry::FRESH, false, jitter, now))
    }

    fn with(make: impl FnOnce(Tick) -> Lifecycle) -> Self {
        let now = Tick(1_000_000);
        let mut rig = Self { lifecycle: make(now), now, open: Vec::new() };
        rig.collect();
        rig
    }

    /// An agent that is idle, its runner registered.
    pub(crate) fn idle(policy: AgentPolicy) -> Self {
        Self::idle_on(CLOUD, policy)
    }

    pub(crate) fn idle_on(cloud: Capabilities, policy: AgentPolicy) -> Self {
        let mut rig = Self::on(cloud, policy);
        rig.answer(Request::Describe, IN_SERVICE);
        rig.answer(Request::Register, Outcome::Registered);
        rig.event(Event::Activity(Activity::Quiet));
        assert!(matches!(rig.phase(), Phase::Idle { .. }), "{:?}", rig.phase());
        rig
    }

    /// An agent with one job.
    pub(crate) fn working(policy: AgentPolicy) -> Self {
        Self::idle(policy).at_work()
    }

    /// A job begins.
    pub(crate) fn at_work(self) -> Self {
        let mut rig = self;
        rig.event(Event::Activity(busy("job-1")));
        assert_eq!(rig.phase(), Phase::Busy);
        rig
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lifecycle.phase()
    }

    /// The requests that wait for an answer, in order; but for those that nothing waits for.
    pub(crate) fn open(&self) -> Vec<Request> {
        self.all_open()
            .filter(|request| {
                !matches!(
                    request,
                    Request::FindHook | Request::RecordReady | Request::RecordReason(_) | Request::NoteProof
                )
            })
            .collect()
    }

    /// All of them.
    pub(crate) fn all_open(&self) -> impl Iterator<Item = Request> {
        self.open.iter().map(|action| action.request)
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.lifecycle.handle(event, self.now);
        self.collect();
    }

    /// Answers the oldest open request of this kind.
    #[track_caller]
    pub(crate) fn answer(&mut self, request: Request, outcome: Outcome) {
        let id = self.take(request);
        self.complete(id, outcome);
    }

    pub(crate) fn complete(&mut self, id: RequestId, outcome: Outcome) {
        self.lifecycle.complete(id, outcome, self.now);
        self.collect();
    }

    /// Takes an open request without answering it yet.
    #[track_caller]
    pub(crate) fn take(&mut self, request: Request) -> RequestId {
        let found = self.open.iter().position(|action| action.request == request);
        let Some(index) = found else {
            panic!("{request:?} was not asked; open: {:?}; {:?}", self.open(), self.lifecycle.status())
        };
        self.open.remove(index).id
    }

    /// Lets time pass, stopping at each timer.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        for _ in 0..100_000 {
            match self.lifecycle.poll_timeout() {
                Some(due) if due <= end => {
                    self.now = self.now.max(due);
                    self.lifecycle.handle_timeout(self.now);
                    self.collect();
                    let again = self.lifecycle.poll_timeout();
                    assert!(
                        again.is_none_or(|again| again > self.now),
                        "a timer that does not go away: {:?}",
                        self.lifecycle
                    );
                }
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("timers without end");
    }

    fn collect(&mut self) {
        while let Some(action) = self.lifecycle.poll_action() {
            self.open.push(action);
        }
    }
}
