//! Orders, and what is on the disk before they are answered.

use super::*;

#[test]
fn an_order_to_drain_is_acknowledged_when_it_is_on_the_disk() {
    let mut host = returning(BY_SIGNAL);
    let leaving =
        HostEffect::WriteJournal(JournalEntry { saved: Saved::Leaving { why: LeaveReason::Operator }, ..REGISTERED });
    // The shell counts them from nought.
    for (id, written) in [(OrderId(0), Ok(())), (OrderId(1), Err("full".to_owned()))] {
        host.agent.order(id, Order::Drain, host.now);
        host.collect();
        let before = host.replies.len();
        while host.open().contains(&leaving) {
            host.answer(leaving, HostResult::Done(written.clone()));
        }
        assert_eq!(host.replies.len(), before + 1);
        let (of, answer) = host.replies.last().unwrap();
        assert_eq!((*of, answer.is_ok()), (id, written.is_ok()), "{answer:?}");
    }
}

#[test]
fn an_undrain_is_answered_by_whether_it_is_heard() {
    let mut host = returning(BY_CALL);
    host.answer(UNDRAIN, platform(PlatformAnswer::Done));
    let order = |host: &mut Host, id, order| {
        host.agent.order(OrderId(id), order, host.now);
        host.collect();
        let (_, answer) = host.replies.iter().rfind(|(of, _)| *of == OrderId(id))?;
        Some(answer.clone())
    };
    assert!(!host.agent.can_undrain());
    let refused = order(&mut host, 1, Order::Undrain).unwrap().unwrap_err();
    assert!(refused.contains("the agent is busy"), "{refused}");
    assert_eq!(order(&mut host, 2, Order::Drain), None, "not before it is on the disk");
    assert_eq!(order(&mut host, 3, Order::Drain), None);
    assert!(host.agent.can_undrain());
    let leaving = JournalEntry { saved: Saved::Leaving { why: LeaveReason::Operator }, ..REGISTERED };
    while host.open().contains(&HostEffect::WriteJournal(leaving)) {
        host.answer(HostEffect::WriteJournal(leaving), DONE);
    }
    let acknowledged: Vec<OrderId> =
        host.replies.iter().filter(|(_, answer)| answer.is_ok()).map(|(id, _)| *id).collect();
    assert_eq!(acknowledged, [OrderId(2), OrderId(3)], "each gets its own answer");
    assert_eq!(order(&mut host, 4, Order::Undrain), Some(Ok("serving again".into())));
    let held = order(&mut host, 5, Order::Hold { until: Tick(1_090_000) }).unwrap().unwrap();
    assert!(held.contains("1m30s"), "{held}");
}

#[test]
fn an_agents_time_passes_through_to_its_lifecycle() {
    let mut host = returning(BY_CALL);
    host.answer(UNDRAIN, platform(PlatformAnswer::Done));
    assert_eq!(host.agent.sample_interval(), secs(1), "busy, as far as known");
    host.agent.sampled(Activity::Quiet, false, host.now);
    host.collect();
    assert_eq!(host.agent.sample_interval(), secs(5));
    let due = host.agent.poll_timeout().unwrap();
    assert_eq!(due, host.now + secs(595), "the last part of the idle time");
    host.agent.handle_timeout(due);
    host.collect();
    assert!(host.open().contains(&HostEffect::Snapshot));
}

#[test]
fn the_journal_counts_the_busy_periods() {
    let mut host = returning(BY_CALL);
    host.answer(UNDRAIN, platform(PlatformAnswer::Done));
    host.event(Event::Activity(busy("job")));
    host.event(Event::Ending { by: Ending::Maintenance, at: None });
    let leaving = JournalEntry { saved: Saved::Leaving { why: LeaveReason::Maintenance }, served: 1, ..REGISTERED };
    assert!(host.open().contains(&HostEffect::WriteJournal(leaving)), "{:?}", host.open());
}

#[test]
fn the_proof_is_written_down() {
    let mut host = Host::draining(BY_CALL, LeaveReason::ScaleIn);
    host.answer(HostEffect::FindRunner, runner(ToldToDrain::No));
    host.answer(DRAIN, platform(PlatformAnswer::Drained(Drained::Empty)));
    let saved = Saved::Leaving { why: LeaveReason::ScaleIn };
    let proven = JournalEntry { saved, proven: true, ..REGISTERED };
    assert!(host.open().contains(&HostEffect::WriteJournal(proven)), "{:?}", host.open());
}
