//! Leaving: from the reason to the proof that no job runs and none can come.

use std::time::Duration;

use lightsout_core::{
    activity::Activity,
    agent::{
        Correction,
        action::Request,
        event::{Event, Outcome},
        phase::{LeaveReason, Phase, Saved},
        policy::AgentPolicy,
    },
    platform::Drained,
};

use crate::rig::{CLOUD, EMPTY, HELD_CLOUD, IN_SERVICE, QUIET, Rig, busy, roomy, secs};
use lightsout_core::{
    cloud::{Capabilities, Ending, TargetState},
    time::Tick,
};

/// One that says long before what it will do.
const PATIENT: Capabilities = Capabilities { longest_notice: secs(900), ..CLOUD };

/// An idle agent whose group has room: it has just begun to leave.
fn idling_out() -> Rig {
    let mut rig = Rig::idle(AgentPolicy::default());
    rig.pass(secs(596));
    rig.answer(Request::Probe, QUIET);
    rig.pass(secs(4));
    rig.answer(Request::Room, roomy());
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Idle });
    rig
}

/// An abort with the whole margin: until a quarter of it is left.
const ABORT: Request = Request::Abort { within: Duration::from_millis(18_750) };

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
    assert_eq!(rig.open(), [Request::Save(Saved::Leaving { why: LeaveReason::ScaleIn }), Request::Heartbeat]);
    rig.answer(Request::Heartbeat, Outcome::Done);
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::ScaleIn }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    let mut beats = 0;
    for _ in 0..36 {
        rig.pass(secs(100));
        if rig.open() == [Request::Heartbeat] {
            rig.answer(Request::Heartbeat, Outcome::Done);
            beats += 1;
        }
    }
    assert_eq!(beats, 18, "one each 200 s for as long as the job takes");
    rig.event(Event::RunnerExited);
    rig.answer(Request::Probe, QUIET);
    rig.pass(secs(600));
    assert!(!rig.open().contains(&Request::Heartbeat), "none once it retires");
}

#[test]
fn a_hook_of_unknown_length_is_kept_alive_every_ten_seconds() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::TargetState(TargetState::Terminated));
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::ScaleIn }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    for _ in 0..3 {
        rig.answer(Request::Heartbeat, Outcome::Done);
        rig.pass(secs(9));
        assert_eq!(rig.open(), []);
        rig.pass(secs(1));
        assert_eq!(rig.open(), [Request::Heartbeat], "the shortest time-out of a hook is 30 s");
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
fn a_spot_notice_lets_jobs_run_until_the_margin_and_then_fails_them() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Ending { by: Ending::Interruption, at: Some(rig.now + secs(120)) });
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Spot }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    rig.pass(secs(94));
    assert_eq!(rig.open(), []);
    rig.pass(secs(1));
    assert_eq!(rig.open(), [ABORT]);
    rig.answer(ABORT, Outcome::Done);
    rig.event(Event::RunnerExited);
    rig.answer(Request::Probe, QUIET);
    assert_eq!(rig.open(), [Request::Deregister]);
}

/// An ending of the group, or a restart, that has its time: what still runs then is failed visibly before, and nothing else ever is.
#[test]
fn what_would_be_cut_at_a_known_time_fails_visibly_before() {
    for (by, why) in [(Ending::Termination, LeaveReason::ScaleIn), (Ending::Maintenance, LeaveReason::Maintenance)] {
        let mut rig = Rig::idle_on(PATIENT, AgentPolicy::default()).at_work();
        rig.event(Event::Ending { by, at: Some(rig.now + secs(600)) });
        assert_eq!(rig.phase(), Phase::Draining { why }, "{by:?}");
        rig.answer(Request::Save(Saved::Leaving { why }), Outcome::Done);
        rig.answer(Request::Drain, Outcome::Signalled);
        rig.pass(secs(574));
        assert!(!rig.open().contains(&ABORT), "{by:?}: the whole of its time");
        rig.pass(secs(1));
        assert!(rig.open().contains(&ABORT), "{by:?}");
        rig.pass(secs(19));
        assert_eq!(rig.phase(), Phase::Retiring { why }, "{by:?}: nothing is waited for any longer");
    }
}

#[test]
fn maintenance_without_a_time_or_called_off_fails_no_job() {
    let mut rig = Rig::working(AgentPolicy::default());
    let why = LeaveReason::Maintenance;
    rig.event(Event::Ending { by: Ending::Maintenance, at: None });
    rig.answer(Request::Save(Saved::Leaving { why }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    rig.pass(secs(86_400));
    assert!(!rig.open().contains(&ABORT));
    rig.event(Event::Ending { by: Ending::Maintenance, at: Some(rig.now + secs(100)) });
    rig.event(Event::Lifted(Ending::Maintenance));
    rig.pass(secs(86_400));
    assert!(!rig.open().contains(&ABORT));
    assert_eq!(rig.phase(), Phase::Draining { why }, "what it began goes on");
}

/// A cloud that foresees that hardware fails tells it days ahead: a job has all of them.
#[test]
fn maintenance_that_is_days_away_cuts_no_job_before() {
    let mut rig = Rig::working(AgentPolicy::default());
    let why = LeaveReason::Maintenance;
    rig.event(Event::Ending { by: Ending::Maintenance, at: Some(rig.now + secs(5 * 86_400)) });
    rig.answer(Request::Save(Saved::Leaving { why }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    rig.pass(secs(5 * 86_400 - 60));
    assert!(!rig.open().contains(&ABORT));
    rig.pass(secs(40));
    assert!(rig.open().contains(&ABORT), "{:?}", rig.open());
}

#[test]
fn an_ending_that_is_put_off_or_called_off_fails_no_job_at_its_first_time() {
    for by in [Ending::Interruption, Ending::Termination] {
        let mut rig = Rig::idle_on(PATIENT, AgentPolicy::default()).at_work();
        rig.event(Event::Ending { by, at: Some(rig.now + secs(100)) });
        let leaving = rig.phase();
        assert!(matches!(leaving, Phase::Draining { .. }), "{by:?}: {leaving:?}");
        rig.event(Event::Lifted(by));
        rig.event(Event::Ending { by, at: Some(rig.now + secs(600)) });
        rig.pass(secs(500));
        assert!(!rig.open().contains(&ABORT), "{by:?}: the later time counts");
        rig.event(Event::Lifted(by));
        rig.pass(secs(86_400));
        assert!(!rig.open().contains(&ABORT), "{by:?}");
        assert_eq!(rig.phase(), leaving, "{by:?}: what it began goes on");
    }
}

#[test]
fn of_several_deadlines_the_first_counts() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Ending { by: Ending::Interruption, at: Some(rig.now + secs(110)) });
    rig.event(Event::Ending { by: Ending::Maintenance, at: Some(rig.now + secs(60)) });
    rig.pass(secs(36));
    assert!(rig.open().iter().any(|request| matches!(request, Request::Abort { .. })), "{:?}", rig.open());
    assert_eq!(rig.phase(), Phase::Draining { why: LeaveReason::Spot }, "the stronger reason is another matter");
}

/// However it is called, a deregistration that failed is tried again for as long as there is time.
#[test]
fn a_deadline_that_is_far_leaves_time_for_the_deregistration() {
    for (by, after, tries) in [
        (Ending::Termination, 600, 4),
        (Ending::Maintenance, 600, 4),
        (Ending::Interruption, 120, 4),
        (Ending::Interruption, 8, 1),
    ] {
        let mut rig = Rig::idle_on(PATIENT, AgentPolicy::default()).at_work();
        rig.event(Event::Ending { by, at: Some(rig.now + secs(after)) });
        let saved = rig.open().into_iter().find(|request| matches!(request, Request::Save(_))).unwrap();
        rig.answer(saved, Outcome::Done);
        rig.answer(Request::Drain, EMPTY);
        if tries == 1 {
            rig.pass(secs(after));
        } else {
            rig.answer(Request::Probe, QUIET);
        }
        let mut asked = 0;
        while !rig.open().contains(&Request::Describe) {
            if rig.open().contains(&Request::Deregister) {
                rig.answer(Request::Deregister, Outcome::Failed("503".into()));
                asked += 1;
            } else {
                rig.pass(secs(1));
            }
        }
        assert_eq!(asked, tries, "{by:?} after {after} s");
    }
}

#[test]
fn a_spot_deadline_is_kept_even_if_nothing_answers() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Ending { by: Ending::Interruption, at: Some(rig.now + secs(120)) });
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Spot }), Outcome::Done);
    rig.pass(secs(115));
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Spot });
    assert!(rig.open().contains(&Request::Deregister));
}

#[test]
fn a_job_that_ends_in_time_is_not_aborted() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Ending { by: Ending::Interruption, at: Some(rig.now + secs(120)) });
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Spot }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    rig.pass(secs(50));
    rig.event(Event::RunnerExited);
    rig.answer(Request::Probe, QUIET);
    rig.answer(Request::Deregister, Outcome::Done);
    rig.pass(secs(69));
    assert!(!rig.open().contains(&ABORT));
}

#[test]
fn proven_empty_before_a_spot_deadline_nothing_is_left_to_abort() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Ending { by: Ending::Interruption, at: Some(rig.now + secs(120)) });
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Spot }), Outcome::Done);
    rig.answer(Request::Drain, EMPTY);
    rig.pass(secs(113));
    assert_eq!(rig.open(), [Request::Probe], "past the margin, and only the last look is awaited");
    rig.pass(secs(1));
    assert_eq!(rig.phase(), Phase::Retiring { why: LeaveReason::Spot }, "not for longer than there is time");
    assert!(!rig.open().contains(&ABORT));
}

#[test]
fn the_same_notice_twice_is_one_notice() {
    let mut rig = Rig::working(AgentPolicy::default());
    let at = rig.now + secs(120);
    rig.event(Event::Ending { by: Ending::Interruption, at: Some(at) });
    rig.pass(secs(60));
    rig.event(Event::Ending { by: Ending::Interruption, at: Some(at) });
    rig.pass(secs(35));
    assert!(rig.open().contains(&ABORT), "the budget runs from the first");
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
    rig.answer(Request::Room, roomy());
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
fn a_spot_deadline_that_cannot_be_is_put_right() {
    // The clock is five minutes ahead, so the deadline seems to have passed; or five minutes behind.
    for wrong in [None, Some(secs(420))] {
        let mut rig = Rig::working(AgentPolicy::default());
        let at = wrong.map_or(rig.now - secs(180), |ahead| rig.now + ahead);
        rig.event(Event::Ending { by: Ending::Interruption, at: Some(at) });
        let correction = Correction { by: Ending::Interruption, told: at, taken: rig.now + secs(120) };
        assert_eq!(rig.lifecycle.take_correction(), Some(correction), "it is said");
        rig.event(Event::Ending { by: Ending::Interruption, at: Some(at) });
        assert_eq!(rig.lifecycle.take_correction(), None, "once");
        rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Spot }), Outcome::Done);
        rig.answer(Request::Drain, Outcome::Signalled);
        rig.pass(secs(94));
        assert_eq!(rig.open(), [], "{wrong:?}: a notice comes two minutes before the end");
        rig.pass(secs(1));
        assert_eq!(rig.open(), [ABORT], "{wrong:?}");
    }
}

#[test]
fn every_time_that_cannot_be_is_said_once_and_none_that_can() {
    let said = |cloud: Capabilities, by, at: fn(Tick) -> Tick| {
        let mut rig = Rig::idle_on(cloud, AgentPolicy::default());
        let told = at(rig.now);
        rig.event(Event::Ending { by, at: Some(told) });
        let correction = rig.lifecycle.take_correction();
        rig.pass(secs(60));
        rig.event(Event::Ending { by, at: Some(told) });
        assert_eq!(rig.lifecycle.take_correction(), None, "the second time, {by:?}");
        correction.map(|correction| correction.taken.since(rig.now - secs(60)))
    };
    for by in [Ending::Interruption, Ending::Termination, Ending::Maintenance] {
        assert_eq!(said(CLOUD, by, |now| now - secs(3_600)), Some(secs(120)), "{by:?}, passed");
        assert_eq!(said(CLOUD, by, |now| now + secs(118)), None, "{by:?}, as announced");
        assert_eq!(said(CLOUD, by, |now| now + secs(123)), None, "{by:?}, but for the clocks' seconds");
        assert_eq!(said(CLOUD, by, |now| now + secs(30)), None, "{by:?}, has passed when it is told again");
    }
    assert_eq!(said(HELD_CLOUD, Ending::Termination, |now| now + secs(86_400)), Some(secs(900)));
    assert_eq!(said(CLOUD, Ending::Maintenance, |now| now + secs(86_400)), None, "maintenance is told days ahead");
}

#[test]
fn a_spot_deadline_only_comes_nearer() {
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Ending { by: Ending::Interruption, at: Some(rig.now + secs(100)) });
    rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Spot }), Outcome::Done);
    rig.answer(Request::Drain, Outcome::Signalled);
    for _ in 0..74 {
        rig.pass(secs(1));
        rig.event(Event::Ending { by: Ending::Interruption, at: Some(rig.now + secs(100)) });
        assert_eq!(rig.open(), []);
    }
    rig.pass(secs(1));
    assert_eq!(rig.open(), [ABORT], "a notice whose time moves each second does not push it away");
    let mut rig = Rig::working(AgentPolicy::default());
    rig.event(Event::Ending { by: Ending::Interruption, at: Some(rig.now + secs(100)) });
    rig.event(Event::Ending { by: Ending::Interruption, at: Some(rig.now + secs(60)) });
    rig.pass(secs(36));
    assert!(rig.open().contains(&Request::Abort { within: secs(18) }), "nearer it may come");
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
