//! Hints: what they make happen, and what they can never cost.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    sync::Arc,
    time::Instant,
};

use lightsout_core::platform;
use lightsout_io::metrics::Metered;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::*;
use crate::{
    listener::{self, Bodies, Endpoints, Limits, Listener},
    meter::Meter,
    webhooks::Webhooks,
};

const LONG: Duration = Duration::from_secs(3600);
/// Time enough for what comes, on any machine.
const IN_TIME: Duration = Duration::from_secs(60);

pub(super) fn queued(id: u32) -> String {
    format!("{{\"object_kind\":\"build\",\"build_status\":\"pending\",\"build_id\":{id}}}")
}

/// A listener, and where it is.
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    _listener: Listener,
}

/// A listener with all of this.
pub(super) async fn listen_with(offer: Endpoints, limits: Limits) -> Listening {
    let listener = listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    Listening { address, _listener: listener::listen(listener, offer, limits) }
}

/// A listener for the pool `a`, and where its hints come out.
async fn listening(limits: Limits) -> (Listening, mpsc::Receiver<String>) {
    listening_with(None, limits).await
}

/// The same, with these metrics.
async fn listening_with(metered: Option<Arc<dyn Metered>>, limits: Limits) -> (Listening, mpsc::Receiver<String>) {
    let mut webhooks = Webhooks::default();
    webhooks.add("a", "a", &platform::gitlab::WEBHOOK, "s3cret".into());
    let (hints, hinted) = mpsc::channel(8);
    let offer = Endpoints { webhooks: Arc::new(webhooks), hints, metered, page: None };
    (listen_with(offer, limits).await, hinted)
}

/// The first line of what the listener answers, or nothing when it only closes.
pub(super) async fn send(listening: &Listening, text: &str) -> String {
    let mut stream = TcpStream::connect(listening.address).await.unwrap();
    let _ = stream.write_all(text.as_bytes()).await;
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    String::from_utf8_lossy(&reply).into_owned()
}

pub(super) fn post(path: &str, token: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: x\r\nx-gitlab-token: {token}\r\ncontent-length: {length}\r\n\r\n{body}")
}

pub(super) async fn status(listening: &Listening, text: &str) -> u16 {
    let reply = send(listening, text).await;
    reply.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn an_authentic_webhook_is_a_hint_and_others_are_refused_without_detail() {
    let (listening, mut hinted) = listening(Limits::default()).await;
    assert_eq!(status(&listening, &post("/hooks/a", "s3cret", &queued(1))).await, 202);
    assert_eq!(hinted.try_recv().as_deref(), Ok("a"));
    let finished = queued(2).replace("pending", "success");
    for (text, expected) in [
        (post("/hooks/a", "s3cret", &queued(1)), 202),
        (post("/hooks/a", "s3cret", &finished), 202),
        (post("/hooks/a", "wrong", &queued(3)), 401),
        (post("/hooks/none", "s3cret", &queued(3)), 401),
        (post("/hooks/a", "s3cret", "no json"), 400),
        (post("/", "s3cret", &queued(3)), 404),
        ("GET /hooks/a HTTP/1.1\r\nhost: x\r\n\r\n".into(), 405),
        (post("/hooks/a", "s3cret", &queued(3)).replace("host: x", "host: x\r\nx-gitlab-token: s3cret"), 401),
    ] {
        assert_eq!(status(&listening, &text).await, expected, "{text}");
        assert!(hinted.try_recv().is_err(), "no hint from {text}");
    }
    let refused = send(&listening, &post("/hooks/a", "wrong", &queued(3))).await;
    assert!(refused.ends_with("\r\n\r\n") && !refused.contains("s3cret"), "no body: {refused}");
}

#[tokio::test]
async fn metrics_are_at_the_listener_only_where_they_are_asked_for() {
    let ask = "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n";
    let (plain, _hinted) = listening(Limits::default()).await;
    assert_eq!(status(&plain, ask).await, 404);
    let meter = Meter::new(&settings(&[("a", "")]).pools, false);
    let (shown, _hinted) = listening_with(meter.metered(), Limits { rate: 1, burst: 2, ..Limits::default() }).await;
    let page = send(&shown, ask).await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("lightsout_launches_total{pool=\"a\"} 0\n"), "{page}");
    assert_eq!(status(&shown, &ask.replace("GET", "POST")).await, 405);
    assert_eq!(status(&shown, ask).await, 200);
    assert_eq!(status(&shown, ask).await, 429, "a stranger who reads it over and over has no more than others");
}

/// Whoever asks and does not read keeps a place, not a page, and there are few places.
#[tokio::test]
async fn readers_of_the_metrics_at_the_listener_are_few_at_once() {
    let ask = "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n";
    // So many pools that no page fits what the kernel buffers for a reader who lets it buffer little.
    let names: Vec<String> = (0..6000).map(|number| format!("pool-{number:0100}")).collect();
    let pools: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let meter = Meter::new(&settings(&pools).pools, false);
    let (shown, _hinted) =
        listening_with(meter.metered(), Limits { rate: 1000, burst: 1000, ..Limits::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..2 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(shown.address).await.unwrap();
        stream.write_all(ask.as_bytes()).await.unwrap();
        // The answer has begun.
        stream.read_exact(&mut [0; 16]).await.unwrap();
        idle.push(stream);
    }
    assert_eq!(status(&shown, ask).await, 503);
    let page = async |stream: &mut TcpStream| {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        String::from_utf8(rest).unwrap()
    };
    let whole = page(&mut idle[0]).await;
    assert!(whole.contains(&format!("lightsout_launches_total{{pool=\"{}\"}} 0\n", names[5999])));
    assert!(whole.ends_with("\r\n0\r\n\r\n"), "it ends as it should");
    assert!(page(&mut idle[1]).await.ends_with("\r\n0\r\n\r\n"));
    assert_eq!(status(&shown, ask).await, 200, "both places are free again");
}

#[tokio::test]
async fn whoever_reads_the_metrics_over_and_over_is_told_to_wait() {
    let meter = Meter::new(&settings(&[("a", "")]).pools, false);
    let limits = Limits { rate: 1000, burst: 1000, ..Limits::default() };
    let (shown, _hinted) = listening_with(meter.metered(), limits).await;
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(status(&shown, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await);
    }
    assert!(statuses[..10].iter().all(|status| *status == 200) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(
        status(&shown, &post("/hooks/a", "s3cret", &queued(1))).await,
        202,
        "webhooks have a share of their own"
    );
}

/// A listener lives for weeks, and its senders' secret is changed meanwhile.
#[tokio::test]
async fn a_secret_that_was_changed_in_its_store_is_taken_up_and_the_old_one_refused() {
    let stored = Rc::new(Cell::new(Some("s3cret")));
    let fetches = Rc::new(Cell::new(0));
    let (source, count) = (Rc::clone(&stored), Rc::clone(&fetches));
    let mut tokens = Tokens::new(move |_, asked| {
        count.set(count.get() + 1);
        let answer = source.get();
        // What is on this machine only is no secret in the cloud.
        async move { if let Some(secret) = answer { Ok(secret.into()) } else { lightsout_cloud::local(&asked).await } }
    });
    tokens.refetch_after = Duration::ZERO;
    let settings = settings(&[("a", "webhook = { kind = 'gitlab', secret = { ssm = '/ci/webhook' } }")]);
    let pools: Vec<_> = settings.pools.into_iter().map(Rc::new).collect();
    let webhooks = Arc::new(Webhooks::resolve(&pools, &tokens).await.unwrap());
    let (hints, _hinted) = mpsc::channel(64);
    let limits = Limits { rate: 100_000, burst: 100_000, ..Limits::default() };
    let offer = Endpoints { webhooks: Arc::clone(&webhooks), hints, metered: None, page: None };
    let listening = listen_with(offer, limits).await;
    let answer = async |secret: &str| status(&listening, &post("/hooks/a", secret, &queued(1))).await;
    let until_renewed = async |secret: &str| while answer(secret).await != 202 {};
    stored.set(Some("changed"));
    for _ in 0..20 {
        assert_eq!(answer("guessed").await, 401);
    }
    assert_eq!((answer("s3cret").await, fetches.get()), (202, 1), "nobody who sends makes it ask");
    tokio::select! {
        never = webhooks.keep_fresh(&tokens, Duration::from_millis(1)) => match never {},
        () = until_renewed("changed") => {}
    }
    assert_eq!((answer("s3cret").await, answer("changed").await), (401, 202));
    // A store that is out of order takes nothing away.
    stored.set(None);
    let before = fetches.get();
    tokio::select! {
        never = webhooks.keep_fresh(&tokens, Duration::from_millis(1)) => match never {},
        () = async { while fetches.get() == before { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(answer("changed").await, 202);
}

/// Counts what is said, and how much of it.
#[derive(Clone, Default)]
pub(crate) struct Said(pub(crate) Arc<std::sync::Mutex<Vec<String>>>);

impl tracing::field::Visit for Said {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.lock().unwrap().last_mut().unwrap().push_str(&format!("{field}={value:?} "));
    }
}

impl tracing::Subscriber for Said {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        self.0.lock().unwrap().push(String::new());
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// What anybody may send costs a few lines a minute, none of which the sender wrote.
#[tokio::test]
async fn refused_webhooks_cost_a_few_short_lines() {
    let said = Said::default();
    let _guard = tracing::subscriber::set_default(said.clone());
    let (listening, _hinted) = listening(Limits { rate: 1000, burst: 1000, ..Limits::default() }).await;
    let long = "x".repeat(60_000);
    for _ in 0..50 {
        assert_eq!(status(&listening, &post("/hooks/a", "wrong", &queued(1))).await, 401);
        // Nobody has this one: not even its body is waited for.
        let head = format!("POST /hooks/{long} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n");
        assert_eq!(status(&listening, &head).await, 401);
    }
    let lines = said.0.lock().unwrap().clone();
    let refused: Vec<_> = lines.iter().filter(|line| line.contains("refused")).collect();
    assert!((1..=8).contains(&refused.len()), "{}", refused.len());
    assert!(lines.iter().all(|line| line.len() < 300), "nothing that a stranger wrote");
}

#[tokio::test]
async fn too_much_is_refused() {
    let (listening, mut hinted) = listening(Limits { body: 64, rate: 0, burst: 3, ..Limits::default() }).await;
    assert_eq!(status(&listening, &post("/hooks/a", "s3cret", &"x".repeat(65))).await, 413);
    let chunked = "POST /hooks/a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n50\r\n";
    let endless = format!("{chunked}{}\r\n50\r\n{}\r\n0\r\n\r\n", "x".repeat(80), "x".repeat(80));
    assert_eq!(status(&listening, &endless).await, 413);
    assert_eq!(status(&listening, &post("/hooks/a", "s3cret", "{}")).await, 202);
    assert_eq!(status(&listening, &post("/hooks/a", "s3cret", &queued(1))).await, 429);
    assert!(hinted.try_recv().is_err());
}

/// A stranger may send a megabyte, and as many strangers as there are connections would be more than the program itself. What is short has room
/// whatever they hold, and one of them alone does not take all the room that there is for what is longer.
#[tokio::test]
async fn all_that_strangers_send_at_once_takes_little_memory() {
    let limits =
        Limits { body: 64, bodies: Bodies { own: 8, long: 128 }, rate: 10_000, burst: 10_000, ..Limits::default() };
    let (listening, _hinted) = listening(limits).await;
    let whole = post("/hooks/a", "wrong", &"x".repeat(60));
    let slow = post("/hooks/a", "wrong", &"x".repeat(64));
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(listening.address).await.unwrap();
        stream.write_all(&slow.as_bytes()[..slow.len() - 4]).await.unwrap();
        held.push(stream);
    }
    let until = async |expected| {
        let mut seen = 0;
        for _ in 0..1000 {
            seen = status(&listening, &whole).await;
            if seen == expected {
                break;
            }
        }
        assert_eq!(seen, expected);
    };
    until(503).await;
    let known = TcpSocket::new_v4().unwrap();
    known.bind(([127, 0, 0, 2], 0).into()).unwrap();
    // Its own first one finds the room of strangers, of which another holds what one can.
    let mut known = known.connect(listening.address).await.unwrap();
    known.write_all(post("/hooks/a", "s3cret", &format!("{{}}{}", " ".repeat(30))).as_bytes()).await.unwrap();
    let mut reply = String::new();
    known.read_to_string(&mut reply).await.unwrap();
    assert!(reply.contains(" 202 "), "{reply}");
    let known = TcpSocket::new_v4().unwrap();
    known.bind(([127, 0, 0, 2], 0).into()).unwrap();
    let mut known = known.connect(listening.address).await.unwrap();
    known.write_all(post("/hooks/a", "s3cret", &format!("{{}}{}", " ".repeat(58))).as_bytes()).await.unwrap();
    reply.clear();
    known.read_to_string(&mut reply).await.unwrap();
    assert!(reply.contains(" 202 "), "known senders have room of their own: {reply}");
    drop(held);
    until(401).await;
}

#[tokio::test]
async fn a_slow_client_is_cut_off_and_the_next_one_served() {
    let (listening, mut hinted) = listening(Limits { timeout: Duration::from_secs(1), ..Limits::default() }).await;
    let whole = post("/hooks/a", "s3cret", &queued(1));
    for cut in [10, whole.len() - 5] {
        let reply = send(&listening, &whole[..cut]).await;
        assert!(reply.is_empty() || reply.contains(" 408 "), "{reply}");
    }
    assert!(hinted.try_recv().is_err());
    assert_eq!(status(&listening, &whole).await, 202);
}

#[tokio::test]
async fn a_hint_makes_its_pool_tick_at_once_and_only_this_one() {
    let (settings, groups) = (settings(&[("a", ""), ("b", "")]), FakeGroups::of(&["a", "b"]));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(0), waiting(0)]);
    let (hint, hinted) = mpsc::channel(8);
    let seen = RefCell::new(Vec::new());
    let (end, ended) = (tokio::sync::Notify::new(), Cell::new(false));
    let done = |record: &Decision| {
        let mut seen = seen.borrow_mut();
        seen.push(record.pool.clone());
        match seen.len() {
            2 => hint.try_send("a".into()).unwrap(),
            3 => {
                ended.set(true);
                end.notify_one();
            }
            _ => {}
        }
    };
    scheduler.watch(LONG, hinted, end.notified(), done).await;
    assert!(ended.get());
    let mut seen = seen.into_inner();
    assert_eq!(seen.remove(2), "a");
    seen.sort();
    assert_eq!(seen, ["a", "b"]);
}

/// How long it is from the first tick to the second, with hints from the first on; nothing where there is none within this time.
async fn second_tick(answers: Answers, hints: usize, within: Duration) -> Option<Duration> {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![answers]);
    let (hint, hinted) = mpsc::channel(1000);
    let (begun, ticks, second) = (Instant::now(), Cell::new(0), tokio::sync::Notify::new());
    let done = |_: &Decision| {
        ticks.set(ticks.get() + 1);
        if ticks.get() == 1 {
            (0..hints).for_each(|_| hint.try_send("a".into()).unwrap());
        } else {
            second.notify_one();
        }
    };
    let stop = async {
        let _ = timeout(within, second.notified()).await;
    };
    scheduler.watch(LONG, hinted, stop, done).await;
    assert!(ticks.get() <= 2, "{} ticks", ticks.get());
    (ticks.get() == 2).then(|| begun.elapsed())
}

#[tokio::test]
async fn many_hints_cost_one_more_reading_a_second() {
    let second = second_tick(waiting(0), 1000, IN_TIME).await;
    assert!(second.is_some_and(|after| after >= Duration::from_secs(1)), "they wait for their second: {second:?}");
}

#[tokio::test]
async fn a_hint_for_a_platform_that_wishes_patience_waits_for_it() {
    let wish = |seconds| {
        let demand = Demand { queued: 0, running: Some(0), poll_after: Some(Duration::from_secs(seconds)) };
        Answers(Ok(demand.into()), None)
    };
    let throttled =
        Answers(Err(ExchangeError::new(ErrorKind::Throttled(Some(Duration::from_millis(1500))), "slow down")), None);
    assert_eq!(second_tick(wish(300), 1, Duration::from_millis(2500)).await, None);
    assert!(second_tick(wish(9), 1, IN_TIME).await.is_some(), "it does not wait for what only keeps an even pace");
    let second = second_tick(throttled, 1, IN_TIME).await;
    assert!(second.is_some_and(|after| after >= Duration::from_millis(1500)), "{second:?}");
}
