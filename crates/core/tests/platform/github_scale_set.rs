//! Reading GitHub's queue by the session of a scale set.

mod offers;

use std::{num::NonZeroU32, num::NonZeroU64, time::Duration};

use lightsout_core::{
    exchange::{EffectResult, ErrorKind, ExchangeError, Method, Reply, Request, Unreachable},
    platform::{
        Demand, Queue, Reading, Waits,
        github::{self, CLOUD, GitHubAuth, GitHubOwner, GitHubScaleSetSettings},
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::exchange::{body, complete, header, read_as, reply, script, url};

pub(crate) const SERVICE: &str = "https://pipelines.example/tenant/";

pub(crate) fn settings() -> GitHubScaleSetSettings {
    GitHubScaleSetSettings {
        url: url(CLOUD),
        owner: GitHubOwner::Organization(read_as("acme")),
        scale_set: read_as("linux large"),
        runner_group_id: NonZeroU64::new(1).unwrap(),
        max_jobs: NonZeroU32::new(40).unwrap(),
    }
}

pub(crate) fn token() -> GitHubAuth {
    GitHubAuth::Token("ghp_secret".into())
}

pub(crate) fn open(settings: GitHubScaleSetSettings) -> impl Queue {
    github::scale_set_queue(settings, token()).expect("settings that can work")
}

pub(crate) fn ok(status: u16, body: &Value) -> Reply {
    reply(status, &[], &body.to_string())
}

/// A registration token and the service with this token of its own: the way to a fresh one.
pub(crate) fn fresh_service(token: &str) -> [Reply; 2] {
    [
        ok(201, &json!({"token": "REG", "expires_at": "2026-02-01T11:00:00Z"})),
        ok(200, &json!({"url": SERVICE, "token": token})),
    ]
}

pub(crate) fn statistics(assigned: u32, running: u32) -> Value {
    json!({"totalAvailableJobs": 0, "totalAcquiredJobs": 0, "totalAssignedJobs": assigned, "totalRunningJobs": running,
           "totalRegisteredRunners": 1, "totalBusyRunners": running, "totalIdleRunners": 0})
}

pub(crate) fn session(token: &str, assigned: u32, running: u32) -> Reply {
    ok(
        200,
        &json!({"sessionId": "0190-ab", "ownerName": "x", "runnerScaleSet": {"id": 7}, "statistics": statistics(assigned, running),
                    "messageQueueUrl": "https://queue.example/messages?x=1", "messageQueueAccessToken": token}),
    )
}

pub(crate) fn opening(assigned: u32, running: u32) -> Vec<Reply> {
    vec![
        ok(201, &json!({"token": "REG", "expires_at": "2026-02-01T11:00:00Z"})),
        ok(200, &json!({"url": SERVICE, "token": "admin-token"})),
        ok(200, &json!({"count": 1, "value": [{"id": 7, "name": "linux large"}]})),
        session("queue-token", assigned, running),
    ]
}

pub(crate) fn message(number: u64, assigned: u32, running: u32) -> Reply {
    ok(
        200,
        &json!({"messageId": number, "messageType": "RunnerScaleSetJobMessages", "body": "[]", "statistics": statistics(assigned, running)}),
    )
}

pub(crate) fn demand(queued: u32, running: u32) -> Reading {
    Demand { queued, running: Some(running), poll_after: None }.into()
}

/// A reading with these replies; then no further message waits. Also says what was asked, but for that.
pub(crate) fn read(
    queue: &mut dyn Queue,
    replies: impl IntoIterator<Item = Reply>,
) -> (Result<Reading, ExchangeError>, Vec<Request>) {
    let (mut replies, mut requests) = (replies.into_iter().peekable(), Vec::<Request>::new());
    let result = complete(queue, |request| {
        let acknowledged = requests.last().is_some_and(|last| last.method == Method::Delete);
        if replies.peek().is_none() && acknowledged && request.url.contains("lastMessageId") {
            return EffectResult::Http(Err(Unreachable::Timeout(request.timeout.expect("it waits for a while"))));
        }
        requests.push(request.clone());
        EffectResult::Http(Ok(replies.next().unwrap_or_else(|| panic!("nothing was to be asked after {requests:#?}"))))
    });
    assert_eq!(replies.next(), None, "more should have been asked than {requests:#?}");
    (result, requests)
}

pub(crate) fn opened() -> impl Queue {
    let mut queue = open(settings());
    assert_eq!(read(&mut queue, opening(5, 2)).0, Ok(demand(3, 2)));
    queue
}

#[test]
fn the_chain_leads_to_a_session_and_its_statistics() {
    let mut queue = open(settings());
    let (result, requests) = read(&mut queue, opening(5, 2));
    assert_eq!((result, queue.platform()), (Ok(demand(3, 2)), "github"));
    let calls: Vec<_> = requests.iter().map(|request| format!("{} {}", request.method.as_str(), request.url)).collect();
    assert_eq!(
        calls,
        [
            "POST https://api.github.com/orgs/acme/actions/runners/registration-token",
            "POST https://api.github.com/actions/runner-registration",
            "GET https://pipelines.example/tenant/_apis/runtime/runnerscalesets?runnerGroupId=1&name=linux%20large&api-version=6.0-preview",
            "POST https://pipelines.example/tenant/_apis/runtime/runnerscalesets/7/sessions?api-version=6.0-preview",
        ]
    );
    let authorisations: Vec<_> =
        requests.iter().map(|request| header(request, "authorization").unwrap_or_default()).collect();
    assert_eq!(authorisations, ["Bearer ghp_secret", "RemoteAuth REG", "Bearer admin-token", "Bearer admin-token"]);
    let sent: Value = serde_json::from_str(body(&requests[1])).expect("JSON");
    assert_eq!(sent, json!({"url": "https://github.com/acme", "runner_event": "register"}));
}

#[test]
fn a_message_is_read_and_acknowledged() {
    let mut queue = opened();
    let (result, requests) = read(&mut queue, [message(4, 8, 6), reply(204, &[], "")]);
    assert_eq!(result, Ok(demand(2, 6)));
    assert_eq!(requests[0].url, "https://queue.example/messages?x=1");
    assert_eq!(header(&requests[0], "x-scalesetmaxcapacity"), Some("40"));
    assert_eq!(header(&requests[0], "authorization"), Some("Bearer queue-token"));
    assert!(requests[0].timeout.is_some_and(|timeout| timeout < Duration::from_secs(5)));
    assert_eq!(
        (requests[1].method.as_str(), requests[1].url.as_str()),
        ("DELETE", "https://queue.example/messages/4?x=1")
    );
    // Nothing new: what was said last holds, whether GitHub says so or lets us wait.
    let (result, requests) = read(&mut queue, [reply(202, &[], "")]);
    assert_eq!(
        (result, requests[0].url.as_str()),
        (Ok(demand(2, 6)), "https://queue.example/messages?x=1&lastMessageId=4")
    );
    let silent = complete(&mut queue, |_| EffectResult::Http(Err(Unreachable::Timeout(Duration::from_secs(2)))));
    assert_eq!(silent, Ok(demand(2, 6)));
    // An acknowledgement that is lost changes nothing.
    assert_eq!(read(&mut queue, [message(5, 0, 0), reply(500, &[], "")]).0, Ok(demand(0, 0)));
}

#[test]
fn of_the_messages_that_wait_the_last_counts() {
    let mut queue = opened();
    let done = || reply(204, &[], "");
    let waiting = [message(4, 9, 2), done(), message(5, 12, 2), done(), message(6, 30, 4), done()];
    let (result, requests) = read(&mut queue, waiting);
    assert_eq!(result, Ok(demand(26, 4)), "an older one is no news");
    assert!(requests[4].timeout < requests[0].timeout, "one that waits comes at once");
    // What failed after a message takes nothing from it.
    let reading = read(&mut queue, [message(7, 31, 4), done(), reply(500, &[], "")]).0.expect("the statistics");
    assert_eq!((reading.demand.queued, reading.missing.is_some()), (27, true));
    // A stream that does not end is read on in the next reading.
    let mut number = 7;
    let result = complete(&mut queue, |request| {
        EffectResult::Http(Ok(if request.method == Method::Delete {
            done()
        } else {
            number += 1;
            message(number, u32::try_from(number).expect("small"), 0)
        }))
    });
    assert_eq!(result, Ok(demand(u32::try_from(number).expect("small"), 0)));
    assert!((2..20).contains(&(number - 7)), "{number}");
}

#[test]
fn what_was_taken_is_counted_until_github_counts_it() {
    let mut queue = opened();
    let taken = |jobs: &[u64]| ok(200, &json!({"count": jobs.len(), "value": jobs}));
    let done = || reply(204, &[], "");
    let offered = |number, jobs: &[u64]| {
        let events: Vec<_> =
            jobs.iter().map(|id| json!({"messageType": "JobAvailable", "runnerRequestId": id})).collect();
        let body = Value::Array(events).to_string();
        ok(200, &json!({"messageId": number, "body": body, "statistics": statistics(1, 1)}))
    };
    let both = [offered(4, &[7, 8]), taken(&[7, 8]), done(), offered(5, &[9]), taken(&[9]), done()];
    assert_eq!(read(&mut queue, both).0, Ok(demand(3, 1)), "of both messages");
    let assigned = telling(7, &[("JobAssigned", 10, Some(4), None)], 2, 1);
    let then = [offered(6, &[10]), taken(&[10]), done(), assigned, done()];
    assert_eq!(read(&mut queue, then).0, Ok(demand(1, 1)), "none of it twice");
}

/// As GitHub was seen to say.
#[test]
fn a_job_that_is_assigned_waits_although_the_statistics_of_the_same_message_say_none() {
    let mut queue = opened();
    let done = || reply(204, &[], "");
    let assigned = |number, job| telling(number, &[("JobAssigned", job, Some(4), None)], 0, 0);
    assert_eq!(read(&mut queue, [assigned(4, 8), done()]).0, Ok(demand(1, 0)));
    assert_eq!(read(&mut queue, [reply(202, &[], "")]).0, Ok(demand(0, 0)), "one raise, not one a tick");
    let started = telling(6, &[("JobStarted", 9, Some(4), Some(5))], 1, 1);
    assert_eq!(read(&mut queue, [assigned(5, 9), done(), started, done()]).0, Ok(demand(0, 1)), "it has begun");
}

/// Where GitHub assigns jobs by itself it gives none a number.
#[test]
fn jobs_without_a_number_are_told_apart_by_their_ids() {
    let mut queue = opened();
    let event = |id: &str| json!({"messageType": "JobAssigned", "runnerRequestId": 0, "jobId": id, "queueTime": "2026-02-01T10:04:00Z"});
    let body = Value::Array(["a-1", "b-2", "b-2"].iter().map(|id| event(id)).collect()).to_string();
    let message = ok(200, &json!({"messageId": 4, "body": body, "statistics": statistics(0, 0)}));
    assert_eq!(read(&mut queue, [message, reply(204, &[], "")]).0, Ok(demand(2, 0)));
}

/// A message that says this of jobs: what, the job, and the minutes after ten at which it was queued, taken by a runner and done.
fn telling(number: u64, jobs: &[(&str, u64, Option<u32>, Option<u32>)], assigned: u32, running: u32) -> Reply {
    let minute =
        |minute: Option<u32>| minute.map_or("0001-01-01T00:00:00Z".into(), |m| format!("2026-02-01T10:{m:02}:00Z"));
    let event = |(kind, id, queued, taken): &(&str, u64, Option<u32>, Option<u32>)| {
        json!({"messageType": kind, "runnerRequestId": id, "jobDisplayName": "unit", "queueTime": minute(*queued),
               "scaleSetAssignTime": minute(*queued), "runnerAssignTime": minute(*taken), "finishTime": "2026-02-01T10:50:00Z"})
    };
    let body = Value::Array(jobs.iter().map(event).collect()).to_string();
    ok(200, &json!({"messageId": number, "body": body, "statistics": statistics(assigned, running)}))
}

#[expect(clippy::unnecessary_wraps, reason = "as it is compared")]
fn waits(ended: &[u64], oldest: Option<u64>, unseen: bool) -> Option<Waits> {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    Some(Waits { ended: ended.iter().copied().map(minutes).collect(), oldest: oldest.map(minutes), unseen })
}

#[test]
fn waits_are_by_githubs_own_times_of_queueing_and_of_taking() {
    let at = |minute: u32| format!("2026-02-01T10:{minute:02}:00Z").parse().expect("a time");
    let done = || reply(204, &[], "");
    let mut queue = opened();
    assert_eq!(queue.waits(at(5)), waits(&[], None, true), "three waited before the session began");
    let (two, began) = (("JobAssigned", 8, Some(4), None), ("JobStarted", 1, Some(1), Some(5)));
    read(&mut queue, [telling(1, &[two, began, ("JobAssigned", 9, Some(5), None)], 6, 3), done()]).0.unwrap();
    assert_eq!(queue.waits(at(6)), waits(&[4], Some(2), true), "the whole wait of one that nothing was told of before");
    assert_eq!(queue.waits(at(7)), waits(&[], Some(3), true), "once, and the others go on");
    // Nothing new, and GitHub lets us wait: no answer says what time it is.
    let _ = complete(&mut queue, |_| EffectResult::Http(Err(Unreachable::Timeout(Duration::from_secs(2)))));
    assert_eq!(queue.waits(at(8)), waits(&[], Some(4), true));
    let others = [("JobStarted", 2, Some(2), Some(8)), ("JobCompleted", 1, Some(1), Some(5))];
    read(&mut queue, [telling(2, &others, 5, 3), done()]).0.unwrap();
    assert_eq!(
        queue.waits(at(9)),
        waits(&[6], Some(5), false),
        "those that are left are known, and a job's end ends no wait"
    );
    // One is cancelled before it began. The other has begun by the count, before a message says so.
    read(&mut queue, [telling(3, &[("JobCompleted", 8, Some(4), None)], 4, 4), done()]).0.unwrap();
    assert_eq!(queue.waits(at(51)), waits(&[46], None, false));
    read(&mut queue, [telling(4, &[("JobStarted", 9, Some(5), Some(10))], 4, 4), done()]).0.unwrap();
    assert_eq!(queue.waits(at(52)), waits(&[5], None, false));
    // A message without times, or of something else, is none the less read.
    let odd = [("JobStarted", 3, None, Some(8)), ("JobPainted", 4, Some(1), None)];
    assert_eq!(read(&mut queue, [telling(5, &odd, 1, 1), done()]).0, Ok(demand(0, 1)));
    assert_eq!(queue.waits(at(53)), waits(&[], None, false));
}

#[test]
fn a_message_that_is_told_again_ends_no_wait_twice() {
    let mut queue = opened();
    let at = "2026-02-01T10:50:00Z".parse().expect("a time");
    let told = || {
        let events = json!([
            {"messageType": "JobAvailable", "runnerRequestId": 7},
            {"messageType": "JobStarted", "runnerRequestId": 1, "queueTime": "2026-02-01T10:01:00Z", "runnerAssignTime": "2026-02-01T10:02:00Z"},
        ]);
        ok(200, &json!({"messageId": 4, "body": events.to_string(), "statistics": statistics(3, 1)}))
    };
    read(&mut queue, [told(), reply(500, &[], "")]).0.expect("the statistics");
    assert_eq!(queue.waits(at), waits(&[], None, true), "its jobs could not be taken, so that it comes again");
    let taken = ok(200, &json!({"count": 1, "value": [7]}));
    read(&mut queue, [told(), taken, reply(204, &[], "")]).0.expect("the statistics");
    assert_eq!(queue.waits(at), waits(&[1], None, true));
}

#[test]
fn no_answer_of_the_chain_is_taken_for_no_demand() {
    let many = ok(200, &json!({"count": 0, "value": []}));
    let elsewhere = ok(200, &json!({"url": "http://evil.example", "token": "x"}));
    let null = ok(
        200,
        &json!({"sessionId": "1", "messageQueueUrl": "https://q", "messageQueueAccessToken": "t", "statistics": null}),
    );
    for (at, answer, kind, part) in [
        (0, reply(403, &[], ""), ErrorKind::Forbidden, "organization_self_hosted_runners"),
        (0, reply(200, &[], "{}"), ErrorKind::Malformed, "not expected"),
        (1, reply(403, &[], ""), ErrorKind::Server, "403"),
        (1, elsewhere, ErrorKind::Malformed, "a token may go"),
        (2, many, ErrorKind::NotFound, "runner group 1"),
        (2, ok(200, &json!({})), ErrorKind::Malformed, "value is missing"),
        (3, null, ErrorKind::Malformed, "statistics is null"),
        (3, reply(200, &[], "<html>"), ErrorKind::Malformed, "a web page"),
        (3, reply(500, &[], ""), ErrorKind::Server, "asked again"),
    ] {
        let mut replies = opening(1, 0);
        replies.truncate(at);
        replies.push(answer);
        let error = script(&mut open(settings()), replies).0.expect_err(part);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
}

#[test]
fn a_message_that_is_not_understood_is_an_error_and_the_session_stays() {
    let mut queue = opened();
    for answer in [
        reply(200, &[], "{}"),
        reply(200, &[], "<html>"),
        ok(200, &json!({"messageId": 4, "statistics": {}})),
        reply(500, &[], ""),
    ] {
        read(&mut queue, [answer]).0.expect_err("not understood");
    }
    assert_eq!(read(&mut queue, [reply(202, &[], "")]).0, Ok(demand(3, 2)));
}

#[test]
fn the_owners_page_follows_from_the_address() {
    for (url, page) in [
        ("https://git.test/api/v3", "https://git.test/acme"),
        ("https://api.acme.ghe.com/", "https://acme.ghe.com/acme"),
    ] {
        let mut queue = open(GitHubScaleSetSettings { url: self::url(url), ..settings() });
        let (_, requests) = read(&mut queue, opening(0, 0));
        assert!(body(&requests[1]).contains(page), "{}", body(&requests[1]));
    }
}

#[test]
fn secrets_are_not_shown() {
    let queue = opened();
    let debug = format!("{queue:?}");
    assert!(!["ghp_secret", "admin-token", "queue-token"].iter().any(|secret| debug.contains(secret)), "{debug}");
}

proptest! {
    #[test]
    fn arbitrary_answers_are_never_no_demand(status: u16, bytes: Vec<u8>, good in 0usize..4) {
        let mut replies = opening(1, 0).into_iter().take(good);
        let mut queue = open(settings());
        let result = complete(&mut queue, |_| {
            let spoilt = || Reply { status, body: bytes.clone(), ..reply(200, &[], "") };
            EffectResult::Http(Ok(replies.next().unwrap_or_else(spoilt)))
        });
        prop_assert!(result.is_err());
    }
}
