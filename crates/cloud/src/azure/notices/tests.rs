use std::sync::atomic::{AtomicBool, Ordering};

use lightsout_core::cloud::Machine;
use lightsout_io::testing::{Answer, Server};
use serde_json::{Value, json};

use super::*;
use crate::azure::{host::tests::compute, metadata::Events};

fn event(id: &str, kind: &str, resource: &str, not_before: &str) -> Value {
    json!({ "EventId": id, "EventType": kind, "EventStatus": "Scheduled", "Resources": [resource], "NotBefore": not_before })
}

fn document(events: &[Value]) -> Events {
    serde_json::from_value(json!({ "DocumentIncarnation": 2, "Events": events })).unwrap()
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn interruption(time: &str) -> Notice {
    Notice::Ending { by: Ending::Interruption, at: Some(at(time)) }
}

const NOW: &str = "2026-11-26T15:00:00Z";
const SOON: &str = "Thu, 26 Nov 2026 15:05:00 GMT";

#[test]
fn each_event_means_what_it_does_to_this_machine() {
    let soon = |by| vec![Notice::Ending { by, at: Some(at("2026-11-26T15:05:00Z")) }];
    for (kind, expected) in [
        ("Preempt", soon(Ending::Interruption)),
        ("Terminate", soon(Ending::Termination)),
        ("Reboot", soon(Ending::Maintenance)),
        ("Redeploy", soon(Ending::Maintenance)),
        ("Freeze", vec![]),
        ("SomethingNew", vec![]),
    ] {
        let news = |resource: &str| {
            SeenEvents::default().news(&document(&[event("1", kind, resource, SOON)]), "runners_3", at(NOW), None)
        };
        assert_eq!(news("runners_3"), expected, "{kind}");
        assert_eq!(news("runners_4"), [], "{kind} of another machine is told to all");
    }
}

/// A document as Azure's reference prints them, with all that it holds.
fn printed(kind: &str, source: &str, status: &str, not_before: &str, seconds: i64) -> Events {
    let event = json!({
        "EventId": "C7061BAC-AFDC-4513-B24B-AA5F13A16123", "EventStatus": status, "EventType": kind, "ResourceType": "VirtualMachine",
        "Resources": ["a", "b"], "NotBefore": not_before, "Description": "Virtual machine is going to be restarted as requested by authorized user.",
        "EventSource": source, "DurationInSeconds": seconds
    });
    document(&[event])
}

/// What Microsoft's own mock of the service plays: live migration, maintenance of the host, restarts of users and of the platform; each scheduled,
/// begun and over. It writes times in another form than the service.
#[test]
fn each_scenario_is_told_once_when_it_is_scheduled_and_once_when_it_has_begun() {
    let maintenance = |time: &str| vec![Notice::Ending { by: Ending::Maintenance, at: Some(at(time)) }];
    for not_before in ["Thu, 26 Nov 2026 15:15:00 GMT", "2026-11-26T15:15:00Z"] {
        for (kind, source, seconds, scheduled, begun) in [
            ("Freeze", "Platform", 5, vec![], vec![]),
            ("Freeze", "Platform", 9, vec![], vec![]),
            ("Reboot", "User", -1, maintenance("2026-11-26T15:15:00Z"), maintenance("2026-11-26T15:00:05Z")),
            ("Redeploy", "Platform", -1, maintenance("2026-11-26T15:15:00Z"), maintenance("2026-11-26T15:00:05Z")),
            ("Redeploy", "User", -1, maintenance("2026-11-26T15:15:00Z"), maintenance("2026-11-26T15:00:05Z")),
        ] {
            let mut told = SeenEvents::default();
            let mut news = |events: &Events| told.news(events, "a", at(NOW), None);
            let document = |status: &str, not_before: &str| printed(kind, source, status, not_before, seconds);
            assert_eq!(news(&document("Scheduled", not_before)), scheduled, "{kind} {not_before}");
            assert_eq!(news(&document("Scheduled", not_before)), []);
            assert_eq!(news(&document("Started", "")), begun, "{kind}");
            assert_eq!(news(&Events::default()), [], "{kind} is over");
        }
    }
}

/// Else a job would be failed at once, for an event that is to come.
#[test]
fn a_time_that_cannot_be_read_does_not_say_that_the_event_has_begun() {
    for (kind, by, least) in [
        ("Preempt", Ending::Interruption, "2026-11-26T15:00:30Z"),
        ("Terminate", Ending::Termination, "2026-11-26T15:05:00Z"),
        ("Reboot", Ending::Maintenance, "2026-11-26T15:10:00Z"),
    ] {
        let mut told = SeenEvents::default();
        let mut news =
            |status: &str, now: &str| told.news(&printed(kind, "Platform", status, "soon", -1), "a", at(now), None);
        assert_eq!(news("Scheduled", NOW), [Notice::Ending { by, at: Some(at(least)) }], "{kind}");
        assert_eq!(news("Scheduled", "2026-11-26T15:00:10Z"), [], "it is not put off by being asked for again");
        let begun = Notice::Ending { by, at: Some(at("2026-11-26T15:00:16Z")) };
        assert_eq!(news("Started", "2026-11-26T15:00:11Z"), [begun], "{kind}");
    }
}

#[test]
fn what_was_told_is_told_again_only_when_it_comes_nearer() {
    let mut told = SeenEvents::default();
    let mut news =
        |not_before: &str| told.news(&document(&[event("1", "Preempt", "a", not_before)]), "a", at(NOW), None).len();
    assert_eq!(news(SOON), 1);
    assert_eq!(news(SOON), 0);
    assert_eq!(news("Thu, 26 Nov 2026 15:09:00 GMT"), 0);
    assert_eq!(news("Thu, 26 Nov 2026 15:01:00 GMT"), 1);
    assert_eq!(news(""), 1, "it has begun");
}

#[test]
fn maintenance_that_is_called_off_before_it_began_is_lifted() {
    let later = "Thu, 26 Nov 2026 15:09:00 GMT";
    let maintenance = |time: &str| Notice::Ending { by: Ending::Maintenance, at: Some(at(time)) };
    let lifted = || Notice::Lifted(Ending::Maintenance);
    let reboot = |id: &str, not_before: &str| event(id, "Reboot", "a", not_before);
    let mut told = SeenEvents::default();
    let mut news = |events: &[Value]| told.news(&document(events), "a", at(NOW), None);
    assert_eq!(news(&[reboot("1", SOON)]), [maintenance("2026-11-26T15:05:00Z")]);
    assert_eq!(news(&[event("2", "Reboot", "b", later)]), [lifted()], "another machine's is not ours");
    assert_eq!(news(&[]), []);
    assert_eq!(news(&[reboot("3", SOON)]), [maintenance("2026-11-26T15:05:00Z")]);
    assert_eq!(news(&[reboot("4", later)]), [lifted(), maintenance("2026-11-26T15:09:00Z")], "put off");
    assert_eq!(news(&[reboot("4", "")]), [maintenance("2026-11-26T15:00:05Z")], "it has begun");
    assert_eq!(news(&[]), [], "and is not called off by that");
}

#[test]
fn what_deletes_the_machine_is_never_taken_back() {
    for kind in ["Preempt", "Terminate"] {
        let mut told = SeenEvents::default();
        assert_eq!(told.news(&document(&[event("1", kind, "a", SOON)]), "a", at(NOW), None).len(), 1, "{kind}");
        assert_eq!(told.news(&document(&[]), "a", at(NOW), None), [], "{kind}");
    }
}

#[test]
fn a_clock_that_is_wrong_does_not_move_the_deadline() {
    let news = |ahead: i64| {
        let ahead = Some(SignedDuration::from_secs(ahead));
        SeenEvents::default().news(&document(&[event("1", "Preempt", "a", SOON)]), "a", at(NOW), ahead)
    };
    assert_eq!(news(600), [interruption("2026-11-26T15:15:00Z")]);
    assert_eq!(news(2), [interruption("2026-11-26T15:05:00Z")]);
}

#[test]
fn a_moment_that_has_passed_by_azures_clock_is_now() {
    let news = |now: &str, ahead: Option<i64>| {
        let ahead = ahead.map(SignedDuration::from_secs);
        SeenEvents::default().news(&document(&[event("1", "Preempt", "a", SOON)]), "a", at(now), ahead)
    };
    let interruption = |time: &str| [interruption(time)];
    assert_eq!(news("2026-11-26T15:06:00Z", Some(0)), interruption("2026-11-26T15:06:05Z"));
    assert_eq!(news("2026-11-26T16:06:00Z", Some(3600)), interruption("2026-11-26T16:06:05Z"));
    assert_eq!(news("2026-11-26T16:04:00Z", Some(3600)), interruption("2026-11-26T16:05:00Z"), "it is to come");
    assert_eq!(news("2026-11-26T15:06:00Z", None), interruption("2026-11-26T15:05:00Z"), "it is not known");
}

#[tokio::test]
async fn a_machine_is_known_by_a_name_that_no_other_will_have() {
    for (flexible, id) in [(false, "runners_3-5c08b38e"), (true, "runners_1a2b3c4d")] {
        let server = Server::start(move |seen, count| {
            assert_eq!(seen.headers["metadata"], "true");
            if count == 0 { Answer::status(429, "") } else { Answer::ok(compute(flexible)) }
        })
        .await;
        let notices = AzureNotices { metadata: Arc::new(Metadata::new(&server.url)) };
        let identity = notices.identity(Duration::from_secs(20)).await.unwrap();
        assert_eq!((identity.instance.as_str(), identity.location.as_str()), (id, "westeurope"));
        assert_eq!(identity.group.as_deref(), Some(crate::azure::tests::SET));
        assert_eq!(identity.machine, Machine { machine_type: Some("Standard_D4s_v5".into()), spot: Some(true) });
        let tags = notices.tags("lightsout:", Duration::from_secs(20)).await.unwrap();
        assert_eq!(tags, [("lightsout:slots".to_owned(), "4".to_owned())]);
    }
}

#[tokio::test]
async fn events_are_told_as_they_come_whatever_is_not_answered_before() {
    let failed = AtomicBool::new(false);
    let server = Server::start(move |seen, _| match seen.path.contains("scheduledevents") {
        true if !failed.swap(true, Ordering::Relaxed) => Answer::status(500, ""),
        true => Answer::ok(json!({ "Events": [event("1", "Terminate", "runners_3", SOON)] }).to_string()),
        false => Answer::ok(compute(false)),
    })
    .await;
    let notices = AzureNotices { metadata: Arc::new(Metadata::new(&server.url)) };
    let often = Duration::from_millis(1);
    let every =
        NoticeIntervals { interruption: often, target: often, rebalance: often, maintenance: often, order: often };
    let mut told = notices.watch(every);
    let first = told.recv().await;
    assert!(matches!(first, Some(Notice::Ending { by: Ending::Termination, at: Some(_) })), "{first:?}");
}
