//! Room is made once, after what an earlier agent began, and what is seen afterwards counts.

use super::*;

const WITHIN: std::time::Duration = secs_const(300);
const MAKE: HostEffect = HostEffect::MakeRoom { within: WITHIN };
const PAUSE: HostEffect = HostEffect::Pause(secs_const(1));

fn short() -> HostResult {
    HostResult::Room(Room::Short("9 B are free".into()))
}

fn cleaned() -> HostResult {
    HostResult::Cleaned(Ok("Docker has removed 3 MiB".into()))
}

fn goes_on() -> HostResult {
    HostResult::Done(Err("room is still being made".into()))
}

/// A full instance of which is proven that no job runs and none can come.
fn emptied() -> Host {
    let mut host = Host::draining(BY_CALL, LeaveReason::Full);
    host.cleaning = true;
    host.answer(HostEffect::FindRunner, NO_RUNNER);
    host.answer(DRAIN, platform(PlatformAnswer::Drained(Drained::Empty)));
    let entry = JournalEntry { saved: Saved::Leaving { why: LeaveReason::Full }, proven: true, ..REGISTERED };
    host.answer(HostEffect::WriteJournal(entry), DONE);
    host.answer(HostEffect::Snapshot, QUIET);
    host
}

/// The same, once room was made.
fn made() -> Host {
    let mut host = emptied();
    host.answer(HostEffect::LookForCleaning, DONE);
    host.answer(HostEffect::LookForRoom, short());
    host.answer(MAKE, cleaned());
    host
}

fn pause(host: &mut Host) {
    host.now = host.now + secs(1);
    host.answer(PAUSE, DONE);
}

#[test]
fn what_is_there_already_is_not_made() {
    let mut host = emptied();
    host.answer(HostEffect::LookForCleaning, DONE);
    host.answer(HostEffect::LookForRoom, HostResult::Room(Room::Enough));
    assert_eq!(host.outcome_of(Request::MakeRoom), Some(&Outcome::Unneeded));
    let mut host = emptied();
    host.answer(HostEffect::LookForCleaning, DONE);
    host.answer(HostEffect::LookForRoom, HostResult::Room(Room::Unknown));
    assert_eq!(host.open(), [MAKE], "what cannot be told is not there");
}

#[test]
fn room_is_made_once_and_looked_at_afterwards() {
    let mut host = made();
    host.answer(HostEffect::LookForRoom, HostResult::Room(Room::Enough));
    assert_eq!(host.outcome_of(Request::MakeRoom), Some(&Outcome::Done));
    let mut host = made();
    host.answer(HostEffect::LookForRoom, short());
    let (what, said) = ("9 B are free".to_owned(), "Docker has removed 3 MiB".to_owned());
    assert_eq!(host.outcome_of(Request::MakeRoom), Some(&Outcome::StillShort { what, said }));
    let note = host.agent.status().note.unwrap();
    assert_eq!(note, "9 B are free; Docker has removed 3 MiB", "the shortage once, as it was seen last");
    assert_eq!(host.agent.phase(), Phase::Retiring { why: LeaveReason::Broken });
}

#[test]
fn room_that_cannot_be_made_breaks_the_instance() {
    let mut host = emptied();
    host.answer(HostEffect::LookForCleaning, DONE);
    host.answer(HostEffect::LookForRoom, short());
    host.answer(MAKE, HostResult::Cleaned(Err("the lock cannot be made".into())));
    assert_eq!(host.outcome_of(Request::MakeRoom), Some(&Outcome::Failed("the lock cannot be made".into())));
    assert_eq!(host.agent.phase(), Phase::Retiring { why: LeaveReason::Broken });
}

#[test]
fn what_cannot_be_told_is_looked_at_each_second_for_a_minute_and_is_no_shortage_then() {
    let mut host = made();
    for _ in 0..60 {
        host.answer(HostEffect::LookForRoom, HostResult::Room(Room::Unknown));
        pause(&mut host);
    }
    let mut told = host.agent.clone();
    let (id, _) = host.open[0];
    host.answer(HostEffect::LookForRoom, HostResult::Room(Room::Unknown));
    assert_eq!(host.outcome_of(Request::MakeRoom), Some(&Outcome::RoomUnknown));
    assert!(host.agent.status().note.unwrap().contains("cannot be told"));
    assert_ne!(host.agent.phase(), Phase::Retiring { why: LeaveReason::Broken });
    told.resume(id, short(), host.now);
    assert_eq!(told.phase(), Phase::Retiring { why: LeaveReason::Broken }, "the last look counts, too");
}

#[test]
fn what_an_earlier_agent_began_is_over_first() {
    let mut host = emptied();
    for _ in 0..5 {
        host.answer(HostEffect::LookForCleaning, goes_on());
        pause(&mut host);
    }
    host.answer(HostEffect::LookForCleaning, DONE);
    assert_eq!(host.open(), [HostEffect::LookForRoom], "it may have made enough");
}

#[test]
fn what_an_earlier_agent_began_is_waited_for_as_long_as_making_room_may_take() {
    let mut host = emptied();
    for _ in 0..300 {
        host.answer(HostEffect::LookForCleaning, goes_on());
        pause(&mut host);
    }
    host.answer(HostEffect::LookForCleaning, goes_on());
    let outcome = host.outcome_of(Request::MakeRoom);
    assert!(
        matches!(outcome, Some(Outcome::Failed(why)) if why.starts_with("room is still being made") && why.contains("agent.clean_timeout")),
        "{outcome:?}"
    );
}

#[test]
fn no_runner_is_registered_or_asked_back_in_while_room_is_made() {
    let mut host = Host::registering(BY_SIGNAL, AgentPolicy::default());
    host.cleaning = true;
    host.answer(HostEffect::FindRunner, NO_RUNNER);
    host.answer(HostEffect::LookForCleaning, goes_on());
    assert_eq!(host.outcome_of(Request::Register), Some(&Outcome::Failed("room is still being made".into())));
    assert_eq!(host.open(), [], "it is asked again later");
    for (rules, first, fails) in [
        (BY_CALL, UNDRAIN, refused(ErrorKind::Unreachable)),
        (BY_SIGNAL, HostEffect::FindRunner, HostResult::Runner(Err("/proc is gone".into()))),
    ] {
        let mut host = returning(rules);
        host.answer(first, fails);
        host.cleaning = true;
        host.now = host.now + secs(30);
        host.agent.handle_timeout(host.now);
        host.collect();
        assert_eq!(host.open(), [HostEffect::LookForCleaning]);
        host.answer(HostEffect::LookForCleaning, goes_on());
        assert_eq!(host.outcome_of(Request::Undrain), Some(&Outcome::Failed("room is still being made".into())));
        assert_eq!(host.open(), []);
    }
}

/// Making room did not end in time, and the instance goes: whatever it waits for, nothing begins any more.
#[test]
fn no_room_is_made_on_an_instance_that_goes() {
    let mut host = emptied();
    host.answer(HostEffect::LookForCleaning, goes_on());
    host.now = host.now + 2 * WITHIN + secs(120);
    host.agent.handle_timeout(host.now);
    host.collect();
    assert_eq!(host.agent.phase(), Phase::Retiring { why: LeaveReason::Broken });
    host.answer(PAUSE, DONE);
    assert!(!host.open().contains(&HostEffect::LookForCleaning), "{:?}", host.open());
}
