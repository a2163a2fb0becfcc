//! What the shell and the simulator read of an agent.

use super::*;

#[test]
fn it_says_that_it_is_empty_from_the_proof_on_and_that_its_end_is_agreed_on_from_the_answer_on() {
    let mut host = Host::draining(BY_CALL, LeaveReason::Operator);
    let read = |host: &Host| (host.agent.proven_empty(), host.agent.end_accepted());
    host.now = host.now + secs(60);
    host.answer(HostEffect::FindRunner, NO_RUNNER);
    assert_eq!(read(&host), (false, false));
    host.answer(DRAIN, platform(PlatformAnswer::Drained(Drained::Empty)));
    assert_eq!(read(&host), (true, false));
    host.answer(HostEffect::Snapshot, QUIET);
    host.answer(HostEffect::SignalRunner(Signal::Int), DONE);
    host.answer(HostEffect::AwaitExit { within: secs(3) }, HostResult::Exited(true));
    let deregister = HostEffect::Platform { call: PlatformCall::Deregister, within: secs(10) };
    host.answer(deregister, platform(PlatformAnswer::Done));
    let member = CloudAnswer::Membership(Membership::InService { protected: true });
    host.answer(HostEffect::Cloud(CloudCall::Membership), HostResult::Cloud(Ok(member)));
    assert_eq!(read(&host), (true, false), "asked for is not agreed on");
    host.answer(HostEffect::Cloud(CloudCall::End(Rung::Decrement)), HostResult::Cloud(Ok(CloudAnswer::Done)));
    assert_eq!(read(&host), (true, true));
}

#[test]
fn it_says_until_when_it_is_held_and_nothing_once_that_is_over() {
    let mut host = returning(BY_CALL);
    assert_eq!(host.agent.hold(), None);
    let until = host.now + secs(90);
    host.agent.order(OrderId(0), Order::Hold { until }, host.now);
    assert_eq!(host.agent.hold(), Some(until));
    host.agent.handle_timeout(until);
    assert_eq!(host.agent.hold(), None);
}

#[test]
fn it_says_whether_it_is_protected_once_that_is_known() {
    for protected in [false, true] {
        let mut host = Host::begin(BY_CALL, AgentPolicy::default(), JournalEntry::FRESH, false);
        assert_eq!(host.agent.status().protected, None);
        let member = CloudAnswer::Membership(Membership::InService { protected });
        host.answer(HostEffect::Cloud(CloudCall::Membership), HostResult::Cloud(Ok(member)));
        assert_eq!(host.agent.status().protected, Some(protected));
    }
}
