//! How the host carries out what the agent asks of the platform about draining. A platform that lost sight of its runner falls back from calls to
//! signals, so its rules are asked each time.

use super::host::{PlatformAnswer, ToldToDrain};
use crate::{
    exchange::{Call, map},
    platform::{DrainBy, DrainRules, HostContext, Ready, RunnerPlatform, UndrainBy},
};

/// Has no more jobs sent, or says by which signal the runner is told.
pub fn drain(platform: &dyn RunnerPlatform, host: &HostContext) -> Call<PlatformAnswer> {
    match platform.drain_rules().drain {
        DrainBy::Signal(signal) => Box::new(Ready(PlatformAnswer::BySignal(signal))),
        DrainBy::Call => map(platform.drain_call(host), PlatformAnswer::Drained),
    }
}

/// Takes a drain back, or says which signal the runner was or will be told, after which a new one takes its place.
pub fn undrain(platform: &dyn RunnerPlatform, host: &HostContext) -> Call<PlatformAnswer> {
    let rules = platform.drain_rules();
    match (rules.drain, rules.undrain) {
        (DrainBy::Signal(signal), UndrainBy::Relaunch) => Box::new(Ready(PlatformAnswer::BySignal(signal))),
        (DrainBy::Call, UndrainBy::Relaunch) | (_, UndrainBy::Call) => {
            map(platform.undrain_call(host), |()| PlatformAnswer::Done)
        }
    }
}

/// Whether whoever finds no agent may tell the runner to stop: a plain signal makes it finish its jobs and go, and it would be the first. A second
/// one would end its job.
pub fn may_be_stopped(rules: DrainRules, told: ToldToDrain) -> bool {
    matches!(rules.drain, DrainBy::Signal(_)) && !rules.quiesce && told == ToldToDrain::No
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Signal;

    fn rules(drain: DrainBy, quiesce: bool) -> DrainRules {
        DrainRules { drain, undrain: UndrainBy::Relaunch, abort: Signal::Term, quiesce }
    }

    #[test]
    fn only_a_runner_that_a_first_signal_makes_finish_its_jobs_may_be_told_to_stop() {
        let by_signal = rules(DrainBy::Signal(Signal::Term), false);
        assert!(may_be_stopped(by_signal, ToldToDrain::No));
        for told in [ToldToDrain::Maybe, ToldToDrain::Yes] {
            assert!(!may_be_stopped(by_signal, told), "{told:?}: another would end its job");
        }
        // It would lose the job that is on its way.
        assert!(!may_be_stopped(rules(DrainBy::Signal(Signal::Quit), true), ToldToDrain::No));
        assert!(!may_be_stopped(rules(DrainBy::Call, false), ToldToDrain::No));
    }
}
