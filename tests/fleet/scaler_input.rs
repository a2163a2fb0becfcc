//! What the scaler makes of bad settings and of bad answers: a message that names the culprit and the remedy, the right
//! exit code, and a group that is as it was.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    thread,
};

use serde_json::{Value, json};

use crate::rig::{Fleet, ProgramOutput, http, lightsout, lightsout_command, living};

/// Settings that work with the fleet at `url`.
fn settings(url: &str) -> String {
    format!(
        "[[pool]]\nname = 'linux'\ngroup = 'lightsout-demo'\n[pool.platform.gitlab]\nurl = '{url}'\n\
         token = {{ ssm = '/lightsout/demo/read-token' }}\nprojects = ['lightsout/demo']\nrun_untagged = true\n"
    )
}

/// Runs the scaler with these settings and the cloud at `url`.
fn scaler(dir: &Path, verb: &str, url: &str, settings: &str) -> ProgramOutput {
    let file = dir.join("bad.toml");
    std::fs::write(&file, settings).expect("the settings are written");
    lightsout_command(dir, &format!("scaler {verb} --config"))
        .arg(file)
        .envs([("AWS_ENDPOINT_URL", url), ("AWS_REGION", "eu-central-1"), ("AWS_EC2_METADATA_DISABLED", "true")])
        .envs([("AWS_ACCESS_KEY_ID", "TEST"), ("AWS_SECRET_ACCESS_KEY", "none"), ("NO_PROXY", "127.0.0.1")])
        .output()
        .expect("it starts")
        .into()
}

#[test]
fn settings_that_cannot_work_are_refused_before_any_call() {
    let temp = tempfile::tempdir().expect("a directory");
    // Nothing listens there, and nothing is asked.
    let url = "http://127.0.0.1:9";
    let good = settings(url);
    for (bad, wanted) in [
        (good.replace("group =", "gruop ="), "pool[linux].gruop is not a setting; did you mean group?"),
        (good.replace("'lightsout-demo'", "['lightsout-demo']"), "pool[linux].group"),
        (
            good.replace("[pool.platform.gitlab]", "slots = 'two'\n[pool.platform.gitlab]"),
            "pool[linux].slots = \"two\": expected a whole number",
        ),
        (
            good.replace("token = { ssm = '/lightsout/demo/read-token' }\n", ""),
            "pool[linux].platform.gitlab.token is missing",
        ),
        (good.replace("projects = ['lightsout/demo']\nrun_untagged = true\n", ""), "pool[linux].platform.gitlab"),
        (good.replace("{ ssm =", "{ smm ="), "pool[linux].platform.gitlab.token"),
        (good.replace("http://", "htp://"), "pool[linux].platform.gitlab.url"),
        (good.replace("[[pool]]", "[[pool]"), "bad.toml:1"),
        (format!("{good}{good}"), "linux"),
        (String::new(), "pool"),
    ] {
        for verb in ["once", "check", "watch"] {
            let output = scaler(temp.path(), verb, url, &bad);
            assert_eq!((output.code, output.out.as_str()), (Some(2), ""), "{verb} with {bad}: {output:?}");
            assert!(output.err.contains(wanted), "{verb} should name {wanted}: {}", output.err);
            assert!(output.err.contains("bad.toml"), "the file is named: {}", output.err);
        }
    }
    let output = lightsout(temp.path(), "scaler once --config /no/such/scaler.toml");
    assert_eq!(output.code, Some(2));
    assert!(output.err.contains("/no/such/scaler.toml"), "{}", output.err);
}

#[test]
fn whatever_the_world_answers_nothing_is_lowered_or_ended() {
    let mut fleet = Fleet::up("--jobs 0 --min 1 --max 3 --keep");
    let id = fleet.until_phase("idle");
    let url = fleet.url().to_owned();
    let good = settings(&url);
    let root = tempfile::tempdir().expect("a directory");
    let once = |settings: &str| scaler(root.path(), "once", &url, settings);
    let check = |settings: &str| scaler(root.path(), "check", &url, settings);
    let fails = |output: &ProgramOutput, wanted: &[&str]| {
        assert_eq!(output.code, Some(1), "{output:?}");
        for words in wanted {
            assert!(output.err.contains(words), "should say {words}: {}", output.err);
        }
    };

    assert_eq!(once(&good).code, Some(0), "the settings as such work");
    let output = check(&good);
    assert!(
        output.code == Some(0) && output.out.starts_with("linux: ok (group lightsout-demo from 1 to 3, desired 1"),
        "{output:?}"
    );

    // What the settings point to is not there.
    let output = once(&good.replace("'lightsout-demo'", "'lightsout-prod'"));
    fails(&output, &["1 of 1 pools failed", "linux: ", "lightsout-prod"]);
    fails(
        &once(&good.replace("lightsout/demo'", "lightsout/gone'")),
        &["lightsout/gone", "HTTP 404", "correct its name"],
    );
    fails(&once(&good.replace("read-token", "no-token")), &["/lightsout/demo/no-token", "ssm:GetParameter"]);
    fails(
        &once(&good.replace("ssm = '/lightsout/demo/read-token'", "env = 'NO_SUCH_TOKEN'")),
        &["NO_SUCH_TOKEN", "set it"],
    );
    let wrong = good.replace("{ ssm = '/lightsout/demo/read-token' }", "{ env = 'USER_TOKEN' }");
    let output = ProgramOutput::from(
        lightsout_command(root.path(), "scaler once --config")
            .arg({
                std::fs::write(root.path().join("bad.toml"), wrong).expect("written");
                root.path().join("bad.toml")
            })
            .envs([
                ("AWS_ENDPOINT_URL", url.as_str()),
                ("AWS_REGION", "eu-central-1"),
                ("USER_TOKEN", "glpat-very-wrong"),
            ])
            .envs([("AWS_ACCESS_KEY_ID", "TEST"), ("AWS_SECRET_ACCESS_KEY", "none")])
            .output()
            .expect("it starts"),
    );
    fails(&output, &["HTTP 401", "read_api", &url]);
    assert!(
        !output.err.contains("glpat-very-wrong") && !output.out.contains("glpat-very-wrong"),
        "no secret is printed: {output:?}"
    );
    fails(
        &once(&good.replace(&format!("url = '{url}'"), "url = 'http://127.0.0.1:9'")),
        &["http://127.0.0.1:9", "check the address"],
    );

    // The platform and the cloud in trouble.
    for (target, effect, wanted) in [
        ("gitlab", json!({ "status": { "code": 401 } }), "HTTP 401"),
        ("gitlab", json!({ "status": { "code": 403 } }), "HTTP 403"),
        ("gitlab", json!({ "status": { "code": 404 } }), "HTTP 404"),
        ("gitlab", json!("throttle"), "HTTP 429"),
        ("gitlab", json!({ "status": { "code": 500 } }), "HTTP 500"),
        ("gitlab", json!({ "status": { "code": 502 } }), "HTTP 502"),
        ("gitlab", json!("truncate"), "nothing is concluded"),
        ("gitlab", json!("drop"), &url),
        ("gitlab", json!("reset"), &url),
        ("aws", json!({ "status": { "code": 403 } }), "linux: "),
        ("aws", json!({ "status": { "code": 500 } }), "linux: "),
        ("aws", json!("expire"), "linux: "),
        ("aws", json!("throttle"), "linux: "),
        ("aws", json!("truncate"), "linux: "),
        ("aws", json!("drop"), "linux: "),
    ] {
        fleet.post("faults", &json!({ "target": target, "effect": effect }));
        let output = once(&good);
        assert_eq!(output.code, Some(1), "{target} {effect}: {output:?}");
        assert!(output.err.contains(wanted), "{target} {effect} should say {wanted}: {}", output.err);
        assert!(output.err.contains("1 of 1 pools failed:\n  linux: "), "{target} {effect}: {}", output.err);
        fleet.request("DELETE", "faults", &Value::Null).expect("they end");
    }

    // Answers that are no answers.
    let huge = format!("[{}1]", "1,".repeat(5 << 20));
    for (body, wanted) in [
        (huge.as_str(), "longer than 4194304 bytes"),
        ("<!DOCTYPE html><html><body>Sign in</body></html>", "a web page came instead of JSON"),
        ("{\"count\":\"many\"}", "nothing is concluded"),
        ("", "nothing is concluded"),
    ] {
        let strange = serve(body);
        let output = once(&good.replace(&format!("url = '{url}'"), &format!("url = '{strange}'")));
        fails(&output, &[wanted, &strange]);
        assert!(output.err.len() < 4096, "the message stays readable: {} bytes", output.err.len());
    }

    let snapshot = fleet.snapshot();
    assert_eq!(
        living(&snapshot).map(|it| it.id.as_str()).collect::<Vec<_>>(),
        [id.as_str()],
        "nothing was ended or launched"
    );
    assert_eq!(snapshot.groups[0].desired, 1);
    fleet.ok("down");
    let ended = fleet.ended();
    ended.well();
    assert_eq!(ended.desired().into_iter().filter(|desired| *desired != 1).count(), 0, "{:?}", ended.desired());
}

/// One pool that cannot work does not keep the others from working.
#[test]
fn a_broken_pool_harms_only_itself() {
    let mut fleet = Fleet::up("--jobs 0 --max 2 --keep");
    let url = fleet.url().to_owned();
    let root = tempfile::tempdir().expect("a directory");
    let both = format!(
        "{}{}",
        settings(&url),
        settings(&url).replace("'linux'", "'broken'").replace("'lightsout-demo'", "'lightsout-gone'")
    );
    fleet.enqueue(1, 2.0);
    let output = scaler(root.path(), "once --format json", &url, &both);
    assert_eq!(output.code, Some(1), "{output:?}");
    let said: Option<Value> = output.err.lines().last().and_then(|line| serde_json::from_str(line).ok());
    let said = said.unwrap_or_else(|| panic!("its last line is one of a log in JSON: {}", output.err));
    let message = said["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("1 of 2 pools failed:\n  broken: "), "{said}");
    let results: Vec<Value> = output.out.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    let of = |name: &str| results.iter().find(|record| record["pool"] == name).expect("a record of the pool");
    assert_eq!(of("broken")["result"], "failed");
    assert!(of("linux")["result"] == "raised" || of("linux")["result"] == "held", "{results:?}");
    fleet.until("the job to be done", |fleet| (fleet.queue.done == 1).then_some(()));
    fleet.until("the instance to end", |fleet| living(fleet).next().is_none().then_some(()));
    fleet.ok("down");
    fleet.ended().all_done();
}

/// Answers everything with this body.
fn serve(body: &str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            // Whoever has seen enough hangs up.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

/// The rig itself: an unknown path of the control API is an error, and no test takes it for success.
#[test]
fn the_control_api_refuses_what_it_does_not_know() {
    let fleet = Fleet::up("--jobs 0 --keep");
    let refused = fleet.request("POST", "instances/i-1/crash", &json!({})).expect_err("no such instance");
    assert!(refused.contains("no instance i-1"), "{refused}");
    assert!(fleet.request("POST", "faults", &json!({ "target": "moon" })).is_err());
    assert!(http::json("GET", &format!("{}/_lightsout/nowhere", fleet.url()), &Value::Null).is_err());
    fleet.ok("down");
    fleet.ended().well();
}
