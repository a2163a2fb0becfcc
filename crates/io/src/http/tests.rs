mod clients;

use std::sync::{Arc, Mutex};

use lightsout_core::exchange::{EffectId, Method, Output, Program, Text};

use super::*;
use crate::testing::{Answer, ReceivedRequest, SOON, Server, nowhere};

fn driver() -> Driver {
    Driver::with_limits("lightsout/0.0.0 (test)", Limits { request: SOON, ..Limits::default() })
}

async fn perform(request: Request) -> Result<Reply, Unreachable> {
    ask_by(&driver(), request).await
}

async fn ask_by(driver: &Driver, request: Request) -> Result<Reply, Unreachable> {
    match driver.perform(Effect::Http(request)).await {
        EffectResult::Http(result) => result,
        EffectResult::Program(_) | EffectResult::Clock(_) | EffectResult::Sign(_) => {
            unreachable!("a request was asked")
        }
    }
}

#[tokio::test]
async fn carries_the_request_and_the_reply_as_they_are() {
    let server = Server::start(|_, _| {
        let headers = vec![("Link", "<a>".into()), ("link", "<b>".into()), ("Retry-After", "7".into())];
        Answer::Reply(418, headers, vec![0xff, 0x00])
    })
    .await;
    let request = Request::new(Method::Post, format!("{}/api?page=2", server.url))
        .header("private-token", Text::secret("glpat-1"))
        .json(&serde_json::json!({"a": 1}), true);
    let reply = perform(request).await.unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (418, [0xff, 0x00].as_slice()));
    assert_eq!(reply.header("link"), Some("<a>, <b>"));
    assert_eq!(reply.header("retry-after"), Some("7"));

    let seen = &server.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str(), seen.body.as_str()), ("POST", "/api?page=2", "{\"a\":1}"));
    assert_eq!(seen.headers["private-token"], "glpat-1");
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(seen.headers["user-agent"], "lightsout/0.0.0 (test)");
}

#[tokio::test]
async fn every_status_is_a_reply() {
    for status in [200, 204, 304, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503] {
        let server = Server::start(move |_, _| Answer::status(status, "")).await;
        assert_eq!(perform(Request::get(&server.url)).await.unwrap().status, status);
        assert_eq!(server.count(), 1, "{status} is not tried again");
    }
}

#[tokio::test]
async fn slow_replies_time_out() {
    for script in [|| Answer::Silence, || Answer::HeadOnly] {
        let server = Server::start(move |_, _| script()).await;
        assert_eq!(perform(Request::get(&server.url)).await, Err(Unreachable::Timeout(SOON)));
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test]
async fn broken_replies() {
    let truncated = || Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec());
    let garbage = || Answer::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec());
    for script in [truncated, garbage, || Answer::Raw(Vec::new()), || Answer::Reset] {
        let server = Server::start(move |_, _| script()).await;
        let error = perform(Request::new(Method::Post, &server.url)).await.unwrap_err();
        assert!(matches!(error, Unreachable::Broken(_)), "{error:?}");
        assert_eq!(server.count(), 1, "a POST may have been applied");
    }
}

#[tokio::test]
async fn nothing_listens() {
    let error = perform(Request::get(nowhere().await)).await.unwrap_err();
    assert!(matches!(&error, Unreachable::Connect(why) if why.contains("refused")), "{error:?}");
}

#[tokio::test]
async fn what_is_no_url_is_never_sent() {
    for url in ["", "gitlab.example/api", "ftp://127.0.0.1/x"] {
        let error = perform(Request::get(url)).await.unwrap_err();
        assert!(matches!(error, Unreachable::Connect(_)), "{url}: {error:?}");
    }
}

#[tokio::test]
async fn a_huge_body_is_cut_short() {
    let cap = Limits::default().body;
    let patient = Driver::new("test");
    let server = Server::start(|_, _| Answer::Chunks(50)).await;
    assert_eq!(ask_by(&patient, Request::get(&server.url)).await, Err(Unreachable::TooLarge(cap)));
    let announced = || Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\nx".to_vec());
    let server = Server::start(move |_, _| announced()).await;
    assert_eq!(ask_by(&patient, Request::get(&server.url)).await, Err(Unreachable::TooLarge(cap)));

    let server = Server::start(|_, _| Answer::Chunks(8)).await;
    assert_eq!(ask_by(&patient, Request::get(&server.url)).await.unwrap().body.len(), cap);
}

#[tokio::test]
async fn redirects_stay_here() {
    let other = Server::start(|_, _| Answer::ok("elsewhere")).await;
    let away = format!("{}/steal", other.url);
    let server = Server::start(move |seen, _| match seen.path.as_str() {
        "/here" => Answer::with(302, ("location", "/there"), ""),
        "/away" => Answer::with(302, ("location", &away), ""),
        "/loop" => Answer::with(302, ("location", "/loop"), ""),
        _ => Answer::ok("arrived"),
    })
    .await;
    let get =
        |path: &str| Request::get(format!("{}{path}", server.url)).header("private-token", Text::secret("glpat-1"));
    assert_eq!(perform(get("/here")).await.unwrap().body, b"arrived");
    assert_eq!(server.seen()[1].headers["private-token"], "glpat-1");

    assert_eq!(perform(get("/away")).await.unwrap().status, 302);
    assert_eq!(other.count(), 0);

    let before = server.count();
    assert_eq!(perform(get("/loop")).await.unwrap().status, 302);
    assert_eq!(server.count() - before, 4, "three redirects and no more");
}

#[tokio::test]
async fn tls_towards_something_else_is_a_connect_error() {
    let server = Server::start(|_, _| Answer::ok("")).await;
    let error = perform(Request::get(server.url.replace("http:", "https:"))).await.unwrap_err();
    assert!(matches!(error, Unreachable::Connect(_)), "{error:?}");
}

#[test]
fn logs_hold_no_secrets() {
    let shown = |url: &str| redact(&Url::parse(url).unwrap());
    assert_eq!(shown("https://ci.example/api/v4/jobs?scope=pending"), "https://ci.example/api/v4/jobs?scope=pending");
    assert_eq!(shown("https://me:pw@ci.example/x"), "https://ci.example/x");
    let redacted = shown("https://ci.example/x?private_token=glpat-1&page=2&X-Amz-Signature=abc");
    assert!(!redacted.contains("glpat-1") && !redacted.contains("abc") && redacted.contains("page=2"), "{redacted}");
}

/// Asks for two pages, then runs a program.
#[derive(Default)]
struct Pages {
    result: Arc<Mutex<Vec<EffectResult>>>,
    url: String,
}

impl Exchange for Pages {
    type Output = usize;

    fn start(&mut self) -> ExchangeStep<usize> {
        ExchangeStep::perform(Effect::Http(Request::get(format!("{}/1", self.url))))
    }

    fn resume(&mut self, _: EffectId, result: EffectResult) -> ExchangeStep<usize> {
        let mut all = self.result.lock().unwrap();
        all.push(result);
        match all.len() {
            1 => ExchangeStep::perform(Effect::Http(Request::get(format!("{}/2", self.url)))),
            2 => {
                let argv = vec!["echo".into(), "hi".into()];
                ExchangeStep::perform(Effect::Program(Program::new(argv, Vec::new(), Duration::from_secs(10))))
            }
            count => ExchangeStep::Done(Ok(count)),
        }
    }
}

#[tokio::test]
async fn a_conversation_goes_on_until_it_is_over() {
    let server = Server::start(|seen: &ReceivedRequest, _| Answer::ok(seen.path.clone())).await;
    let mut pages = Pages { url: server.url.clone(), ..Pages::default() };
    assert_eq!(driver().complete(&mut pages, Duration::from_secs(30)).await, Ok(3));
    let result = pages.result.lock().unwrap();
    assert!(matches!(&result[1], EffectResult::Http(Ok(reply)) if reply.body == b"/2"), "{result:?}");
    assert!(
        matches!(&result[2], EffectResult::Program(Ok(Output { status: Some(0), stdout, .. })) if stdout == b"hi\n"),
        "{result:?}"
    );
    assert!(server.seen().iter().all(|request| request.connection == 0), "connections are kept");
}

#[tokio::test]
async fn a_conversation_has_a_deadline() {
    let server = Server::start(|_, _| Answer::Silence).await;
    let mut pages = Pages { url: server.url.clone(), ..Pages::default() };
    let error = Driver::new("test").complete(&mut pages, SOON).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TimeOver);
    assert_eq!(error.message, format!("GET {}/1 was not answered within 1s; nothing before it was", server.url));
    assert!(pages.result.lock().unwrap().is_empty());
}

/// Asks for so many pages at once and counts those that come.
struct Many {
    url: String,
    asked: u64,
    wanted: u64,
    came: Vec<u64>,
}

impl Many {
    fn of(server: &Server, wanted: u64) -> Self {
        Self { url: server.url.clone(), asked: 0, wanted, came: Vec::new() }
    }
}

impl Exchange for Many {
    type Output = usize;

    fn start(&mut self) -> ExchangeStep<usize> {
        self.more()
    }

    fn resume(&mut self, id: EffectId, result: EffectResult) -> ExchangeStep<usize> {
        assert!(
            matches!(&result, EffectResult::Http(Ok(reply)) if reply.body == format!("/{}", id.0).as_bytes()),
            "{id:?}: {result:?}"
        );
        self.came.push(id.0);
        self.more()
    }

    fn more(&mut self) -> ExchangeStep<usize> {
        if self.asked == self.wanted {
            let all = self.came.len() == usize::try_from(self.wanted).unwrap();
            return if all { ExchangeStep::Done(Ok(self.came.len())) } else { ExchangeStep::Wait };
        }
        let id = EffectId(self.asked);
        self.asked += 1;
        ExchangeStep::Perform(id, Effect::Http(Request::get(format!("{}/{}", self.url, id.0))))
    }

    fn cut(&mut self) -> Option<usize> {
        (!self.came.is_empty()).then_some(self.came.len())
    }
}

/// Waits for a program, and knows nothing before.
struct Sleeps;

impl Exchange for Sleeps {
    type Output = ();

    fn start(&mut self) -> ExchangeStep<()> {
        let argv = vec!["sleep".into(), "0.2".into()];
        ExchangeStep::perform(Effect::Program(Program::new(argv, Vec::new(), Duration::from_secs(10))))
    }

    fn resume(&mut self, _: EffectId, _: EffectResult) -> ExchangeStep<()> {
        ExchangeStep::Done(Ok(()))
    }
}

#[tokio::test]
async fn many_questions_are_open_at_once_and_no_more_than_there_is_room_for() {
    let server = Server::start(|seen, _| Answer::ok(seen.path.clone())).await;
    let mut many = Many::of(&server, 200);
    assert_eq!(driver().complete(&mut many, Duration::from_secs(30)).await, Ok(200));
    let connections = server.seen().iter().map(|request| request.connection).max().unwrap() + 1;
    assert!((2..=AT_ONCE).contains(&connections), "{connections} connections: one for each that was open at once");
}

#[tokio::test]
async fn several_exchanges_share_their_room() {
    let server = Server::start(|seen, _| Answer::ok(seen.path.clone())).await;
    let (driver, room) = (driver(), Semaphore::new(3));
    let (mut one, mut other) = (Many::of(&server, 60), Many::of(&server, 60));
    let time = Duration::from_secs(30);
    let both = futures_util::future::join(
        driver.complete_sharing(&mut one, (time, time), &room),
        driver.complete_sharing(&mut other, (time, time), &room),
    );
    assert_eq!(both.await, (Ok(60), Ok(60)));
    let connections = server.seen().iter().map(|request| request.connection).max().unwrap() + 1;
    assert!(connections <= 3, "{connections} connections for three that may be open at once");
}

#[tokio::test]
async fn nothing_is_begun_before_there_is_room_for_it() {
    let server = Server::start(|seen, _| Answer::ok(seen.path.clone())).await;
    let (driver, room, time) = (driver(), Semaphore::new(1), (SOON, SOON));
    let others = room.acquire().await.unwrap();
    let mut waits = Many::of(&server, 9);
    let error = driver.complete_sharing(&mut waits, time, &room).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TimeOver);
    assert_eq!(error.message, "the requests of others left no room for its first one within 1s; nothing was asked");
    assert_eq!((waits.asked, server.count()), (0, 0), "it did not even start");
    drop(others);
    let time = (Duration::from_secs(30), Duration::from_secs(30));
    assert_eq!(driver.complete_sharing(&mut waits, time, &room).await, Ok(9), "one place is enough for all of it");
}

#[tokio::test]
async fn what_is_known_when_the_time_is_over_is_the_result() {
    let server = Server::start(|seen, _| match seen.path.as_str() {
        "/3" => Answer::Silence,
        path => Answer::ok(path.to_owned()),
    })
    .await;
    assert_eq!(Driver::new("test").complete(&mut Many::of(&server, 9), SOON).await, Ok(8));
    let (room, long) = (Semaphore::new(AT_ONCE), Duration::from_secs(30));
    let enough = Driver::new("test").complete_sharing(&mut Many::of(&server, 9), (SOON, long), &room).await;
    assert_eq!(enough, Ok(8), "what is known is enough");
    let soon = Duration::from_millis(20);
    let patient = Driver::new("test").complete_sharing(&mut Sleeps, (soon, long), &room).await;
    assert_eq!(patient, Ok(()), "nothing was known by then");
    let silent = Server::start(|_, _| Answer::Silence).await;
    let error = Driver::new("test").complete(&mut Many::of(&silent, 9), SOON).await.unwrap_err();
    assert_eq!(
        error.message,
        format!("GET {}/0 and 8 more were not answered within 1s; nothing before it was", silent.url)
    );
}

#[tokio::test]
async fn a_request_may_have_less_time_and_room_than_usual() {
    let server = Server::start(|_, _| Answer::ok("12345")).await;
    assert_eq!(perform(Request::get(&server.url).up_to(4)).await, Err(Unreachable::TooLarge(4)));
    assert!(perform(Request::get(&server.url).up_to(5)).await.is_ok());
    let silent = Server::start(|_, _| Answer::Silence).await;
    let soon = Duration::from_millis(50);
    assert_eq!(perform(Request::get(&silent.url).within(soon)).await, Err(Unreachable::Timeout(soon)));
}
