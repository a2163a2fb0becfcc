//! Invocations against fake groups and queues.

use std::{cell::Cell, collections::BTreeSet, rc::Rc};

use hyper::StatusCode;
use lightsout_cloud::{
    Groups,
    fake::{FakeGroups, Fault, GroupsCall},
};
use lightsout_core::settings::{Fragment, ScalerSettings};

use super::{event::Request, *};

/// Pools whose queue is a program that prints this.
fn function(pools: &[(&str, &str)], groups: &FakeGroups, ticks: Ticks) -> Function {
    let pool = |(name, queue): &(&str, &str)| {
        format!(
            "[[pool]]\ngroup = '{name}'\nplatform.command.queue = ['sh', '-c', '{queue}']\n\
             webhook = {{ kind = 'gitlab', secret = 's3cret' }}\n"
        )
    };
    let text: String = pools.iter().map(pool).collect();
    let text = format!("tick = '1s'\ndeadline = '500ms'\n{text}");
    let settings = ScalerSettings::parse(&[Fragment::new("test.toml", text)]).unwrap();
    let tokens = Tokens::new(|_, source| async move { lightsout_cloud::local(&source).await });
    let context = TickContext::new(Driver::new("test"), tokens, &settings, |region| {
        Box::new(groups.clone().at(&region.unwrap_or_default())) as Box<dyn Groups>
    });
    Function::new(context, settings, ticks)
}

fn within(time: Duration) -> Instant {
    Instant::now() + time
}

fn raises(groups: &FakeGroups) -> Vec<String> {
    groups.calls().iter().map(ToString::to_string).filter(|call| call.starts_with("raise")).collect()
}

#[tokio::test]
async fn an_invocation_ticks_until_its_time_is_near() {
    let groups = FakeGroups::of(&["a"]);
    let mut function = function(&[("a", "echo 0")], &groups, Ticks::UntilDeadline);
    // 2.5 s are kept free: ticks begin after 0, 1 and 2 s.
    let began = Instant::now();
    let answer = function.scheduled(within(Duration::from_millis(4900))).await.unwrap();
    assert_eq!(answer, serde_json::json!({ "pools": 1, "ticks": 3, "raises": 0 }));
    assert!(began.elapsed() < Duration::from_millis(3900), "{:?}", began.elapsed());
    let answer = function.scheduled(within(Duration::from_millis(200))).await;
    assert!(answer.unwrap_err().message.contains("time-out came near"), "one tick begins whatever time is left");
}

#[tokio::test]
async fn with_one_tick_an_invocation_ticks_once() {
    let groups = FakeGroups::of(&["a"]);
    let mut function = function(&[("a", "echo 2")], &groups, Ticks::One);
    let answer = function.scheduled(within(Duration::from_secs(60))).await.unwrap();
    assert_eq!(answer, serde_json::json!({ "pools": 1, "ticks": 1, "raises": 1 }));
}

#[tokio::test]
async fn an_invocation_fails_after_every_pool_had_its_tick() {
    let groups = FakeGroups::of(&["bad", "good"]);
    let mut function = function(&[("bad", "exit 3"), ("good", "echo 2")], &groups, Ticks::One);
    let error = function.scheduled(within(Duration::from_secs(60))).await.unwrap_err();
    assert_eq!(error.kind, "PoolsFailed");
    assert!(error.message.starts_with("1 of 2 pools failed:\n  bad: "), "{}", error.message);
    assert_eq!(raises(&groups), ["raise good 2"]);
}

#[tokio::test]
async fn what_failed_before_the_last_tick_fails_the_invocation_too() {
    let home = tempfile::tempdir().unwrap();
    let once = format!("mkdir {}/seen && exit 3 || echo 0", home.path().display());
    let groups = FakeGroups::of(&["a"]);
    let mut function = function(&[("a", &once)], &groups, Ticks::UntilDeadline);
    let error = function.scheduled(within(Duration::from_millis(3900))).await.unwrap_err();
    assert!(error.message.starts_with("1 of 1 pools failed:\n  a: "), "{}", error.message);
    assert!(function.scheduled(within(Duration::from_millis(3900))).await.is_ok());
}

#[tokio::test]
async fn a_time_out_is_told_and_not_waited_for() {
    let groups = FakeGroups::of(&["slow", "good"]);
    groups.inject(GroupsCall::Raise { group: "slow".into(), to: 1 }, Fault::Slow(Duration::from_secs(60)));
    let mut function = function(&[("slow", "echo 1"), ("good", "echo 2")], &groups, Ticks::One);
    let began = Instant::now();
    let error = function.scheduled(within(Duration::from_millis(1250))).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(
        error.message.contains("slow: its tick had not ended when the function's time-out came near"),
        "{}",
        error.message
    );
    assert!(raises(&groups).contains(&"raise good 2".to_owned()));
    // No pool is lost with its tick.
    let answer = function.scheduled(within(Duration::from_secs(60))).await;
    assert!(answer.is_ok(), "{answer:?}");
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
    let mut function = function(&[("a", "echo 2"), ("b", "echo 3")], &groups, Ticks::UntilDeadline);
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

/// The environment lives for hours, and the senders' secret is changed meanwhile.
#[tokio::test]
async fn a_secret_that_was_changed_is_fetched_by_the_first_webhook_that_bears_it() {
    let stored = Rc::new(Cell::new(Some("s3cret")));
    let fetches = Rc::new(Cell::new(0));
    let (source, count) = (Rc::clone(&stored), Rc::clone(&fetches));
    let mut tokens = Tokens::new(move |_, asked| {
        count.set(count.get() + 1);
        let answer = source.get();
        // What is on this machine only is no secret in the cloud.
        async move { if let Some(secret) = answer { Ok(secret.into()) } else { lightsout_cloud::local(&asked).await } }
    });
    tokens.refetch_after = Duration::from_secs(1);
    let groups = FakeGroups::of(&["a"]);
    let text = "deadline = '500ms'\n[[pool]]\ngroup = 'a'\nplatform.command.queue = ['echo', '2']\n\
                webhook = { kind = 'gitlab', secret = { ssm = '/ci/webhook' } }\n";
    let settings = ScalerSettings::parse(&[Fragment::new("test.toml", text)]).unwrap();
    let cloud = groups.clone();
    let context = TickContext::new(Driver::new("test"), tokens, &settings, move |region| {
        Box::new(cloud.clone().at(&region.unwrap_or_default())) as Box<dyn Groups>
    });
    let mut function = Function::new(context, settings, Ticks::One);
    let until = within(Duration::from_secs(60));
    assert_eq!(function.request(&webhook("a", "s3cret", 1), until).await, StatusCode::ACCEPTED);
    stored.set(Some("changed"));
    // Who guesses makes us fetch no more often than the pools do for a token that was refused.
    for id in 2..5 {
        assert_eq!(function.request(&webhook("a", "guessed", id), until).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(fetches.get(), 1);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(function.request(&webhook("a", "changed", 5), until).await, StatusCode::ACCEPTED);
    assert_eq!(fetches.get(), 2);
    assert_eq!(function.request(&webhook("a", "s3cret", 6), until).await, StatusCode::UNAUTHORIZED);
    // What came before is known still, and a store that does not answer takes nothing away.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    stored.set(None);
    assert_eq!(function.request(&webhook("a", "guessed", 7), until).await, StatusCode::INTERNAL_SERVER_ERROR);
    let calls = groups.calls().len();
    assert_eq!(function.request(&webhook("a", "changed", 1), until).await, StatusCode::ACCEPTED, "replayed");
    assert_eq!(groups.calls().len(), calls, "a replay makes nobody tick");
}

#[tokio::test]
async fn an_authentic_webhook_is_accepted_whatever_its_tick_did() {
    let groups = FakeGroups::of(&["bad", "slow"]);
    groups.inject(GroupsCall::Describe(BTreeSet::from(["slow".into()])), Fault::Slow(Duration::from_secs(60)));
    let mut function = function(&[("bad", "exit 3"), ("slow", "echo 1")], &groups, Ticks::UntilDeadline);
    let began = Instant::now();
    for pool in ["bad", "slow"] {
        let until = within(Duration::from_secs(60));
        assert_eq!(function.request(&webhook(pool, "s3cret", 1), until).await, StatusCode::ACCEPTED);
    }
    assert!(began.elapsed() < Duration::from_secs(8));
    // The time-out goes before.
    let until = within(Duration::from_millis(1200));
    assert_eq!(function.request(&webhook("bad", "s3cret", 2), until).await, StatusCode::ACCEPTED);
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
    let root = ("LAMBDA_TASK_ROOT".to_owned(), home.path().display().to_string());
    let tick = async |more: &[(&str, &str)]| {
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let variables = std::iter::once(root.clone()).chain(more).collect();
        settings::read(&variables, CLOUD).await.map(|settings| settings.tick.as_secs())
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
    let error = settings::read(&BTreeMap::new(), CLOUD).await.unwrap_err();
    assert!(error.starts_with("there are no settings: put scaler.toml beside bootstrap, or set "), "{error}");
}
