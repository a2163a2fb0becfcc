use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use lightsout_io::testing::{Answer, ReceivedRequest, Server, Sink, nowhere};

use super::*;

/// A metadata service that gives tokens, and these answers.
async fn service(script: impl Fn(&ReceivedRequest, usize) -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |seen, before| match seen.method.as_str() {
        "PUT" => Answer::with(200, ("x-aws-ec2-metadata-token-ttl-seconds", "21600"), "token"),
        _ => script(seen, before),
    })
    .await
}

fn notices(url: &str) -> AwsNotices {
    AwsNotices { imds: Arc::new(Imds::new(url).unwrap()) }
}

const OFTEN: Duration = Duration::from_millis(1);
const EVERY: NoticeIntervals =
    NoticeIntervals { interruption: OFTEN, target: OFTEN, rebalance: OFTEN, maintenance: OFTEN, order: OFTEN };

#[tokio::test]
async fn who_it_is_is_asked_for_until_it_is_told() {
    let server = service(|seen, before| match seen.path.as_str() {
        "/latest/meta-data/instance-id" if before < 2 => Answer::status(503, ""),
        "/latest/meta-data/instance-id" => Answer::ok("i-0123"),
        "/latest/meta-data/placement/region" => Answer::ok("eu-north-1"),
        GROUP_TAG => Answer::ok("g"),
        "/latest/meta-data/instance-type" => Answer::ok("m7i.large"),
        "/latest/meta-data/instance-life-cycle" => Answer::ok("spot"),
        _ => Answer::status(404, ""),
    })
    .await;
    let identity = notices(&server.url).identity(Duration::from_secs(30)).await.unwrap();
    let expected = Identity {
        instance: "i-0123".into(),
        location: "eu-north-1".into(),
        group: Some("g".into()),
        machine: Machine { machine_type: Some("m7i.large".into()), spot: Some(true) },
        capabilities: None,
    };
    assert_eq!(identity, expected);
}

#[tokio::test]
async fn patience_ends_with_a_remedy() {
    let error = notices(&nowhere().await).identity(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unreachable);
    assert!(error.message.contains("within 50ms") && error.message.contains("IMDSv2"), "{error}");
}

#[tokio::test]
async fn tags_are_asked_for_until_they_are_told_and_may_be_switched_off() {
    let server = service(|seen, before| match seen.path.as_str() {
        TAGS if before < 2 => Answer::status(503, ""),
        TAGS => Answer::ok("Name\nlightsout:idle_timeout\nlightsout:slots"),
        "/latest/meta-data/tags/instance/lightsout:idle_timeout" => Answer::ok("5m"),
        "/latest/meta-data/tags/instance/lightsout:slots" => Answer::ok("4"),
        _ => Answer::status(404, ""),
    })
    .await;
    let tags = notices(&server.url).tags("lightsout:", Duration::from_secs(30)).await.unwrap();
    let expected = [("lightsout:idle_timeout", "5m"), ("lightsout:slots", "4")];
    assert_eq!(tags, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let off = service(|_, _| Answer::status(404, "")).await;
    assert_eq!(notices(&off.url).tags("lightsout:", Duration::from_secs(30)).await.unwrap(), []);
    let error = notices(&nowhere().await).tags("lightsout:", Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unreachable);
}

#[tokio::test]
async fn each_notice_is_told_once_and_one_that_changes_again() {
    let server = service(|seen, before| match seen.path.as_str() {
        // A time that moves away is no news; one that is nearer is.
        "/latest/meta-data/spot/instance-action" if before < 20 => {
            Answer::ok(format!(r#"{{"action":"terminate","time":"2030-01-01T00:02:{before:02}Z"}}"#))
        }
        "/latest/meta-data/spot/instance-action" => Answer::ok(r#"{"action":"stop","time":"2030-01-01T00:01:00Z"}"#),
        "/latest/meta-data/autoscaling/target-lifecycle-state" if before % 2 == 0 => Answer::ok("Terminated"),
        "/latest/meta-data/events/recommendations/rebalance" => Answer::ok(r#"{"noticeTime":"2030-01-01T00:00:00Z"}"#),
        "/latest/meta-data/events/maintenance/scheduled" => {
            Answer::ok(r#"[{"Code":"system-reboot","State":"active","NotBefore":"1 Jan 2030 00:00:00 GMT"}]"#)
        }
        _ => Answer::status(404, ""),
    })
    .await;
    let mut watched = notices(&server.url).watch(EVERY);
    let mut received = Vec::new();
    while received.len() < 5 {
        received.push(watched.recv().await.unwrap());
    }
    let at = |text: &str| Notice::Ending { by: Ending::Interruption, at: Some(text.parse::<Timestamp>().unwrap()) };
    for notice in [
        at("2030-01-01T00:01:00Z"),
        Notice::Rebalance,
        Notice::Ending { by: Ending::Maintenance, at: None },
        Notice::Target(TargetState::Terminated),
    ] {
        assert_eq!(received.iter().filter(|other| **other == notice).count(), 1, "{notice:?} in {received:?}");
    }
    let interruptions =
        received.iter().filter(|notice| matches!(notice, Notice::Ending { by: Ending::Interruption, .. })).count();
    assert_eq!(interruptions, 2, "one that moves away is none: {received:?}");
    assert!(tokio::time::timeout(Duration::from_millis(50), watched.recv()).await.is_err());
}

#[tokio::test]
async fn maintenance_is_called_off_when_its_last_event_goes_before_it_began() {
    let event =
        |begins: &str| Answer::ok(format!(r#"[{{"Code":"system-reboot","State":"active","NotBefore":"{begins}"}}]"#));
    // By the looks at this item alone: the others are looked at meanwhile.
    let list = |answers: fn(usize) -> Option<&'static str>| {
        let looks = AtomicUsize::new(0);
        service(move |seen, _| match seen.path.as_str() {
            "/latest/meta-data/events/maintenance/scheduled" => match answers(looks.fetch_add(1, Ordering::Relaxed)) {
                Some("") => Answer::ok("[]"),
                Some("broken") => Answer::status(500, ""),
                Some(begins) => event(begins),
                None => Answer::status(404, ""),
            },
            _ => Answer::status(404, ""),
        })
    };
    let scheduled = Notice::Ending { by: Ending::Maintenance, at: None };
    let lifted = Notice::Lifted(Ending::Maintenance);
    // Scheduled, put off, unknown for a while, called off; scheduled anew, and its item goes as a whole.
    let server = list(|before| match before {
        0..3 => Some("1 Jan 2040 00:00:00 GMT"),
        3..6 => Some("2 Jan 2040 00:00:00 GMT"),
        6..9 => Some("broken"),
        9..12 => Some(""),
        12..15 => Some("3 Jan 2040 00:00:00 GMT"),
        _ => None,
    })
    .await;
    let mut watched = notices(&server.url).watch(EVERY);
    for expected in [&scheduled, &lifted, &scheduled, &lifted] {
        assert_eq!(watched.recv().await.as_ref(), Some(expected));
    }
    assert!(tokio::time::timeout(Duration::from_millis(50), watched.recv()).await.is_err(), "each is told once");
    // What has begun goes from the list while it is carried out.
    let server = list(|before| Some(if before < 3 { "1 Jan 2020 00:00:00 GMT" } else { "" })).await;
    let mut watched = notices(&server.url).watch(EVERY);
    assert_eq!(watched.recv().await, Some(scheduled));
    assert!(tokio::time::timeout(Duration::from_millis(50), watched.recv()).await.is_err(), "it has begun");
}

#[tokio::test]
async fn an_answer_that_is_no_notice_is_none() {
    let server = service(|_, before| match before % 3 {
        0 => Answer::ok("<html/>"),
        1 => Answer::status(500, ""),
        _ => Answer::status(404, ""),
    })
    .await;
    let mut watched = notices(&server.url).watch(EVERY);
    // What is written as an order is told as it is, whatever it is.
    assert_eq!(watched.recv().await, Some(Notice::Order(Some("<html/>".to_owned()))));
    let looks_on = async {
        while server.count() <= 30 {
            if let Ok(told) = tokio::time::timeout(OFTEN, watched.recv()).await {
                assert!(matches!(told, Some(Notice::Order(_))), "{told:?}");
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looks_on).await.expect("it looks on");
}

#[tokio::test]
async fn a_long_silence_is_worth_one_warning() {
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server =
        service(|_, before| if before < 50 { Answer::status(500, "") } else { Answer::ok("Terminated") }).await;
    let imds = Arc::new(Imds::new(&server.url).unwrap());
    let mut item = Item::new(&imds, "autoscaling/target-lifecycle-state", OFTEN);
    assert_eq!(item.next().await.as_deref(), Some("Terminated"));
    let text = sink.text();
    assert_eq!(text.matches("notices may be missed").count(), 1, "{text}");
    assert_eq!(text.matches("answers again").count(), 1, "{text}");
}

#[test]
fn it_looks_less_often_while_there_is_no_answer() {
    let imds = Arc::new(Imds::new("http://127.0.0.1:9").unwrap());
    let mut item = Item::new(&imds, "x", Duration::from_secs(1));
    let pauses: Vec<u64> = (0..20)
        .map(|failures| {
            item.failures = failures;
            item.pause().as_secs()
        })
        .collect();
    assert_eq!(pauses, [1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 16, 16, 16, 16, 16, 16, 16, 16]);
}

#[tokio::test]
async fn the_first_look_is_at_once() {
    let server = service(|seen, _| match seen.path.as_str() {
        "/latest/meta-data/events/maintenance/scheduled" => {
            Answer::ok(r#"[{"Code":"instance-retirement","State":"active","NotBefore":"1 Jan 2030 00:00:00 GMT"}]"#)
        }
        _ => Answer::status(404, ""),
    })
    .await;
    let hourly = Duration::from_secs(3600);
    let every =
        NoticeIntervals { interruption: hourly, target: hourly, rebalance: hourly, maintenance: hourly, order: hourly };
    let mut watched = notices(&server.url).watch(every);
    let first = tokio::time::timeout(Duration::from_secs(30), watched.recv()).await;
    assert_eq!(
        first,
        Ok(Some(Notice::Ending { by: Ending::Maintenance, at: None })),
        "an instance that is due for retirement already does not serve"
    );
}

#[tokio::test]
async fn a_deadline_counts_by_the_clouds_clock() {
    // This machine is five minutes ahead, and then five minutes behind: by its own clock the notice would have passed, or be far off.
    for minutes in [5_i64, -5] {
        let cloud = move || Timestamp::now() - SignedDuration::from_mins(minutes);
        let server = Server::start(move |seen, _| {
            let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&cloud()).unwrap();
            let body = match seen.method.as_str() {
                "PUT" => "token".to_owned(),
                _ => format!(r#"{{"action":"terminate","time":"{:.0}"}}"#, cloud() + SignedDuration::from_secs(120)),
            };
            Answer::with(200, ("date", &date), &body)
        })
        .await;
        let hourly = Duration::from_secs(3600);
        let every = NoticeIntervals {
            interruption: hourly,
            target: hourly,
            rebalance: hourly,
            maintenance: hourly,
            order: hourly,
        };
        let mut watched = notices(&server.url).watch(every);
        while let Some(notice) = watched.recv().await {
            if let Notice::Ending { by: Ending::Interruption, at: Some(at) } = notice {
                let left = at.duration_since(Timestamp::now()).as_secs();
                assert!((60..=125).contains(&left), "{minutes} min: {left} s are left");
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_an_operator_writes_on_the_instance_is_told_when_it_changes() {
    // There, not readable for a moment, there again, changed into nonsense, wiped, and a hold: three looks each.
    let looks = AtomicUsize::new(0);
    let server = service(move |seen, _| {
        if seen.path != "/latest/meta-data/tags/instance/lightsout:order" {
            return Answer::status(404, "");
        }
        match looks.fetch_add(1, Ordering::Relaxed) {
            0..3 | 6..9 => Answer::ok("drain"),
            3..6 => Answer::status(503, ""),
            9..12 => Answer::ok("hold for a while"),
            12..15 => Answer::status(404, ""),
            _ => Answer::ok("hold until 2030-01-01T00:00:00Z"),
        }
    })
    .await;
    let mut watched = notices(&server.url).watch(EVERY);
    for text in [Some("drain"), Some("hold for a while"), None, Some("hold until 2030-01-01T00:00:00Z")] {
        assert_eq!(watched.recv().await, Some(Notice::Order(text.map(str::to_owned))));
    }
    assert!(tokio::time::timeout(Duration::from_millis(50), watched.recv()).await.is_err());
}
