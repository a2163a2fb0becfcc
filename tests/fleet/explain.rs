//! Why: each situation is made, `lightsout explain` is asked, and the sentence names the cause.

mod answers;
mod ends;
mod scaler;
mod stays;

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use lightsout_localcloud::fleet::JobState;
use serde_json::{Value, json};

use crate::rig::{Fleet, Home, hits, http, lightsout_command, living};

const POOL: &str = "lightsout-demo";
const NO_CAPACITY: &str =
    "We currently do not have sufficient c7i.large capacity in the Availability Zone you requested (eu-central-1a).";
const QUOTA: &str =
    "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket.";
const KEY: &str = "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: \
                   Client.InternalError: Client error on launch";

const NO_GROUP: &str = "The security group 'sg-0f1e2d3c' does not exist. Launching EC2 instance failed.";

/// What is answered about this name.
fn ask(fleet: &Fleet, arguments: &str) -> Value {
    let output = fleet.lightsout(&format!("explain {arguments} --json"));
    serde_json::from_str(&output.out).unwrap_or_else(|_| json!({ "error": output.err }))
}

/// The finding with this cause, if it is among them; each rests on evidence and says what to do.
fn finding<'a>(answer: &'a Value, cause: &str) -> Option<&'a Value> {
    let known = answer["known"].as_array()?;
    for finding in known {
        assert!(!finding["evidence"].as_array().unwrap().is_empty() && finding["do"] != "", "{finding}");
        assert!(finding["evidence"][0]["time"].as_str().unwrap().ends_with('Z'), "{finding}");
    }
    known.iter().find(|finding| finding["cause"] == cause)
}

/// Asks until this cause is named, and none of these.
pub(crate) fn until_named(fleet: &mut Fleet, arguments: &str, cause: &str, not: &[&str]) -> String {
    let answer = fleet.wait(&format!("{arguments} to be explained by {cause}"), |fleet| {
        let answer = ask(fleet, arguments);
        finding(&answer, cause).is_some().then_some(answer)
    });
    for other in not {
        assert!(finding(&answer, other).is_none(), "{other} is not so: {answer:#}");
    }
    let found = finding(&answer, cause).unwrap();
    ["text", "do"].map(|part| found[part].as_str().unwrap_or_default()).join("\n")
}

/// A fleet whose agents have these settings besides.
fn with_agents(arguments: &str, settings: &str) -> Fleet {
    let home = Home::new();
    let file = home.root().join("more.toml");
    fs::write(&file, settings).expect("it is written");
    home.up(&format!("--agent-settings {} {arguments}", file.display()))
}

/// Another scaler for the fleet's group, whose records are in a file. The fleet's own is too slow to be in its way.
struct Scaler {
    process: Child,
    records: PathBuf,
}

/// How many there were, so that each has files of its own.
static OWN: AtomicU32 = AtomicU32::new(0);

impl Scaler {
    /// One of the embedded GitLab.
    fn watch(fleet: &Fleet, pool: &str, platform: &str) -> Self {
        Self::start(fleet, "", &Self::gitlab(fleet, pool, platform))
    }

    /// The settings of one.
    fn gitlab(fleet: &Fleet, pool: &str, platform: &str) -> String {
        let url = fleet.url();
        format!(
            "[[pool]]\nname = 'own'\ngroup = '{POOL}'\n{pool}\n[pool.platform.gitlab]\nurl = '{url}'\nrun_untagged = true\n{platform}\n"
        )
    }

    /// Starts it with these settings.
    fn start(fleet: &Fleet, arguments: &str, settings: &str) -> Self {
        let (url, own) = (fleet.url(), fleet.dir().join(format!("own-{}", OWN.fetch_add(1, Ordering::Relaxed))));
        let (file, records) = (own.with_extension("toml"), own.with_extension("jsonl"));
        fs::write(&file, settings).expect("it is written");
        let arguments = format!("scaler watch --tick 1s --log-format json {arguments} --config");
        let mut command: Command = lightsout_command(&fleet.dir(), &arguments);
        let process = command
            .arg(file)
            .envs([("AWS_ENDPOINT_URL", url), ("AWS_REGION", "eu-central-1"), ("AWS_EC2_METADATA_DISABLED", "true")])
            .envs([("AWS_ACCESS_KEY_ID", "OWN"), ("AWS_SECRET_ACCESS_KEY", "none"), ("NO_TOKEN", "glpat-expired")])
            .stdout(fs::File::create(&records).expect("a file"))
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        Self { process, records }
    }

    /// What to ask for.
    fn pool(&self) -> String {
        format!("own --records {}", self.records.display())
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const TOKEN: &str = "token = { ssm = '/lightsout/demo/read-token' }\nprojects = ['lightsout/demo']";

fn launches_fail(fleet: &Fleet, message: &str) {
    fleet.request("DELETE", "faults", &Value::Null).expect("they end");
    fleet.post("faults", &json!({ "target": "cloud", "effect": { "launch-failures": { "message": message } } }));
}

/// Calls Auto Scaling, as an operator's client does.
fn aws(fleet: &Fleet, call: &str) {
    let form = format!("Version=2011-01-01&Action={call}");
    let (status, body) =
        http::send("POST", fleet.url(), "application/x-www-form-urlencoded", &form).expect("an answer");
    assert_eq!(status, 200, "{body}");
}

fn end(fleet: Fleet) {
    fleet.request("DELETE", "faults", &Value::Null).expect("they end");
    fleet.ok("down");
    fleet.ended();
}

#[test]
fn no_capacity_a_quota_and_a_key_are_told_apart_and_from_the_maximum() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 4 --job-duration 60s");
    launches_fail(&fleet, NO_CAPACITY);
    fleet.enqueue(1, 60.0);
    // Without another raise: the group's history is looked at because nothing comes of the first.
    let text = until_named(&mut fleet, POOL, "no-capacity", &["quota", "key", "at-most", "futile-demand"]);
    assert!(text.contains(NO_CAPACITY), "{text}");
    for (message, cause, not) in
        [(QUOTA, "quota", "key"), (KEY, "key", "at-most"), (NO_GROUP, "launch-fails", "at-most")]
    {
        launches_fail(&fleet, message);
        let effect = json!({ "launch-failures": { "message": message } });
        fleet.wait("a launch to fail", |fleet| (hits(fleet, &effect) > 0).then_some(()));
        fleet.enqueue(1, 60.0);
        until_named(&mut fleet, POOL, cause, &[not]);
    }
    fleet.request("DELETE", "faults", &Value::Null).expect("they end");
    fleet.enqueue(5, 60.0);
    fleet.until("all to serve", |fleet| (fleet.groups[0].in_service == 4).then_some(()));
    // Once their agents are heard of, what failed before is past.
    fleet.wait("the maximum to be all that is named", |fleet| {
        let answer = ask(fleet, POOL);
        let causes: Vec<_> = answer["known"].as_array()?.iter().map(|finding| finding["cause"].clone()).collect();
        (causes == ["at-most"]).then_some(())
    });
    // The same from the group's history alone, as the vendor's client prints it.
    let history = fleet.request("GET", "activities", &Value::Null).expect("a history");
    let failed = history["Activities"].as_array().unwrap().iter().filter(|it| it["StatusCode"] == "Failed").count();
    assert!(failed >= 4, "{history:#}");
    end(fleet);
}

#[test]
fn jobs_that_nobody_takes_are_told_from_members_that_are_deaf_and_from_a_partial_reading() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 2 --idle-timeout 2s --tick 1s");
    // The platform holds the jobs back, so that runners get none.
    fleet.post(
        "faults",
        &json!({ "target": "gitlab", "action": "jobs/request", "effect": { "status": { "code": 503 } } }),
    );
    fleet.enqueue(1, 1.0);
    let text =
        until_named(&mut fleet, POOL, "futile-demand", &["deaf-member", "partial-reading", "at-most", "no-capacity"]);
    assert!(text.contains("in vain"), "{text}");
    until_named(&mut fleet, POOL, "tag-mismatch", &["breaking", "deaf-member"]);
    end(fleet);

    let mut fleet = Fleet::up("--jobs 0 --keep --max 3 --tick 1h --min 1");
    let id = fleet.until_phase("idle");
    fleet.ok(&format!("agent hold --socket {} 10m", fleet.socket(&id).display()));
    fleet.post(
        "faults",
        &json!({ "target": "gitlab", "action": "jobs/request", "effect": { "status": { "code": 503 } } }),
    );
    fleet.enqueue(1, 1.0);
    // One that is ready and gets no job is not deaf. One whose agent never was ready is.
    let scaler = Scaler::watch(&fleet, "silent_after = '5s'", TOKEN);
    let text = until_named(&mut fleet, &scaler.pool(), "futile-demand", &["deaf-member", "partial-reading", "at-most"]);
    assert!(text.contains("1 instances of own have been ready"), "{text}");
    drop(scaler);
    fleet.post(
        "faults",
        &json!({ "target": "gitlab", "action": "runners/verify", "effect": { "status": { "code": 500 } } }),
    );
    aws(&fleet, "SetDesiredCapacity&AutoScalingGroupName=lightsout-demo&DesiredCapacity=2");
    fleet.until("the other to be in service", |fleet| (fleet.groups[0].in_service == 2).then_some(()));
    let scaler = Scaler::watch(&fleet, "silent_after = '5s'", TOKEN);
    until_named(&mut fleet, &scaler.pool(), "deaf-member", &["partial-reading", "at-most"]);
    drop(scaler);
    let projects = "token = { ssm = '/lightsout/demo/read-token' }\nprojects = ['lightsout/demo', 'lightsout/gone']";
    let scaler = Scaler::watch(&fleet, "", projects);
    let text = until_named(&mut fleet, &scaler.pool(), "partial-reading", &["futile-demand", "deaf-member"]);
    assert!(text.contains("lightsout/gone"), "{text}");
    until_named(&mut fleet, &scaler.pool(), "enough", &["at-most", "raised"]);
    drop(scaler);
    until_named(&mut fleet, &id, "held", &["busy", "unknown-probe"]);
    end(fleet);
}

#[test]
fn a_token_that_has_expired_a_cooldown_a_step_and_a_bound_of_the_pool_are_named() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 5 --tick 1h --idle-timeout 10m");
    let scaler = Scaler::watch(&fleet, "", "token = { env = 'NO_TOKEN' }\nprojects = ['lightsout/demo']");
    let text = until_named(&mut fleet, &scaler.pool(), "token-refused", &["partial-reading", "tick-failed"]);
    assert!(text.contains("HTTP 401"), "{text}");
    drop(scaler);
    let scaler = Scaler::watch(&fleet, "cooldown = '10m'", TOKEN);
    until_named(&mut fleet, &scaler.pool(), "nothing-waits", &[]);
    fleet.enqueue(1, 60.0);
    until_named(&mut fleet, &scaler.pool(), "raised", &["cooldown"]);
    fleet.enqueue(3, 60.0);
    until_named(&mut fleet, &scaler.pool(), "cooldown", &["at-most", "futile-demand"]);
    drop(scaler);
    let scaler = Scaler::watch(&fleet, "max = 1", TOKEN);
    until_named(&mut fleet, &scaler.pool(), "at-most", &["cooldown", "no-capacity"]);
    drop(scaler);
    let scaler = Scaler::watch(&fleet, "threshold = 9", TOKEN);
    until_named(&mut fleet, &scaler.pool(), "threshold", &["cooldown", "at-most"]);
    end(fleet);
}

#[test]
fn a_job_with_a_tag_that_the_pool_does_not_have_is_named() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 2");
    fleet.ok("enqueue --tags gpu");
    let text = until_named(&mut fleet, "1001", "tag-mismatch", &["at-most", "futile-demand"]);
    assert!(text.contains("job 1001 waits and asks for gpu"), "{text}");
    until_named(&mut fleet, POOL, "tag-mismatch", &["at-most"]);
    let job = fleet.enqueue(1, 30.0)[0];
    let on = fleet.until_job(job, JobState::Running).instance.unwrap();
    until_named(&mut fleet, &job.to_string(), "running", &["waiting"]);
    until_named(&mut fleet, &on, "busy", &["idle", "unknown-probe"]);
    let nobody = fleet.lightsout("explain nobody");
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert!(nobody.err.contains("nothing here is called `nobody`") && nobody.err.contains(POOL), "{nobody:?}");
    assert_eq!(fleet.lightsout("explain x --at noon").code, Some(2));
    end(fleet);
}

#[test]
fn an_instance_that_never_registers_says_so_until_its_deadline_and_after() {
    let settings = "[agent]\nboot_deadline = '6s'\n";
    for (code, cause) in [(401, "token-refused"), (500, "not-registered")] {
        let mut fleet = with_agents("--jobs 0 --keep --max 1", settings);
        fleet.until("the scaler's first reading", |fleet| (!fleet.counters.platform.is_empty()).then_some(()));
        fleet.post(
            "faults",
            &json!({ "target": "gitlab", "action": "runners/verify", "effect": { "status": { "code": code } } }),
        );
        fleet.enqueue(1, 0.5);
        let id = fleet.until("an instance", |fleet| living(fleet).next().map(|it| it.id.clone()));
        let text = until_named(&mut fleet, &id, cause, &["busy", "idle-timeout"]);
        assert!(text.contains(&format!("HTTP {code}")), "{text}");
        until_named(&mut fleet, POOL, cause, &["futile-demand", "no-capacity"]);
        until_named(&mut fleet, &id, "boot-deadline", &["idle-timeout", "broken", "before-register"]);
        until_named(&mut fleet, &id, cause, &[]);
        until_named(&mut fleet, POOL, "breaking", &["tag-mismatch", "no-capacity"]);
        end(fleet);
    }
}

#[test]
fn an_operator_a_notice_a_refresh_and_idleness_are_told_apart() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 1 --idle-timeout 3s");
    let leaves = |fleet: &mut Fleet, cause: &str, not: &[&str], order: &dyn Fn(&Fleet, &str)| {
        fleet.enqueue(1, 0.5);
        let id = fleet.until("an instance that serves", |fleet| {
            let it = living(fleet).find(|it| matches!(crate::rig::phase(it), "idle" | "busy"))?;
            Some(it.id.clone())
        });
        order(fleet, &id);
        fleet.until_ended(&id);
        let text = until_named(fleet, &id, cause, not);
        assert!(text.starts_with(&id), "{text}");
    };
    leaves(&mut fleet, "idle-timeout", &["operator", "spot", "scale-in"], &|_, _| {});
    leaves(&mut fleet, "operator", &["idle-timeout", "spot"], &|fleet, id| {
        fleet.ok(&format!("agent drain --socket {}", fleet.socket(id).display()));
    });
    leaves(&mut fleet, "spot", &["operator", "scale-in", "idle-timeout"], &|fleet, id| {
        fleet.ok(&format!("interrupt {id} --in 60s"));
    });
    leaves(&mut fleet, "rebalance", &["spot", "operator"], &|fleet, id| {
        fleet.ok(&format!("rebalance {id}"));
    });
    leaves(&mut fleet, "refresh", &["spot", "operator", "idle-timeout"], &|fleet, _| {
        fleet.ok("refresh");
    });
    end(fleet);
}

#[test]
fn a_probe_that_cannot_be_read_and_a_hook_that_cannot_be_held_are_named() {
    let mut fleet =
        with_agents("--jobs 0 --keep --max 1 --no-docker", "[docker]\nenabled = true\nsocket = '/no/engine.sock'\n");
    fleet.enqueue(1, 0.5);
    let id = fleet.until_phase("busy");
    let text = until_named(&mut fleet, &id, "unknown-probe", &["busy", "idle", "held"]);
    assert!(text.contains("counts as busy"), "{text}");
    end(fleet);

    let mut fleet = Fleet::up("--jobs 0 --keep --max 1");
    fleet.post(
        "faults",
        &json!({ "target": "aws", "action": "RecordLifecycleActionHeartbeat", "effect": { "status": { "code": 500 } } }),
    );
    let job = fleet.enqueue(1, 60.0)[0];
    let id = fleet.until_job(job, JobState::Running).instance.unwrap();
    fleet.ok("refresh");
    until_named(&mut fleet, &id, "hook-fails", &["hook-timed-out"]);
    let text = until_named(&mut fleet, &id, "draining", &["idle", "spot"]);
    assert!(text.contains("scale-in") && text.contains("still run"), "{text}");
    until_named(&mut fleet, &id, "refresh", &["spot", "operator"]);
    end(fleet);
}
