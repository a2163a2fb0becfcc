//! What tells that a StackGuardian task runs on this machine.

use lightsout_core::{
    activity::Activity,
    exchange::{Call, ExchangeStep, Reply},
    platform::{
        Probe, RunnerPlatform, Selection,
        stackguardian::{StackGuardianRunner, StackGuardianRunnerSettings},
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    exchange::{host, reply, script},
    stackguardian_queue::group,
    stackguardian_runner::{done, listed, ok, open, play, registered, runner, settings, unlisted},
    wild::any_json,
};

/// What the two probes that ask say: the ECS agent's introspection, and StackGuardian's counts.
fn ask_probes(runner: &StackGuardianRunner) -> (Call<Activity>, Call<Activity>) {
    let mut probes = runner.probes(&host()).into_iter();
    let Some(Probe::Containers(Selection { labels, except, job_label })) = probes.next() else { panic!("containers") };
    assert_eq!(labels, [("com.amazonaws.ecs.task-arn".to_owned(), None)]);
    assert_eq!(except, ["ecs-agent", "fluentbit-agent"]);
    assert_eq!(job_label.as_deref(), Some("com.amazonaws.ecs.task-arn"));
    let (Some(Probe::Runner(introspection)), Some(Probe::Call(counts)), None) =
        (probes.next(), probes.next(), probes.next())
    else {
        panic!("other probes")
    };
    (introspection, counts)
}

fn counted(journal: &str, replies: impl IntoIterator<Item = Reply>) -> Activity {
    play(&mut ask_probes(&runner()).1, journal, replies).0.expect("a probe answers what it sees")
}

fn introspected(answer: Reply) -> Activity {
    script(&mut *ask_probes(&runner()).0, [answer]).0.expect("a probe answers what it sees")
}

#[test]
fn stackguardians_counts_see_what_docker_does_not_see_yet() {
    assert_eq!(counted(&registered(), [listed("ACTIVE", 0, 0)]), Activity::Quiet);
    assert_eq!(counted(&registered(), [listed("ACTIVE", 0, 1)]), Activity::busy("stackguardian-tasks=1"));
    assert_eq!(counted(&registered(), [listed("DRAINING", 2, 1)]), Activity::busy("stackguardian-tasks=3"));
    for answer in [
        unlisted(),
        reply(401, &[], ""),
        reply(503, &[], ""),
        reply(200, &[], "<html>"),
        ok(&json!({"msg": null})),
        ok(&json!({})),
    ] {
        assert!(matches!(counted(&registered(), [answer.clone()]), Activity::Unknown(_)), "{answer:?}");
    }
    assert!(matches!(counted("begin i-0abc\n", []), Activity::Unknown(why) if why.contains("under way")));
    // Nothing of ours is there that could get a task.
    assert_eq!(counted("", []), Activity::Quiet);
    assert_eq!(counted("begin i-0abc\nfailed x\n", []), Activity::Quiet);
    assert_eq!(counted(&format!("{}gone\n", registered()), [unlisted()]), Activity::Quiet);
    assert_eq!(
        counted(&format!("{}gone\n", registered()), [listed("ACTIVE", 1, 0)]),
        Activity::busy("stackguardian-tasks=1")
    );
}

#[test]
fn a_busy_machine_asks_stackguardian_only_now_and_then_and_a_quiet_one_each_time() {
    let runner = runner();
    let mut counts = ask_probes(&runner).1;
    let busy = Ok(Activity::busy("stackguardian-tasks=1"));
    for round in 0..3 {
        assert_eq!(play(&mut counts, &registered(), [listed("ACTIVE", 1, 0)]).0, busy, "round {round}");
        for _ in 1..15 {
            let ExchangeStep::Done(remembered) = counts.start() else { panic!("asked again") };
            assert_eq!(remembered, busy);
        }
    }
    for _ in 0..3 {
        assert_eq!(
            play(&mut counts, &registered(), [listed("ACTIVE", 0, 0)]).0,
            Ok(Activity::Quiet),
            "never from memory"
        );
    }
    play(&mut counts, &registered(), [listed("ACTIVE", 1, 0)]).0.expect("busy");
    let mut call = runner.drain_call(&host());
    play(&mut call, &registered(), [done(), listed("DRAINING", 0, 0), listed("DRAINING", 0, 0)]).0.expect("drained");
    assert_eq!(
        play(&mut counts, &registered(), [listed("DRAINING", 0, 0)]).0,
        Ok(Activity::Quiet),
        "a drain makes it ask"
    );
}

fn task(arn: &str, known: &str) -> Value {
    json!({"Arn": arn, "DesiredStatus": "RUNNING", "KnownStatus": known, "Family": "sg", "Version": "3", "Containers": []})
}

#[test]
fn the_ecs_agent_tells_its_tasks_and_stopped_ones_are_none() {
    let (mut probe, _) = ask_probes(&runner());
    let (_, requests) = script(&mut *probe, [ok(&json!({"Tasks": []}))]);
    assert_eq!(requests[0].url, "http://localhost:51678/v1/tasks");
    assert_eq!(introspected(ok(&json!({"Tasks": []}))), Activity::Quiet);
    assert_eq!(introspected(ok(&json!({"Tasks": [task("arn:1", "STOPPED")]}))), Activity::Quiet);
    for status in ["RUNNING", "NONE", "PENDING", "CREATED", "stopped", ""] {
        let tasks = json!({"Tasks": [task("arn:1", "STOPPED"), task("arn:2", status)]});
        assert_eq!(introspected(ok(&tasks)), Activity::busy("arn:2"), "{status}");
    }
    let keyless = json!({"Tasks": [{"Arn": "arn:1"}]});
    for body in [
        json!({"Tasks": null}),
        json!({}),
        Value::Null,
        json!([]),
        keyless,
        json!({"Tasks": [{"KnownStatus": "RUNNING"}]}),
        json!({"Tasks": [null]}),
    ] {
        assert!(matches!(introspected(ok(&body)), Activity::Unknown(_)), "{body}");
    }
    for answer in
        [reply(404, &[], "{}"), reply(500, &[], ""), reply(200, &[], "<html>"), reply(200, &[], r#"{"Tasks":["#)]
    {
        assert!(matches!(introspected(answer), Activity::Unknown(_)));
    }
    let without = open(StackGuardianRunnerSettings { introspection: None, ..settings() });
    assert!(matches!(&without.probes(&host())[..], [Probe::Containers(_), Probe::Call(_)]));
}

const WORDS: &[&str] =
    &["msg", "ContainerInstances", "runningTasksCount", "pendingTasksCount", "Tasks", "KnownStatus", "Arn"];

proptest! {
    #[test]
    fn arbitrary_answers_are_never_quiet(status in prop_oneof![Just(200), any::<u16>()], bytes: Vec<u8>, value in any_json(WORDS), json: bool) {
        let answer = Reply { body: if json { value.to_string().into_bytes() } else { bytes }, ..reply(status, &[], "") };
        // No document that is made of these words holds our runner's id.
        prop_assert!(matches!(counted(&registered(), [answer.clone()]), Activity::Unknown(_)));
        prop_assert!(introspected(answer) != Activity::Quiet || value["Tasks"].is_array());
    }

    #[test]
    fn a_member_with_anything_in_it_is_quiet_only_with_two_zeros(one in any_json(WORDS)) {
        let mut one = one;
        if let Some(object) = one.as_object_mut() {
            object.insert("runnerId".to_owned(), json!("r-1"));
        }
        let zeros = one["runningTasksCount"] == 0 && one["pendingTasksCount"] == 0;
        let seen = counted(&registered(), [ok(&group(0, std::slice::from_ref(&one)))]);
        prop_assert_eq!(seen == Activity::Quiet, zeros, "{}", one);
    }

    #[test]
    fn a_task_with_anything_in_it_is_quiet_only_when_it_stopped(one in any_json(WORDS), known in prop::sample::select(vec!["STOPPED", "RUNNING"])) {
        let mut one = one;
        if let Some(object) = one.as_object_mut() {
            object.insert("KnownStatus".to_owned(), json!(known));
        }
        let quiet = introspected(ok(&json!({"Tasks": [one.clone()]}))) == Activity::Quiet;
        prop_assert_eq!(quiet, one.is_object() && known == "STOPPED", "{}", one);
    }
}
