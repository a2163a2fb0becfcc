//! Deadlines that the cloud announces: what runs is failed in time to say so, and no sooner.

use std::time::Duration;

use lightsout_core::{
    agent::{
        Correction,
        action::Request,
        event::{Event, Outcome},
        phase::{LeaveReason, Phase, Saved},
        policy::AgentPolicy,
    },
    cloud::{Capabilities, Ending},
    time::Tick,
};

use crate::rig::{CLOUD, EMPTY, HELD_CLOUD, QUIET, Rig, secs};

/// An abort with the whole margin: until a quarter of it is left.
const ABORT: Request = Request::Abort { within: Duration::from_millis(18_750) };

/// One that says long before what it will do.
const PATIENT: Capabilities = Capabilities { longest_notice: secs(900), ..CLOUD };

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
        assert_eq!(said(CLOUD, by, |now| now + secs(125)), None, "{by:?}, but for the clocks' seconds");
        assert_eq!(said(CLOUD, by, |now| now + secs(30)), None, "{by:?}, has passed when it is told again");
    }
    for by in [Ending::Interruption, Ending::Termination] {
        assert_eq!(said(CLOUD, by, |now| now + secs(126)), Some(secs(120)), "{by:?}, too far off");
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
fn a_deregistration_is_tried_again_only_if_that_begins_before_the_last_moment() {
    // That moment is 113.75 s after the notice, and the first pause is one second.
    for (after, again) in [(112_749, true), (112_750, false)] {
        let mut rig = Rig::working(AgentPolicy::default());
        rig.event(Event::Ending { by: Ending::Interruption, at: Some(rig.now + secs(120)) });
        rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Spot }), Outcome::Done);
        rig.answer(Request::Drain, EMPTY);
        rig.answer(Request::Probe, QUIET);
        rig.pass(Duration::from_millis(after));
        rig.answer(Request::Deregister, Outcome::Failed("503".into()));
        assert_eq!(!rig.open().contains(&Request::Describe), again, "{after} ms: {:?}", rig.open());
    }
}

/// The jobs that were told to fail are told once for both.
#[test]
fn a_deadline_that_is_called_off_leaves_another_one_in_force() {
    for (other, as_near) in [(110, true), (115, true), (116, false), (800, false)] {
        let mut rig = Rig::idle_on(PATIENT, AgentPolicy::default()).at_work();
        rig.event(Event::Ending { by: Ending::Interruption, at: Some(rig.now + secs(100)) });
        rig.event(Event::Ending { by: Ending::Termination, at: Some(rig.now + secs(other)) });
        rig.answer(Request::Save(Saved::Leaving { why: LeaveReason::Spot }), Outcome::Done);
        rig.answer(Request::Drain, Outcome::Signalled);
        rig.pass(secs(90));
        rig.answer(ABORT, Outcome::Done);
        rig.event(Event::Lifted(Ending::Interruption));
        assert_eq!(rig.lifecycle.aborted(), as_near, "{other}");
        rig.pass(secs(other - 92));
        assert_eq!(rig.open().contains(&ABORT), !as_near, "{other}: {:?}", rig.open());
    }
}
