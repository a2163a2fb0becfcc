//! A secret that is replaced while the scaler runs.

use std::{cell::Cell, sync::atomic::Ordering};

use lightsout_core::{record::Outcome, settings::SecretSource};
use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::LocalSet,
};

use super::*;
use crate::{pool::ReadError, tests::releasing::Holds};

/// A server whose answers follow from the request's head. Gives its address.
async fn server(answer: impl Fn(&str, &str) -> (u16, String) + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let own = address.clone();
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let request = request(&mut stream).await;
            let (status, body) = answer(&own, &request);
            let reply = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    address
}

/// A whole request: what is left unread would reset the connection before its answer is read.
async fn request(stream: &mut TcpStream) -> String {
    let mut whole = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&whole).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        if stream.read_buf(&mut whole).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}

/// A GitLab without jobs that accepts one token only.
async fn gitlab(token: &'static str) -> String {
    server(move |_, head| if head.contains(token) { (200, "[]".to_owned()) } else { (401, "{}".to_owned()) }).await
}

/// A GitHub whose tokens are of the current generation or refused, and whose scale set has one session.
async fn github(generation: Rc<Cell<u32>>) -> String {
    let open = Cell::new(false);
    server(move |own, head| {
        let generation = generation.get();
        let session = format!(
            r#"{{"sessionId": "1", "messageQueueUrl": "{own}/queue", "messageQueueAccessToken": "gen-{generation}-", "statistics":
                {{"totalAssignedJobs": {generation}, "totalRunningJobs": 0}}}}"#
        );
        let whole = head.starts_with("POST /actions/runner-registration");
        let body = match head.split(' ').take(2).collect::<Vec<_>>()[..] {
            _ if !whole && !head.contains(&format!("gen-{generation}-")) => return (401, "{}".to_owned()),
            [_, path] if path.ends_with("/registration-token") => {
                return (201, format!(r#"{{"token": "gen-{generation}-", "expires_at": "2030-01-01T00:00:00Z"}}"#));
            }
            ["POST", "/actions/runner-registration"] => {
                format!(r#"{{"url": "{own}", "token": "gen-{generation}-"}}"#)
            }
            ["GET", path] if path.contains("/runnerscalesets?") => r#"{"value": [{"id": 7}]}"#.to_owned(),
            ["POST", path] if path.contains("/sessions?") && open.replace(true) => return (409, "{}".to_owned()),
            ["POST" | "PATCH", _] => session,
            _ => return (202, String::new()),
        };
        (200, body)
    })
    .await
}

/// A session that a rotation left behind would keep its own scaler out until it ran out.
#[tokio::test]
async fn a_scale_sets_session_is_kept_when_the_token_is_rotated() {
    let test = async {
        let generation = Rc::new(Cell::new(1));
        let url = github(Rc::clone(&generation)).await;
        let text = format!(
            "[[pool]]\ngroup = 'a'\n[pool.platform.github]\nurl = '{url}'\ntoken = {{ env = 'T' }}\norganization = 'acme'\nscale_set = 'set'\n"
        );
        let settings = ScalerSettings::parse(&[Fragment::new("test.toml", text)]).unwrap();
        let now = Rc::clone(&generation);
        let mut tokens = Tokens::new(move |_, _| {
            let token = format!("gen-{}-", now.get());
            async move { Ok(token.into()) }
        });
        tokens.refetch_after = Duration::ZERO;
        let groups = FakeGroups::of(&["a"]);
        let open = move |_| Box::new(groups.clone()) as Box<dyn Groups>;
        let context = TickContext::new(Driver::new("test"), tokens, &settings, open);
        let mut pool = Pool::all(settings.pools.clone()).remove(0);
        for expected in 1..=3 {
            generation.set(expected);
            let now = std::time::Instant::now();
            match pool.read(&context, now, now + Duration::from_secs(20)).await {
                Ok(reading) => assert_eq!((reading.demand.queued, reading.missing), (expected, None)),
                Err(ReadError::Elsewhere(why)) => panic!("{expected}: {why}"),
                Err(ReadError::Failed(trouble)) => panic!("{expected}: {trouble:?}"),
            }
        }
    };
    LocalSet::new().run_until(test).await;
}

/// Between its readings whoever does more than look may have the session, whatever a reading came to.
#[tokio::test]
async fn a_dry_run_gives_the_session_back_also_where_no_token_can_be_had() {
    let test = async {
        let holds = Holds { refuses: true, ..Holds::default() };
        let mut tokens = Tokens::new(|_, source| async move {
            let (from, why) = (source.to_string(), "the store is down".to_owned());
            Err(lightsout_cloud::SecretError { from, why, transient: true, denied: false })
        });
        tokens.refetch_after = Duration::ZERO;
        let text = "[[pool]]\ngroup = 'a'\n[pool.platform.gitlab]\nurl = 'http://127.0.0.1:1'\ntoken = { env = 'T' }\nprojects = ['1']\ntags = ['a']\n";
        let settings = ScalerSettings::parse(&[Fragment::new("test.toml", text)]).unwrap();
        let groups = FakeGroups::of(&["a"]);
        let open = move |_| Box::new(groups.clone()) as Box<dyn Groups>;
        let mut context = TickContext::new(Driver::new("test"), tokens, &settings, open);
        context.dry_run = true;
        let pool = Pool::all(settings.pools.clone()).remove(0).with_queue(Box::new(holds.clone()));
        let mut pool = pool.with_token_of(std::time::Instant::now());
        let now = std::time::Instant::now();
        assert!(matches!(pool.read(&context, now, now + Duration::from_secs(20)).await, Err(ReadError::Failed(_))));
        assert_eq!(holds.given_back.load(Ordering::Relaxed), 1);
    };
    LocalSet::new().run_until(test).await;
}

/// One tick of two pools whose token has been rotated. Gives their records and how often it was fetched.
async fn ticked_after_rotation(patience: Option<Duration>) -> (Vec<Decision>, u32) {
    let url = gitlab("new-token").await;
    let pool = |name| {
        format!(
            "[[pool]]\ngroup = '{name}'\n[pool.platform.gitlab]\nurl = '{url}'\ntoken = {{ env = 'T' }}\nprojects = ['1']\ntags = ['{name}']\n"
        )
    };
    let settings = ScalerSettings::parse(&[Fragment::new("test.toml", pool("a") + &pool("b"))]).unwrap();
    let groups = FakeGroups::of(&["a", "b"]);
    let fetched = Rc::new(Cell::new(0));
    let count = Rc::clone(&fetched);
    let mut tokens = Tokens::new(move |_, _| {
        count.set(count.get() + 1);
        let token = if count.get() == 1 { "old-token" } else { "new-token" };
        async move { Ok(token.into()) }
    });
    tokens.refetch_after = patience.unwrap_or(tokens.refetch_after);
    let open = |_| Box::new(groups.clone()) as Box<dyn Groups>;
    let context = Rc::new(TickContext::new(Driver::new("test"), tokens, &settings, open));
    let records = ticked(&mut Scheduler::new(context, Pool::all(settings.pools.clone()))).await;
    (records, fetched.get())
}

#[tokio::test]
async fn a_rotated_token_is_fetched_again_once_for_all_pools() {
    let (records, fetched) = LocalSet::new().run_until(ticked_after_rotation(Some(Duration::ZERO))).await;
    assert!(records.iter().all(|record| record.result == Outcome::Held), "{records:?}");
    assert_eq!((records.len(), fetched), (2, 2));
}

#[tokio::test]
async fn a_token_that_is_a_moment_old_is_not_fetched_again() {
    let (records, fetched) = LocalSet::new().run_until(ticked_after_rotation(None)).await;
    assert!(records.iter().all(|record| record.result == Outcome::Failed), "{records:?}");
    assert_eq!((records.len(), fetched), (2, 1));
}

/// What the ticks of a pool say whose token is refused and whose secret store is down from then on, how often the platform was asked, and what a tick
/// says once the store is there again.
async fn ticked_without_a_store() -> (Vec<Decision>, u32, Decision) {
    let (asked, stored) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(Ok("old-token"))));
    let (count, answer) = (Rc::clone(&asked), Rc::clone(&stored));
    let url = server(move |_, head| {
        count.set(count.get() + 1);
        if head.contains("new-token") { (200, "[]".to_owned()) } else { (401, "{}".to_owned()) }
    })
    .await;
    let text = format!(
        "[[pool]]\ngroup = 'a'\n[pool.platform.gitlab]\nurl = '{url}'\ntoken = {{ env = 'T' }}\nprojects = ['1']\ntags = ['a']\n"
    );
    let settings = ScalerSettings::parse(&[Fragment::new("test.toml", text)]).unwrap();
    let mut tokens = Tokens::new(move |_, source| {
        let why = |why: &str| lightsout_cloud::SecretError {
            from: source.to_string(),
            why: why.to_owned(),
            transient: true,
            denied: false,
        };
        let token = answer.replace(Err("the store is down")).map(Into::into).map_err(why);
        async move { token }
    });
    (tokens.refetch_after, tokens.keep_failure) = (Duration::ZERO, Duration::ZERO);
    let groups = FakeGroups::of(&["a"]);
    let open = move |_| Box::new(groups.clone()) as Box<dyn Groups>;
    let context = Rc::new(TickContext::new(Driver::new("test"), tokens, &settings, open));
    let mut scheduler = Scheduler::new(context, Pool::all(settings.pools.clone()));
    let mut records = Vec::new();
    for _ in 0..3 {
        records.extend(ticked(&mut scheduler).await);
    }
    let asked = asked.get();
    stored.set(Ok("new-token"));
    (records, asked, ticked(&mut scheduler).await.remove(0))
}

#[tokio::test]
async fn a_refused_token_is_not_shown_again_while_the_store_is_down() {
    let (records, asked, then) = LocalSet::new().run_until(ticked_without_a_store()).await;
    for record in records {
        assert!(record.failure().is_some_and(|why| why.contains("the store is down")), "{record}");
    }
    assert_eq!((asked, then.result), (1, Outcome::Held), "{then}");
}

#[tokio::test]
async fn a_token_that_cannot_be_had_fails_the_tick_and_is_named() {
    let tokens = Tokens::new(|_, source| async move {
        Err(lightsout_cloud::SecretError {
            from: source.to_string(),
            why: "it is empty".into(),
            transient: false,
            denied: false,
        })
    });
    let error = tokens.get(None, &SecretSource::Env("TOKEN".into())).await.unwrap_err();
    assert_eq!(error.to_string(), "no secret from the environment variable TOKEN: it is empty");
}

#[tokio::test]
async fn an_inline_token_is_never_hoped_to_change() {
    let mut tokens = Tokens::new(|_, _| async { Ok("x".into()) });
    let inline = SecretSource::Inline("x".into());
    let token = tokens.get(None, &inline).await.unwrap();
    tokens.refetch_after = Duration::ZERO;
    assert!(!tokens.forget_refused(None, &inline, token.at));
}

#[tokio::test]
async fn secrets_that_stand_in_the_settings_are_told_apart() {
    let tokens = Tokens::new(|_, source| async move { lightsout_cloud::local(&source).await });
    for text in ["first", "second"] {
        let token = tokens.get(None, &SecretSource::Inline(text.into())).await.unwrap();
        assert_eq!(token.secret.expose_secret(), text);
    }
}
