//! GitHub's lists of runs and jobs, several at a time and in parts.

use std::{collections::BTreeMap, num::NonZeroU64, time::Duration};

use lightsout_core::{
    exchange::{EffectResult, ErrorKind, Reply, Request},
    platform::{
        Queue,
        github::{self, CLOUD, GitHubApp, GitHubAuth, GitHubQueueSettings, GitHubScope},
    },
};
use serde_json::{Value, json};

use crate::{
    exchange::{at_once, complete, header, read_as, reply, url},
    partial_reading::{ROOM, counted, cut, in_order, page, status},
};

const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----";

/// An organisation's repositories, each with its runs by their state, and how many jobs wait in each.
#[derive(Clone, Debug, Default)]
struct GitHub(BTreeMap<String, Vec<(&'static str, u64, Value)>>);

impl GitHub {
    fn answer(&self, request: &Request) -> EffectResult {
        EffectResult::Http(Ok(self.reply(request)))
    }

    fn reply(&self, request: &Request) -> Reply {
        let url = &request.url;
        let page = page(url);
        let body = if let Some((repository, rest)) =
            url.split_once("/repos/").and_then(|(_, rest)| rest.split_once("/actions/runs"))
        {
            let runs = &self.0[repository];
            if let Some(rest) = rest.strip_prefix("?status=") {
                let status = rest.split('&').next().expect("a status");
                let runs = runs.iter().filter(|run| run.0 == status).map(|run| json!({"id": run.1}));
                json!({"workflow_runs": cut(runs, page)})
            } else {
                let number: u64 = rest[1..].split('/').next().and_then(|id| id.parse().ok()).expect("a run");
                let run = runs.iter().find(|run| run.1 == number).expect("a run that was listed");
                json!({"jobs": run.2})
            }
        } else {
            Value::Array(cut(self.0.keys().map(|name| json!({"full_name": name})), page))
        };
        reply(200, &[], &body.to_string())
    }
}

fn job(id: u64, status: &str) -> Value {
    json!({"id": id, "status": status, "labels": ["linux"], "runner_group_id": null})
}

fn with(auth: GitHubAuth) -> impl Queue {
    let settings = GitHubQueueSettings {
        url: url(CLOUD),
        scope: GitHubScope::Organization(read_as("acme")),
        labels: [read_as("linux")].into(),
        runner_group_id: None,
    };
    github::queue(settings, auth).expect("settings that can work")
}

fn with_token() -> impl Queue {
    with(GitHubAuth::Token("ghp_x".into()))
}

#[test]
fn a_run_that_waits_for_an_approval_hides_no_job() {
    let jobs = || json!([job(1, "queued"), job(2, "in_progress"), job(3, "waiting"), job(4, "completed")]);
    for status in ["queued", "in_progress", "waiting", "pending", "requested"] {
        let world = GitHub([("acme/app".to_owned(), vec![(status, 9, jobs())])].into());
        let reading = complete(&mut with_token(), |request| world.answer(request)).expect("read");
        assert_eq!((reading.demand.queued, reading.demand.running), (1, Some(1)), "a run that is {status}");
    }
}

#[test]
fn one_repository_that_is_blocked_costs_only_itself() {
    let run = |id| vec![("queued", id, json!([job(id, "queued")]))];
    let world = GitHub([("acme/a".to_owned(), run(1)), ("acme/b".to_owned(), run(2))].into());
    let blocked = |request: &Request| {
        if request.url.contains("/acme/b/") { status(451) } else { world.answer(request) }
    };
    let reading = at_once(&mut with_token(), ROOM, in_order(blocked)).expect("in time").expect("read");
    assert_eq!(counted(&reading), (1, false));
    let missing = reading.missing.expect("a repository").message;
    assert!(missing.contains("acme/b") && missing.contains("HTTP 451"), "{missing}");
}

#[test]
fn the_minute_of_github_is_not_used_up() {
    let world = GitHub((0..300).map(|number| (format!("acme/r{number}"), Vec::new())).collect());
    let (mut queue, mut requests) = (with_token(), 0);
    let mut read = |now: i64| {
        let before = requests;
        let date = jiff::Timestamp::from_second(now).expect("a time").strftime("%a, %d %b %Y %T GMT").to_string();
        let answer = |request: &Request| {
            requests += 1;
            let mut answer = world.reply(request);
            answer.headers.insert("x-ratelimit-remaining".to_owned(), "14000".to_owned());
            answer.headers.insert("date".to_owned(), date.clone());
            EffectResult::Http(Ok(answer))
        };
        let reading = at_once(&mut queue, ROOM, in_order(answer)).expect("in time").expect("read");
        (reading, requests - before)
    };
    let (reading, asked) = read(1_000_000);
    assert!((700..=800).contains(&asked), "{asked} requests in a minute, of which GitHub allows 900");
    assert_eq!(reading.missing.expect("the rest").kind, ErrorKind::Throttled(Some(Duration::from_secs(60))));
    let (_, asked) = read(1_000_061);
    assert!((700..=800).contains(&asked), "{asked} in the next minute");
}

#[test]
fn many_requests_wait_for_one_token_and_are_repeated_with_the_next() {
    let world = GitHub((0..20).map(|number| (format!("acme/r{number}"), Vec::new())).collect());
    let app = GitHubApp { app_id: read_as("1"), installation_id: NonZeroU64::new(2).unwrap() };
    let mut queue = with(GitHubAuth::App(app, KEY.into()));
    let (mut bought, mut refused, mut served) = (0, 0, 0);
    let answer = |request: &Request| {
        if request.url.ends_with("/access_tokens") {
            bought += 1;
            let body = json!({"token": format!("ghs_{bought}"), "expires_at": "2026-02-01T11:00:00Z"});
            return EffectResult::Http(Ok(reply(201, &[], &body.to_string())));
        }
        // The first token ends when forty requests have been served by it.
        if header(request, "authorization") == Some("Bearer ghs_1") && served >= 40 {
            refused += 1;
            return status(401);
        }
        served += 1;
        world.answer(request)
    };
    let reading = at_once(&mut queue, ROOM, in_order(answer)).expect("in time").expect("read");
    assert_eq!(counted(&reading), (0, true));
    assert_eq!((bought, served), (2, 101));
    assert!(refused > 1, "several were open when the token ended");
}
