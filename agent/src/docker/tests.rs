mod prune;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use lightsout_core::platform::JobProcesses;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

use super::*;
use crate::jobs::Jobs;

const EVERY: Selection = Selection::ALL;
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

/// An engine that tells its version and what it was started with, and then does as the test says.
#[derive(Clone, Copy)]
enum Manner {
    /// It stops in the middle of its first answer.
    StopsAtOnce,
    /// It stops in the middle of its list of containers.
    StopsInTheList,
    /// It reports starts of containers as fast as they are read.
    Storms,
    /// It fails at its first list, and runs two containers.
    FailsOnce,
}

struct FakeEngine {
    folder: TempDir,
    events: Arc<AtomicUsize>,
    lists: Arc<AtomicUsize>,
    kills: Arc<AtomicUsize>,
}

impl FakeEngine {
    fn start(manner: Manner) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        let [events, lists, kills] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
        let counters = [&events, &lists, &kills].map(Arc::clone);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, manner, counters.clone()));
            }
        });
        Self { folder, events, lists, kills }
    }

    fn engine(&self) -> Arc<Engine> {
        Arc::new(Engine::new(&self.folder.path().join("docker.sock")))
    }
}

async fn serve(
    mut stream: UnixStream,
    manner: Manner,
    [events, lists, kills]: [Arc<AtomicUsize>; 3],
) -> std::io::Result<()> {
    let mut buffer = vec![0; 4096];
    loop {
        let count = stream.read(&mut buffer).await?;
        let request = String::from_utf8_lossy(&buffer[..count]).into_owned();
        if count == 0 {
            return Ok(());
        } else if request.contains("/events") {
            stream.write_all(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await?;
            loop {
                if !matches!(manner, Manner::Storms) {
                    std::future::pending::<()>().await;
                }
                let event = "{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{\"ID\":\"a\",\"Attributes\":{\"name\":\"b\"}}}\n";
                stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
                events.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        } else if request.contains("/version") && !matches!(manner, Manner::StopsAtOnce) {
            let body = "{\"ApiVersion\":\"1.43\",\"MinAPIVersion\":\"1.24\"}";
            stream.write_all(format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
        } else if request.contains("/info") && !matches!(manner, Manner::StopsAtOnce) {
            let body = "{\"DockerRootDir\":\"/mnt/docker\",\"LoggingDriver\":\"local\",\"LiveRestoreEnabled\":true}";
            stream.write_all(format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
        } else if matches!(manner, Manner::FailsOnce) && request.contains("/kill") {
            kills.fetch_add(1, Ordering::Relaxed);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
        } else if matches!(manner, Manner::FailsOnce) {
            let failed = lists.fetch_add(1, Ordering::Relaxed) == 0;
            let head = if failed { "HTTP/1.1 500 Sick\r\nContent-Type: application/json\r\n" } else { HEAD };
            let body = if failed {
                "{\"message\":\"sick\"}"
            } else {
                "[{\"Id\":\"a\",\"Names\":[\"/a\"]},{\"Id\":\"b\",\"Names\":[\"/b\"]}]"
            };
            stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
        } else {
            stream.write_all(format!("{HEAD}Content-Length: 1000\r\n\r\n[{{\"Id\"").as_bytes()).await?;
            std::future::pending::<()>().await;
        }
    }
}

#[tokio::test]
async fn an_engine_that_stops_in_the_middle_of_an_answer_makes_it_unknown_each_time() {
    for manner in [Manner::StopsAtOnce, Manner::StopsInTheList] {
        let fake = FakeEngine::start(manner);
        let engine = fake.engine();
        // Whoever follows the events must not keep the others waiting.
        let (hints, _hinted) = mpsc::channel(16);
        let follower = Arc::clone(&engine);
        let following = tokio::spawn(async move { follower.follow(&EVERY, hints).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        for _ in 0..2 {
            let asked = timeout(3 * TIMEOUT, engine.activity(&EVERY)).await;
            let Ok(Activity::Unknown(why)) = asked else { panic!("{asked:?}") };
            assert!(why.contains("no whole answer"), "{why}");
        }
        following.abort();
    }
}

#[tokio::test]
async fn containers_that_could_not_be_noted_are_ended_all_the_same() {
    let fake = FakeEngine::start(Manner::FailsOnce);
    let jobs = Jobs::of(None, &JobProcesses::NoJobs, Some((fake.engine(), EVERY))).await;
    let counts = || (fake.lists.load(Ordering::Relaxed), fake.kills.load(Ordering::Relaxed));
    assert_eq!(counts(), (1, 0));
    jobs.end().await;
    assert_eq!(counts(), (2, 2), "it looked again");
    // What was noted is all that is ended: what came later tidies up.
    let jobs = Jobs::of(None, &JobProcesses::NoJobs, Some((fake.engine(), EVERY))).await;
    jobs.end().await;
    assert_eq!(counts(), (3, 4));
}

#[tokio::test]
async fn an_engine_says_what_it_was_started_with() {
    let fake = FakeEngine::start(Manner::StopsInTheList);
    let info = fake.engine().info().await.unwrap();
    let told = (info.data.as_deref(), info.log_driver.as_deref(), info.live_restore);
    assert_eq!(told, (Some(Path::new("/mnt/docker")), Some("local"), Some(true)));
    assert!(FakeEngine::start(Manner::StopsAtOnce).engine().info().await.is_err());
}

#[tokio::test]
async fn a_storm_of_events_is_not_listened_to() {
    let fake = FakeEngine::start(Manner::Storms);
    let (hints, mut hinted) = mpsc::channel(16);
    let engine = fake.engine();
    let following = tokio::spawn(async move { engine.follow(&EVERY, hints).await });
    timeout(Duration::from_secs(60), hinted.recv()).await.expect("one in time").expect("a hint");
    let mut seen = 1;
    // Half of the pause that it takes.
    while let Ok(Some(_)) = timeout(STORM_PAUSE / 2, hinted.recv()).await {
        seen += 1;
        assert!(seen <= STORM + 1, "{seen} hints without a pause");
    }
    following.abort();
    let sent = fake.events.load(Ordering::Relaxed);
    assert!(sent < 50_000, "{sent} events were read");
}
