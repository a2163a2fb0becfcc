//! What is said of pools: those situations that look alike, and what is not known.

use lightsout_core::{
    explain::{Answer, Cause, Evidence, Question, UnknownName, explain},
    record::{IncidentKind, LaunchTrouble},
    scaling::{Explanation, Limit},
};

use crate::{
    made::{at, held, incident, plan, raised, waiting_job, without_launches},
    scenarios,
};

fn answer(name: &str) -> Answer {
    let scenarios = scenarios::all();
    let scenario = scenarios.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("no scenario {name}"));
    let newest = scenario.evidence.iter().map(|it| it.time).max().unwrap();
    explain(&scenario.question, &scenario.evidence, newest)
}

fn tells_apart(one: (&str, Cause), other: (&str, Cause)) {
    for ((name, cause), (_, not)) in [(one, other), (other, one)] {
        let answer = answer(name);
        assert!(answer.names(cause) && !answer.names(not), "{name}: {answer}");
    }
}

#[test]
fn what_looks_alike_is_told_apart() {
    tells_apart(("no capacity", Cause::NoCapacity), ("at its maximum", Cause::AtMost));
    tells_apart(("no capacity", Cause::NoCapacity), ("quota", Cause::Quota));
    tells_apart(("tags that no instance has", Cause::FutileDemand), ("a partial reading", Cause::PartialReading));
    tells_apart(("tags that no instance has", Cause::FutileDemand), ("a deaf member", Cause::DeafMember));
    tells_apart(("tags that no instance has", Cause::TagMismatch), ("instances that break", Cause::Breaking));
    tells_apart(("cooldown", Cause::Cooldown), ("a step", Cause::MaxStep));
    let both = answer("no capacity, and at its maximum");
    assert!(both.names(Cause::NoCapacity) && both.names(Cause::AtMost), "{both}");
}

#[test]
fn what_failed_before_an_instance_came_up_is_past() {
    let failed = |second| without_launches(second, plan(2, 0, 2), LaunchTrouble::Capacity, "no capacity");
    let started = incident(20, "i-1", IncidentKind::Started, "the first agent on this instance");
    let named = |evidence: &[_]| explain(&Question::Pool("linux".into()), evidence, at(60)).names(Cause::NoCapacity);
    // The launch is of five seconds before the record.
    assert!(named(&[started.clone(), failed(40)]), "others fail since");
    assert!(!named(&[started, failed(24)]));
    assert!(named(&[failed(24)]));
}

#[test]
fn an_answer_is_the_cause_then_the_evidence_with_its_time_then_what_to_do() {
    let at_most = Explanation { max: 2, target: 2, limit: Limit::Max, ..plan(3, 2, 2) };
    let evidence = [held(10, at_most)];
    let answer = explain(&Question::Pool("linux".into()), &evidence, at(20));
    assert_eq!(
        answer.to_string(),
        "linux is at its maximum: 3 waiting and 2 running jobs need 5 instances, at most 2 are allowed, and 2 are desired.\n    \
         seen  2026-11-26T03:00:10.000Z decision of linux (records.jsonl:2026-11-26T03:00:10.000Z)\n    \
         do    raise the lower of the group's maximum and pool.max of linux: aws autoscaling update-auto-scaling-group \
         --auto-scaling-group-name ci-linux --max-size 5\n"
    );
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json["known"][0]["cause"], "at-most");
    assert_eq!(json["known"][0]["evidence"][0]["time"], "2026-11-26T03:00:10.000Z");
}

#[test]
fn what_no_record_tells_is_not_known() {
    let not_known = |evidence: &[Evidence], second: i64| {
        let answer = explain(&Question::Pool("linux".into()), evidence, at(second));
        answer.not_known.iter().map(|it| format!("{}, because {}", it.what, it.because)).collect::<Vec<_>>()
    };
    assert_eq!(
        not_known(&[], 0),
        ["what the scaler made of linux, because no record of a decision about it is among what was read"]
    );
    assert_eq!(
        not_known(&[raised(0, plan(2, 0, 0), 2), held(60, plan(2, 0, 2))], 61),
        [
            "what the 2 desired instances of linux do while jobs wait, because no record of an instance and no failed launch is among what \
          was read"
        ]
    );
    assert_eq!(
        not_known(&[held(0, plan(0, 0, 0))], 7200),
        ["how it stands with linux since 2026-11-26T03:00:00Z, because the newest record about it is 2h old"]
    );
    assert_eq!(not_known(&[held(0, plan(0, 0, 0))], 20), [""; 0]);
}

#[test]
fn what_came_after_the_time_that_is_asked_for_does_not_count() {
    let at_most = Explanation { max: 2, target: 2, limit: Limit::Max, ..plan(3, 2, 2) };
    let evidence = [held(0, plan(0, 0, 0)), held(100, at_most)];
    let asked = |second| explain(&Question::Pool("linux".into()), &evidence, at(second));
    assert!(asked(50).names(Cause::NothingWaits) && !asked(50).names(Cause::AtMost));
    assert!(asked(150).names(Cause::AtMost));
}

#[test]
fn a_job_that_has_just_come_is_none_that_is_not_counted() {
    let asked = |waited| {
        let evidence = [held(30, plan(0, 0, 0)), waiting_job(31, &["gpu"], waited)];
        explain(&Question::Job("7".into()), &evidence, at(32)).names(Cause::TagMismatch)
    };
    assert!(asked(10) && !asked(3));
}

#[test]
fn a_name_is_a_pool_its_group_a_job_or_an_instance() {
    let scenarios = scenarios::all();
    let evidence: Vec<Evidence> = scenarios.into_iter().flat_map(|it| it.evidence).collect();
    let about = |name: &str| Question::about(name, &evidence);
    assert_eq!(about("linux"), Ok(Question::Pool("linux".into())));
    assert_eq!(about("ci-linux"), Ok(Question::Pool("ci-linux".into())));
    assert_eq!(about("7"), Ok(Question::Job("7".into())));
    assert_eq!(about("i-2"), Ok(Question::Instance("i-2".into())));
    assert!(matches!(about("i-"), Err(UnknownName::Ambiguous { .. })));
    let nowhere = about("windows").unwrap_err().to_string();
    assert!(
        nowhere.starts_with("nothing here is called `windows`: ") && nowhere.ends_with("of the pools linux, other"),
        "{nowhere}"
    );
}
