use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use lightsout_core::{chart::Chart, explain::Evidence, record::Record};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

/// A fleet of which the test says how it is.
#[derive(Clone)]
struct FakeFleet(Arc<Mutex<Result<Vec<&'static str>, &'static str>>>);

impl FakeFleet {
    fn new(instances: &[&'static str]) -> Self {
        Self(Arc::new(Mutex::new(Ok(instances.to_vec()))))
    }

    fn say(&self, what: Result<Vec<&'static str>, &'static str>) {
        *self.0.lock().unwrap() = what;
    }
}

impl Source for FakeFleet {
    type Error = anyhow::Error;

    async fn look(&mut self) -> Result<Chart> {
        let told = self.0.lock().unwrap().clone().map_err(anyhow::Error::msg)?;
        let evidence = told.iter().map(|instance| {
            let line = format!(
                "{{\"schema\":1,\"kind\":\"incident\",\"time\":\"2026-11-26T03:00:00Z\",\"instance\":\"{instance}\",\"platform\":\"any\",\"what\":\"started\",\"detail\":\"\"}}"
            );
            Evidence::record(Record::find(&line).unwrap(), "a").unwrap()
        });
        Ok(Chart::new(&evidence.collect::<Vec<_>>(), Timestamp::now(), |_, _| None))
    }

    fn end(&self) -> &'static str {
        "that was all"
    }
}

/// A connection that has asked.
struct Asked(TcpStream, Vec<u8>);

impl Asked {
    async fn new(at: SocketAddr, method: &str, path: &str) -> Self {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        Self(stream, Vec::new())
    }

    /// What has come up to this text and with it.
    async fn until(&mut self, text: &str) -> String {
        loop {
            let come = String::from_utf8_lossy(&self.1).into_owned();
            if let Some(at) = come.find(text) {
                self.1.drain(..at + text.len());
                return come[..at + text.len()].to_owned();
            }
            let mut piece = vec![0; 65_536];
            let count = self.0.read(&mut piece).await.unwrap();
            assert!(count > 0, "it ended without {text}: {come}");
            self.1.extend_from_slice(&piece[..count]);
        }
    }

    /// All that comes until the other side ends.
    async fn whole(mut self) -> String {
        self.0.read_to_end(&mut self.1).await.unwrap();
        String::from_utf8_lossy(&self.1).into_owned()
    }
}

async fn get(at: SocketAddr, path: &str) -> String {
    Asked::new(at, "GET", path).await.whole().await
}

/// Where it listens, as reached over loopback, and the path of its page.
fn place(web: &Web) -> (SocketAddr, String) {
    let rest = web.link().strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let (_, port) = host.rsplit_once(':').unwrap();
    (SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap())), format!("/{path}"))
}

#[tokio::test]
async fn who_looks_is_told_what_happens_what_is_lost_and_that_it_ends() {
    let fleet = FakeFleet::new(&["i-1"]);
    let web = Web::start(LOOPBACK.parse().unwrap(), fleet.clone()).unwrap();
    let (at, path) = place(&web);
    assert_eq!(path, "/");
    let page = get(at, "/").await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("data-events=\"events\"") && page.contains("i-1"));
    assert!(page.contains("connect-src 'self'") && page.to_lowercase().contains("cache-control: no-store"));

    let mut events = Asked::new(at, "GET", "/events").await;
    let head = events.until("event: chart\n").await;
    assert!(head.contains("text/event-stream"), "{head}");
    assert!(events.until("\n\n").await.contains("i-1"));
    fleet.say(Ok(vec!["i-1", "i-2"]));
    let update = events.until("i-2").await;
    assert!(update.contains("event: update") && !update.contains("\"i-1\""), "{update}");
    fleet.say(Err("the cloud is gone"));
    events.until("event: lost\n").await;
    let lost = events.until("\n\n").await;
    assert!(lost.contains("the cloud is gone"), "{lost}");
    // What is lost is no reason to show nothing to who comes now, nor to take it for the present.
    assert!(get(at, "/").await.contains("i-2"));
    let mut late = Asked::new(at, "GET", "/events").await;
    assert!(late.until("event: lost\n").await.contains("i-2"));
    assert_eq!(late.until("\n\n").await, lost, "since the same time");
    events.until("event: lost\n").await;
    assert_eq!(events.until("\n\n").await, lost, "it is the same trouble still");
    fleet.say(Ok(vec!["i-3"]));
    events.until("event: chart\n").await;
    web.finish().await;
    let rest = events.whole().await;
    assert!(rest.contains("event: end\ndata: {\"why\":\"that was all\"}") && rest.ends_with("0\r\n\r\n"), "{rest}");
}

#[tokio::test]
async fn where_others_can_reach_it_only_the_token_leads_there() {
    let web = Web::start("0.0.0.0:0".parse().unwrap(), FakeFleet::new(&["i-secret"])).unwrap();
    let (at, path) = place(&web);
    let wrong = format!("/{}/", "0".repeat(32));
    for refused in ["/", "/events", &wrong, &format!("{wrong}events")] {
        let answer = get(at, refused).await;
        assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("i-secret"), "{refused}: {answer}");
    }
    assert!(get(at, &path).await.contains("i-secret"));
    Asked::new(at, "GET", &format!("{path}events")).await.until("i-secret").await;
    let slash = get(at, path.trim_end_matches('/')).await;
    assert!(slash.starts_with("HTTP/1.1 307") && slash.contains(&format!("location: {path}\r\n")), "{slash}");
    let written = Asked::new(at, "POST", &path).await.whole().await;
    assert!(written.starts_with("HTTP/1.1 405") && !written.contains("i-secret"), "{written}");
    web.finish().await;
}

#[tokio::test]
async fn a_page_of_somebody_else_whose_name_leads_here_reads_nothing() {
    let web = Web::start(LOOPBACK.parse().unwrap(), FakeFleet::new(&["i-1"])).unwrap();
    let mut stream = TcpStream::connect(place(&web).0).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").await.unwrap();
    let answer = Asked(stream, Vec::new()).whole().await;
    assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("i-1"), "{answer}");
    web.finish().await;
}
