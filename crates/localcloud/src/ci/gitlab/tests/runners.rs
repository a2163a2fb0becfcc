//! Runners: how a job goes to one, how it ends, and who gets none.

use super::*;

#[test]
fn a_job_goes_from_queue_to_success() {
    let mut gitlab = gitlab(GitLabOptions::default());
    let new = NewJobs { argv: vec!["echo".into(), "a b".into()], image: Some("busybox".into()), ..NewJobs::default() };
    assert_eq!(gitlab.enqueue(&new, NOW), [1001]);
    let response = ask_for_job(&mut gitlab, later(5));
    assert_eq!(response.status, 201);
    let job = body(&response);
    assert_eq!(job["id"], 1001);
    assert_eq!(job["steps"][0]["script"], json!(["echo 'a b'"]));
    assert_eq!(job["image"]["name"], "busybox");
    assert!(
        job["variables"]
            .as_array()
            .expect("variables")
            .iter()
            .any(|v| v["key"] == "GIT_STRATEGY" && v["value"] == "none")
    );
    assert_eq!(ask_for_job(&mut gitlab, later(6)).status, 204);

    let token = job["token"].as_str().expect("a token");
    let wrong = runner(&mut gitlab, "PUT", "/jobs/1001", &json!({"token": "x", "state": "success"}), later(7));
    assert_eq!(wrong.status, 403);
    let running = runner(&mut gitlab, "PUT", "/jobs/1001", &json!({"token": token, "state": "running"}), later(8));
    assert_eq!((running.status, running.get("job-status")), (200, Some("running")));
    let done = runner(&mut gitlab, "PUT", "/jobs/1001", &json!({"token": token, "state": "success"}), later(9));
    assert_eq!((done.status, done.get("job-status")), (200, Some("success")));
    let again = runner(&mut gitlab, "PUT", "/jobs/1001", &json!({"token": token, "state": "failed"}), later(10));
    assert_eq!((again.status, again.get("job-status")), (403, Some("success")));

    let view = gitlab.jobs().next().expect("the job").view(None, later(99));
    assert_eq!((view.waited_s, view.ran_s), (5.0, Some(4.0)));
    let job_event: Vec<JobEventKind> =
        std::iter::from_fn(|| gitlab.poll_event()).map(|job_event| job_event.kind).collect();
    assert_eq!(job_event, [JobEventKind::Queued, JobEventKind::Picked, JobEventKind::Ended(JobOutcome::Success)]);
}

#[test]
fn a_runner_gets_only_what_its_tags_allow() {
    let options = GitLabOptions {
        runner_tags: vec!["linux".into(), "arm".into()],
        run_untagged: false,
        ..GitLabOptions::default()
    };
    let mut gitlab = gitlab(options);
    let tagged =
        |tags: &[&str]| NewJobs { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..NewJobs::default() };
    gitlab.enqueue(&tagged(&[]), NOW);
    gitlab.enqueue(&tagged(&["linux", "gpu"]), NOW);
    assert_eq!(ask_for_job(&mut gitlab, NOW).status, 204);
    gitlab.enqueue(&tagged(&["arm"]), NOW);
    assert_eq!(body(&ask_for_job(&mut gitlab, NOW))["id"], 1003);
    let put = |body: &str| request("PUT", "/runners/1", &[("private-token", "glpat-lightsout-local")], body);
    assert_eq!(gitlab.handle(&put(r#"{"run_untagged": true}"#), NOW).status, 200);
    assert_eq!(body(&ask_for_job(&mut gitlab, NOW))["id"], 1001);
}

#[test]
fn a_paused_runner_gets_nothing_and_a_wrong_token_is_refused() {
    let mut gitlab = gitlab(GitLabOptions::default());
    gitlab.enqueue(&NewJobs::default(), NOW);
    let put = |body: &str| request("PUT", "/runners/1", &[("private-token", "glpat-lightsout-local")], body);
    assert_eq!(body(&gitlab.handle(&put(r#"{"paused": true}"#), NOW))["paused"], true);
    let nothing = ask_for_job(&mut gitlab, NOW);
    assert_eq!(nothing.status, 204);
    assert!(nothing.get("x-gitlab-last-update").is_some());
    assert_eq!(gitlab.handle(&put(r#"{"paused": false}"#), NOW).status, 200);
    assert_eq!(runner(&mut gitlab, "POST", "/jobs/request", &json!({"token": "glrt-no"}), NOW).status, 403);
    assert_eq!(runner(&mut gitlab, "POST", "/jobs/request", &json!({}), NOW).status, 400);
    assert_eq!(ask_for_job(&mut gitlab, NOW).status, 201);
}

#[test]
fn a_manager_comes_with_the_first_call_and_goes_alone() {
    let mut gitlab = gitlab(GitLabOptions::default());
    let me = json!({"token": "glrt-lightsout-local", "system_id": "r_1"});
    let verified = runner(&mut gitlab, "POST", "/runners/verify", &me, NOW);
    assert_eq!((verified.status, &body(&verified)["id"]), (200, &json!(1)));
    let other = json!({"token": "glrt-lightsout-local", "system_id": "r_2"});
    runner(&mut gitlab, "POST", "/runners/verify", &other, NOW);
    gitlab.enqueue(&NewJobs::default(), NOW);
    ask_for_job(&mut gitlab, NOW);
    let managers = body(&get(&mut gitlab, "/runners/1/managers"));
    let busy = |id: &str| {
        managers
            .as_array()
            .and_then(|all| all.iter().find(|one| one["system_id"] == id))
            .map(|one| one["job_execution_status"].clone())
    };
    assert_eq!((busy("r_1"), busy("r_2")), (Some(json!("active")), Some(json!("idle"))));
    assert_eq!(runner(&mut gitlab, "DELETE", "/runners/managers", &me, NOW).status, 204);
    assert_eq!(runner(&mut gitlab, "DELETE", "/runners/managers", &me, NOW).status, 404);
    let stranger = json!({"token": "glrt-no", "system_id": "r_2"});
    assert_eq!(runner(&mut gitlab, "DELETE", "/runners/managers", &stranger, NOW).status, 403);
    assert_eq!(body(&get(&mut gitlab, "/runners/1/managers")).as_array().map(Vec::len), Some(1));
    assert_eq!(runner(&mut gitlab, "DELETE", "/runners", &me, NOW).status, 204);
    assert_eq!(get(&mut gitlab, "/runners/1").status, 404);
}

#[test]
fn a_trace_grows_only_at_its_end() {
    let mut gitlab = gitlab(GitLabOptions::default());
    gitlab.enqueue(&NewJobs::default(), NOW);
    let token = body(&ask_for_job(&mut gitlab, NOW))["token"].as_str().expect("a token").to_owned();
    let mut patch = |range: Option<&str>, text: &str| {
        let mut headers = vec![("job-token", token.as_str())];
        headers.extend(range.map(|range| ("content-range", range)));
        gitlab.handle(&request("PATCH", "/jobs/1001/trace", &headers, text), NOW)
    };
    let first = patch(Some("0-4"), "hello");
    assert_eq!((first.status, first.get("range")), (202, Some("0-5")));
    assert!(first.get("x-gitlab-trace-update-interval").is_some());
    let gap = patch(Some("9-12"), "late");
    assert_eq!((gap.status, gap.get("range")), (416, Some("0-5")));
    assert_eq!(patch(None, "x").status, 400);
    assert_eq!(patch(Some("5-10"), " world").status, 202);
    assert_eq!(get(&mut gitlab, "/projects/20/jobs/1001/trace").text(), "hello world");
}

#[test]
fn a_cancelled_job_tells_its_runner() {
    let mut gitlab = gitlab(GitLabOptions { scopes: vec!["api".into()], ..GitLabOptions::default() });
    gitlab.enqueue(&NewJobs::default(), NOW);
    let token = body(&ask_for_job(&mut gitlab, NOW))["token"].as_str().expect("a token").to_owned();
    let cancel = request("POST", "/projects/20/jobs/1001/cancel", &[("private-token", "glpat-lightsout-local")], "");
    assert_eq!(gitlab.handle(&cancel, NOW).status, 201);
    let told = runner(&mut gitlab, "PUT", "/jobs/1001", &json!({"token": token, "state": "running"}), NOW);
    assert_eq!((told.status, told.get("job-status")), (403, Some("canceled")));
    assert_eq!(states(&gitlab), [JobState::Failed]);
}

#[test]
fn a_job_that_nobody_updates_is_failed_after_the_limit() {
    let mut gitlab = gitlab(GitLabOptions::default());
    gitlab.enqueue(&NewJobs::default(), NOW);
    assert_eq!(gitlab.next_timer(), None);
    ask_for_job(&mut gitlab, NOW);
    assert_eq!(gitlab.next_timer(), Some(later(3600)));
    gitlab.advance(later(3599));
    assert_eq!(states(&gitlab), [JobState::Running]);
    gitlab.advance(later(3600));
    assert_eq!(body(&get(&mut gitlab, "/projects/20/jobs/1001"))["failure_reason"], "stuck_or_timeout_failure");
}

#[test]
fn a_job_is_lost_the_moment_its_machine_is_gone() {
    let mut gitlab = gitlab(GitLabOptions::default());
    gitlab.enqueue(&NewJobs { count: 2, ..NewJobs::default() }, NOW);
    ask_for_job(&mut gitlab, NOW);
    assert_eq!(gitlab.machine_gone(&["r_2"], later(3)), [0; 0]);
    assert_eq!(gitlab.machine_gone(&["r_1"], later(3)), [1001]);
    assert_eq!(states(&gitlab), [JobState::Lost, JobState::Waiting]);
    // GitLab itself does not know yet.
    assert_eq!(body(&get(&mut gitlab, "/projects/20/jobs/1001"))["status"], "running");
    assert_eq!(gitlab.jobs().next().expect("the job").view(None, later(60)).ran_s, Some(3.0));
}
