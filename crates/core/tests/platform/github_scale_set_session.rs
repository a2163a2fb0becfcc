//! The session by which GitHub's scale set is read: renewed, opened anew, given back, and another's.

use std::time::Duration;

use lightsout_core::{
    exchange::{ErrorKind, Exchange, ExchangeStep},
    platform::Queue,
};
use serde_json::json;

use crate::{
    exchange::{header, reply, script},
    github_scale_set::{demand, fresh_service, message, ok, open, opened, opening, read, session, settings},
};

#[test]
fn a_session_that_has_run_out_is_renewed_or_opened_anew() {
    let mut queue = opened();
    let (result, requests) = read(&mut queue, [reply(401, &[], ""), session("queue-token-2", 1, 1)]);
    assert_eq!(result, Ok(demand(0, 1)));
    assert_eq!(requests[1].method.as_str(), "PATCH");
    assert!(requests[1].url.ends_with("/runnerscalesets/7/sessions/0190-ab?api-version=6.0-preview"));
    let (result, requests) = read(&mut queue, [message(4, 3, 1), reply(204, &[], "")]);
    assert_eq!((result, header(&requests[0], "authorization")), (Ok(demand(2, 1)), Some("Bearer queue-token-2")));
    let replies = [vec![reply(401, &[], ""), reply(404, &[], "")], opening(9, 9)].concat();
    assert_eq!(read(&mut queue, replies).0, Ok(demand(0, 9)));
    let replies = [vec![reply(404, &[], "")], opening(4, 4)].concat();
    assert_eq!(read(&mut queue, replies).0, Ok(demand(0, 4)));
}

#[test]
fn a_session_is_renewed_with_a_fresh_token_of_the_service_and_not_opened_beside_itself() {
    for refused in [401, 403] {
        let mut queue = opened();
        let [registration, service] = fresh_service("admin-token-2");
        let replies =
            [reply(401, &[], ""), reply(refused, &[], ""), registration, service, session("queue-token-2", 6, 4)];
        let (result, requests) = read(&mut queue, replies);
        assert_eq!(result, Ok(demand(2, 4)));
        let last = &requests[4];
        assert_eq!((last.method.as_str(), header(last, "authorization")), ("PATCH", Some("Bearer admin-token-2")));
        assert!(requests.iter().all(|request| !request.url.contains("/sessions?")), "another session would be refused");
        // Also that token may see no session any more.
        let [registration, service] = fresh_service("admin-token-3");
        let replies = [reply(401, &[], ""), reply(refused, &[], ""), registration, service, reply(403, &[], "")];
        let replies = replies.into_iter().chain(opening(1, 0));
        assert_eq!(read(&mut queue, replies).0, Ok(demand(1, 0)));
    }
}

/// A failure at any of the renewal's calls, also one that is answered with nothing to be understood.
#[test]
fn a_renewal_that_fails_loses_no_session() {
    let [registration, service] = fresh_service("admin-token-2");
    let way = [reply(401, &[], ""), reply(401, &[], ""), registration, service, reply(403, &[], "")];
    let mut conflict = opening(0, 0);
    conflict[3] = ok(409, &json!({"message": "already has an active session"}));
    let way = [way.to_vec(), conflict].concat();
    for (at, failures) in
        [(1, vec![500, 429]), (2, vec![500, 403, 404]), (3, vec![500, 403]), (4, vec![500]), (9, vec![])]
    {
        for failure in failures.into_iter().map(|status| reply(status, &[], "")).chain([reply(200, &[], "<html>")]) {
            let mut queue = opened();
            let replies = way.iter().take(at).cloned().chain((at < way.len()).then_some(failure));
            read(&mut queue, replies).0.expect_err("the renewal failed");
            // The next reading goes on with it: nothing is opened beside it, which it would keep out for as long as it lasts.
            let [registration, service] = fresh_service("admin-token-3");
            let replies =
                [reply(401, &[], ""), reply(401, &[], ""), registration, service, session("queue-token-2", 6, 4)];
            let (result, requests) = read(&mut queue, replies);
            assert_eq!(result, Ok(demand(2, 4)), "after a failure at call {at}");
            assert!(requests[4].url.contains("/sessions/0190-ab?") && requests[4].method.as_str() == "PATCH");
            assert!(queue.release().is_some(), "and it is given back at the end");
        }
    }
}

/// The token at hand is refused on the way to a fresh one of the service's.
#[test]
fn a_session_outlives_the_token_that_it_was_opened_with() {
    let mut queue = opened();
    let refused = [reply(401, &[], ""), reply(401, &[], ""), reply(401, &[], "")];
    let error = read(&mut queue, refused.clone()).0.expect_err("the token was rotated");
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    queue.take_secret(&"two lines\nof it".into()).expect_err("no token");
    assert_eq!(queue.take_secret(&"ghp_rotated".into()), Ok(true));
    let [registration, service] = fresh_service("admin-token-2");
    let replies = [&refused[..2], &[registration, service, session("queue-token-2", 6, 4)]].concat();
    let (result, requests) = read(&mut queue, replies);
    assert_eq!(result, Ok(demand(2, 4)));
    assert_eq!(header(&requests[2], "authorization"), Some("Bearer ghp_rotated"));
    assert_eq!(header(&requests[4], "authorization"), Some("Bearer admin-token-2"));
    assert!(requests[4].url.contains("/sessions/0190-ab?"), "none is opened beside it");
    assert_eq!(open(settings()).take_secret(&"ghp_rotated".into()), Ok(false), "nothing is held yet");
}

#[test]
fn the_session_is_given_back() {
    let mut fresh = open(settings());
    assert!(fresh.release().is_none(), "there is none");
    let mut queue = opened();
    let mut release = queue.release().expect("a session");
    let (result, requests) = script(release.as_mut(), [reply(204, &[], "")]);
    assert_eq!((result, requests[0].method.as_str()), (Ok(()), "DELETE"));
    assert!(requests[0].url.ends_with("/runnerscalesets/7/sessions/0190-ab?api-version=6.0-preview"));
    assert_eq!(header(&requests[0], "authorization"), Some("Bearer admin-token"));
    assert!(queue.release().is_none(), "once");
    assert_eq!(read(&mut queue, opening(1, 0)).0, Ok(demand(1, 0)), "a reading opens another");

    // Also when the service's token has run out meanwhile, and when a reading was cut short.
    let mut queue = opened();
    let ExchangeStep::Perform(..) = queue.start() else { panic!("no message is waited for") };
    let mut release = queue.release().expect("the session of the reading that was cut");
    let [registration, service] = fresh_service("admin-token-2");
    let (result, requests) =
        script(release.as_mut(), [reply(401, &[], ""), registration, service, reply(204, &[], "")]);
    assert_eq!(result, Ok(()));
    assert_eq!(header(&requests[1], "authorization"), Some("Bearer ghp_secret"));
    assert_eq!(header(&requests[3], "authorization"), Some("Bearer admin-token-2"));
    let mut release = opened().release().expect("a session");
    assert_eq!(script(release.as_mut(), [reply(404, &[], "")]).0, Ok(()), "it is gone");
    let mut release = opened().release().expect("a session");
    script(release.as_mut(), [reply(500, &[], "")]).0.expect_err("not given back");
}

#[test]
fn another_owner_of_the_session_is_named_as_the_reason() {
    let mut replies = opening(0, 0);
    replies[3] = ok(409, &json!({"message": "already has an active session"}));
    let error = script(&mut open(settings()), replies).0.expect_err("conflict");
    assert_eq!(error.kind, ErrorKind::Occupied(Duration::from_secs(30)), "it waits, and nothing failed");
    let start = "waits for the session of the runner scale set linux large, which another owner holds (GitHub: already has an active session)";
    assert!(error.message.starts_with(start) && error.message.contains("takes over"), "{error}");
}
