//! Invocations against fake groups and queues.

mod fake;
mod remembering;

use std::{cell::Cell, collections::BTreeSet, rc::Rc};

use hyper::StatusCode;
use lightsout_cloud::{
    Groups,
    fake::{FakeGroups, Fault, GroupsCall},
};
use lightsout_core::settings::{CloudName, Fragment, ScalerSettings};
use lightsout_io::http::Driver;

use self::fake::{QueueReply, Queues};
use super::*;
use crate::{tests::hinting::Said, tokens::Tokens};

const HOME: SettingsSource = SettingsSource { cloud: CloudName::Aws, package: "PACKAGE", remedy: "put some somewhere" };
const HOUR: Duration = Duration::from_secs(3600);

/// Pools with more lines of settings for each, whose calls may take an hour. They have no queue yet.
fn patient(pools: &[(&str, &str)], groups: &FakeGroups, ticks: Ticks) -> Function {
    let pool = |(name, more): &(&str, &str)| {
        format!(
            "[[pool]]\ngroup = '{name}'\nplatform.command.queue = ['none']\n\
             webhook = {{ kind = 'gitlab', secret = 's3cret' }}\n{more}\n"
        )
    };
    let text: String = pools.iter().map(pool).collect();
    let mut settings = ScalerSettings::parse(&[Fragment::new("test.toml", text)]).unwrap();
    (settings.tick, settings.deadline) = (Duration::from_millis(1), HOUR);
    let tokens = Tokens::new(|_, source| async move { lightsout_cloud::local(&source).await });
    let context = TickContext::new(Driver::new("test"), tokens, &settings, |location| {
        Box::new(groups.clone().at(&location.region.unwrap_or_default())) as Box<dyn Groups>
    });
    Function::new(context, settings, ticks)
}

fn within(time: Duration) -> Instant {
    Instant::now() + time
}

/// An invocation that is over so soon that only what is answered at once is answered.
fn soon() -> Instant {
    within(Duration::from_secs(3))
}

fn raises(groups: &FakeGroups) -> Vec<String> {
    groups.calls().iter().map(ToString::to_string).filter(|call| call.starts_with("raise")).collect()
}

/// So much later no tick begins any more: a second after now, as the calls of [`patient`] may take an hour.
fn a_second_of_ticks() -> Instant {
    within(HOUR + Duration::from_secs(4))
}

#[test]
fn ticks_begin_and_end_before_the_time_out() {
    let (now, seconds) = (Instant::now(), Duration::from_secs);
    let span = span(now, now + seconds(60), seconds(10));
    assert_eq!((span.last, span.cut.at, span.end), (now + seconds(47), now + seconds(58), now + seconds(59)));
    // GitHub and GitLab give a webhook 10 s.
    for (left, cut, end) in [(60, 6, 7), (5, 3, 4)] {
        let (tick, release) = webhook_span(now, now + seconds(left));
        assert_eq!((tick.at, release), (now + seconds(cut), now + seconds(end)));
    }
}

#[tokio::test]
async fn an_invocation_ticks_until_its_time_is_near() {
    let groups = FakeGroups::of(&["a"]);
    let mut function = patient(&[("a", "")], &groups, Ticks::UntilDeadline);
    let queues = Queues::of(&mut function, &[("a", &[QueueReply::Waiting(0)])]);
    let answer = function.scheduled(a_second_of_ticks()).await.unwrap();
    let ticks = queues.state("a").asked;
    assert!(ticks >= 2, "{ticks}");
    assert_eq!(answer, serde_json::json!({ "pools": 1, "ticks": ticks, "raises": 0 }));
    queues.answer("a", &[QueueReply::Never]);
    let answer = function.scheduled(within(Duration::from_millis(200))).await;
    assert!(answer.unwrap_err().message.contains("time-out came near"), "one tick begins whatever time is left");
}

#[tokio::test]
async fn with_one_tick_an_invocation_ticks_once() {
    let groups = FakeGroups::of(&["a"]);
    let mut function = patient(&[("a", "")], &groups, Ticks::One);
    let queues = Queues::of(&mut function, &[("a", &[QueueReply::Waiting(2)])]);
    let answer = function.scheduled(a_second_of_ticks()).await.unwrap();
    assert_eq!(answer, serde_json::json!({ "pools": 1, "ticks": 1, "raises": 1 }));
    assert_eq!(queues.state("a").asked, 1);
}

#[tokio::test]
async fn an_invocation_fails_after_every_pool_had_its_tick() {
    let groups = FakeGroups::of(&["bad", "good"]);
    let mut function = patient(&[("bad", ""), ("good", "")], &groups, Ticks::One);
    Queues::of(&mut function, &[("bad", &[QueueReply::Failed]), ("good", &[QueueReply::Waiting(2)])]);
    let error = function.scheduled(a_second_of_ticks()).await.unwrap_err();
    assert_eq!(error.kind, "PoolsFailed");
    assert!(error.message.starts_with("1 of 2 pools failed:\n  bad: "), "{}", error.message);
    assert_eq!(raises(&groups), ["raise good 2"]);
}

#[tokio::test]
async fn what_failed_before_the_last_tick_fails_the_invocation_too() {
    let groups = FakeGroups::of(&["a"]);
    let mut function = patient(&[("a", "")], &groups, Ticks::UntilDeadline);
    Queues::of(&mut function, &[("a", &[QueueReply::Failed, QueueReply::Waiting(0)])]);
    let error = function.scheduled(a_second_of_ticks()).await.unwrap_err();
    assert_eq!(error.message, "1 of 1 pools failed:\n  a: it is out of order");
    assert!(function.scheduled(a_second_of_ticks()).await.is_ok());
}

#[tokio::test]
async fn a_time_out_is_told_and_not_waited_for() {
    let groups = FakeGroups::of(&["slow", "good"]);
    groups.inject(GroupsCall::Raise { group: "slow".into(), to: 1 }, Fault::Slow(HOUR));
    let mut function = patient(&[("slow", ""), ("good", "")], &groups, Ticks::One);
    Queues::of(&mut function, &[("slow", &[QueueReply::Waiting(1)]), ("good", &[QueueReply::Waiting(2)])]);
    let error = function.scheduled(soon()).await.unwrap_err();
    assert!(
        error.message.contains("slow: its tick had not ended when the function's time-out came near"),
        "{}",
        error.message
    );
    assert!(raises(&groups).contains(&"raise good 2".to_owned()));
    // No pool is lost with its tick.
    let answer = function.scheduled(within(Duration::from_secs(60))).await.unwrap();
    assert_eq!(answer, serde_json::json!({ "pools": 2, "ticks": 2, "raises": 1 }));
}

#[tokio::test]
async fn a_raise_that_was_written_is_one_also_where_the_look_after_it_is_cut_off() {
    let groups = FakeGroups::of(&["a"]);
    let describe = || GroupsCall::Describe(BTreeSet::from(["a".to_owned()]));
    for time in [Duration::ZERO, Duration::ZERO, HOUR] {
        groups.inject(describe(), Fault::Slow(time));
    }
    let mut function = patient(&[("a", "")], &groups, Ticks::One);
    Queues::of(&mut function, &[("a", &[QueueReply::Waiting(2)])]);
    let answer = function.scheduled(soon()).await.unwrap();
    assert_eq!(answer, serde_json::json!({ "pools": 1, "ticks": 1, "raises": 1 }));
    let calls = groups.calls();
    assert!(
        calls.iter().skip_while(|call| !matches!(call, GroupsCall::Raise { .. })).any(|call| *call == describe()),
        "{calls:?}"
    );
}

fn webhook(pool: &str, token: &str, id: u32) -> Request {
    let body = format!("{{\"object_kind\":\"build\",\"build_status\":\"pending\",\"build_id\":{id}}}");
    Request {
        method: "POST".into(),
        path: format!("/hooks/{pool}"),
        headers: BTreeMap::from([("x-gitlab-token".into(), token.into())]),
        body: body.into_bytes(),
    }
}

#[tokio::test]
async fn a_webhook_ticks_its_pool_alone_before_the_answer() {
    let groups = FakeGroups::of(&["a", "b"]);
    let mut function = patient(&[("a", ""), ("b", "")], &groups, Ticks::UntilDeadline);
    Queues::of(&mut function, &[("a", &[QueueReply::Waiting(2)]), ("b", &[QueueReply::Waiting(3)])]);
    let until = within(Duration::from_secs(60));
    assert_eq!(function.request(&webhook("a", "s3cret", 1), until).await, StatusCode::ACCEPTED);
    assert_eq!(raises(&groups), ["raise a 2"]);
    let calls = groups.calls().len();
    for (request, status) in [
        (webhook("a", "s3cret", 1), StatusCode::ACCEPTED), // Replayed.
        (webhook("a", "wrong", 2), StatusCode::UNAUTHORIZED),
        (webhook("none", "s3cret", 2), StatusCode::UNAUTHORIZED),
        (Request { method: "GET".into(), ..webhook("a", "s3cret", 2) }, StatusCode::METHOD_NOT_ALLOWED),
        (Request { path: "/".into(), ..webhook("a", "s3cret", 2) }, StatusCode::NOT_FOUND),
        (Request { body: b"no json".to_vec(), ..webhook("a", "s3cret", 2) }, StatusCode::BAD_REQUEST),
        (Request { body: vec![b' '; (1 << 20) + 1], ..webhook("a", "s3cret", 2) }, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        assert_eq!(function.request(&request, until).await, status, "{} {}", request.method, request.path);
    }
    assert_eq!(groups.calls().len(), calls, "none of these ticks");
}

type Stored = Rc<Cell<Option<&'static str>>>;

/// A function whose webhook's secret is what this cell holds, and how often it was fetched; without one its store is out of order.
fn with_store(refetch_after: Duration, groups: &FakeGroups) -> (Function, Stored, Rc<Cell<u32>>) {
    let (stored, fetches) = (Rc::new(Cell::new(Some("s3cret"))), Rc::new(Cell::new(0)));
    let (source, count) = (Rc::clone(&stored), Rc::clone(&fetches));
    let mut tokens = Tokens::new(move |_, asked| {
        count.set(count.get() + 1);
        let answer = source.get();
        // What is on this machine only is no secret in the cloud.
        async move { if let Some(secret) = answer { Ok(secret.into()) } else { lightsout_cloud::local(&asked).await } }
    });
    tokens.refetch_after = refetch_after;
    let text = "[[pool]]\ngroup = 'a'\nplatform.command.queue = ['none']\n\
                webhook = { kind = 'gitlab', secret = { ssm = '/ci/webhook' } }\n";
    let settings = ScalerSettings::parse(&[Fragment::new("test.toml", text)]).unwrap();
    let cloud = groups.clone();
    let context = TickContext::new(Driver::new("test"), tokens, &settings, move |location| {
        Box::new(cloud.clone().at(&location.region.unwrap_or_default())) as Box<dyn Groups>
    });
    let mut function = Function::new(context, settings, Ticks::One);
    Queues::of(&mut function, &[("a", &[QueueReply::Waiting(2)])]);
    (function, stored, fetches)
}

/// The environment lives for hours, and the senders' secret is changed meanwhile.
#[tokio::test]
async fn a_secret_that_was_changed_is_fetched_by_the_first_webhook_that_bears_it() {
    let groups = FakeGroups::of(&["a"]);
    let (mut function, stored, fetches) = with_store(Duration::ZERO, &groups);
    assert_eq!(function.request(&webhook("a", "s3cret", 1), soon()).await, StatusCode::ACCEPTED);
    stored.set(Some("changed"));
    assert_eq!(function.request(&webhook("a", "changed", 2), soon()).await, StatusCode::ACCEPTED);
    assert_eq!(fetches.get(), 2);
    assert_eq!(function.request(&webhook("a", "s3cret", 3), soon()).await, StatusCode::UNAUTHORIZED);
    // What came before is known still, and a store that does not answer takes nothing away.
    stored.set(None);
    assert_eq!(function.request(&webhook("a", "guessed", 4), soon()).await, StatusCode::INTERNAL_SERVER_ERROR);
    let calls = groups.calls().len();
    assert_eq!(function.request(&webhook("a", "changed", 1), soon()).await, StatusCode::ACCEPTED, "replayed");
    assert_eq!(groups.calls().len(), calls, "a replay makes nobody tick");
}

#[tokio::test]
async fn who_guesses_makes_us_fetch_no_secret_that_is_fresh() {
    let groups = FakeGroups::of(&["a"]);
    let (mut function, stored, fetches) = with_store(HOUR, &groups);
    stored.set(Some("changed"));
    assert_eq!(function.request(&webhook("a", "changed", 1), soon()).await, StatusCode::ACCEPTED);
    for id in 2..5 {
        assert_eq!(function.request(&webhook("a", "guessed", id), soon()).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(fetches.get(), 1);
}

/// Each would be a line, and a call of the store every few seconds.
#[tokio::test]
async fn while_the_store_is_out_of_order_senders_cause_few_lines_and_strangers_no_call() {
    let said = Said::default();
    let _guard = tracing::subscriber::set_default(said.clone());
    let (mut function, stored, fetches) = with_store(HOUR, &FakeGroups::of(&["a"]));
    stored.set(None);
    assert_eq!(function.request(&webhook("none", "guessed", 1), soon()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(fetches.get(), 0, "there is no such path");
    for id in 0..50 {
        assert_eq!(function.request(&webhook("a", "guessed", id), soon()).await, StatusCode::INTERNAL_SERVER_ERROR);
    }
    let lines = said.0.lock().unwrap().iter().filter(|line| line.contains("cannot be taken")).count();
    assert!((1..=8).contains(&lines), "{lines}");
}

/// Each would be a line, and a call of the store that holds the settings.
#[tokio::test]
async fn while_there_are_no_settings_senders_cause_few_lines_and_no_call() {
    let said = Said::default();
    let _guard = tracing::subscriber::set_default(said.clone());
    let home = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(home.path().join("scaler.toml"), text).unwrap();
    write("tick = 7");
    let variables = BTreeMap::from([(HOME.package.to_owned(), home.path().display().to_string())]);
    let mut opened = Opened::with(variables, &HOME).await;
    let refused = async |opened: &mut Opened| {
        for id in 0..50 {
            let status = opened.request(&webhook("none", "guessed", id), soon()).await;
            assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        }
    };
    refused(&mut opened).await;
    let lines = said.0.lock().unwrap().iter().filter(|line| line.contains("scaler.toml:1: tick = 7")).count();
    assert!((1..=8).contains(&lines), "{lines}");
    write("[[pool]]\ngroup = 'ci'\nplatform.command.queue = ['true']\n");
    refused(&mut opened).await;
    assert!(opened.ready().await.is_ok(), "the schedule looks each time");
    assert_eq!(opened.request(&webhook("none", "guessed", 1), soon()).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_authentic_webhook_is_accepted_whatever_its_tick_did() {
    let groups = FakeGroups::of(&["bad", "slow"]);
    groups.inject(GroupsCall::Describe(BTreeSet::from(["slow".into()])), Fault::Slow(HOUR));
    let mut function = patient(&[("bad", ""), ("slow", "")], &groups, Ticks::UntilDeadline);
    let queues = Queues::of(&mut function, &[("bad", &[QueueReply::Failed]), ("slow", &[QueueReply::Waiting(1)])]);
    for pool in ["bad", "slow"] {
        assert_eq!(function.request(&webhook(pool, "s3cret", 1), soon()).await, StatusCode::ACCEPTED);
        assert_eq!(queues.state(pool).asked, 1);
    }
}

#[test]
fn the_number_of_ticks_is_one_of_two_words() {
    let read = |value: &str| Ticks::read(&BTreeMap::from([("LIGHTSOUT_SCALER_TICKS".to_owned(), value.to_owned())]));
    assert_eq!(
        (read("one"), read("until-deadline"), read("")),
        (Ok(Ticks::One), Ok(Ticks::UntilDeadline), Ok(Ticks::UntilDeadline))
    );
    let error = read("two").unwrap_err();
    assert_eq!(error, "LIGHTSOUT_SCALER_TICKS = \"two\": write until-deadline or one");
}

#[tokio::test]
async fn settings_come_from_the_package_and_the_environment_later_ones_over_earlier_ones() {
    let home = tempfile::tempdir().unwrap();
    let pool = "[[pool]]\ngroup = 'ci'\nplatform.command.queue = ['true']\n";
    std::fs::write(home.path().join("scaler.toml"), format!("tick = '5s'\n{pool}")).unwrap();
    std::fs::write(home.path().join("other.toml"), format!("tick = '6s'\n{pool}")).unwrap();
    let root = (HOME.package.to_owned(), home.path().display().to_string());
    let tick = async |more: &[(&str, &str)]| {
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let variables = std::iter::once(root.clone()).chain(more).collect();
        settings::read(&variables, &HOME).await.map(|settings| settings.tick.as_secs())
    };
    assert_eq!(tick(&[]).await, Ok(5));
    assert_eq!(tick(&[("LIGHTSOUT_SCALER_CONFIG", "other.toml")]).await, Ok(6));
    assert_eq!(tick(&[("LIGHTSOUT_SCALER_CONFIG_TOML", "tick = '7s'")]).await, Ok(7));
    assert_eq!(
        tick(&[("ASG_NAME", "other"), ("LAMBDA_INTERVAL", "9s")]).await,
        Ok(5),
        "settings go before another system's variables"
    );
    let error = tick(&[("LIGHTSOUT_SCALER_CONFIG_TOML", "tick = 7")]).await.unwrap_err();
    assert!(error.contains("LIGHTSOUT_SCALER_CONFIG_TOML:1: tick = 7"), "{error}");
    let error = settings::read(&BTreeMap::new(), &HOME).await.unwrap_err();
    assert_eq!(error, "there are no settings: put some somewhere");
}
