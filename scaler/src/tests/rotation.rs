use std::cell::Cell;

use lightsout_core::{record::Outcome, settings::SecretSource};
use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::LocalSet,
};

use super::*;

/// A GitLab without jobs that accepts one token only. Gives its address.
async fn gitlab(token: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 8192];
            let length = stream.read(&mut head).await.unwrap_or(0);
            let known = String::from_utf8_lossy(&head[..length]).contains(token);
            let (status, body) = if known { ("200 OK", "[]") } else { ("401 Unauthorized", "{}") };
            let reply = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    format!("http://{address}")
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
