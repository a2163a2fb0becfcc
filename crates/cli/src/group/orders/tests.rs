use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use lightsout_cloud::{
    CloudFuture,
    operator::{Logged, Members, Run},
};
use lightsout_core::cloud::{CloudError, CloudErrorKind};

use super::*;

/// A cloud that says what it is told to, and keeps what was asked of it.
#[derive(Default)]
struct Scripted {
    /// Whether nobody may send commands.
    denied: bool,
    /// Those that take commands, and what comes of one.
    online: BTreeMap<String, Run>,
    /// Whether tags may not be changed.
    untaggable: bool,
    done: Mutex<Vec<String>>,
}

impl Scripted {
    fn with(online: &[(&str, Run)]) -> Self {
        let online = online.iter().map(|(id, run)| ((*id).to_owned(), run.clone())).collect();
        Self { online, ..Self::default() }
    }

    fn did(&self, what: String) {
        self.done.lock().unwrap().push(what);
    }

    fn done(&self) -> Vec<String> {
        self.done.lock().unwrap().clone()
    }
}

impl Operator for Scripted {
    fn group<'a>(&'a self, _: &'a str) -> CloudFuture<'a, Members> {
        unreachable!("the members are given")
    }

    fn instances<'a>(&'a self, _: &'a [String]) -> CloudFuture<'a, Vec<Member>> {
        unreachable!("the members are given")
    }

    fn reachable<'a>(&'a self, ids: &'a [String]) -> CloudFuture<'a, BTreeSet<String>> {
        let online = ids.iter().filter(|id| self.online.contains_key(*id)).cloned().collect();
        Box::pin(async move { Ok(online) })
    }

    fn run<'a>(&'a self, ids: &'a [String], script: &'a str) -> CloudFuture<'a, String> {
        Box::pin(async move {
            if self.denied {
                return Err(CloudError::new(CloudErrorKind::Denied, "ssm:SendCommand failed"));
            }
            self.did(format!("run {script} on {}", ids.join(" ")));
            Ok("c-1".to_owned())
        })
    }

    fn ran<'a>(&'a self, _: &'a str, id: &'a str) -> CloudFuture<'a, Run> {
        let run = self.online[id].clone();
        Box::pin(async move { Ok(run) })
    }

    fn order<'a>(&'a self, ids: &'a [String], order: Option<StandingOrder>) -> CloudFuture<'a, ()> {
        Box::pin(async move {
            if self.untaggable {
                return Err(CloudError::new(CloudErrorKind::Denied, "ec2:CreateTags failed"));
            }
            let order = order.map_or("nothing".to_owned(), |order| order.to_string());
            self.did(format!("write {order} on {}", ids.join(" ")));
            Ok(())
        })
    }

    fn logged<'a>(&'a self, _: &'a str, _: &'a str, _: (i64, i64)) -> CloudFuture<'a, Vec<Logged>> {
        unreachable!("no log is asked for")
    }
}

fn member(id: &str, order: Option<&str>) -> Member {
    Member {
        id: id.to_owned(),
        group: None,
        state: "InService".to_owned(),
        ended: false,
        protected: None,
        launched: None,
        kind: "c7i.large".to_owned(),
        spot: false,
        why: None,
        order: order.map(str::to_owned),
        sees_orders: true,
    }
}

fn said_by(agent: &str, code: i32) -> Run {
    let text = || format!("{agent}\n");
    Run::Ended { code, out: if code == 0 { text() } else { String::new() }, err: text() }
}

async fn told(cloud: &Scripted, members: &[Member], order: Order, by: Option<Way>) -> Vec<Given> {
    tell(cloud, members, order, by, "2026-11-27T02:00:00Z".parse().unwrap()).await
}

#[tokio::test]
async fn an_agent_that_is_reached_answers_itself_and_its_no_is_final() {
    let cloud = Scripted::with(&[("i-1", said_by("draining", 0)), ("i-2", said_by("no agent answers", 1))]);
    let members = [member("i-1", None), member("i-2", None)];
    let given = told(&cloud, &members, Order::Drain, None).await;
    assert_eq!((given[0].way, &given[0].answer), (Way::Command, &Ok("draining".to_owned())));
    assert_eq!((given[1].way, &given[1].answer), (Way::Command, &Err("no agent answers".to_owned())));
    assert_eq!(cloud.done(), ["run lightsout-agent drain on i-1 i-2"], "who does not hear is not written to");
}

#[tokio::test]
async fn where_no_command_gets_through_the_tag_is_written_and_why_is_said() {
    let cloud = Scripted { denied: true, ..Scripted::with(&[("i-1", Run::Pending)]) };
    let members = [member("i-1", None), member("i-2", None)];
    let given = told(&cloud, &members, Order::Hold(Duration::from_secs(3_600)), None).await;
    assert_eq!(cloud.done(), ["write hold until 2026-11-27T03:00:00Z on i-1 i-2"]);
    assert!(given.iter().all(|it| it.way == Way::Tag && it.answer.is_ok()), "{given:?}");
    assert_eq!(given[0].instead.as_deref(), Some("ssm:SendCommand failed"));
    assert!(given[1].instead.as_ref().is_some_and(|why| why.contains("online")), "{given:?}");
    let text = as_text(&given);
    assert!(text.contains("(by the tag; not by Run Command: ssm:SendCommand failed)"), "{text}");

    let late = Scripted::with(&[("i-1", Run::Undelivered("Run Command says DeliveryTimedOut".into()))]);
    let given = told(&late, &members, Order::Drain, None).await;
    assert_eq!(late.done().last().map(String::as_str), Some("write drain on i-1 i-2"));
    assert_eq!(given[0].instead.as_deref(), Some("Run Command says DeliveryTimedOut"));
}

#[tokio::test]
async fn a_command_that_does_not_end_is_not_waited_for_for_ever() {
    let cloud = Scripted::with(&[("i-1", Run::Pending)]);
    let mut came = command::run(&cloud, &["i-1".to_owned()], "true", Duration::ZERO).await;
    let why = came.remove("i-1").expect("an answer").expect_err("none came");
    assert!(why.contains("may still be run"), "{why}");
}

#[tokio::test]
async fn a_tag_that_nobody_sees_or_may_write_is_a_failure() {
    let blind = Member { sees_orders: false, ..member("i-1", None) };
    let cloud = Scripted::default();
    let given = told(&cloud, &[blind], Order::Drain, None).await;
    assert!(given[0].answer.as_ref().is_err_and(|why| why.contains("InstanceMetadataTags")), "{given:?}");
    assert!(cloud.done().is_empty());
    let cloud = Scripted { untaggable: true, ..Scripted::default() };
    let given = told(&cloud, &[member("i-1", None)], Order::Drain, None).await;
    assert_eq!(given[0].answer, Err("ec2:CreateTags failed".to_owned()));
    assert!(as_text(&given).contains("FAILED: ec2:CreateTags failed"), "{}", as_text(&given));
}

#[tokio::test]
async fn what_stands_there_is_removed_before_the_agent_is_told() {
    let cloud = Scripted::with(&[
        ("i-1", said_by("cannot undrain: the agent is busy", 1)),
        ("i-2", said_by("serving again", 0)),
    ]);
    let members = [member("i-1", Some("drain")), member("i-2", Some("hold until 2026-11-27T03:00:00Z"))];
    let given = told(&cloud, &members, Order::Undrain, None).await;
    assert_eq!(cloud.done(), ["write nothing on i-1", "run lightsout-agent undrain on i-1 i-2"], "a hold stays");
    assert!(given.iter().all(|it| it.answer.is_ok()), "it followed the tag already: {given:?}");

    let cloud = Scripted::default();
    let given = told(&cloud, &members, Order::Release, Some(Way::Tag)).await;
    assert_eq!(cloud.done(), ["write nothing on i-2"]);
    assert!(given[0].answer.is_err() && given[1].answer.is_ok(), "{given:?}");
}

#[tokio::test]
async fn a_way_that_was_chosen_is_the_only_one() {
    let cloud = Scripted::with(&[("i-1", said_by("draining", 0))]);
    told(&cloud, &[member("i-1", None)], Order::Drain, Some(Way::Tag)).await;
    assert_eq!(cloud.done(), ["write drain on i-1"]);
    let cloud = Scripted::default();
    let given = told(&cloud, &[member("i-1", None)], Order::Drain, Some(Way::Command)).await;
    assert!(given[0].answer.is_err() && cloud.done().is_empty(), "{given:?}");
}

#[tokio::test]
async fn a_hold_by_the_tag_takes_no_drain_back() {
    let cloud = Scripted::default();
    let members = [
        member("i-1", Some("drain")),
        member("i-2", Some("hold until 2026-11-27T02:30:00Z")),
        member("i-3", Some("nonsense")),
    ];
    let given = told(&cloud, &members, Order::Hold(Duration::from_secs(3_600)), Some(Way::Tag)).await;
    assert_eq!(cloud.done(), ["write hold until 2026-11-27T03:00:00Z on i-2 i-3"]);
    assert!(given[0].answer.as_ref().is_err_and(|why| why.contains("undrain")), "{given:?}");
    assert!(given[1].answer.is_ok() && given[2].answer.is_ok(), "{given:?}");
    told(&cloud, &members[..1], Order::Drain, Some(Way::Tag)).await;
    assert_eq!(cloud.done().last().map(String::as_str), Some("write drain on i-1"), "a drain may be said again");
}
