//! The embedded GitLab: requests and time in, responses out.

mod runners;

use std::collections::BTreeMap;

use super::*;
use crate::{
    ci::{Ci, contract::PlatformOptions, jobs::JobEventKind, testing::Bench},
    fleet::{JobState, NewJobs},
    http,
};

const NOW: Timestamp = Timestamp(1_790_000_000_000);

fn later(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 + seconds * 1000)
}

fn gitlab(options: GitLabOptions) -> Ci {
    Ci::new(PlatformOptions::from(options).open(), "http://127.0.0.1:8080", None, None)
}

fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Request {
        method: method.to_owned(),
        path: format!("/api/v4{path}"),
        query: http::pairs(query.as_bytes()),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.to_owned().into(),
    }
}

fn get(gitlab: &mut Ci, target: &str) -> Response {
    gitlab.handle(&request("GET", target, &[("private-token", "glpat-lightsout-local")], ""), NOW)
}

fn runner(gitlab: &mut Ci, method: &str, target: &str, body: &Value, now: Timestamp) -> Response {
    gitlab.handle(&request(method, target, &[("content-type", "application/json")], &body.to_string()), now)
}

fn ask_for_job(gitlab: &mut Ci, now: Timestamp) -> Response {
    let body = json!({"token": "glrt-lightsout-local", "system_id": "r_1", "info": {"version": "18.0.0"}});
    runner(gitlab, "POST", "/jobs/request", &body, now)
}

fn body(response: &Response) -> Value {
    serde_json::from_slice(&response.body).expect("JSON")
}

fn ids(response: &Response) -> Vec<u64> {
    body(response).as_array().expect("a list").iter().map(|item| item["id"].as_u64().expect("an id")).collect()
}

fn states(gitlab: &Ci) -> Vec<JobState> {
    gitlab.jobs().map(Job::state).collect()
}

#[test]
fn the_agent_and_the_cloud_agree_on_a_system_id() {
    // echo -n i-0123456789abcdef0 | sha256sum
    assert_eq!(system_id("i-0123456789abcdef0"), "r_57df73291f7c");
}

#[test]
fn tokens_and_scopes_are_checked() {
    let mut gitlab = gitlab(GitLabOptions::default());
    let ask = |gitlab: &mut Ci, headers: &[(&str, &str)], method: &str, target: &str| {
        gitlab.handle(&request(method, target, headers, ""), NOW)
    };
    assert_eq!(ask(&mut gitlab, &[], "GET", "/projects/20/jobs").status, 401);
    assert_eq!(ask(&mut gitlab, &[("private-token", "no")], "GET", "/projects/20/jobs").status, 401);
    let bearer = [("authorization", "Bearer glpat-lightsout-local")];
    assert_eq!(ask(&mut gitlab, &bearer, "GET", "/projects/20/jobs").status, 200);
    gitlab.enqueue(&NewJobs::default(), NOW);
    let refused = ask(&mut gitlab, &bearer, "POST", "/projects/20/jobs/1001/cancel");
    assert_eq!((refused.status, &body(&refused)["error"]), (403, &json!("insufficient_scope")));
    assert_eq!(ask(&mut gitlab, &bearer, "GET", "/nothing").status, 404);
}

#[test]
fn a_project_goes_by_number_or_path_and_scopes_filter() {
    let mut gitlab = gitlab(GitLabOptions::default());
    gitlab.enqueue(&NewJobs { count: 3, ..NewJobs::default() }, NOW);
    ask_for_job(&mut gitlab, NOW);
    assert_eq!(ids(&get(&mut gitlab, "/projects/lightsout%2Fdemo/jobs?scope[]=pending")), [1003, 1002]);
    assert_eq!(ids(&get(&mut gitlab, "/projects/20/jobs?scope[]=pending&scope[]=running")), [1003, 1002, 1001]);
    assert_eq!(ids(&get(&mut gitlab, "/projects/20/jobs?scope=running")), [1001]);
    assert_eq!(get(&mut gitlab, "/projects/20/jobs?scope[]=bogus").status, 400);
    assert_eq!(get(&mut gitlab, "/projects/none%2Fsuch/jobs").status, 404);
    assert_eq!(ids(&get(&mut gitlab, "/runners/1/jobs?status=running&system_id=r_1")), [1001]);
    assert_eq!(ids(&get(&mut gitlab, "/runners/1/jobs?system_id=r_2")), [0u64; 0]);
}

#[test]
fn pages_link_to_each_other() {
    let mut gitlab = gitlab(GitLabOptions::default());
    gitlab.enqueue(&NewJobs { count: 5, ..NewJobs::default() }, NOW);
    let page = get(&mut gitlab, "/projects/lightsout%2Fdemo/jobs?scope[]=pending&per_page=2");
    assert_eq!(ids(&page), [1005, 1004]);
    assert_eq!((page.get("x-next-page"), page.get("x-page"), page.get("x-total")), (Some("2"), Some("1"), None));
    let link = page.get("link").expect("links");
    let next = link.split_once('>').expect("a link").0.strip_prefix("<http://127.0.0.1:8080/api/v4").expect("our own");
    assert_eq!(ids(&get(&mut gitlab, next)), [1003, 1002]);
    let last = get(&mut gitlab, "/projects/20/jobs?per_page=2&page=3");
    assert_eq!((ids(&last), last.get("x-next-page")), (vec![1001], Some("")));
    assert_eq!(ids(&get(&mut gitlab, "/projects/20/jobs?per_page=2&page=9")), [0u64; 0]);
    assert_eq!(get(&mut gitlab, "/projects/20/jobs?per_page=0").status, 400);
    let projects = get(&mut gitlab, "/groups/lightsout/projects?include_subgroups=true&archived=false");
    assert_eq!((ids(&projects), projects.get("x-total")), (vec![20], Some("1")));
    assert_eq!(get(&mut gitlab, "/groups/none/projects").status, 404);
}

#[test]
fn a_cursor_leads_through_all_jobs() {
    let mut gitlab = gitlab(GitLabOptions::default());
    gitlab.enqueue(&NewJobs { count: 5, ..NewJobs::default() }, NOW);
    let mut target = "/projects/20/jobs?pagination=keyset&per_page=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = get(&mut gitlab, &target);
        seen.extend(ids(&page));
        let Some(link) = page.get("link") else { break };
        let next = link.split_once('>').expect("a link").0;
        next.strip_prefix("<http://127.0.0.1:8080/api/v4").expect("our own").clone_into(&mut target);
    }
    assert_eq!(seen, [1005, 1004, 1003, 1002, 1001]);
}

#[test]
fn what_did_not_change_is_not_sent_again() {
    let mut gitlab = gitlab(GitLabOptions::default());
    let tag = get(&mut gitlab, "/projects/20/jobs").get("etag").expect("a tag").to_owned();
    let headers = [("private-token", "glpat-lightsout-local"), ("if-none-match", tag.as_str())];
    let ask = request("GET", "/projects/20/jobs", &headers, "");
    let same = gitlab.handle(&ask, NOW);
    assert_eq!((same.status, same.body.len()), (304, 0));
    gitlab.enqueue(&NewJobs::default(), NOW);
    assert_eq!(gitlab.handle(&ask, NOW).status, 200);
}

#[test]
fn too_many_requests_have_to_wait() {
    let mut gitlab = gitlab(GitLabOptions { requests_per_minute: Some(2), ..GitLabOptions::default() });
    let headers = [("private-token", "glpat-lightsout-local")];
    let ask = request("GET", "/projects/20/jobs", &headers, "");
    let statuses: Vec<u16> = (0..3).map(|_| gitlab.handle(&ask, NOW).status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    let refused = gitlab.handle(&ask, NOW);
    let wait: i64 = refused.get("retry-after").expect("a time").parse().expect("seconds");
    assert_eq!(refused.get("ratelimit-remaining"), Some("0"));
    assert_eq!(gitlab.handle(&ask, later(wait)).status, 200);
    assert_eq!(ask_for_job(&mut gitlab, NOW).status, 204);
}

#[test]
fn a_new_runner_record_has_its_own_token_and_tags() {
    let mut gitlab = gitlab(GitLabOptions::default());
    let mut create = |body: &Value| {
        let headers = [("private-token", "glpat-lightsout-local"), ("content-type", "application/json")];
        gitlab.handle(&request("POST", "/user/runners", &headers, &body.to_string()), NOW)
    };
    let made =
        create(&json!({"runner_type": "group_type", "group_id": 10, "tag_list": "gpu,linux", "run_untagged": false}));
    assert_eq!((made.status, &body(&made)["id"]), (201, &json!(2)));
    assert!(body(&made)["token"].as_str().is_some_and(|token| token.starts_with("glrt-")));
    assert_eq!(create(&json!({"runner_type": "group_type"})).status, 400);
    assert_eq!(create(&json!({"runner_type": "bogus"})).status, 400);
    assert_eq!(create(&json!({"runner_type": "instance_type", "run_untagged": false})).status, 400);
    assert_eq!(body(&get(&mut gitlab, "/runners/2"))["tag_list"], json!(["gpu", "linux"]));
}

#[test]
fn a_registration_token_is_refused_as_gitlab_17_does() {
    let mut gitlab = gitlab(GitLabOptions::default());
    assert_eq!(runner(&mut gitlab, "POST", "/runners", &json!({"token": "GR1348941abc"}), NOW).status, 410);
}

#[test]
fn its_runners_have_an_api_of_their_own() {
    let mut bench = Bench::new(KIND);
    assert_eq!(bench.try_connect("glrt-lightsout-local", &json!({})).status, 409);
}

#[test]
fn what_clients_ask_every_day_is_answered() {
    let mut gitlab = gitlab(GitLabOptions::default());
    // The first call of python-gitlab with a token.
    assert_eq!(body(&get(&mut gitlab, "/user"))["username"], "root");
    let projects = body(&get(&mut gitlab, "/projects"));
    let project = &projects[0];
    let by_number = body(&get(&mut gitlab, &format!("/projects/{}", project["id"])));
    assert_eq!(&by_number, project);
    assert_eq!(get(&mut gitlab, "/projects/999999").status, 404);
    let group = body(&get(&mut gitlab, &format!("/groups/{}", project["namespace"]["id"])));
    assert_eq!(group["full_path"], project["namespace"]["full_path"]);
    assert_eq!(get(&mut gitlab, "/groups/none").status, 404);
    for list in ["/runners", "/runners/all"] {
        let runners = get(&mut gitlab, list);
        assert_eq!(ids(&runners), [1], "{}", body(&runners));
        assert!(body(&runners)[0]["token"].is_null(), "a record does not tell its token");
    }
    assert_eq!(gitlab.handle(&request("GET", "/user", &[], ""), NOW).status, 401);
}

#[test]
fn a_job_is_retried_once_and_its_pipeline_is_what_its_jobs_come_to() {
    let mut gitlab = gitlab(GitLabOptions { scopes: vec!["api".into()], ..GitLabOptions::default() });
    gitlab.enqueue(&NewJobs { count: 2, ..NewJobs::default() }, NOW);
    gitlab.enqueue(&NewJobs::default(), NOW);
    let pipelines = |gitlab: &mut Ci| body(&get(gitlab, "/projects/20/pipelines"));
    let of = |gitlab: &mut Ci, what: &str| -> Vec<Value> {
        pipelines(gitlab).as_array().expect("a list").iter().map(|pipeline| pipeline[what].clone()).collect()
    };
    let post = |gitlab: &mut Ci, path: &str| {
        let token = [("private-token", "glpat-lightsout-local")];
        gitlab.handle(&request("POST", &format!("/projects/lightsout%2Fdemo{path}"), &token, ""), NOW)
    };
    assert_eq!(of(&mut gitlab, "id"), [1003, 1001], "those that were queued together are one");
    assert_eq!(of(&mut gitlab, "status"), ["pending", "pending"]);
    assert_eq!(post(&mut gitlab, "/jobs/1001/retry").status, 403, "it waits");
    let taken = body(&ask_for_job(&mut gitlab, NOW));
    assert_eq!(taken["id"], 1001);
    assert_eq!(of(&mut gitlab, "status"), ["pending", "running"]);
    let failed = json!({"token": taken["token"], "state": "failed", "failure_reason": "script_failure"});
    assert_eq!(runner(&mut gitlab, "PUT", "/jobs/1001", &failed, NOW).status, 200);
    assert_eq!(post(&mut gitlab, "/jobs/1002/cancel").status, 201);
    assert_eq!(of(&mut gitlab, "status"), ["pending", "failed"]);
    assert_eq!(ids(&get(&mut gitlab, "/projects/20/pipelines?status=failed")), [1001]);

    let again = post(&mut gitlab, "/jobs/1001/retry");
    assert_eq!(
        (again.status, body(&again)["id"].clone(), body(&again)["name"].clone()),
        (201, json!(1004), json!("job-1001"))
    );
    assert_eq!(post(&mut gitlab, "/jobs/1001/retry").status, 403, "it was already");
    assert_eq!(ids(&get(&mut gitlab, "/projects/20/pipelines/1001/jobs")), [1004, 1002]);
    assert_eq!(ids(&get(&mut gitlab, "/projects/20/pipelines/1001/jobs?scope[]=pending")), [1004]);
    let retried = post(&mut gitlab, "/pipelines/1001/retry");
    assert_eq!((retried.status, body(&retried)["status"].clone()), (201, json!("pending")), "what was cancelled, too");
    assert_eq!(ids(&get(&mut gitlab, "/projects/20/pipelines/1001/jobs")), [1005, 1004]);
    let canceled = post(&mut gitlab, "/pipelines/1001/cancel");
    assert_eq!((canceled.status, body(&canceled)["status"].clone()), (200, json!("canceled")));
    assert_eq!(gitlab.jobs().filter(|job| job.state() == JobState::Waiting).count(), 1, "the other pipeline's");
    for (target, status) in [("/projects/20/pipelines/7", 404), ("/projects/20/pipelines?status=odd", 400)] {
        assert_eq!(get(&mut gitlab, target).status, status, "{target}");
    }

    let begun = post(&mut gitlab, "/pipeline?ref=main");
    assert_eq!((begun.status, body(&begun)["status"].clone()), (201, json!("pending")));
    let id = body(&begun)["id"].clone();
    assert_eq!(of(&mut gitlab, "id")[0], id);
    assert_eq!(ids(&get(&mut gitlab, &format!("/projects/20/pipelines/{id}/jobs"))), [1006]);
    for (query, status) in [("", 400), ("?ref=none", 400), ("?ref=main&variables[][key]=A&variables[][value]=b", 400)] {
        assert_eq!(post(&mut gitlab, &format!("/pipeline{query}")).status, status, "{query}");
    }
}

#[test]
fn the_variables_of_a_pipeline_reach_its_jobs_and_those_that_repeat_them() {
    let mut gitlab = gitlab(GitLabOptions { scopes: vec!["api".into()], ..GitLabOptions::default() });
    let user = |gitlab: &mut Ci, target: &str, body: &Value| {
        let headers = [("private-token", "glpat-lightsout-local"), ("content-type", "application/json")];
        gitlab.handle(&request("POST", &format!("/projects/20{target}"), &headers, &body.to_string()), NOW)
    };
    let begin = |gitlab: &mut Ci, variables: &Value| {
        let body = json!({"ref": "main", "variables": variables});
        user(gitlab, "/pipeline", &body)
    };
    let given = json!([
        {"key": "DEPLOY_TO", "value": "a b"},
        {"key": "CI_PIPELINE_SOURCE", "variable_type": "env_var", "value": "ours"},
    ]);
    assert_eq!(begin(&mut gitlab, &given).status, 201);
    for again in [false, true] {
        let job = body(&ask_for_job(&mut gitlab, later(5)));
        let told: BTreeMap<&str, &str> = job["variables"]
            .as_array()
            .expect("variables")
            .iter()
            .map(|variable| (variable["key"].as_str().expect("a key"), variable["value"].as_str().expect("a value")))
            .collect();
        let seen = (told.get("DEPLOY_TO"), told.get("CI_PIPELINE_SOURCE"), told.get("CI"));
        assert_eq!(seen, (Some(&"a b"), Some(&"ours"), Some(&"true")), "again: {again}");
        let end = json!({"token": job["token"], "state": "failed"});
        assert_eq!(runner(&mut gitlab, "PUT", &format!("/jobs/{}", job["id"]), &end, later(6)).status, 200);
        if !again {
            assert_eq!(user(&mut gitlab, &format!("/jobs/{}/retry", job["id"]), &json!({})).status, 201);
        }
    }
    for wrong in [json!("A=b"), json!([{"key": "A"}]), json!([{"key": "A", "value": "b", "variable_type": "file"}])] {
        assert_eq!(begin(&mut gitlab, &wrong).status, 400, "{wrong}");
    }
}
