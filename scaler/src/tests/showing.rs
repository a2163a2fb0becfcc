//! The page at the listener: who may read it, what of it, and that webhooks go on beside it.

use std::{collections::BTreeMap, sync::Arc};

use lightsout_core::{
    cloud::{Listed, Membership},
    platform,
    record::{Outcome, TickTimes},
};
use lightsout_page::Source as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

use super::{
    hinting::{Listening, listen_with, post, queued, send, status},
    *,
};
use crate::{
    listener::{Endpoints, Limits},
    page::{PageData, ServedPage, look},
    webhooks::Webhooks,
};

/// The page at a listener that accepts webhooks as well, or does not.
struct Showing {
    listening: Listening,
    kept: PageData,
    shown: ServedPage,
    _hinted: mpsc::Receiver<String>,
}

async fn showing(with_webhook: bool, limits: Limits) -> Showing {
    let mut webhooks = Webhooks::default();
    if with_webhook {
        webhooks.add("a", "a", &platform::gitlab::WEBHOOK, "s3cret".into());
    }
    let kept = PageData::default();
    // The gate asks of an address whether it is loopback's alone.
    let shown = ServedPage::start(([127, 0, 0, 1], 80).into(), with_webhook, kept.clone()).unwrap();
    let (hints, hinted) = mpsc::channel(8);
    let offer = Endpoints { webhooks: Arc::new(webhooks), hints, metered: None, page: Some(shown.page.clone()) };
    Showing { listening: listen_with(offer, limits).await, kept, shown, _hinted: hinted }
}

impl Showing {
    /// The path of the page.
    fn path(&self) -> String {
        self.shown.link.strip_prefix("http://127.0.0.1:80").unwrap().to_owned()
    }
}

fn get(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")
}

fn decision(pool: &str, reason: &str) -> Decision {
    Decision {
        time: "2026-11-27T03:00:00Z".into(),
        pool: pool.into(),
        group: "g".into(),
        cloud: None,
        platform: "any".into(),
        result: Outcome::Held,
        to: None,
        why: None,
        reason: Some(reason.into()),
        missing: None,
        error: None,
        trouble: None,
        failed_launches: Vec::new(),
        launches_suspended: false,
        ms: TickTimes::default(),
    }
}

/// What came on a connection up to this text.
async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut come = Vec::new();
    while !String::from_utf8_lossy(&come).contains(text) {
        assert!(stream.read_buf(&mut come).await.unwrap() > 0, "{text}: {}", String::from_utf8_lossy(&come));
    }
    String::from_utf8(come).unwrap()
}

/// A request takes no longer than most of a second here, and who follows is told more than a second later.
#[tokio::test]
async fn who_follows_is_told_what_is_decided_for_as_long_as_that_goes_on() {
    let showing = showing(false, Limits { timeout: Duration::from_millis(900), ..Limits::default() }).await;
    assert_eq!(showing.path(), "/");
    showing.kept.keep(&decision("linux", "nothing waits"));
    let page = send(&showing.listening, &get("/", "localhost:80")).await;
    assert!(
        page.contains("nothing waits")
            && page.contains("data-events=\"events\"")
            && page.contains("lightsout timeline")
    );
    let mut events = TcpStream::connect(showing.listening.address).await.unwrap();
    events.write_all(get("/events", "localhost").as_bytes()).await.unwrap();
    assert!(until(&mut events, "\n\n").await.contains("text/event-stream"));
    showing.kept.keep(&decision("linux", "two wait"));
    assert!(until(&mut events, "two wait").await.contains("event: update"));
    let foreign = send(&showing.listening, &get("/", "evil.example")).await;
    assert!(foreign.starts_with("HTTP/1.1 403") && !foreign.contains("waits"), "another page's script asks: {foreign}");
    showing.shown.finish().await;
    assert!(until(&mut events, "0\r\n\r\n").await.contains("event: end"), "it is told the end");
}

/// What groups list is asked for apart from the ticks, in one call for all of a location, and whatever comes of it no tick hears of it.
#[tokio::test]
async fn instances_are_looked_at_apart_from_the_ticks_and_a_look_that_fails_loses_nobody() {
    let (settings, groups) = (settings(&[("a", ""), ("b", ""), ("c", "")]), FakeGroups::of(&["a", "b", "c"]));
    let one = Listed::new;
    groups.list("a", &[one("i-1", Membership::Pending { waiting: false })]);
    groups.list("b", &[]);
    let looking = context(&settings, &groups);
    let pools: Vec<_> = settings.pools.iter().cloned().map(Rc::new).collect();
    let mut kept = PageData::default();
    assert!(!look(&kept, &looking.regions, &pools).await, "the next one need not wait for its minute");
    assert_eq!(calls(&groups), [""; 0], "nothing was read of any pool: nobody knows how many a look would find");
    for record in ticked(&mut scheduler(&settings, context(&settings, &groups), vec![waiting(0); 3])).await {
        kept.keep(&record);
    }
    let ticks = calls(&groups).len();
    assert!(look(&kept, &looking.regions, &pools).await);
    groups.list("a", &[one("i-1", Membership::InService { protected: true })]);
    look(&kept, &looking.regions, &pools).await;
    assert_eq!(calls(&groups)[ticks..], ["listing a,b,c"; 2]);
    let chart = kept.look().await.unwrap();
    let [life] = &chart.lanes[..] else { panic!("{chart:?}") };
    let states: Vec<_> = life.spans.iter().map(|span| span.state).collect();
    assert_eq!((life.pool.as_str(), states, life.silent), ("a", vec!["launching", "in_service"], None));
    assert!(chart.unseen.iter().any(|line| line.starts_with("The instances of 1 pool are not shown")), "of c");

    groups.break_all(Some(CloudError::new(CloudErrorKind::Throttled, "too often")));
    look(&kept, &looking.regions, &pools).await;
    let chart = kept.look().await.unwrap();
    assert!(chart.lanes[0].silent.is_some() && chart.lanes[0].end.is_none(), "{chart:?}");
    assert!(chart.unseen.iter().any(|line| line.contains("of 3 pools could not be looked at last: too often")));
}

/// A proxy asks under whatever name it likes, loopback's as well.
#[tokio::test]
async fn where_webhooks_come_through_a_proxy_only_the_token_leads_to_the_page() {
    let showing = showing(true, Limits::default()).await;
    showing.kept.keep(&decision("linux", "nothing waits"));
    for path in ["/", "/events", "/metrics", "/0123456789abcdef0123456789abcdef/", "/hook/a"] {
        let reply = send(&showing.listening, &get(path, "localhost")).await;
        assert!(reply.starts_with("HTTP/1.1 403") && !reply.contains("waits"), "{path}: {reply}");
    }
    let page = send(&showing.listening, &get(&showing.path(), "ci.example")).await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("nothing waits"), "{page}");
    let written = post(&showing.path(), "s3cret", &queued(1));
    assert_eq!(status(&showing.listening, &written).await, 405, "it can only be read");
    assert_eq!(status(&showing.listening, &post("/hooks/a", "s3cret", &queued(1))).await, 202);
}

#[tokio::test]
async fn who_guesses_tokens_is_told_to_wait_and_leaves_the_way_to_webhooks() {
    let showing = showing(true, Limits { rate: 1, burst: 40, ..Limits::default() }).await;
    let mut statuses = BTreeMap::new();
    for guess in 0..60_u128 {
        let status = status(&showing.listening, &get(&format!("/{guess:032x}/"), "x")).await;
        *statuses.entry(status).or_insert(0) += 1;
    }
    assert!(statuses[&403] >= 40 && statuses[&429] > 0 && statuses.len() == 2, "{statuses:?}");
    let webhook = status(&showing.listening, &post("/hooks/a", "s3cret", &queued(1))).await;
    assert_eq!(webhook, 202, "who sends them may have the address of who guesses");
}

#[tokio::test]
async fn a_few_may_follow_and_webhooks_of_the_same_address_still_get_through() {
    let showing = showing(true, Limits::default()).await;
    let path = format!("{}events", showing.path());
    let mut following = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(showing.listening.address).await.unwrap();
        stream.write_all(get(&path, "x").as_bytes()).await.unwrap();
        until(&mut stream, "event: chart").await;
        following.push(stream);
    }
    let one_more = send(&showing.listening, &get(&path, "x")).await;
    assert!(one_more.starts_with("HTTP/1.1 503") && one_more.contains("8 follow this page already"), "{one_more}");
    assert_eq!(status(&showing.listening, &post("/hooks/a", "s3cret", &queued(1))).await, 202);
}
