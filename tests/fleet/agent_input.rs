//! What the agent makes of bad settings and of a world that refuses it.

use std::path::Path;

use lightsout_localcloud::fleet::JobState;
use serde_json::{Value, json};

use crate::rig::{Fleet, ProgramOutput, agent_field, instance, lightsout, lightsout_command, living, phase};

const GOOD: &str = "[agent]\nboot_deadline = '10s'\n[docker]\nenabled = false\n[platform.gitlab]\nurl = 'http://127.0.0.1:9'\n\
    token = { env = 'RUNNER_TOKEN' }\n";

fn agent(dir: &Path, settings: &str) -> ProgramOutput {
    let file = dir.join("bad.toml");
    let own = format!("state_dir = '{0}/state'\nsocket = '{0}/agent.sock'\n", dir.display());
    std::fs::write(&file, settings.replace("[agent]\n", &format!("[agent]\n{own}"))).expect("the settings are written");
    lightsout_command(dir, "agent run --config")
        .arg(file)
        // Nothing listens there.
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
        .output()
        .expect("it starts")
        .into()
}

#[test]
fn settings_that_cannot_work_are_refused_with_2() {
    let temp = tempfile::tempdir().expect("a directory");
    for (bad, wanted) in [
        (
            GOOD.replace("boot_deadline", "bot_deadline"),
            "agent.bot_deadline is not a setting; did you mean boot_deadline?",
        ),
        (GOOD.replace("'10s'", "10"), "agent.boot_deadline = 10: expected a duration"),
        (GOOD.replace("enabled = false", "enabled = 'no'"), "docker.enabled = \"no\""),
        (GOOD.replace("token = { env = 'RUNNER_TOKEN' }\n", ""), "platform.gitlab.token is missing"),
        (GOOD.replace("url =", "uri ="), "platform.gitlab.uri is not a setting"),
        (GOOD.replace("platform.gitlab", "platform.gitlob"), "platform.gitlob"),
        (GOOD.replace("[agent]\n", "[agent]\nslots = -1\n"), "agent.slots = -1"),
        (GOOD.replace("[docker]", "[docker"), "bad.toml:"),
    ] {
        let output = agent(temp.path(), &bad);
        assert_eq!((output.code, output.out.as_str()), (Some(2), ""), "{bad}: {output:?}");
        assert!(output.err.contains(wanted) && output.err.contains("bad.toml"), "should name {wanted}: {}", output.err);
    }
    let output = lightsout(temp.path(), "agent run --config /no/such/agent.toml");
    assert_eq!(output.code, Some(2));
    assert!(output.err.contains("/no/such/agent.toml"), "{}", output.err);
}

#[test]
fn without_instance_metadata_it_says_so_and_fails_with_1() {
    let temp = tempfile::tempdir().expect("a directory");
    let output = agent(temp.path(), GOOD);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.err.contains("the metadata service did not tell who this instance is within 10s"), "{}", output.err);
}

#[test]
fn without_an_agent_the_orders_say_so() {
    let temp = tempfile::tempdir().expect("a directory");
    for order in ["status", "status --json", "drain", "undrain", "hold 5m"] {
        let (verb, rest) = order.split_once(' ').unwrap_or((order, ""));
        let output = lightsout(temp.path(), &format!("agent {verb} --socket /no/agent.sock {rest}"));
        assert_eq!((output.code, output.out.as_str()), (Some(1), ""), "{order}: {output:?}");
        assert!(
            output.err.contains("no agent answers at /no/agent.sock: is lightsout-agent running"),
            "{order}: {}",
            output.err
        );
    }
    let output = lightsout(temp.path(), "agent hold soon");
    assert_eq!(output.code, Some(2));
    assert!(output.err.contains("write a number with its unit, such as \"90s\""), "{}", output.err);
}

/// A platform that refuses an agent, or a cloud that gives it no secret, is somebody's mistake or somebody's outage. It
/// says which, tries again, and works as soon as it can.
#[test]
fn an_agent_that_is_refused_says_why_and_works_when_it_may() {
    for (fault, wanted) in [
        (
            json!({ "target": "gitlab", "action": "runners/verify", "effect": { "status": { "code": 401 } } }),
            "HTTP 401",
        ),
        (
            json!({ "target": "gitlab", "action": "runners/verify", "effect": { "status": { "code": 404 } } }),
            "HTTP 404",
        ),
        (
            json!({ "target": "gitlab", "action": "runners/verify", "effect": { "status": { "code": 500 } } }),
            "HTTP 500",
        ),
        (json!({ "target": "gitlab", "action": "runners/verify", "effect": "throttle" }), "HTTP 429"),
        (json!({ "target": "gitlab", "action": "runners/verify", "effect": "truncate" }), "nothing is concluded"),
        (
            json!({ "target": "aws", "action": "GetParameter", "effect": { "status": { "code": 500 } } }),
            "ssm:GetParameter",
        ),
    ] {
        let mut fleet = Fleet::up("--jobs 0 --keep --max 1");
        // In force before there is an instance that could be quicker; but the scaler needs its own secret first.
        fleet.until("the scaler's first reading", |fleet| (!fleet.counters.platform.is_empty()).then_some(()));
        fleet.post("faults", &fault);
        let job = fleet.enqueue(1, 0.5)[0];
        let id = fleet.until("an instance", |fleet| living(fleet).next().map(|it| it.id.clone()));
        fleet.until(&format!("the agent to say {wanted}"), |fleet| {
            let it = instance(fleet, &id);
            assert!(it.ended_ms.is_none(), "it gives up at once");
            agent_field(it, "note").contains(wanted).then(|| assert_eq!(phase(it), "registering"))
        });
        fleet.request("DELETE", "faults", &Value::Null).expect("they end");
        assert_eq!(fleet.until_job(job, JobState::Done).instance.as_ref(), Some(&id));
        fleet.until_ended(&id);
        fleet.ok("down");
        fleet.ended().all_done();
    }
}
