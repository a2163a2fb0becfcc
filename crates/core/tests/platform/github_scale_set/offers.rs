//! Jobs that are offered: taken once, counted until GitHub counts them, and never lost.

use lightsout_core::{exchange::Reply, platform::Queue};
use serde_json::{Value, json};

use super::*;
use crate::exchange::{body, header, reply};

/// A message that offers these jobs.
fn offer(number: u64, jobs: &[u64], assigned: u32, running: u32) -> Reply {
    let event = |kind: &str, id: &u64| json!({"messageType": kind, "runnerRequestId": id, "jobDisplayName": "unit"});
    let mut events: Vec<_> = jobs.iter().map(|id| event("JobAvailable", id)).collect();
    events.push(event("JobAssigned", &99));
    let body = Value::Array(events).to_string();
    let message = json!({"messageId": number, "body": body, "statistics": statistics(assigned, running)});
    ok(200, &message)
}

#[test]
fn jobs_that_are_offered_are_taken_before_the_message_is_deleted() {
    let mut queue = opened();
    let taken = ok(200, &json!({"count": 2, "value": [7, 8]}));
    let (result, requests) = read(&mut queue, [offer(4, &[7, 8], 3, 1), taken, reply(204, &[], "")]);
    assert_eq!(result, Ok(demand(4, 1)), "two were assigned, and two more are on their way");
    let calls: Vec<_> = requests.iter().map(|request| format!("{} {}", request.method.as_str(), request.url)).collect();
    assert_eq!(
        calls[1..],
        [
            "POST https://pipelines.example/tenant/_apis/runtime/runnerscalesets/7/acquirejobs?api-version=6.0-preview",
            "DELETE https://queue.example/messages/4?x=1",
        ]
    );
    assert_eq!((body(&requests[1]), header(&requests[1], "authorization")), ("[7,8]", Some("Bearer queue-token")));
    assert_eq!(read(&mut queue, [reply(202, &[], "")]).0, Ok(demand(2, 1)), "GitHub's own number, from then on");
}

/// As a run of a timer does, which opens a session and gives it back: it never comes to a message.
#[test]
fn jobs_that_were_offered_before_the_session_are_taken_by_the_reading_that_opens_it() {
    let opening = || [opening(0, 0)[..3].to_vec(), vec![with_available(session("queue-token", 3, 1), 2)]].concat();
    let offered = || {
        ok(200, &json!({"count": 2, "value": [{"runnerRequestId": 7, "acquireJobUrl": "x"}, {"runnerRequestId": 8}]}))
    };
    let mut queue = open(settings());
    let taken = ok(200, &json!({"count": 2, "value": [7, 8]}));
    let (result, requests) = read(&mut queue, [opening(), vec![offered(), taken]].concat());
    assert_eq!(result, Ok(demand(4, 1)), "one more was assigned already");
    let (list, take) = (&requests[4], &requests[5]);
    let set = "https://pipelines.example/tenant/_apis/runtime/runnerscalesets/7";
    assert_eq!(list.url, format!("{set}/acquirablejobs?api-version=6.0-preview"));
    assert_eq!((list.method.as_str(), header(list, "authorization")), ("GET", Some("Bearer admin-token")));
    assert_eq!((take.method.as_str(), body(take)), ("POST", "[7,8]"));
    assert!(queue.release().is_some());
    // Another was faster, or the service says nothing that can be used: what is assigned is known all the same.
    assert_eq!(read(&mut open(settings()), [opening(), vec![reply(204, &[], "")]].concat()).0, Ok(demand(2, 1)));
    let trouble = [
        vec![reply(500, &[], "")],
        vec![reply(401, &[], "")],
        vec![reply(200, &[], "<html>")],
        vec![offered(), reply(403, &[], "")],
        vec![offered(), reply(401, &[], "")],
    ];
    for replies in trouble {
        let reading = read(&mut open(settings()), [opening(), replies].concat()).0.expect("the statistics");
        assert_eq!((reading.demand.queued, reading.missing.is_some()), (2, true));
    }
}

#[test]
fn a_message_whose_jobs_could_not_be_taken_is_kept() {
    let mut queue = opened();
    for trouble in [500, 429] {
        let (result, requests) = read(&mut queue, [offer(4, &[7], 3, 1), reply(trouble, &[], "")]);
        let reading = result.expect("the statistics are known");
        assert_eq!(reading.demand.queued, 2, "{trouble}");
        assert!(reading.missing.expect("the offer").message.contains("take the 1 jobs"), "{trouble}");
        assert!(!requests[0].url.contains("lastMessageId"), "it is asked for again: {}", requests[0].url);
    }
    let (result, requests) =
        read(&mut queue, [offer(4, &[7], 3, 1), reply(401, &[], ""), session("queue-token-2", 3, 1)]);
    assert_eq!((result, requests.len()), (Ok(demand(2, 1)), 3));
    let taken = ok(200, &json!({"count": 1, "value": [7]}));
    let (result, requests) = read(&mut queue, [offer(4, &[7], 3, 1), taken, reply(204, &[], "")]);
    assert_eq!(result, Ok(demand(3, 1)));
    assert_eq!(header(&requests[1], "authorization"), Some("Bearer queue-token-2"));
    for body in ["{", "{}", "[1]", r#"[{"messageType":"JobAvailable"}]"#] {
        let message = json!({"messageId": 5, "body": body, "statistics": statistics(1, 1)});
        read(&mut queue, [ok(200, &message)]).0.expect_err(body);
    }
}

/// The same, of which so many are still offered.
fn with_available(mut message: Reply, available: u32) -> Reply {
    let text = String::from_utf8(message.body).expect("text");
    message.body = text.replace("AvailableJobs\":0", &format!("AvailableJobs\":{available}")).into();
    message
}

#[test]
fn an_offer_that_is_refused_for_good_is_said_once_and_blocks_no_later_message() {
    let done = || reply(204, &[], "");
    for refused in [400, 403, 404, 409] {
        let mut queue = opened();
        let refused = || reply(refused, &[], "");
        let news =
            [with_available(offer(4, &[7], 3, 1), 1), refused(), done(), with_available(message(5, 6, 2), 1), done()];
        let (result, requests) = read(&mut queue, news);
        let reading = result.expect("the statistics");
        assert_eq!(reading.demand, demand(4, 2).demand, "what is assigned counts, also of the message behind it");
        assert!(reading.missing.expect("the offer").message.contains("take the 1 jobs"));
        assert_eq!(requests[2].url, "https://queue.example/messages/4?x=1", "it is not told again");
        // What is still offered is asked for again, without another word, and taken once that is granted.
        let offered = || ok(200, &json!({"count": 1, "value": [{"runnerRequestId": 7}]}));
        let (result, requests) = read(&mut queue, [reply(202, &[], ""), offered(), refused()]);
        assert_eq!((result, body(&requests[2])), (Ok(demand(4, 2)), "[7]"));
        let taken = ok(200, &json!({"count": 1, "value": [7]}));
        assert_eq!(read(&mut queue, [reply(202, &[], ""), offered(), taken]).0, Ok(demand(5, 2)));
        assert_eq!(read(&mut queue, [reply(202, &[], "")]).0, Ok(demand(4, 2)), "once");
    }
}

/// What GitHub counted last holds where no message comes: nobody's jobs wait for those that are offered.
#[test]
fn offers_that_cannot_be_listed_or_taken_leave_what_was_counted_as_a_lower_bound() {
    let owing = || {
        let mut queue = opened();
        let (result, _) = read(&mut queue, [with_available(offer(4, &[7], 3, 1), 1), reply(500, &[], "")]);
        assert!(result.expect("the statistics").missing.is_some());
        queue
    };
    let offered = || ok(200, &json!({"count": 1, "value": [{"runnerRequestId": 7}]}));
    for failure in [vec![reply(500, &[], "")], vec![reply(200, &[], "<html>")], vec![offered(), reply(503, &[], "")]] {
        let (result, _) = read(&mut owing(), [vec![reply(202, &[], "")], failure].concat());
        let reading = result.expect("the statistics");
        assert_eq!((reading.demand, reading.missing.is_some()), (demand(2, 1).demand, true));
    }
    // A refusal for good is said once.
    let mut queue = owing();
    for said in [true, false, false] {
        let (result, _) = read(&mut queue, [reply(202, &[], ""), reply(403, &[], "")]);
        let reading = result.expect("the statistics");
        assert_eq!((reading.demand, reading.missing.is_some()), (demand(2, 1).demand, said));
    }
    // That they cannot be taken, once they are listed, is another word.
    for said in [true, false] {
        let (result, _) = read(&mut queue, [reply(202, &[], ""), offered(), reply(403, &[], "")]);
        assert_eq!(result.expect("the statistics").missing.is_some(), said);
    }
}

#[test]
fn the_rest_of_an_offer_that_was_granted_in_part_is_asked_for_again() {
    let mut queue = opened();
    let taken = |id: u64| ok(200, &json!({"count": 1, "value": [id]}));
    let first = [with_available(offer(4, &[7, 8], 3, 1), 1), taken(7), reply(204, &[], ""), reply(202, &[], "")];
    let (result, _) = read(&mut queue, first);
    assert_eq!(result, Ok(demand(3, 1)));
    let offered = ok(200, &json!({"count": 1, "value": [{"runnerRequestId": 8}]}));
    let (result, requests) = read(&mut queue, [reply(202, &[], ""), offered, taken(8)]);
    assert_eq!((result, body(&requests[2])), (Ok(demand(3, 1)), "[8]"));
}

/// Another was faster with the second.
#[test]
fn of_the_jobs_that_are_offered_those_count_that_were_taken() {
    let taken = ok(200, &json!({"count": 1, "value": [7]}));
    assert_eq!(read(&mut opened(), [offer(4, &[7, 8], 3, 1), taken, reply(204, &[], "")]).0, Ok(demand(3, 1)));
}

/// Whatever fails after a message: its renewed token, the session, what is said next.
#[test]
fn what_was_counted_before_a_failure_is_a_lower_bound() {
    let [registration, service] = fresh_service("admin-token-2");
    let done = || reply(204, &[], "");
    let mut conflict = opening(0, 0);
    conflict[3] = ok(409, &json!({"message": "already has an active session"}));
    for failure in [
        vec![reply(401, &[], ""), reply(500, &[], "")],
        vec![reply(401, &[], ""), reply(401, &[], ""), reply(500, &[], "")],
        vec![reply(401, &[], ""), reply(401, &[], ""), registration, service, reply(500, &[], "")],
        vec![reply(401, &[], ""), reply(404, &[], ""), reply(403, &[], "")],
        [vec![reply(404, &[], "")], conflict].concat(),
        vec![reply(200, &[], "<html>")],
    ] {
        let mut queue = opened();
        let replies = [vec![message(4, 9, 2), done()], failure].concat();
        let reading = read(&mut queue, replies).0.expect("the counts of the first message");
        assert_eq!((reading.demand.queued, reading.missing.is_some()), (7, true));
    }
}

#[test]
fn who_only_looks_takes_no_job_that_is_offered_and_no_message() {
    let looking = |available| {
        let mut queue = open(settings());
        assert!(queue.only_look().expect("a sentence").contains("not taken"));
        let mut replies = opening(3, 1);
        replies[3] = with_available(replies[3].clone(), available);
        (read(&mut queue, replies).0, queue)
    };
    let (result, mut queue) = looking(2);
    assert_eq!(result, Ok(demand(4, 1)), "what waits to be taken waits");
    let message = with_available(offer(4, &[7], 3, 1), 1);
    let (result, requests) = read(&mut queue, [message, reply(202, &[], "")]);
    assert_eq!(result, Ok(demand(3, 1)));
    let methods: Vec<_> = requests.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["GET", "GET"], "the message is left for who reads on");
    assert!(requests[1].url.contains("lastMessageId=4"), "and not read twice: {}", requests[1].url);
    assert_eq!(looking(0).0, Ok(demand(2, 1)));
}
