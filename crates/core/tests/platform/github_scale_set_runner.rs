//! A GitHub runner that is registered in a scale set.

use std::num::NonZeroU64;

use lightsout_core::{
    exchange::{ErrorKind, ExchangeError, Reply, Request},
    platform::{
        Drained, Launch, RunnerPlatform,
        github::{CLOUD, GitHubAuth, GitHubOwner, GitHubRegistration, GitHubRunner, GitHubRunnerSettings},
    },
};
use serde_json::{Value, json};

use crate::exchange::{argv, body, header, host, read_as, reply, script, url};

const SERVICE: &str = "https://pipelines.example/tenant/";
const BLOB: &str = "eyJ2ZXJ5IjoiI3NlY3JldCJ9";

fn runner() -> GitHubRunner {
    let settings = GitHubRunnerSettings {
        url: url(CLOUD),
        owner: GitHubOwner::Organization(read_as("acme")),
        runner_group_id: NonZeroU64::new(3).unwrap(),
        scale_set: Some(read_as(" linux large ")),
        labels: [].into(),
        work_folder: read_as("_work"),
        program: argv(&["/opt/actions-runner/run.sh"]).try_into().unwrap(),
    };
    GitHubRunner::new(settings, GitHubRegistration::Api(GitHubAuth::Token("ghp_secret".into())))
        .expect("settings that can work")
}

fn ok(status: u16, body: &Value) -> Reply {
    reply(status, &[], &body.to_string())
}

/// The way to the scale set.
fn way() -> Vec<Reply> {
    vec![
        ok(201, &json!({"token": "REG", "expires_at": "2026-02-01T11:00:00Z"})),
        ok(200, &json!({"url": SERVICE, "token": "admin-token"})),
        ok(200, &json!({"count": 1, "value": [{"id": 7, "name": "linux large"}]})),
    ]
}

fn configured(id: u64) -> Reply {
    ok(200, &json!({"runner": {"id": id, "name": "i-0abc", "runnerScaleSetId": 7}, "encodedJITConfig": BLOB}))
}

fn register(
    runner: &GitHubRunner,
    last: impl IntoIterator<Item = Reply>,
) -> (Result<Launch, ExchangeError>, Vec<Request>) {
    script(runner.register(&host()).as_mut(), way().into_iter().chain(last))
}

fn calls(requests: &[Request]) -> Vec<String> {
    requests.iter().map(|request| format!("{} {}", request.method.as_str(), request.url.replace(CLOUD, ""))).collect()
}

#[test]
fn a_runner_is_registered_by_the_scale_sets_own_call() {
    let runner = runner();
    let (launch, requests) = register(&runner, [configured(23)]);
    let launch = launch.expect("registered");
    assert_eq!(
        calls(&requests),
        [
            "POST /orgs/acme/actions/runners/registration-token",
            "POST /actions/runner-registration",
            "GET https://pipelines.example/tenant/_apis/runtime/runnerscalesets?runnerGroupId=3&name=linux%20large&api-version=6.0-preview",
            "POST https://pipelines.example/tenant/_apis/runtime/runnerscalesets/7/generatejitconfig?api-version=6.0-preview",
        ]
    );
    let authorisations: Vec<_> =
        requests.iter().map(|request| header(request, "authorization").unwrap_or_default()).collect();
    assert_eq!(authorisations, ["Bearer ghp_secret", "RemoteAuth REG", "Bearer admin-token", "Bearer admin-token"]);
    let sent: Value = serde_json::from_str(body(&requests[3])).expect("JSON");
    assert_eq!(sent, json!({"name": "i-0abc", "workFolder": "_work"}), "the set has the labels and the group");
    let env: Vec<_> = launch.env.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert!(env.contains(&("ACTIONS_RUNNER_INPUT_JITCONFIG", BLOB)));
    assert!(!format!("{launch:?} {requests:?}").contains("admin-token"));
    // Its drain is the removal of that very registration.
    let (drained, requests) = script(runner.drain_call(&host()).as_mut(), [reply(204, &[], "")]);
    assert_eq!(
        (drained, calls(&requests)),
        (Ok(Drained::Empty), vec!["DELETE /orgs/acme/actions/runners/23".to_owned()])
    );
}

#[test]
fn a_leftover_in_the_scale_set_is_removed_once() {
    let leftover = json!({"id": 5, "name": "i-0abc", "os": "linux", "status": "offline", "busy": false});
    let last = [
        ok(409, &json!({"typeName": "AgentExistsException", "message": "it exists"})),
        ok(200, &json!({"total_count": 1, "runners": [leftover]})),
        reply(204, &[], ""),
        configured(6),
    ];
    let (launch, requests) = register(&runner(), last);
    launch.expect("registered");
    let made = "POST https://pipelines.example/tenant/_apis/runtime/runnerscalesets/7/generatejitconfig?api-version=6.0-preview";
    assert_eq!(
        calls(&requests)[3..],
        [made, "GET /orgs/acme/actions/runners?name=i-0abc&per_page=100", "DELETE /orgs/acme/actions/runners/5", made]
    );
}

#[test]
fn a_registration_that_is_not_confirmed_does_not_launch() {
    for (at, answer, kind, part) in [
        (0, reply(403, &[], ""), ErrorKind::Forbidden, "organization_self_hosted_runners"),
        (1, reply(401, &[], ""), ErrorKind::Server, "find the Actions service"),
        (2, ok(200, &json!({"count": 0, "value": []})), ErrorKind::NotFound, "correct scale_set or runner_group_id"),
        (3, reply(500, &[], ""), ErrorKind::Server, "asked again"),
        (3, ok(201, &json!({"runner": {"id": 1}, "encodedJITConfig": BLOB})), ErrorKind::Malformed, "not expected"),
        (
            3,
            ok(200, &json!({"runner": {"id": 1}, "encoded_jit_config": BLOB})),
            ErrorKind::Malformed,
            "encodedJITConfig",
        ),
        (3, ok(200, &json!({"runner": {"id": 1}, "encodedJITConfig": ""})), ErrorKind::Malformed, "no Base64"),
        (3, reply(200, &[], "<html>"), ErrorKind::Malformed, "a web page"),
    ] {
        let mut replies = way();
        replies.truncate(at);
        replies.push(answer);
        let error = script(runner().register(&host()).as_mut(), replies).0.expect_err(part);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
}
