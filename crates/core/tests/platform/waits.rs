//! How long jobs waited, as listings with time stamps tell.

use std::time::Duration;

use jiff::Timestamp;
use lightsout_core::{
    exchange::Reply,
    platform::{
        Queue, Waits,
        github::{self, CLOUD, GitHubAuth, GitHubQueueSettings, GitHubScope},
    },
};
use serde_json::{Value, json};

use crate::{
    exchange::{list_of, read_as, reply, script, url},
    gitlab_queue,
};

const TEN: &str = "Sun, 01 Feb 2026 10:00:00 GMT";
const TEN_PAST: &str = "Sun, 01 Feb 2026 10:10:00 GMT";

#[expect(clippy::unnecessary_wraps, reason = "as it is compared")]
fn waits(ended: &[f64], oldest: Option<f64>) -> Option<Waits> {
    let seconds = |seconds: f64| Duration::from_secs_f64(seconds);
    Some(Waits { ended: ended.iter().copied().map(seconds).collect(), oldest: oldest.map(seconds), unseen: false })
}

fn after(queue: &mut impl Queue, replies: impl IntoIterator<Item = Reply>) -> Option<Waits> {
    script(queue, replies).0.expect("a reading");
    queue.waits(Timestamp::UNIX_EPOCH)
}

/// A job that came long before its stage began: how long it was in the queue is not how old it is.
fn gitlab_job(id: u64, status: &str, queued: &Value) -> Value {
    json!({"id": id, "status": status, "tag_list": ["docker"], "runner": null, "queued_duration": queued, "created_at": "2026-01-01T00:00:00Z"})
}

#[test]
fn gitlab_tells_how_long_each_job_was_in_the_queue() {
    let mut queue = gitlab_queue::open(gitlab_queue::settings(gitlab_queue::project("12")));
    let answer = |date: &str, jobs: &[Value]| [reply(200, &[("date", date)], &json!(jobs).to_string())];
    let first = [gitlab_job(1, "pending", &json!(12.5)), gitlab_job(2, "running", &json!(3.0))];
    assert_eq!(after(&mut queue, answer(TEN, &first)), waits(&[], Some(12.5)));
    assert_eq!(queue.waits(Timestamp::UNIX_EPOCH), None, "once");
    let second = [gitlab_job(1, "running", &json!(14.5)), gitlab_job(3, "running", &json!(0.25))];
    assert_eq!(after(&mut queue, answer(TEN_PAST, &second)), waits(&[14.5, 0.25], None));
    // One that does not tell, and a reply without a time.
    assert_eq!(after(&mut queue, answer(TEN, &[gitlab_job(4, "pending", &Value::Null)])), None);
    let untimed = [reply(200, &[], &json!([gitlab_job(4, "pending", &json!(1.0))]).to_string())];
    assert_eq!(after(&mut queue, untimed), None);
}

#[test]
fn github_tells_when_each_job_came_and_began() {
    let settings = GitHubQueueSettings {
        url: url(CLOUD),
        scope: GitHubScope::Repositories(list_of(&["acme/app"])),
        labels: [read_as("linux")].into(),
        runner_group_id: None,
    };
    let mut queue = github::queue(settings, GitHubAuth::Token("github_pat_x".into())).unwrap();
    let job = |id: u64, status: &str, started: &str| json!({"id": id, "status": status, "labels": ["linux"], "created_at": "2026-02-01T09:59:00Z", "started_at": started});
    let reading = |date: &'static str, jobs: Value| {
        let ok = move |body: &Value| reply(200, &[("date", date)], &body.to_string());
        let none = ok(&json!({"total_count": 0, "workflow_runs": []}));
        let run = json!({"id": 9, "status": "queued", "name": "ci"});
        let runs = ok(&json!({"total_count": 1, "workflow_runs": [run]}));
        let jobs = ok(&json!({"total_count": 1, "jobs": jobs}));
        [runs, jobs, none.clone(), none.clone(), none.clone(), none]
    };
    // A job that waits has a time at which it began, too: when it came.
    let first = reading(TEN, json!([job(1, "queued", "2026-02-01T09:59:00Z")]));
    assert_eq!(after(&mut queue, first), waits(&[], Some(60.0)));
    let second = reading(TEN_PAST, json!([job(1, "in_progress", "2026-02-01T10:01:30Z")]));
    assert_eq!(after(&mut queue, second), waits(&[150.0], None));
}
