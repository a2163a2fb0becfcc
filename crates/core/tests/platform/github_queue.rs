//! Reading GitHub's queue by listing.

use std::{num::NonZeroU64, time::Duration};

use lightsout_core::{
    exchange::{EffectResult, ErrorKind, ExchangeError, Reply, Unreachable},
    platform::stackguardian::OrganizationName,
    platform::{
        Demand, Queue, Reading,
        github::{
            self, AppId, CLOUD, GitHubApp, GitHubAuth, GitHubQueueSettings, GitHubScope, Label, RepositoryName,
            base_url,
        },
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::exchange::{complete, header, list_of, read_as, refused, reply, script, url};

const TOKEN: &str = "github_pat_very-secret";
const RUNS: &str = "https://api.github.com/repos/acme/app/actions/runs?status=";

fn open(settings: GitHubQueueSettings) -> impl Queue {
    github::queue(settings, GitHubAuth::Token(TOKEN.into())).expect("settings that can work")
}

fn settings() -> GitHubQueueSettings {
    GitHubQueueSettings {
        url: url(CLOUD),
        scope: GitHubScope::Repositories(list_of(&["acme/app"])),
        labels: ["linux", "GPU"].map(read_as).into(),
        runner_group_id: None,
    }
}

fn read(settings: GitHubQueueSettings, replies: impl IntoIterator<Item = Reply>) -> Result<Reading, ExchangeError> {
    script(&mut github::queue(settings, GitHubAuth::Token(TOKEN.into()))?, replies).0
}

/// Reads with the same answer to everything.
fn always(answer: &Reply) -> Result<Reading, ExchangeError> {
    complete(&mut open(settings()), |_| EffectResult::Http(Ok(answer.clone())))
}

fn ok(body: &Value) -> Reply {
    reply(200, &[], &body.to_string())
}

fn runs(ids: &[u64]) -> Value {
    let runs: Vec<_> =
        ids.iter().map(|id| json!({"id": id, "status": "queued", "name": "ci", "head_branch": null})).collect();
    json!({"total_count": ids.len(), "workflow_runs": runs})
}

fn job(id: u64, status: &str, labels: &[&str], group: Option<u64>) -> Value {
    json!({"id": id, "run_id": 9, "status": status, "conclusion": null, "labels": labels, "runner_id": null, "runner_name": null,
           "runner_group_id": group, "created_at": "2026-02-01T10:00:00Z", "started_at": null})
}

fn jobs(jobs: &[Value]) -> Value {
    json!({"total_count": jobs.len(), "jobs": jobs})
}

fn demand(queued: u32, running: u32) -> Reading {
    Demand { queued, running: Some(running), poll_after: None }.into()
}

/// The states of runs in the order in which they are asked for, each run's jobs after the first list that it is on.
const STATES: [&str; 5] = ["queued", "in_progress", "waiting", "pending", "requested"];

/// No runs in any more than the first so many states.
fn no_more_runs(after: usize) -> impl Iterator<Item = Reply> {
    (after..STATES.len()).map(|_| ok(&runs(&[])))
}

/// One run with these jobs.
fn one_run(list: &[Value]) -> Vec<Reply> {
    [ok(&runs(&[9])), ok(&jobs(list))].into_iter().chain(no_more_runs(1)).collect()
}

#[test]
fn the_jobs_of_all_runs_are_counted() {
    let mut queue = open(settings());
    let first = jobs(&[job(1, "queued", &["self-hosted", "linux"], None), job(2, "in_progress", &["linux"], Some(1))]);
    let second = jobs(&[
        job(3, "queued", &["Self-Hosted", "LINUX", "gpu"], None),
        job(4, "completed", &["linux"], Some(1)),
        job(5, "waiting", &["linux"], None),
        job(6, "a status of the future", &["linux"], None),
        job(7, "queued", &["ubuntu-latest"], None),
    ]);
    let replies = [ok(&runs(&[9, 8])), ok(&first), ok(&second), ok(&runs(&[8]))].into_iter().chain(no_more_runs(2));
    let (result, requests) = script(&mut queue, replies);
    assert_eq!(result, Ok(demand(2, 1)));
    let urls: Vec<_> = requests.iter().map(|request| request.url.clone()).collect();
    let of_run =
        |run: u64| format!("https://api.github.com/repos/acme/app/actions/runs/{run}/jobs?filter=latest&per_page=100");
    let in_state = |state: &str| format!("{RUNS}{state}&per_page=100");
    let expected =
        [in_state("queued"), of_run(8), of_run(9)].into_iter().chain(STATES[1..].iter().copied().map(in_state));
    assert_eq!(urls, expected.collect::<Vec<_>>(), "a run in both lists is read once");
    for request in &requests {
        assert_eq!(header(request, "authorization"), Some("Bearer github_pat_very-secret"));
        assert_eq!(header(request, "x-github-api-version"), Some("2022-11-28"));
        assert_eq!(header(request, "if-none-match"), None);
    }
    assert_eq!(queue.platform(), "github");
}

#[test]
fn nothing_to_do_is_no_demand() {
    assert_eq!(read(settings(), no_more_runs(0)), Ok(demand(0, 0)));
    assert_eq!(read(settings(), one_run(&[])), Ok(demand(0, 0)));
}

#[test]
fn labels_match_as_github_matches_them() {
    for (labels, group, ours) in [
        (&["self-hosted"][..], None, true),
        (&["linux", "gpu"], None, true),
        (&["linux", "arm64"], None, false),
        (&["lin"], None, false),
        (&["linux "], None, false),
        (&[], None, false),
        (&[], Some(3), true),
    ] {
        let settings = GitHubQueueSettings { runner_group_id: group.and_then(NonZeroU64::new), ..settings() };
        let result = read(settings, one_run(&[job(1, "queued", labels, None)]));
        assert_eq!(result, Ok(demand(ours.into(), 0)), "{labels:?}");
    }
}

#[test]
fn with_a_group_only_its_running_jobs_count() {
    let settings = GitHubQueueSettings { runner_group_id: NonZeroU64::new(3), ..settings() };
    let list = [
        job(1, "in_progress", &["linux"], Some(3)),
        job(2, "in_progress", &["linux"], Some(4)),
        job(3, "in_progress", &["linux"], None),
    ];
    assert_eq!(read(settings, one_run(&list)), Ok(demand(0, 1)));
    assert_eq!(read(self::settings(), one_run(&list)), Ok(demand(0, 3)));
}

#[test]
fn every_page_of_every_list_is_read() {
    let next =
        |path: &str| format!("<https://api.github.com/{path}>; rel=\"next\", <https://api.github.com/x>; rel=\"last\"");
    let paged = |path: &str, body: &Value| reply(200, &[("link", &next(path))], &body.to_string());
    let replies = [
        paged("repositories/1/actions/runs?page=2", &runs(&[8])),
        ok(&runs(&[9])),
        paged("repositories/1/actions/runs/8/jobs?page=2", &jobs(&[job(1, "queued", &["linux"], None)])),
        ok(&jobs(&[job(2, "queued", &["linux"], None), job(1, "queued", &["linux"], None)])),
        ok(&jobs(&[job(3, "queued", &["linux"], None)])),
    ];
    assert_eq!(read(settings(), replies.into_iter().chain(no_more_runs(1))), Ok(demand(3, 0)));
    let elsewhere = "<https://evil.example/runs>; rel=\"next\"";
    let everywhere = complete(&mut open(settings()), |_| {
        EffectResult::Http(Ok(reply(200, &[("link", elsewhere)], &runs(&[]).to_string())))
    });
    assert_eq!(everywhere.expect_err("refused").kind, ErrorKind::Malformed);
}

#[test]
fn unchanged_lists_are_not_read_again_and_not_charged() {
    let mut queue = open(settings());
    let tagged = |tag: &str, body: &Value| reply(200, &[("etag", tag)], &body.to_string());
    let first = [tagged("W/\"a\"", &runs(&[9])), tagged("W/\"b\"", &jobs(&[job(1, "queued", &["linux"], None)]))];
    let rest = || STATES[1..].iter().map(|state| tagged(state, &runs(&[])));
    assert_eq!(script(&mut queue, first.into_iter().chain(rest())).0, Ok(demand(1, 0)));
    let unchanged = || (0..6).map(|_| reply(304, &[], ""));
    let (result, requests) = script(&mut queue, unchanged());
    assert_eq!(result, Ok(demand(1, 0)));
    let tags: Vec<_> = requests.iter().map(|request| header(request, "if-none-match").unwrap_or_default()).collect();
    assert_eq!(tags, ["W/\"a\"", "W/\"b\"", "in_progress", "waiting", "pending", "requested"]);
    // A failure in the middle forgets nothing.
    let broken = [reply(304, &[], ""), reply(500, &[], "")].into_iter().chain((0..4).map(|_| reply(304, &[], "")));
    let reading = script(&mut queue, broken).0.expect("read in part");
    assert_eq!((reading.demand.queued, reading.missing.map(|missing| missing.kind)), (1, Some(ErrorKind::Server)));
    let (result, requests) = script(&mut queue, unchanged());
    assert_eq!((result, requests.len()), (Ok(demand(1, 0)), 6));
    // Nor by a later queue that takes over what this one remembers.
    let mut later = open(settings());
    later.recall(&queue.memory().expect("pages with tags"));
    let (result, requests) = script(&mut later, unchanged());
    assert_eq!(result, Ok(demand(1, 0)));
    assert!(requests.iter().all(|request| header(request, "if-none-match").is_some()));
}

#[test]
fn an_organisation_is_listed_and_remembered() {
    let scope = GitHubScope::Organization(read_as("acme"));
    let mut queue = open(GitHubQueueSettings { scope, ..settings() });
    let repositories = json!([
        {"full_name": "acme/app", "archived": false, "disabled": false},
        {"full_name": "acme/old", "archived": true, "disabled": false},
        {"full_name": "acme/off", "disabled": true},
    ]);
    let (result, requests) = script(&mut queue, [ok(&repositories)].into_iter().chain(no_more_runs(0)));
    assert_eq!(result, Ok(demand(0, 0)));
    assert_eq!(requests[0].url, "https://api.github.com/orgs/acme/repos?type=all&per_page=100");
    let (_, requests) = script(&mut queue, no_more_runs(0));
    assert_eq!(requests.len(), 5, "the repositories are remembered");
    // One that is gone makes it list again, once.
    let gone = || reply(404, &[], "{\"message\":\"Not Found\"}");
    let renamed = json!([{"full_name": "acme/new"}]);
    let replies = [gone(), ok(&renamed)].into_iter().chain(no_more_runs(0)).chain([gone(), gone(), gone(), gone()]);
    let (result, requests) = script(&mut queue, replies);
    assert_eq!(result, Ok(demand(0, 0)), "what was not found is listed no more");
    assert!(requests[2].url.contains("acme/new"), "{requests:#?}");
    let replies = [gone(), gone(), gone(), gone(), gone(), ok(&renamed)];
    assert_eq!(script(&mut queue, replies).0.expect_err("still gone").kind, ErrorKind::NotFound);
    let replies = [gone(), gone(), gone(), gone(), gone()];
    assert_eq!(script(&mut queue, replies).0.expect_err("known by now").kind, ErrorKind::NotFound);
}

#[test]
fn an_installation_is_listed_with_an_envelope() {
    let app = GitHubApp { app_id: read_as("1"), installation_id: NonZeroU64::new(2).unwrap() };
    let settings = GitHubQueueSettings { scope: GitHubScope::Installation, ..settings() };
    assert!(github::queue(settings, GitHubAuth::App(app, "-----BEGIN RSA".into())).is_ok());
}

#[test]
fn a_run_that_was_deleted_since_has_no_jobs() {
    let replies = [ok(&runs(&[8, 9])), reply(404, &[], ""), ok(&jobs(&[job(1, "queued", &["linux"], None)]))];
    assert_eq!(read(settings(), replies.into_iter().chain(no_more_runs(1))), Ok(demand(1, 0)));
}

#[test]
fn limits_and_missing_rights_are_told_apart() {
    let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
    let after = |seconds: i64| (1_445_412_480 + seconds).to_string();
    let reset = after(90);
    let wait = |seconds| ErrorKind::Throttled(Some(Duration::from_secs(seconds)));
    let rights = [("x-accepted-github-permissions", "actions=read"), ("x-oauth-scopes", "gist, read:user")];
    for (status, headers, body, kind, part) in [
        (403, &[("retry-after", "30")][..], "{}", wait(30), "too many"),
        (429, &[("retry-after", "7")], "{}", wait(7), "too many"),
        (429, &[], "{}", wait(60), "too many"),
        (
            403,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset.as_str()), date],
            "{}",
            wait(90),
            "too many",
        ),
        (403, &[("x-ratelimit-remaining", "0")], "{}", wait(60), "too many"),
        (403, &[], "{\"message\":\"You have exceeded a secondary rate limit\"}", wait(60), "too many"),
        (403, &rights, "{\"message\":\"Resource not accessible\"}", ErrorKind::Forbidden, "actions=read"),
        (403, &rights, "{}", ErrorKind::Forbidden, "the token has gist, read:user"),
        (403, &[("x-oauth-scopes", "")], "{}", ErrorKind::Forbidden, "no scope"),
        (403, &[("x-ratelimit-remaining", "12")], "{}", ErrorKind::Forbidden, "actions: read"),
        (404, &rights, "{}", ErrorKind::NotFound, "actions=read"),
        (401, &[], "{\"message\":\"Bad credentials\"}", ErrorKind::Unauthorized, "Bad credentials"),
        (410, &[], "{}", ErrorKind::Refused, "switched off"),
        (422, &[], "{}", ErrorKind::Refused, "settings"),
        (500, &[], "<html>", ErrorKind::Server, "a web page"),
        (502, &[], "", ErrorKind::Server, "asked again"),
        (302, &[], "", ErrorKind::Refused, "another address"),
        (304, &[], "", ErrorKind::Malformed, "not expected"),
    ] {
        let error = always(&reply(status, headers, body)).expect_err(part);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(part) && error.message.contains("GitHub at https://api.github.com"), "{error}");
    }
}

#[test]
fn what_is_left_of_the_hour_is_spread_over_it() {
    let headers = |left: &'static str| {
        [
            ("x-ratelimit-remaining", left),
            ("x-ratelimit-reset", "1445416080"),
            ("date", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ]
    };
    for (left, pause) in [
        ("10000", Some(1)),
        ("1000", Some(18)),
        ("50", Some(360)),
        ("5", Some(3600)),
        ("4", Some(3600)),
        ("20000", None),
    ] {
        let page = || reply(200, &headers(left), &runs(&[]).to_string());
        let reading = always(&page()).expect("read");
        let poll_after = reading.demand.poll_after;
        assert_eq!(poll_after.map(|pause| pause.as_secs()), pause, "{left} left, five a reading");
    }
}

#[test]
fn missing_and_mistyped_keys_are_named() {
    let spoilt = |key: &str, value: Value| {
        let mut job = job(1, "queued", &["linux"], None);
        job[key] = value;
        one_run(&[job])
    };
    for (replies, part) in [
        (vec![ok(&json!({"total_count": 0}))], "workflow_runs is missing"),
        (vec![ok(&json!({"workflow_runs": null}))], "workflow_runs is null, expected a list"),
        (vec![ok(&json!([]))], "expected an object"),
        (vec![ok(&json!({"workflow_runs": [{"id": "9"}]}))], "workflow_runs[0].id is a text"),
        (vec![reply(200, &[], "<html>Sign in</html>")], "a web page"),
        (vec![reply(200, &[], "{\"workflow_runs\":[")], "not JSON"),
        (vec![reply(200, &[], "")], "not JSON"),
        (spoilt("id", Value::Null), "jobs[0].id is null"),
        (spoilt("status", json!(1)), "jobs[0].status is a number"),
        (spoilt("labels", json!("linux")), "jobs[0].labels is a text, expected a list"),
        (spoilt("labels", json!([1])), "jobs[0].labels[0] is a number"),
    ] {
        let mut replies = replies.into_iter();
        let last = || reply(200, &[], "{}");
        let result = complete(&mut open(settings()), |_| EffectResult::Http(Ok(replies.next().unwrap_or_else(last))));
        let error = match result {
            Ok(reading) => reading.missing.expect(part),
            Err(error) => error,
        };
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
    let error = complete(&mut open(settings()), |_| EffectResult::Http(Err(Unreachable::TooLarge(8 << 20))));
    assert!(error.expect_err("no reply").message.contains("one item alone is longer"));
}

#[test]
fn settings_that_cannot_work_are_refused_before_any_call() {
    let key = |key: &str| {
        let app = GitHubApp { app_id: read_as("123"), installation_id: NonZeroU64::MIN };
        github::queue(settings(), GitHubAuth::App(app, key.into())).map(drop)
    };
    let token = |token: &str| github::queue(settings(), GitHubAuth::Token(token.into())).map(drop);
    let named = refused::<RepositoryName>;
    let url = |url: &str| base_url(url).map(drop).map_err(ExchangeError::from);
    for (found, part) in [
        (url("https://github.com"), "not of the API"),
        (url("api.github.com"), "https://"),
        (url("https://me:pw@api.github.com"), "password"),
        (url("https://"), "names no host"),
        (token(""), "token is empty"),
        (token("ghp_x\n"), "line break"),
        (token("-----BEGIN RSA PRIVATE KEY-----"), "app_id"),
        (refused::<AppId>(""), "App ID"),
        (refused::<AppId>("12 3"), "App ID"),
        (key("hunter2"), "whole .pem file"),
        (named("app"), "OWNER/REPO"),
        (named("acme/app/x"), "OWNER/REPO"),
        (named("acme/.."), "OWNER/REPO"),
        (named(""), "OWNER/REPO"),
        (refused::<OrganizationName>("a/b"), "organization"),
        (refused::<Label>("a,b"), "GitHub label"),
    ] {
        let error = found.expect_err(part);
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.message.contains(part) && !error.message.contains("hunter2"), "{error} lacks {part}");
    }
}

#[test]
fn the_token_is_never_shown() {
    let mut queue = open(settings());
    let (echo, requests) = script(&mut queue, [reply(401, &[], &format!("{{\"message\":\"bad {TOKEN}\"}}"))]);
    let text = format!("{queue:?} {requests:?} {echo:?} {:?}", settings());
    assert!(!text.contains(TOKEN), "{text}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_never_zero_demand(body: Vec<u8>, status: u16) {
        let result = complete(&mut open(settings()), |_| {
            EffectResult::Http(Ok(Reply { status, body: body.clone(), ..reply(200, &[], "") }))
        });
        prop_assert!(result.is_err());
    }

    #[test]
    fn a_list_that_is_cut_off_is_an_error(cut in 0usize..250) {
        let body = jobs(&[job(1, "queued", &["linux"], None)]).to_string();
        prop_assume!(cut < body.len());
        let replies = [ok(&runs(&[9])), reply(200, &[], &body[..cut])].into_iter().chain(no_more_runs(1));
        prop_assert!(read(settings(), replies).expect("the other lists").missing.is_some());
    }

    #[test]
    fn arbitrary_json_is_demand_only_when_well_formed(key in "[a-z_]{0,12}", text in ".{0,20}") {
        let body = json!({key.clone(): [text], "total_count": 0});
        prop_assert!(always(&ok(&body)).is_err(), "{}", body);
    }
}
