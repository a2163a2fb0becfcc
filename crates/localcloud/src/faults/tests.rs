//! Which faults hit which calls.

use super::*;

fn fault(json: &str) -> Fault {
    serde_json::from_str(json).expect("a fault")
}

fn call<'a>(target: Target, name: &'a str, instance: Option<&'a str>) -> Call<'a> {
    Call { target, name, instance }
}

#[test]
fn a_fault_hits_only_what_it_names() {
    let mut faults = Faults::new(1);
    faults
        .add(fault(r#"{"target":"aws","action":"SetDesiredCapacity","instance":"i-1","effect":"throttle"}"#))
        .expect("valid");
    assert_eq!(faults.hit(call(Target::Aws, "SetDesiredCapacity", None)).effect, None);
    assert_eq!(faults.hit(call(Target::Aws, "TerminateInstances", Some("i-1"))).effect, None);
    assert_eq!(faults.hit(call(Target::Platform, "SetDesiredCapacity", Some("i-1"))).effect, None);
    let hit = faults.hit(call(Target::Aws, "SetDesiredCapacity", Some("i-1")));
    assert_eq!(hit.effect, Some(FaultEffect::Throttle));
}

#[test]
fn routes_and_paths_match_by_their_end() {
    let mut faults = Faults::new(1);
    faults
        .add(fault(&format!(r#"{{"target":"{}","action":"jobs/request","effect":"drop"}}"#, PlatformKind::default())))
        .expect("valid");
    faults.add(fault(r#"{"target":"imds","action":"spot/instance-action","effect":"hang"}"#)).expect("valid");
    assert!(faults.hit(call(Target::Platform, "POST /jobs/request", None)).effect.is_some());
    assert!(faults.hit(call(Target::Platform, "GET /projects/:id/jobs", None)).effect.is_none());
    assert!(faults.hit(call(Target::Imds, "/latest/meta-data/spot/instance-action", None)).effect.is_some());
    assert!(faults.hit(call(Target::Imds, "/latest/meta-data/instance-action", None)).effect.is_none());
}

#[test]
fn a_count_is_used_up_and_latency_adds_to_what_follows() {
    let mut faults = Faults::new(1);
    faults.add(fault(r#"{"target":"aws","effect":{"latency":{"ms":20}},"count":2}"#)).expect("valid");
    faults.add(fault(r#"{"target":"aws","effect":{"status":{"code":503}},"count":1}"#)).expect("valid");
    let describe = call(Target::Aws, "DescribeAutoScalingGroups", None);
    assert_eq!(faults.hit(describe), Hit { delay_ms: 20, effect: Some(FaultEffect::Status { code: 503 }) });
    assert_eq!(faults.hit(describe), Hit { delay_ms: 20, effect: None });
    assert_eq!(faults.hit(describe), Hit::default());
    assert!(faults.list().is_empty());
}

#[test]
fn hits_are_counted_for_each_fault() {
    let mut faults = Faults::new(1);
    faults.add(fault(r#"{"target":"aws","effect":{"latency":{"ms":20}}}"#)).expect("valid");
    faults.add(fault(r#"{"target":"aws","action":"X","effect":"throttle"}"#)).expect("valid");
    faults.add(fault(r#"{"target":"aws","effect":"drop"}"#)).expect("valid");
    faults.add(fault(r#"{"target":"cloud","effect":{"stale-describes":{"ms":9}}}"#)).expect("valid");
    faults.add(fault(r#"{"target":"cloud","effect":{"launch-failures":{"message":"full"}}}"#)).expect("valid");
    faults.hit(call(Target::Aws, "X", None));
    faults.hit(call(Target::Aws, "Y", None));
    faults.hit(call(Target::Imds, "X", None));
    faults.count(Injected { stale_describes: 4, failed_launches: 5 });
    let hits: Vec<u64> = faults.list().iter().map(|active| active.hits).collect();
    assert_eq!(hits, [2, 1, 1, 4, 5]);
    let shown = serde_json::to_value(&faults.list()[1]).expect("JSON");
    let expected = serde_json::json!({
        "target": "aws", "action": "X", "effect": "throttle", "probability": 1.0, "hits": 1,
    });
    assert_eq!(shown, expected);
}

#[test]
fn a_probability_comes_from_the_seed() {
    let run = |seed| {
        let mut faults = Faults::new(seed);
        faults.add(fault(r#"{"target":"aws","effect":"throttle","probability":0.5}"#)).expect("valid");
        (0..64).map(|_| faults.hit(call(Target::Aws, "X", None)).effect.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
    let hits = run(7).iter().filter(|hit| **hit).count();
    assert!((16..=48).contains(&hits), "{hits} of 64");
}

#[test]
fn nonsense_is_refused_with_the_remedy() {
    let mut faults = Faults::new(1);
    for (json, remedy) in [
        (r#"{"target":"aws","effect":"throttle","probability":1.5}"#, "at most 1"),
        (r#"{"target":"aws","effect":"throttle","count":0}"#, "leave it out"),
        (r#"{"target":"aws","effect":{"status":{"code":200}}}"#, "from 400 to 599"),
        (r#"{"target":"aws","effect":{"stale-describes":{"ms":5}}}"#, "target cloud"),
        (r#"{"target":"cloud","effect":"drop"}"#, "only"),
        (r#"{"target":"platform","effect":"expire"}"#, "aws, azure and imds"),
        (r#"{"target":"runner","effect":"throttle"}"#, "nothing else"),
        (r#"{"target":"platform","effect":"cancel-request"}"#, "target runner"),
        (r#"{"target":"runner","action":"x","effect":"leave-child"}"#, "leave it out"),
    ] {
        let refusal = faults.add(fault(json)).expect_err(json);
        assert!(refusal.contains(remedy), "{refusal}");
    }
    assert!(serde_json::from_str::<Fault>(r#"{"target":"aws","effect":"throttle","oops":1}"#).is_err());
}

#[test]
fn a_runner_has_the_faults_that_are_for_it() {
    let mut faults = Faults::new(1);
    faults.add(fault(r#"{"target":"runner","effect":"cancel-request","instance":"i-1","count":1}"#)).expect("valid");
    faults.add(fault(r#"{"target":"runner","effect":"patient-abort"}"#)).expect("valid");
    assert!(!faults.hit_runner(&FaultEffect::CancelRequest, Some("i-2")));
    assert!(!faults.hit_runner(&FaultEffect::LeaveChild, Some("i-1")));
    assert!(faults.hit_runner(&FaultEffect::CancelRequest, Some("i-1")));
    assert!(!faults.hit_runner(&FaultEffect::CancelRequest, Some("i-1")), "it is used up");
    assert!(faults.hit_runner(&FaultEffect::PatientAbort, None));
    assert_eq!(faults.list().iter().map(|active| active.hits).collect::<Vec<_>>(), [1]);
}
