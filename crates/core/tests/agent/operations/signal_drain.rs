//! A runner is told to take no more jobs: once, noted, and when no request of its own is on its way.

use super::*;

const CANCELS_REQUESTS: DrainRules = DrainRules { quiesce: true, ..BY_SIGNAL };

#[test]
fn a_runner_is_told_once_and_noted_before_and_after() {
    let mut host = Host::draining(BY_SIGNAL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::No));
    host.answer(HostEffect::NoteTold(ToldToDrain::Maybe), DONE);
    host.answer(HostEffect::SignalRunner(Signal::Quit), DONE);
    assert_eq!(host.outcome_of(Request::Drain), None);
    host.answer(HostEffect::NoteTold(ToldToDrain::Yes), DONE);
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Signalled));
    let mut host = Host::draining(BY_SIGNAL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::Yes));
    assert_eq!((host.outcome_of(Request::Drain), host.open()), (Some(&Outcome::Signalled), vec![]));
}

fn requests(in_flight: u32, reloads: u32) -> HostResult {
    HostResult::Requests(Ok(Requests { in_flight, reloads }))
}

/// A runner that was quiesced and is being watched, after this first count of its requests.
fn quiesced(before: HostResult) -> Host {
    let mut host = Host::draining(CANCELS_REQUESTS, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::No));
    host.answer(HostEffect::NoteTold(ToldToDrain::Maybe), DONE);
    host.answer(HostEffect::CountRequests, before);
    host.answer(HostEffect::QuiesceRunner, DONE);
    host
}

impl Host {
    /// One look at the runner's requests.
    fn look(&mut self, result: HostResult) {
        let pause = std::time::Duration::from_millis(200);
        self.now = self.now + pause;
        self.answer(HostEffect::AwaitExit { within: pause }, HostResult::Exited(false));
        self.answer(HostEffect::CountRequests, result);
    }

    fn told(&self) -> bool {
        self.open().contains(&HostEffect::SignalRunner(Signal::Quit))
    }
}

#[test]
fn a_runner_that_cancels_its_requests_is_told_when_none_is_on_its_way() {
    let mut host = quiesced(requests(1, 1));
    // Not read again yet; then a request that was made before; then one look is not enough.
    for result in [requests(0, 1), requests(0, 1), requests(1, 2), requests(0, 2), requests(1, 2), requests(0, 2)] {
        host.look(result);
        assert!(!host.told());
    }
    host.look(requests(0, 2));
    assert!(host.told());
    host.answer(HostEffect::SignalRunner(Signal::Quit), DONE);
    host.answer(HostEffect::NoteTold(ToldToDrain::Yes), DONE);
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Signalled));
}

#[test]
fn a_runner_that_does_not_count_its_requests_is_told_after_the_longest_one() {
    let unknown = || HostResult::Requests(Err("no metrics".into()));
    let mut host = quiesced(unknown());
    // Two minutes: the longest request, and one more that was about to be made.
    for _ in 0..599 {
        host.look(unknown());
        assert!(!host.told());
    }
    host.look(unknown());
    assert!(host.told());
    // However long each count takes.
    let mut host = quiesced(unknown());
    let start = host.now;
    while !host.told() {
        host.now = host.now + secs(2);
        host.look(unknown());
    }
    assert!((secs(120)..secs(125)).contains(&host.now.since(start)), "{:?}", host.now.since(start));
    // Once it counts them, it is believed when it must have read its configuration.
    let mut host = quiesced(unknown());
    for _ in 0..15 {
        host.look(requests(0, 7));
        assert!(!host.told());
    }
    host.look(requests(0, 7));
    assert!(host.told());
}

#[test]
fn two_looks_with_an_unanswered_one_between_them_are_not_in_a_row() {
    let mut host = quiesced(requests(0, 1));
    for result in [requests(0, 2), HostResult::Requests(Err("no metrics".into())), requests(0, 2)] {
        host.look(result);
        assert!(!host.told());
    }
    host.look(requests(0, 2));
    assert!(host.told());
}

#[test]
fn a_runner_that_never_reads_its_configuration_is_told_after_the_longest_request() {
    let mut host = quiesced(requests(0, 1));
    for _ in 0..599 {
        host.look(requests(0, 1));
        assert!(!host.told());
    }
    host.look(requests(0, 1));
    assert!(host.told());
}

#[test]
fn the_first_look_without_a_request_is_followed_by_a_second_however_late() {
    let mut host = quiesced(requests(1, 1));
    for _ in 0..599 {
        host.look(requests(1, 2));
    }
    host.look(requests(0, 2));
    assert!(!host.told());
    host.look(requests(0, 2));
    assert!(host.told());
}

#[test]
fn a_request_that_was_on_its_way_when_the_counts_ended_is_waited_for() {
    let unknown = || HostResult::Requests(Err("no metrics".into()));
    // Seen before the runner was quiesced, or after.
    for seen_after in [0, 5] {
        let mut host = quiesced(requests(1, 1));
        for _ in 0..seen_after {
            host.look(requests(1, 2));
        }
        let start = host.now;
        while host.now.since(start) < secs(14 * 60) {
            host.look(unknown());
            assert!(!host.told(), "after {:?}", host.now.since(start));
        }
        // It came back: nothing is lost by going on.
        host.look(requests(0, 2));
        host.look(requests(0, 2));
        assert!(host.told());
    }
    // But not for ever.
    let mut host = quiesced(requests(1, 1));
    let start = host.now;
    while !host.told() {
        host.look(unknown());
    }
    assert!((secs(900)..secs(905)).contains(&host.now.since(start)), "{:?}", host.now.since(start));
}

#[test]
fn a_runner_with_a_request_on_its_way_for_ever_is_busy() {
    let mut host = quiesced(requests(1, 1));
    for _ in 0..600 {
        host.look(requests(1, 2));
    }
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Drained(Drained::StillBusy)));
}

#[test]
fn a_full_disk_does_not_keep_the_runner_at_work() {
    let mut host = Host::draining(CANCELS_REQUESTS, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::No));
    host.answer(HostEffect::NoteTold(ToldToDrain::Maybe), DONE);
    host.answer(HostEffect::CountRequests, requests(1, 1));
    host.answer(HostEffect::QuiesceRunner, HostResult::Done(Err("no space left on device".into())));
    host.look(requests(1, 1));
    host.look(requests(0, 1));
    assert!(!host.told());
    host.look(requests(0, 1));
    assert!(host.told(), "a moment without a request must do");
}

#[test]
fn a_runner_that_may_have_been_told_is_quiesced_before_it_must_be_quiet() {
    let mut host = Host::draining(CANCELS_REQUESTS, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::Maybe));
    // With several slots it may never be quiet while it takes jobs.
    host.answer(HostEffect::CountRequests, requests(0, 1));
    host.answer(HostEffect::QuiesceRunner, DONE);
    host.look(requests(0, 2));
    host.look(requests(0, 2));
    assert!(!host.told());
    let busy = HostResult::Snapshot { activity: busy("job"), token_refused: false };
    host.answer(HostEffect::Snapshot, busy);
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Drained(Drained::StillBusy)));
}

#[test]
fn a_runner_that_exits_while_its_requests_are_awaited_is_the_proof_at_once() {
    let mut host = quiesced(requests(1, 1));
    host.answer(HostEffect::AwaitExit { within: std::time::Duration::from_millis(200) }, HostResult::Exited(true));
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Drained(Drained::Empty)));
}

#[test]
fn a_spot_deadline_does_not_wait_for_what_is_still_being_told() {
    let mut host = quiesced(requests(1, 1));
    let at = host.now + secs(10);
    host.event(Event::Ending { by: Ending::Interruption, at: Some(at) });
    host.now = at;
    host.agent.handle_timeout(at);
    host.collect();
    // The runner ends, and then its registration goes.
    assert_eq!(host.agent.phase(), Phase::Retiring { why: LeaveReason::Spot });
    assert!(host.open().contains(&HostEffect::SignalRunner(Signal::Quit)), "{:?}", host.open());
}

#[test]
fn a_runner_that_may_have_been_told_is_told_again_only_when_quiet() {
    let mut host = Host::draining(BY_SAME_SIGNAL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::Maybe));
    let working = HostResult::Snapshot { activity: busy("job"), token_refused: false };
    host.answer(HostEffect::Snapshot, working);
    assert_eq!(host.outcome_of(Request::Drain), Some(&Outcome::Drained(Drained::StillBusy)));
    assert_eq!(host.open(), [], "a second signal would cancel its job");
    let mut host = Host::draining(BY_SAME_SIGNAL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::Maybe));
    host.answer(HostEffect::Snapshot, QUIET);
    assert_eq!(host.open(), [HostEffect::SignalRunner(Signal::Term)]);
}

#[test]
fn a_note_that_the_disk_does_not_take_keeps_the_signal_back() {
    let mut host = Host::draining(BY_SAME_SIGNAL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::No));
    host.answer(HostEffect::NoteTold(ToldToDrain::Maybe), HostResult::Done(Err("the disk is gone".into())));
    assert!(matches!(host.outcome_of(Request::Drain), Some(Outcome::Failed(why)) if why.contains("the disk is gone")));
    assert_eq!(host.open(), []);
}
