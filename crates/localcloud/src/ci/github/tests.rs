//! The embedded GitHub: requests and time in, responses out.

use serde_json::{Value, json};

use super::{
    GitHubOptions, KIND,
    testing::{USER, access_token, jwt, registration_token},
};
use crate::{
    ci::{
        testing::{Bench, INSTANCE, URL, body, later},
        webhook::{Webhook, WebhookAuth},
    },
    digest::hmac_sha256,
    fleet::JobState,
    http::Response,
};

fn bench() -> Bench {
    Bench::new(KIND)
}

fn get(bench: &mut Bench, target: &str) -> Response {
    bench.call("GET", target, &USER, "")
}

fn jit(bench: &mut Bench, name: &str, labels: &[&str]) -> Response {
    let order = json!({"name": name, "runner_group_id": 1, "labels": labels, "work_folder": "_work"});
    bench.json("POST", "/orgs/lightsout/actions/runners/generate-jitconfig", &USER, &order)
}

/// A runner's number at GitHub, and its connection.
fn jit_runner(bench: &mut Bench) -> (u64, String) {
    let made = body(&jit(bench, INSTANCE, &["self-hosted", "linux"]));
    let blob = made["encoded_jit_config"].as_str().expect("a blob").to_owned();
    (made["runner"]["id"].as_u64().expect("an id"), bench.connect(&blob, &json!({})))
}

#[test]
fn runs_and_jobs_are_listed_in_pages() {
    let mut bench = bench();
    bench.enqueue(5, &["linux"]);
    bench.enqueue(1, &["gpu"]);
    let (_, runner) = jit_runner(&mut bench);
    bench.take(&runner);
    let ids = |response: &Response, key: &str| -> Vec<u64> {
        body(response)[key].as_array().expect("a list").iter().map(|item| item["id"].as_u64().expect("an id")).collect()
    };
    let runs = |bench: &mut Bench, status: &str| {
        ids(&get(bench, &format!("/repos/lightsout/demo/actions/runs?status={status}&per_page=100")), "workflow_runs")
    };
    assert_eq!((runs(&mut bench, "queued"), runs(&mut bench, "in_progress")), (vec![30_001_006], vec![30_001_001]));
    let first = get(&mut bench, "/repos/lightsout/demo/actions/runs/30001001/jobs?filter=latest&per_page=2");
    assert_eq!((ids(&first, "jobs"), &body(&first)["total_count"]), (vec![1001, 1002], &json!(5)));
    let job = body(&first)["jobs"][0].clone();
    assert_eq!(
        (&job["status"], &job["labels"], &job["runner_name"]),
        (&json!("in_progress"), &json!(["self-hosted", "linux"]), &json!(INSTANCE))
    );
    let link = first.get("link").expect("links").to_owned();
    assert!(link.contains("rel=\"last\"") && !link.contains("rel=\"first\""), "{link}");
    let next = link.split_once('>').expect("a link").0.strip_prefix(&format!("<{URL}")).expect("our own").to_owned();
    assert_eq!(ids(&get(&mut bench, &next), "jobs"), [1003, 1004]);
    let last = get(&mut bench, "/repos/lightsout/demo/actions/runs/30001001/jobs?per_page=2&page=3");
    assert!(!last.get("link").expect("links").contains("next"));
    assert_eq!(get(&mut bench, "/repos/lightsout/demo/actions/runs/1/jobs").status, 404);
    assert_eq!(get(&mut bench, "/repos/lightsout/none/actions/runs").status, 404);
    let listed = body(&get(&mut bench, "/api/v3/orgs/lightsout/repos"));
    assert_eq!(listed[0]["full_name"], "lightsout/demo", "GitHub Enterprise Server has its own prefix");
}

#[test]
fn what_did_not_change_is_free() {
    let options = GitHubOptions { requests_per_hour: 2, ..GitHubOptions::default() };
    let mut bench = Bench::with(options);
    let target = "/repos/lightsout/demo/actions/runs?status=queued";
    let first = get(&mut bench, target);
    assert_eq!(first.get("x-ratelimit-remaining"), Some("1"));
    let tag = first.get("etag").expect("a tag").to_owned();
    let headers = [USER[0], USER[1], ("if-none-match", tag.as_str())];
    let same = bench.call("GET", target, &headers, "");
    assert_eq!((same.status, same.get("x-ratelimit-remaining")), (304, Some("1")));
    assert_eq!(get(&mut bench, target).status, 200);
    let refused = get(&mut bench, target);
    assert_eq!((refused.status, refused.get("x-ratelimit-remaining")), (403, Some("0")));
    bench.now = later(3600);
    assert_eq!(get(&mut bench, target).status, 200);
}

#[test]
fn tokens_are_checked() {
    let mut bench = bench();
    let target = "/orgs/lightsout/actions/runners";
    assert_eq!(bench.call("GET", target, &[("authorization", "Bearer x"), USER[1]], "").status, 401);
    assert_eq!(bench.call("GET", target, &[USER[1]], "").status, 401);
    assert_eq!(bench.call("GET", target, &[USER[0]], "").status, 403, "a user agent is mandatory");
    let token = format!("Bearer {}", access_token(&mut bench));
    let headers = [("authorization", token.as_str()), USER[1]];
    assert_eq!(bench.call("GET", target, &headers, "").status, 200);
    assert_eq!(bench.call("GET", "/orgs/other/actions/runners", &headers, "").status, 404);
    bench.now = later(3600);
    assert_eq!(bench.call("GET", target, &headers, "").status, 401, "it is good for an hour");
}

#[test]
fn an_apps_jwt_must_look_right() {
    let mut bench = bench();
    let now = bench.now.0 / 1000;
    let good = json!({"iat": now - 60, "exp": now + 540, "iss": 4711});
    let rs256 = json!({"alg": "RS256"});
    let with = |key: &str, value: Value| {
        let mut claims = good.clone();
        claims[key] = value;
        jwt(&rs256, &claims)
    };
    let mut status = |jwt: &str, installation: u64| {
        let bearer = format!("Bearer {jwt}");
        let target = format!("/app/installations/{installation}/access_tokens");
        bench.call("POST", &target, &[("authorization", &bearer), USER[1]], "").status
    };
    assert_eq!(status(&jwt(&rs256, &good), 815), 201);
    assert_eq!(status(&jwt(&rs256, &good), 1), 404);
    for wrong in [
        "ghp_lightsoutlocal".to_owned(),
        jwt(&json!({"alg": "HS256"}), &good),
        with("iss", json!("1")),
        with("exp", json!(now - 1)),
        with("exp", json!(now + 1200)),
        with("iat", json!(now + 300)),
        with("iat", json!(null)),
        jwt(&rs256, &good).rsplit_once('.').expect("parts").0.to_owned() + ".AAAA",
    ] {
        assert_eq!(status(&wrong, 815), 401, "{wrong}");
    }
}

#[test]
fn a_jit_runner_takes_one_job_and_vanishes() {
    let mut bench = bench();
    bench.enqueue(2, &[]);
    let (id, runner) = jit_runner(&mut bench);
    assert_eq!(jit(&mut bench, INSTANCE, &["x"]).status, 409);
    let shown = body(&get(&mut bench, &format!("/orgs/lightsout/actions/runners/{id}")));
    assert_eq!(
        (&shown["status"], &shown["busy"], &shown["ephemeral"]),
        (&json!("online"), &json!(false), &json!(true))
    );
    let job = bench.take(&runner);
    bench.report(&runner, job, "running");
    bench.report(&runner, job, "success");
    assert_eq!(bench.claim(&runner).status, 404);
    assert_eq!(bench.report(&runner, job, "success").status, 200, "a repeated report is harmless");
    assert_eq!(get(&mut bench, &format!("/orgs/lightsout/actions/runners/{id}")).status, 404);
    assert_eq!(jit(&mut bench, INSTANCE, &["self-hosted"]).status, 201, "the name is free again");
    assert_eq!(bench.states(), [JobState::Done, JobState::Waiting]);
}

#[test]
fn a_jit_configuration_needs_its_parts() {
    let mut bench = bench();
    let mut order = |order: Value| {
        bench.json("POST", "/repos/lightsout/demo/actions/runners/generate-jitconfig", &USER, &order).status
    };
    assert_eq!(order(json!({"name": "a", "labels": ["x"]})), 422);
    assert_eq!(order(json!({"runner_group_id": 1, "labels": ["x"]})), 422);
    assert_eq!(order(json!({"name": "a", "runner_group_id": 1, "labels": []})), 422);
    assert_eq!(order(json!({"name": "a", "runner_group_id": 7, "labels": ["x"]})), 404);
    assert_eq!(order(json!({"name": "a", "runner_group_id": 1, "labels": ["x"]})), 201);
}

#[test]
fn a_removal_is_refused_while_a_job_runs_and_final_otherwise() {
    let mut bench = bench();
    let (id, runner) = jit_runner(&mut bench);
    bench.enqueue(2, &[]);
    let job = bench.take(&runner);
    let target = format!("/orgs/lightsout/actions/runners/{id}");
    let refused = bench.call("DELETE", &target, &USER, "");
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("is still running a job"), "{}", refused.text());
    bench.report(&runner, job, "success");
    assert_eq!(bench.call("DELETE", &target, &USER, "").status, 404, "it removed itself");

    let token = registration_token(&mut bench);
    let lasting = bench.connect(&token, &json!({"name": "lasting"}));
    let listed = body(&get(&mut bench, "/orgs/lightsout/actions/runners?name=lasting"));
    assert_eq!(listed["total_count"], 1);
    let target = format!("/orgs/lightsout/actions/runners/{}", listed["runners"][0]["id"]);
    assert_eq!(bench.call("DELETE", &target, &USER, "").status, 204);
    assert_eq!(bench.claim(&lasting).status, 404, "a job waits, but not for this runner");
    assert_eq!(bench.states(), [JobState::Done, JobState::Waiting]);
}

#[test]
fn a_dead_runner_stays_busy_until_its_job_is_given_up() {
    let mut bench = bench();
    bench.enqueue(1, &[]);
    let (id, runner) = jit_runner(&mut bench);
    bench.take(&runner);
    let target = format!("/orgs/lightsout/actions/runners/{id}");
    bench.now = later(120);
    let shown = body(&get(&mut bench, &target));
    assert_eq!((&shown["status"], &shown["busy"]), (&json!("offline"), &json!(true)));
    assert_eq!(bench.call("DELETE", &target, &USER, "").status, 422);
    bench.now = later(600);
    assert_eq!(bench.call("DELETE", &target, &USER, "").status, 204);
    assert_eq!(bench.states(), [JobState::Failed]);
}

#[test]
fn labels_decide_who_takes_a_job() {
    let mut bench = bench();
    bench.enqueue(1, &["gpu"]);
    let (_, runner) = jit_runner(&mut bench);
    assert_eq!(bench.claim(&runner).status, 204);
    let token = registration_token(&mut bench);
    let gpu = bench.connect(&token, &json!({"name": "gpu", "metadata": {"labels": "gpu,big"}}));
    assert_eq!(bench.take(&gpu), 1001);
    assert_eq!(bench.try_connect("ghp_lightsoutlocal", &json!({})).status, 401);
    assert_eq!(bench.try_connect(&token, &json!({"slots": 2})).status, 400);
}

#[test]
fn a_scale_set_tells_its_statistics() {
    let mut bench = bench();
    let registration = format!("RemoteAuth {}", registration_token(&mut bench));
    let order = json!({"url": "https://github.com/lightsout", "runner_event": "register"});
    let headers = [("authorization", registration.as_str()), USER[1]];
    assert_eq!(bench.json("POST", "/actions/runner-registration", &USER, &order).status, 401);
    let chain = body(&bench.json("POST", "/actions/runner-registration", &headers, &order));
    assert_eq!(chain["url"], format!("{URL}/actions-service/"));
    let admin = format!("Bearer {}", chain["token"].as_str().expect("a token"));
    let headers = [("authorization", admin.as_str()), USER[1]];
    let sets = "/actions-service/_apis/runtime/runnerscalesets";
    let order = json!({"name": "ci", "runnerGroupId": 1, "labels": [{"type": "System", "name": "self-hosted"}]});
    assert_eq!(bench.json("POST", sets, &headers, &order).status, 200);
    assert_eq!(bench.json("POST", sets, &headers, &order).status, 409);
    let found =
        body(&bench.call("GET", &format!("{sets}?runnerGroupId=1&name=ci&api-version=6.0-preview"), &headers, ""));
    assert_eq!((&found["count"], &found["value"][0]["id"]), (&json!(1), &json!(2)));

    bench.enqueue(3, &[]);
    bench.enqueue(1, &["gpu"]);
    let jit = body(&bench.json(
        "POST",
        &format!("{sets}/2/generatejitconfig"),
        &headers,
        &json!({"name": INSTANCE, "workFolder": "_work"}),
    ));
    let runner = bench.connect(jit["encodedJITConfig"].as_str().expect("a blob"), &json!({}));
    bench.take(&runner);
    let session = bench.json("POST", &format!("{sets}/2/sessions"), &headers, &json!({"ownerName": "scaler"}));
    let session = body(&session);
    let statistics = &session["statistics"];
    assert_eq!((&statistics["totalAssignedJobs"], &statistics["totalRunningJobs"]), (&json!(3), &json!(1)));
    assert_eq!((&statistics["totalBusyRunners"], &statistics["totalRegisteredRunners"]), (&json!(1), &json!(1)));
    assert_eq!(bench.json("POST", &format!("{sets}/2/sessions"), &headers, &json!({"ownerName": "b"})).status, 409);

    let queue = session["messageQueueUrl"].as_str().expect("a URL").strip_prefix(URL).expect("our own").to_owned();
    let token = format!("Bearer {}", session["messageQueueAccessToken"].as_str().expect("a token"));
    let reader = [("authorization", token.as_str()), USER[1]];
    assert_eq!(bench.call("GET", &format!("{queue}&lastMessageId=0"), &headers, "").status, 401);
    let message = body(&bench.call("GET", &format!("{queue}&lastMessageId=0"), &reader, ""));
    assert_eq!((&message["messageId"], &message["statistics"]["totalAssignedJobs"]), (&json!(1), &json!(3)));
    assert_eq!(bench.call("GET", &format!("{queue}&lastMessageId=1"), &reader, "").status, 202);
    bench.enqueue(1, &[]);
    let told = |bench: &mut Bench, last: u64| {
        let message = body(&bench.call("GET", &format!("{queue}&lastMessageId={last}"), &reader, ""));
        let events: Value = serde_json::from_str(message["body"].as_str().expect("a text")).expect("a list in it");
        let events = events.as_array().expect("a list").clone();
        events.into_iter().map(|it| (it["messageType"].as_str().expect("a word").to_owned(), it)).collect::<Vec<_>>()
    };
    let assigned = told(&mut bench, 1);
    let [(kind, job)] = &assigned[..] else { panic!("of those before the session nothing: {assigned:?}") };
    assert_eq!((kind.as_str(), &job["runnerAssignTime"]), ("JobAssigned", &json!("0001-01-01T00:00:00Z")));
    assert_eq!(told(&mut bench, 1), assigned, "it is told again until it is acknowledged");
    let jit = body(&bench.json(
        "POST",
        &format!("{sets}/2/generatejitconfig"),
        &headers,
        &json!({"name": "i-2", "workFolder": "_work"}),
    ));
    let other = bench.connect(jit["encodedJITConfig"].as_str().expect("a blob"), &json!({}));
    bench.take(&other);
    let started = told(&mut bench, 2);
    let [(kind, job)] = &started[..] else { panic!("one that waited before the session: {started:?}") };
    assert_eq!(kind, "JobStarted");
    let time = |key: &str| job[key].as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time");
    assert!(time("runnerAssignTime") >= time("queueTime") && time("queueTime") > jiff::Timestamp::UNIX_EPOCH, "{job}");
    let close = format!("{sets}/2/sessions/{}", session["sessionId"].as_str().expect("an id"));
    assert_eq!(bench.call("PATCH", &close, &headers, "").status, 200);
    assert_eq!(bench.call("DELETE", &close, &headers, "").status, 204);
    assert_eq!(bench.call("GET", &format!("{queue}&lastMessageId=2"), &reader, "").status, 404);
}

#[test]
fn events_are_signed() {
    let auth = WebhookAuth::Signature;
    let webhook = Webhook { url: "http://127.0.0.1:9/".into(), secret: "hush".into(), auth };
    let mut bench = Bench::posting(KIND, webhook);
    bench.enqueue(1, &["linux"]);
    let job_event = bench.ci.poll_event().expect("an event");
    let delivery = bench.ci.webhook_delivery(&job_event, bench.now).expect("an event");
    assert_eq!(delivery.get("x-github-event"), Some("workflow_job"));
    let signature = format!("sha256={}", hmac_sha256(b"hush", delivery.body.as_bytes()));
    assert_eq!(delivery.get("x-hub-signature-256"), Some(signature.as_str()));
    let event: Value = serde_json::from_str(&delivery.body).expect("JSON");
    assert_eq!((&event["action"], &event["workflow_job"]["status"]), (&json!("queued"), &json!("queued")));
    assert_eq!(event["workflow_job"]["labels"], json!(["self-hosted", "linux"]));
    assert_eq!(event["workflow_job"]["runner_id"], json!(null));
}
