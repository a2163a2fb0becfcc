//! A GitHub App's way to a token.

use std::{collections::VecDeque, num::NonZeroU64, sync::LazyLock};

use jiff::Timestamp;
use lightsout_core::{
    exchange::{Effect, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Reply, Request},
    platform::{
        Queue, Reading,
        github::{self, CLOUD, GitHubApp, GitHubAuth, GitHubQueueSettings, GitHubScope},
    },
};
use proptest::prelude::*;
use serde_json::json;

use crate::exchange::{header, list_of, read_as, reply, url};

const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----";
const NOW: &str = "2026-02-01T10:00:00Z";
const EMPTY: &str = r#"{"total_count":0,"workflow_runs":[]}"#;

fn queue() -> impl Queue {
    let app = GitHubApp { app_id: read_as("123"), installation_id: NonZeroU64::new(77).unwrap() };
    let settings = GitHubQueueSettings {
        url: url(CLOUD),
        scope: GitHubScope::Repositories(list_of(&["acme/app"])),
        labels: [read_as("linux")].into(),
        runner_group_id: None,
    };
    github::queue(settings, GitHubAuth::App(app, KEY.into())).expect("settings that can work")
}

fn bought(token: &str, until: &str) -> Reply {
    reply(201, &[], &json!({"token": token, "expires_at": until, "permissions": {"actions": "read"}}).to_string())
}

fn empty() -> Reply {
    reply(200, &[], EMPTY)
}

/// After these replies, so many empty lists.
fn then(first: impl IntoIterator<Item = Reply>, empty_lists: usize) -> Vec<Reply> {
    first.into_iter().chain((0..empty_lists).map(|_| empty())).collect()
}

/// What an exchange asked, signatures and the clock among it.
#[derive(Default)]
struct Shell {
    requests: Vec<Request>,
    signed: Vec<String>,
    clocks: u32,
}

impl Shell {
    fn hold(
        &mut self,
        queue: &mut impl Queue,
        now: &str,
        signature: &Result<Vec<u8>, String>,
        replies: impl IntoIterator<Item = Reply>,
    ) -> Result<Reading, ExchangeError> {
        let mut replies: VecDeque<_> = replies.into_iter().collect();
        let mut step = queue.start();
        for _ in 0..100 {
            step = match step {
                ExchangeStep::Done(result) => {
                    assert!(replies.is_empty(), "more should have been asked than {:#?}", self.requests);
                    return result;
                }
                ExchangeStep::Wait => panic!("it waits for nothing"),
                ExchangeStep::Perform(id, Effect::Http(request)) => {
                    self.requests.push(request);
                    queue.resume(id, EffectResult::Http(Ok(replies.pop_front().unwrap_or_else(|| reply(500, &[], "")))))
                }
                ExchangeStep::Perform(id, Effect::Clock) => {
                    self.clocks += 1;
                    queue.resume(id, EffectResult::Clock(now.parse::<Timestamp>().expect("a time")))
                }
                ExchangeStep::Perform(id, Effect::Sign(signing)) => {
                    self.signed.push(String::from_utf8(signing.message).expect("text"));
                    queue.resume(id, EffectResult::Sign(signature.clone()))
                }
                ExchangeStep::Perform(_, Effect::Program(program)) => panic!("{program:?}"),
            };
        }
        panic!("the conversation does not end");
    }
}

static SIGNATURE: LazyLock<Result<Vec<u8>, String>> = LazyLock::new(|| Ok(vec![0xfb, 0xff, 1]));

#[test]
fn the_app_signs_buys_a_token_and_keeps_it() {
    let (mut queue, mut shell) = (queue(), Shell::default());
    let replies = then([bought("ghs_one", "2026-02-01T11:00:00Z")], 5);
    shell.hold(&mut queue, NOW, &SIGNATURE, replies).expect("read");
    assert_eq!((shell.clocks, shell.signed.len()), (1, 1));
    let expected =
        "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3Njk5NDA1NDAsImlhdCI6MTc2OTkzOTk0MCwiaXNzIjoiMTIzIn0";
    assert_eq!(shell.signed[0], expected);
    assert_eq!(shell.requests[0].url, "https://api.github.com/app/installations/77/access_tokens");
    assert_eq!(header(&shell.requests[0], "authorization"), Some(format!("Bearer {expected}.-_8B").as_str()));
    assert_eq!(header(&shell.requests[1], "authorization"), Some("Bearer ghs_one"));
    // Good until five minutes before its end.
    shell.hold(&mut queue, "2026-02-01T10:54:59Z", &SIGNATURE, then([], 5)).expect("read");
    assert_eq!(shell.signed.len(), 1);
    let replies = then([bought("ghs_two", "2026-02-01T12:00:00Z")], 5);
    shell.hold(&mut queue, "2026-02-01T10:55:01Z", &SIGNATURE, replies).expect("read");
    assert_eq!((shell.signed.len(), header(&shell.requests[12], "authorization")), (2, Some("Bearer ghs_two")));
}

#[test]
fn a_token_that_is_refused_is_renewed_once() {
    let (mut queue, mut shell) = (queue(), Shell::default());
    let refused = || reply(401, &[], "{\"message\":\"Bad credentials\"}");
    let one = || bought("ghs_one", "2026-02-01T11:00:00Z");
    let replies = then([one(), empty(), refused(), bought("ghs_two", "2026-02-01T11:00:00Z")], 4);
    shell.hold(&mut queue, NOW, &SIGNATURE, replies).expect("read");
    assert_eq!(header(&shell.requests[4], "authorization"), Some("Bearer ghs_two"));
    assert_eq!(shell.requests[2].url, shell.requests[4].url, "the same question again");
    let error = shell.hold(&mut queue, NOW, &SIGNATURE, [refused(), one(), refused()]).expect_err("refused twice");
    assert_eq!(error.kind, ErrorKind::Unauthorized);
}

#[test]
fn what_is_wrong_with_the_app_is_said_in_its_words() {
    let now = |answer| Shell::default().hold(&mut queue(), NOW, &SIGNATURE, [answer]).expect_err("no token");
    for (answer, kind, part) in [
        (reply(401, &[], "{}"), ErrorKind::Unauthorized, "App ID"),
        (reply(404, &[], "{}"), ErrorKind::NotFound, "installation ID"),
        (reply(403, &[], "{\"message\":\"This installation has been suspended\"}"), ErrorKind::Forbidden, "suspended"),
        (reply(500, &[], ""), ErrorKind::Server, "asked again"),
        (reply(200, &[], "{}"), ErrorKind::Malformed, "not expected"),
        (reply(201, &[], "{}"), ErrorKind::Malformed, "token is missing"),
        (
            reply(201, &[], r#"{"token":"","expires_at":"2026-02-01T11:00:00Z"}"#),
            ErrorKind::Malformed,
            "token is empty",
        ),
        (reply(201, &[], r#"{"token":"x","expires_at":"soon"}"#), ErrorKind::Malformed, "expires_at"),
        (reply(201, &[], r#"{"token":"x","expires_at":null}"#), ErrorKind::Malformed, "expires_at is null"),
        (reply(201, &[], "<html>"), ErrorKind::Malformed, "a web page"),
    ] {
        let error = now(answer);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(part) && !error.message.contains("hunter2"), "{error} lacks {part}");
    }
    let error = Shell::default().hold(&mut queue(), NOW, &Err("it is no PEM text".to_owned()), []).expect_err("no key");
    assert!(error.message.contains("it is no PEM text") && error.message.contains(".pem"), "{error}");
}

#[test]
fn the_key_and_the_token_are_never_shown() {
    let (mut queue, mut shell) = (queue(), Shell::default());
    shell.hold(&mut queue, NOW, &SIGNATURE, then([bought("ghs_one", "2026-02-01T11:00:00Z")], 5)).expect("read");
    queue.start();
    let signing =
        queue.resume(EffectId::default(), EffectResult::Clock("2026-02-01T12:00:00Z".parse().expect("a time")));
    let debug = format!("{queue:?} {signing:?} {:?}", shell.requests);
    assert!(!debug.contains("hunter2") && !debug.contains("ghs_one") && !debug.contains("-_8B"), "{debug}");
}

proptest! {
    #[test]
    fn arbitrary_answers_are_never_a_token(status: u16, body: Vec<u8>) {
        let answer = Reply { status, body, ..reply(200, &[], "") };
        prop_assert!(Shell::default().hold(&mut queue(), NOW, &SIGNATURE, [answer]).is_err());
    }

    #[test]
    fn any_time_is_a_time(second in -1_000_000_000_000i64..253_402_207_200) {
        if let Ok(now) = Timestamp::from_second(second) {
            let _ = Shell::default().hold(&mut queue(), &now.to_string(), &SIGNATURE, [bought("x", "9999-12-30T22:00:00Z")]);
        }
    }
}
