//! Leaving: from the reason to the proof that no job runs and none can come.

use lightsout_core::{
    activity::Activity,
    agent::{
        action::{Request, Rung},
        event::{Event, Order, Outcome},
        phase::{LeaveReason, Phase, Saved},
        policy::AgentPolicy,
    },
    cloud::{Ending, TargetState},
    platform::Drained,
};

use crate::rig::{EMPTY, IN_SERVICE, QUIET, Rig, busy, roomy, secs};

/// An idle agent whose group has room: it has just begun to leave.
fn idling_out() -> Rig {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.pass(secs(596));
    rig.answer(Request::Probe, QUIET);
    rig.pass(secs(4));
    rig.answer(Request::GroupSize, roomy());
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Idle });
    rig
}

const LEAVING_IDLE: Request = Request::Save(Saved::Leaving { why: LeaveReason::Idle });

#[test]
fn the_journal_is_written_before_the_platform_is_told() {
    let mut rig = idling_out();
    assert_eq!(rig.open(), [LEAVING_IDLE]);
    rig.answer(LEAVING_IDLE, Outcome::Done);
    assert_eq!(rig.open(), [Request::Drain]);
}

#[test]
fn it_leaves_only_after_the_proof_and_one_more_quiet_look() {
    let mut rig = idling_out();
    rig.answer(LEAVING_IDLE, Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    rig.pass(secs(60));
    assert_eq!(rig.open(), [], "the exit is the proof, not the time");
    rig.event(Event::RunnerExited);
    assert_eq!(rig.open(), [Request::Probe]);
    rig.answer(Request::Probe, Outcome::Snapshot(Activity::Unknown("docker is gone".into())));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Idle }, "unknown is not quiet");
    rig.pass(secs(1));
    rig.answer(Request::Probe, QUIET);
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Idle });
}

#[test]
fn a_job_that_slips_in_takes_an_idle_leave_back() {
    for slip in ["before the drain", "in the answer", "while it exits", "after the proof"] {
        let mut rig = idling_out();
        rig.answer(LEAVING_IDLE, Outcome::Done);
        match slip {
            "before the drain" => rig.event(Event::Activity(busy("sly"))),
            "in the answer" => rig.answer(Request::Drain, Outcome::Drained(Drained::StillBusy)),
            "while it exits" => {
                rig.answer(Request::Drain, Outcome::Signalled);
                rig.event(Event::Activity(busy("sly")));
            }
            _ => {
                rig.answer(Request::Drain, EMPTY);
                rig.answer(Request::Probe, Outcome::Snapshot(busy("sly")));
            }
        }
        assert_eq!(rig.phase(), Phase::Busy, "{slip}");
        assert!(rig.open().contains(&Request::Save(Saved::Returning)), "{slip}: {:?}", rig.open());
        assert!(!rig.open().contains(&Request::Deregister), "{slip}");
    }
}

#[test]
fn a_platform_that_cannot_be_asked_keeps_an_idle_instance() {
    let mut rig = idling_out();
    rig.answer(LEAVING_IDLE, Outcome::Done);
    rig.answer(Request::Drain, Outcome::Failed("502".into()));
    assert_eq!(rig.phase(), Phase::Busy);
    rig.answer(Request::Save(Saved::Returning), Outcome::Done);
    rig.answer(Request::Undrain, Outcome::Done);
    assert!(matches!(rig.phase(), Phase::Idle { .. }));
}

#[test]
fn other_reasons_wait_for_the_job_and_keep_the_hook_alive() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.answer(Request::FindHook, Outcome::HookFound { heartbeat: secs(200) });
    rig.event(Event::TargetState(TargetState::Terminated));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::ScaleIn });
    assert_eq!(rig.open(), [Request::Save(Saved::Leaving { why: LeaveReason::ScaleIn }), Request::ExtendHook]);
    rig.answer(Request::ExtendHook, Outcome::Done);
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::ScaleIn }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    let mut beats = 0;
    for _ in 0..36 {
        rig.pass(secs(100));
        if rig.open() == [Request::ExtendHook] {
            rig.answer(Request::ExtendHook, Outcome::Done);
            beats += 1;
        }
    }
    assert_eq!(beats, 18, "one each 200 s for as long as the job takes");
    rig.event(Event::RunnerExited);
    rig.answer(Request::Probe, QUIET);
    rig.pass(secs(600));
    assert!(!rig.open().contains(&Request::ExtendHook), "none once it retires");
}

#[test]
fn a_hook_of_unknown_length_is_kept_alive_every_ten_seconds() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::TargetState(TargetState::Terminated));
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::ScaleIn }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    for _ in 0..3 {
        rig.answer(Request::ExtendHook, Outcome::Done);
        rig.pass(secs(9));
        assert_eq!(rig.open(), []);
        rig.pass(secs(1));
        assert_eq!(rig.open(), [Request::ExtendHook], "the shortest time-out of a hook is 30 s");
    }
}

#[test]
fn a_platform_that_says_still_busy_is_asked_again() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Ending { by: Ending::Maintenance, at: None });
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Maintenance }), Outcome::Done);
    for answer in
        [Outcome::Drained(Drained::StillBusy), Outcome::Drained(Drained::Refused), Outcome::Failed("503".into())]
    {
        rig.answer(Request::Drain, answer);
        rig.pass(secs(15));
    }
    rig.answer(Request::Drain, EMPTY);
    assert_eq!(rig.open(), [Request::Probe]);
}

#[test]
fn a_weaker_reason_never_replaces_a_stronger_one() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::TargetState(TargetState::Terminated));
    rig.event(Event::Ending { by: Ending::Maintenance, at: None });
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::ScaleIn });
    rig.event(Event::Ending { by: Ending::Interruption, at: Some(rig.now + secs(120)) });
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Spot });
}

#[test]
fn a_stronger_reason_turns_an_idle_leave_into_one_that_is_not_taken_back() {
    let mut rig = idling_out();
    rig.answer(LEAVING_IDLE, Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    rig.event(Event::Ending { by: Ending::Maintenance, at: None });
    rig.event(Event::Activity(busy("sly")));
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Maintenance });
    assert_eq!(rig.open(), [Request::Save(Saved::Leaving { why: LeaveReason::Maintenance })], "written for a restart");
}

#[test]
fn a_runner_that_was_being_started_is_drained_all_the_same() {
    let mut rig = Rig::new(AgentPolicy::default());
    rig.answer(Request::Describe, IN_SERVICE);
    let starting = rig.take(Request::Register);
    rig.event(Event::Ending { by: Ending::Interruption, at: Some(rig.now + secs(120)) });
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Spot }), Outcome::Done);
    // The shell finishes the start before it drains.
    rig.complete(starting, Outcome::Registered);
    rig.answer(Request::Drain, Outcome::Signalled);
    assert_eq!(rig.open(), [], "told is not proven: the runner lives");
    rig.event(Event::RunnerExited);
    assert_eq!(rig.open(), [Request::Probe]);
}

#[test]
fn remnants_after_the_proof_do_not_keep_the_instance_for_ever() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Ending { by: Ending::Maintenance, at: None });
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Maintenance }), Outcome::Done);
    rig.answer(Request::Drain, EMPTY);
    let proven = rig.now;
    while rig.phase() == (Phase::Draining { why: LeaveReason::Maintenance }) {
        if rig.open().contains(&Request::Probe) {
            rig.answer(Request::Probe, Outcome::Snapshot(busy("orphan")));
        }
        rig.pass(secs(5));
    }
    let waited = rig.now.since(proven);
    assert!(waited >= secs(900) && waited < secs(910), "{waited:?}");
}

#[test]
fn without_a_runner_the_platforms_silence_does_not_keep_the_instance_for_ever() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.event(Event::Ending { by: Ending::Maintenance, at: None });
    rig.event(Event::RunnerExited);
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Maintenance }), Outcome::Done);
    let start = rig.now;
    while !rig.open().contains(&Request::Probe) {
        rig.answer(Request::Drain, Outcome::Alone("the platform is gone".into()));
        rig.pass(secs(15));
    }
    let waited = rig.now.since(start);
    assert!(waited >= secs(900) && waited < secs(950), "{waited:?}");
}

#[test]
fn without_the_platforms_word_a_job_that_is_seen_is_a_job() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.event(Event::Ending { by: Ending::Maintenance, at: None });
    rig.event(Event::RunnerExited);
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Maintenance }), Outcome::Done);
    while !rig.open().contains(&Request::Probe) {
        rig.answer(Request::Drain, Outcome::Alone("the platform is gone".into()));
        rig.pass(secs(15));
    }
    for _ in 0..1_000 {
        rig.answer(Request::Probe, Outcome::Snapshot(busy("task")));
        rig.pass(secs(5));
    }
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Maintenance });
    rig.answer(Request::Probe, QUIET);
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Maintenance });
}

#[test]
fn with_a_runner_the_platforms_silence_does() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.event(Event::Ending { by: Ending::Maintenance, at: None });
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Maintenance }), Outcome::Done);
    for _ in 0..2_000 {
        rig.answer(Request::Drain, Outcome::Failed("the platform is gone".into()));
        rig.event(Event::Activity(Activity::Quiet));
        rig.pass(secs(15));
    }
    assert_eq!(rig.open(), [Request::Drain], "a runner that was not told could take a job at any time");
}

#[test]
fn a_stuck_runner_is_ended_only_when_quiet_long_enough_after_it_was_told() {
    let mut rig = Rig::idle(AgentPolicy { idle_timeout: Some(secs(7200)), ..AgentPolicy::default() });
    rig.pass(secs(7195));
    rig.answer(Request::Probe, QUIET);
    rig.pass(secs(5));
    rig.answer(Request::GroupSize, roomy());
    rig.answer(LEAVING_IDLE, Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    for _ in 0..170 {
        rig.event(Event::Activity(Activity::Quiet));
        assert_eq!(rig.open(), [], "hours of quiet before it was told do not count");
        rig.pass(secs(5));
    }
    rig.event(Event::Activity(Activity::Unknown("?".into())));
    rig.pass(secs(100));
    assert_eq!(rig.open(), [], "doubt starts it anew");
    rig.event(Event::Activity(Activity::Quiet));
    rig.pass(secs(899));
    assert_eq!(rig.open(), []);
    rig.pass(secs(1));
    rig.answer(Request::Probe, QUIET);
    assert_eq!(rig.open(), [Request::Abort { within: secs(15) }]);
}

#[test]
fn a_stuck_runner_is_not_ended_upon_an_old_snapshot() {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.event(Event::Ending { by: Ending::Maintenance, at: None });
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Maintenance }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    // Taken before the runner was told: it had just been handed a job. The machine stood still, or the probes did.
    rig.event(Event::Activity(Activity::Quiet));
    rig.pass(secs(1_000));
    assert_eq!(rig.open(), [Request::Probe], "nothing is concluded from it");
    rig.answer(Request::Probe, Outcome::Snapshot(busy("job-1")));
    rig.pass(secs(3_600));
    assert_eq!(rig.open(), [], "the job may take its time");
    rig.event(Event::Activity(Activity::Quiet));
    rig.pass(secs(900));
    rig.answer(Request::Probe, Outcome::Snapshot(Activity::Unknown("docker".into())));
    rig.pass(secs(3_600));
    assert_eq!(rig.open(), [], "doubt is no quiet");
}

#[test]
fn neither_here_nor_at_the_platform_is_a_proof_that_a_job_which_is_seen_outweighs() {
    let mut rig = Rig::resumed(AgentPolicy::default(), Saved::Leaving { why: LeaveReason::Operator }, false);
    rig.answer(Request::Drain, Outcome::Absent);
    // The container of a runner that died, or of another pool than is named.
    rig.answer(Request::Probe, Outcome::Snapshot(busy("run")));
    for _ in 0..100 {
        rig.pass(secs(30));
        assert_eq!(rig.open(), [Request::Probe]);
        rig.answer(Request::Probe, Outcome::Snapshot(busy("run")));
    }
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Operator });
    rig.pass(secs(30));
    rig.answer(Request::Probe, QUIET);
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Operator });
}

#[test]
fn without_a_journal_no_idle_leave_begins() {
    let mut rig = idling_out();
    rig.answer(LEAVING_IDLE, Outcome::Failed("no space left on device".into()));
    assert!(matches!(rig.phase(), Phase::Idle { .. }), "{:?}", rig.phase());
    assert_eq!(rig.open(), [], "nothing was asked of the platform");
    assert!(rig.lifecycle.status().note.unwrap().contains("no space left"));
}

#[test]
fn a_job_that_is_seen_is_waited_for_while_the_platform_is_silent() {
    let mut rig = Rig::resumed(AgentPolicy::default(), Saved::Leaving { why: LeaveReason::Operator }, false);
    let silent = |rig: &mut Rig, span| {
        let start = rig.now;
        while rig.now.since(start) < secs(span) {
            rig.answer(Request::Drain, Outcome::Alone("the platform is gone".into()));
            rig.pass(secs(15));
            assert_eq!(rig.open(), [Request::Drain]);
        }
    };
    rig.event(Event::Activity(busy("run")));
    silent(&mut rig, 1800);
    rig.event(Event::Activity(Activity::Quiet));
    silent(&mut rig, 870);
    rig.answer(Request::Drain, Outcome::Alone("the platform is gone".into()));
    rig.pass(secs(15));
    rig.answer(Request::Drain, Outcome::Alone("the platform is gone".into()));
    assert_eq!(rig.open(), [Request::Probe], "as long after the job as without one");
}

#[test]
fn only_the_platforms_word_or_the_runners_is_a_proof() {
    let mut rig = Rig::resumed(AgentPolicy::default(), Saved::Leaving { why: LeaveReason::Operator }, false);
    let mut proven = rig.clone();
    rig.answer(Request::Drain, Outcome::Absent);
    proven.answer(Request::Drain, EMPTY);
    for (mut rig, is) in [(rig, false), (proven, true)] {
        assert_eq!(rig.lifecycle.proven_empty(), is);
        rig.answer(Request::Probe, QUIET);
        assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Operator });
        assert_eq!(rig.lifecycle.proven_empty(), is, "as its certificate tells");
    }
}

#[test]
fn a_hold_keeps_no_remnant_of_an_instance_that_an_operator_drains() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Order(Order::Hold { until: rig.now + secs(7200) }));
    rig.event(Event::Order(Order::Drain));
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Operator }), Outcome::Done);
    rig.answer(Request::Drain, EMPTY);
    rig.answer(Request::Probe, Outcome::Snapshot(busy("remnant")));
    rig.pass(secs(900));
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Operator });
}

/// Its idle time may be shorter than the pause.
#[test]
fn an_idle_leave_that_came_to_nothing_is_not_tried_again_at_once() {
    for fails in [LEAVING_IDLE, Request::Drain, Request::End(Rung::Decrement)] {
        let mut rig = Rig::idle(AgentPolicy { idle_timeout: Some(secs(20)), ..AgentPolicy::default() });
        let mut failed = None;
        while failed.is_none() || !rig.open().contains(&Request::GroupSize) {
            let Some(request) = rig.open().first().copied() else {
                rig.pass(secs(1));
                continue;
            };
            let answers = [
                (Request::End(Rung::Decrement), Outcome::AtFloor),
                (fails, Outcome::Failed("502".into())),
                (Request::Drain, EMPTY),
                (Request::Probe, QUIET),
                (Request::GroupSize, roomy()),
                (Request::Describe, IN_SERVICE),
                (Request::Register, Outcome::Registered),
            ];
            let answer = answers.into_iter().find_map(|(to, answer)| (to == request).then_some(answer));
            failed = failed.or((request == fails).then_some(rig.now));
            rig.answer(request, answer.unwrap_or(Outcome::Done));
        }
        assert_eq!(failed.map(|failed| rig.now.since(failed)), Some(secs(60)), "{fails:?}");
    }
}
