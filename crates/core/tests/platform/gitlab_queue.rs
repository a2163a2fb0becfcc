//! Reading GitLab's queue.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use lightsout_core::{
    exchange::{ExchangeError, Method, Reply, Request},
    platform::{
        Demand, Queue, Reading,
        gitlab::{self, GitLabQueueSettings, Scope},
    },
};
use proptest::prelude::*;
use serde_json::json;

use crate::exchange::{body, header, list_of, reply, script, url};

pub(crate) const URL: &str = "https://gitlab.example.com";
pub(crate) const TOKEN: &str = "glpat-very-secret";
pub(crate) const JOBS_12: &str =
    "https://gitlab.example.com/api/v4/projects/12/jobs?scope[]=pending&scope[]=running&per_page=100";

pub(crate) fn settings(scope: Scope) -> GitLabQueueSettings {
    GitLabQueueSettings {
        url: url(URL),
        scope,
        tags: ["docker", "aws-large"].map(str::to_owned).into(),
        run_untagged: false,
        runner_id: None,
    }
}

pub(crate) fn open(settings: GitLabQueueSettings) -> impl Queue {
    gitlab::queue(settings, TOKEN.into()).expect("settings that can work")
}

pub(crate) fn project(name: &str) -> Scope {
    Scope::Projects(list_of(&[name]))
}

pub(crate) fn read(
    settings: GitLabQueueSettings,
    replies: impl IntoIterator<Item = Reply>,
) -> Result<Reading, ExchangeError> {
    script(&mut gitlab::queue(settings, TOKEN.into())?, replies).0
}

/// A job as GitLab lists it, without what we do not read.
pub(crate) fn job(id: u64, status: &str, tags: &[&str], runner: Option<u64>) -> String {
    let runner = runner.map(|id| json!({"id": id, "description": "shared", "is_shared": false}));
    json!({
        "id": id, "status": status, "stage": "test", "name": "unit", "tag_list": tags, "runner": runner, "queued_duration": 12.4,
        "created_at": "2026-02-01T10:00:00Z", "started_at": null, "pipeline": {"id": 55, "project_id": 12, "status": "running"}
    })
    .to_string()
}

pub(crate) fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

fn waiting(ids: impl IntoIterator<Item = u64>) -> String {
    list(ids.into_iter().map(|id| job(id, "pending", &["docker"], None)))
}

fn ok(body: &str) -> Reply {
    reply(200, &[], body)
}

fn urls(requests: &[Request]) -> Vec<&str> {
    requests.iter().map(|request| request.url.as_str()).collect()
}

fn demand(queued: u32, running: u32) -> Reading {
    Demand { queued, running: Some(running), poll_after: None }.into()
}

#[test]
fn pending_jobs_wait_and_running_jobs_run() {
    let jobs = list([
        job(1, "pending", &["docker"], None),
        job(2, "pending", &["docker", "aws-large"], None),
        job(3, "running", &["docker"], Some(7)),
        job(4, "created", &["docker"], None),
        job(5, "success", &["docker"], Some(7)),
        job(6, "waiting_for_resource", &["docker"], None),
        job(7, "a status of the future", &["docker"], None),
    ]);
    let mut queue = open(settings(project("12")));
    let (result, requests) = script(&mut queue, [ok(&jobs)]);
    assert_eq!(result, Ok(demand(2, 1)));
    assert_eq!(urls(&requests), [JOBS_12]);
    assert_eq!(requests[0].method, Method::Get);
    assert_eq!(header(&requests[0], "private-token"), Some(TOKEN));
    assert_eq!(header(&requests[0], "if-none-match"), None);
    assert_eq!(body(&requests[0]), "");
    assert_eq!(queue.platform(), "gitlab");
}

#[test]
fn an_empty_list_is_no_demand() {
    assert_eq!(read(settings(project("12")), [ok("[]")]), Ok(demand(0, 0)));
}

#[test]
fn tags_match_as_gitlab_matches_them() {
    for (asks, run_untagged, ours) in [
        (&["docker"][..], false, true),
        (&["aws-large", "docker"], false, true),
        (&["docker", "docker"], false, true),
        (&["docker", "gpu"], false, false),
        (&["docker", "gpu"], true, false),
        (&["Docker"], false, false),
        (&["DOCKER"], true, false),
        (&["docker "], false, false),
        (&["dock"], false, false),
        (&[""], true, false),
        (&[], false, false),
        (&[], true, true),
    ] {
        let jobs = list([job(1, "pending", asks, None), job(2, "running", asks, Some(7))]);
        let settings = GitLabQueueSettings { run_untagged, ..settings(project("12")) };
        assert_eq!(
            read(settings, [ok(&jobs)]),
            Ok(demand(ours.into(), ours.into())),
            "{asks:?}, run_untagged {run_untagged}"
        );
    }
}

#[test]
fn with_a_runner_id_only_its_jobs_run_whatever_their_tags() {
    let jobs = list([
        job(1, "running", &["docker"], Some(7)),
        job(2, "running", &["gpu"], Some(7)),
        job(3, "running", &["docker"], Some(8)),
        job(4, "running", &["docker"], None),
        job(5, "pending", &["docker"], None),
    ]);
    let with = GitLabQueueSettings { runner_id: Some(7), ..settings(project("12")) };
    assert_eq!(read(with, [ok(&jobs)]), Ok(demand(1, 2)));
    assert_eq!(read(settings(project("12")), [ok(&jobs)]), Ok(demand(1, 3)));
}

#[test]
fn projects_are_named_by_id_or_path_and_read_once_each() {
    let scope = Scope::Projects(list_of(&["team/app one", "12", " 12", "12"]));
    let (result, requests) = script(&mut open(settings(scope)), [ok(&waiting([1])), ok(&waiting([2]))]);
    assert_eq!(result, Ok(demand(2, 0)));
    assert_eq!(requests[1].url, JOBS_12.replace("/12/", "/team%2Fapp%20one/"));
}

#[test]
fn every_page_is_read_and_a_job_that_moves_between_pages_counts_once() {
    let first = reply(200, &[("x-next-page", "2")], &waiting(1..=100));
    let moved = list([job(100, "running", &["docker"], Some(7)), job(101, "pending", &["docker"], None)]);
    let last = reply(200, &[("x-next-page", "")], &moved);
    let (result, requests) = script(&mut open(settings(project("12"))), [first, last]);
    assert_eq!(result, Ok(demand(100, 1)), "job 100 has started in between");
    assert_eq!(urls(&requests), [JOBS_12.to_owned(), format!("{JOBS_12}&page=2")]);

    let link = format!("<{URL}/api/v4/projects/12/jobs?cursor=x>; rel=\"next\", <{URL}/first>; rel=\"first\"");
    let first = reply(200, &[("link", &link)], &waiting([1]));
    let (result, requests) = script(&mut open(settings(project("12"))), [first, ok(&waiting([2]))]);
    assert_eq!(result, Ok(demand(2, 0)));
    assert_eq!(requests[1].url, format!("{URL}/api/v4/projects/12/jobs?cursor=x"));
    assert_eq!(header(&requests[1], "private-token"), Some(TOKEN));
}

#[test]
fn a_full_page_without_paging_headers_is_not_the_last() {
    let (result, requests) =
        script(&mut open(settings(project("12"))), [ok(&waiting(1..=100)), ok(&waiting(101..=103))]);
    assert_eq!(result, Ok(demand(103, 0)));
    assert_eq!(requests[1].url, format!("{JOBS_12}&page=2"));
}

#[test]
fn an_unchanged_page_counts_as_before_with_its_next_page() {
    let mut queue = open(settings(project("12")));
    let first = reply(200, &[("etag", "W/\"one\""), ("x-next-page", "2")], &waiting([1, 2]));
    let second = reply(200, &[("etag", "W/\"two\""), ("x-next-page", "")], &waiting([3]));
    assert_eq!(script(&mut queue, [first, second]).0, Ok(demand(3, 0)));

    let (result, requests) = script(&mut queue, [reply(304, &[], ""), reply(304, &[], "")]);
    assert_eq!(result, Ok(demand(3, 0)));
    let tags: Vec<_> = requests.iter().map(|request| header(request, "if-none-match")).collect();
    assert_eq!(tags, [Some("W/\"one\""), Some("W/\"two\"")]);

    // A new first page without a next one: the second is forgotten.
    let changed = reply(200, &[("etag", "W/\"three\""), ("x-next-page", "")], &waiting([9]));
    assert_eq!(script(&mut queue, [changed]).0, Ok(demand(1, 0)));
    let (result, requests) =
        script(&mut queue, [reply(200, &[("x-next-page", "2")], &waiting([9])), ok(&waiting([3]))]);
    assert_eq!(result, Ok(demand(2, 0)));
    assert_eq!(header(&requests[0], "if-none-match"), Some("W/\"three\""));
    assert_eq!(header(&requests[1], "if-none-match"), None);
}

#[test]
fn a_later_queue_need_not_read_again_what_an_earlier_one_remembers() {
    let mut queue = open(settings(project("12")));
    let page = reply(200, &[("etag", "W/\"one\""), ("x-next-page", "")], &waiting([1, 2]));
    assert_eq!(script(&mut queue, [page]).0, Ok(demand(2, 0)));
    let memory = queue.memory().expect("a page with a tag");
    assert!(!memory.contains(TOKEN), "{memory}");

    let mut later = open(settings(project("12")));
    later.recall(&memory);
    let (result, requests) = script(&mut later, [reply(304, &[], "")]);
    assert_eq!(header(&requests[0], "if-none-match"), Some("W/\"one\""));
    assert_eq!(result, Ok(demand(2, 0)));
    for nonsense in ["", "{}", "[1]", "[1,[[\"Jobs\",{}]]]"] {
        let mut later = open(settings(project("12")));
        later.recall(nonsense);
        let (result, requests) = script(&mut later, [ok(&waiting([1]))]);
        assert_eq!((result, header(&requests[0], "if-none-match")), (Ok(demand(1, 0)), None), "{nonsense}");
    }
}

#[test]
fn entity_tags_outlive_a_failed_reading() {
    let mut queue = open(settings(Scope::Projects(list_of(&["12", "13"]))));
    let tagged = reply(200, &[("etag", "\"a\"")], &waiting([1]));
    let reading = script(&mut queue, [tagged, reply(500, &[], "")]).0.expect("the second project failed");
    assert_eq!((reading.demand.queued, reading.missing.is_some()), (1, true));
    let (result, requests) = script(&mut queue, [reply(304, &[], ""), ok(&waiting([2]))]);
    assert_eq!(result, Ok(demand(2, 0)));
    assert_eq!(header(&requests[0], "if-none-match"), Some("\"a\""));
}

#[test]
fn a_full_last_page_is_always_read_anew() {
    let mut queue = open(settings(project("12")));
    let full = reply(200, &[("etag", "\"full\""), ("x-next-page", "")], &waiting(1..=100));
    assert_eq!(script(&mut queue, [full.clone()]).0, Ok(demand(100, 0)));
    let (_, requests) = script(&mut queue, [full]);
    assert_eq!(header(&requests[0], "if-none-match"), None, "a second page can appear without a change of the first");
}

const GROUP: &str = "https://gitlab.example.com/api/v4/groups/team%2Fsub/projects?include_subgroups=true&with_shared=false&archived=false&per_page=100";

fn group() -> Scope {
    Scope::Group("team/sub".parse().unwrap())
}

fn projects(ids: &[u64]) -> String {
    list(ids.iter().map(|id| {
        json!({"id": id, "path_with_namespace": format!("team/sub/p{id}"), "builds_access_level": "enabled", "jobs_enabled": true}).to_string()
    }))
}

#[test]
fn a_groups_projects_are_listed_on_every_page_and_remembered_for_thirty_readings() {
    let mut queue = open(settings(group()));
    let first = reply(200, &[("x-next-page", "2")], &projects(&[1]));
    let (result, requests) = script(&mut queue, [first, ok(&projects(&[2])), ok(&waiting([10])), ok(&waiting([20]))]);
    assert_eq!(result, Ok(demand(2, 0)));
    assert_eq!(urls(&requests)[..2], [GROUP.to_owned(), format!("{GROUP}&page=2")]);
    for reading in 2..=30 {
        let (result, requests) = script(&mut queue, [ok(&waiting([10])), ok("[]")]);
        assert_eq!(result, Ok(demand(1, 0)), "reading {reading}");
        assert!(requests.iter().all(|request| request.url.contains("/jobs?")));
    }
    let (result, requests) = script(&mut queue, [ok(&projects(&[2])), ok("[]")]);
    assert_eq!(result, Ok(demand(0, 0)));
    assert_eq!(requests[0].url, GROUP);
}

#[test]
fn a_group_without_projects_has_no_demand() {
    assert_eq!(read(settings(group()), [ok("[]")]), Ok(demand(0, 0)));
}

#[test]
fn projects_whose_ci_is_switched_off_are_left_out() {
    let projects = json!([
        {"id": 1, "path_with_namespace": "a", "builds_access_level": "disabled"},
        {"id": 2, "path_with_namespace": "b", "jobs_enabled": false},
        {"id": 3, "path_with_namespace": "c", "builds_access_level": "private", "jobs_enabled": true},
        {"id": 4, "path_with_namespace": "d", "builds_access_level": null},
    ]);
    let (result, requests) = script(&mut open(settings(group())), [ok(&projects.to_string()), ok("[]"), ok("[]")]);
    assert_eq!(result, Ok(demand(0, 0)));
    assert!(requests[1].url.contains("/projects/3/") && requests[2].url.contains("/projects/4/"));
}

#[test]
fn a_project_that_is_gone_makes_the_group_be_listed_again_once() {
    let mut queue = open(settings(group()));
    assert_eq!(script(&mut queue, [ok(&projects(&[1, 2])), ok(&waiting([10])), ok("[]")]).0, Ok(demand(1, 0)));
    let gone = || reply(404, &[], r#"{"message":"404 Project Not Found"}"#);
    let replies = [ok(&waiting([10])), gone(), ok(&projects(&[1]))];
    assert_eq!(script(&mut queue, replies).0, Ok(demand(1, 0)), "what is listed no more is not missing");

    let error = script(&mut queue, [gone(), ok(&projects(&[1]))]).0.expect_err("still listed");
    assert!(error.message.contains("team/sub/p1"), "{error}");
    let (result, requests) = script(&mut queue, [gone()]);
    result.expect_err("known by now");
    assert_eq!(requests.len(), 1, "the list was right");
}

#[test]
fn the_rate_limit_is_heeded_before_it_is_reached() {
    // 2026-11-21 10:00:00 UTC is 1795255200.
    let date = ("date", "Sat, 21 Nov 2026 10:00:00 GMT");
    for (headers, wait) in [
        (
            &[("ratelimit-limit", "600"), ("ratelimit-remaining", "500"), ("ratelimit-reset", "1795255242"), date][..],
            None,
        ),
        (
            &[("ratelimit-limit", "600"), ("ratelimit-remaining", "59"), ("ratelimit-reset", "1795255242"), date],
            Some(42),
        ),
        (&[("ratelimit-remaining", "1"), ("ratelimit-reset", "1795255242"), date], Some(42)),
        (&[("ratelimit-remaining", "2"), ("ratelimit-reset", "1795255242"), date], None),
        (&[("ratelimit-remaining", "0"), ("ratelimit-reset", "1795255242")], Some(60)),
        (&[("ratelimit-remaining", "0"), ("ratelimit-reset", "soon"), date], Some(60)),
        (&[("ratelimit-remaining", "0"), ("ratelimit-reset", "1795250000"), date], Some(60)),
        (&[("ratelimit-remaining", "0"), ("ratelimit-reset", "1895255242"), date], Some(3600)),
        (&[("ratelimit-remaining", "few"), ("ratelimit-reset", "1795255242"), date], None),
    ] {
        let found = read(settings(project("12")), [reply(200, headers, "[]")]).expect("a reading");
        assert_eq!(found.demand.poll_after, wait.map(Duration::from_secs), "{headers:?}");
    }
}

#[test]
fn a_reading_can_be_begun_anew_in_the_middle() {
    use lightsout_core::exchange::{Effect, EffectId, EffectResult, Exchange, ExchangeStep};
    let mut queue = open(settings(project("12")));
    let ExchangeStep::Perform(_, Effect::Http(_)) = queue.start() else { panic!("nothing asked") };
    let half = reply(200, &[("x-next-page", "2")], &waiting([1, 2, 3]));
    let ExchangeStep::Perform(_, _) = queue.resume(EffectId::default(), EffectResult::Http(Ok(half))) else {
        panic!("no next page")
    };
    assert_eq!(script(&mut queue, [ok(&waiting([9]))]).0, Ok(demand(1, 0)));
}

proptest! {
    /// Whatever the lists hold, the count is what the rule says.
    #[test]
    fn the_count_is_the_number_of_jobs_whose_tags_are_all_ours(
        jobs in prop::collection::vec((0u8..3, prop::collection::btree_set("[abcA]", 0..4)), 0..60),
        tags in prop::collection::btree_set("[abcA]", 1..4),
        run_untagged: bool,
    ) {
        let mut text = String::new();
        let mut expected = [0, 0, 0];
        for (id, (stage, asks)) in jobs.iter().enumerate() {
            let requests: Vec<_> = asks.iter().map(String::as_str).collect();
            let status = ["pending", "running", "created"][usize::from(*stage)];
            let _ = write!(text, "{}{}", if id == 0 { "" } else { "," }, job(id as u64, status, &requests, None));
            let ours: BTreeSet<_> = asks.intersection(&tags).collect();
            let fits = if asks.is_empty() { run_untagged } else { ours.len() == asks.len() };
            expected[usize::from(*stage)] += u32::from(fits);
        }
        let settings = GitLabQueueSettings { tags, run_untagged, ..settings(project("12")) };
        prop_assert_eq!(read(settings, [ok(&format!("[{text}]"))]), Ok(demand(expected[0], expected[1])));
    }
}
