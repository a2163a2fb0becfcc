//! What goes wrong in one pool or region stays there.

use lightsout_core::record::{Outcome, TickTrouble};

use std::collections::BTreeSet;

use lightsout_cloud::{CloudFuture, GroupDescription, GroupView, Groups, History};
use lightsout_core::cloud::{Capabilities, CloudError, CloudErrorKind, Floor};

use super::*;
use lightsout_io::command_line::Failure;

use crate::trouble::summarize;

#[tokio::test]
async fn a_broken_or_slow_pool_hinders_no_other() {
    let (mut settings, groups) =
        (settings(&[("slow", ""), ("broken", ""), ("a", "")]), FakeGroups::of(&["slow", "broken", "a"]));
    settings.deadline = Duration::from_secs(1);
    let slow = Answers(waiting(1).0, Some("20"));
    let mut scheduler =
        scheduler(&settings, context(&settings, &groups), vec![slow, failing("GitLab answers 502"), waiting(2)]);
    let records = ticked(&mut scheduler).await;
    let seen: BTreeMap<_, _> =
        records.iter().map(|record| (record.pool.as_str(), (record.result, record.error.as_deref()))).collect();
    assert_eq!(seen["a"], (Outcome::Raised, None));
    assert_eq!(seen["broken"], (Outcome::Failed, Some("GitLab answers 502")));
    assert_eq!(seen["slow"].0, Outcome::Failed);
    let error = seen["slow"].1.unwrap();
    for part in ["sleep was not answered within ", "raise `deadline`, see why"] {
        assert!(error.contains(part), "{error} lacks {part}");
    }
    assert_eq!(records[2].pool, "slow", "the others do not wait for it");
    assert_eq!(records[2].trouble, Some(TickTrouble::Unavailable));
    assert_eq!(groups.desired("a"), 2);
    assert_eq!(groups.desired("slow"), 0);
}

#[tokio::test]
async fn a_failed_describe_fails_the_pools_of_its_region_only() {
    let settings = settings(&[("a", "region = 'eu-west-1'"), ("b", "region = 'us-east-1'")]);
    let (good, bad) = (FakeGroups::of(&["a", "b"]), FakeGroups::of(&["a", "b"]));
    bad.break_all(Some(throttled()));
    let tokens = Tokens::new(|_, source| async move { panic!("nobody needs {source}") });
    let open = |location: lightsout_core::settings::Location| {
        let groups = if location.region.as_deref() == Some("eu-west-1") { &bad } else { &good };
        Box::new(groups.clone()) as Box<dyn Groups>
    };
    let context = TickContext::new(Driver::new("test"), tokens, &settings, open);
    let mut scheduler = scheduler(&settings, context, vec![waiting(1), waiting(1)]);
    let mut records = ticked(&mut scheduler).await;
    records.sort_by(|a, b| a.pool.cmp(&b.pool));
    assert_eq!(records[0].error.as_deref(), Some("the cloud throttles the account's calls"));
    assert_eq!(records[0].trouble, Some(TickTrouble::Throttled));
    assert_eq!(records[1].result, Outcome::Raised);
}

#[tokio::test]
async fn an_unknown_group_is_named_with_its_pool_and_region() {
    let settings = settings(&[("a", "name = 'linux'\nregion = 'eu-west-1'"), ("b", "region = 'eu-west-1'")]);
    let groups = FakeGroups::of(&["b"]);
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![waiting(1), waiting(1)]);
    let mut records = ticked(&mut scheduler).await;
    records.sort_by(|a, b| b.pool.cmp(&a.pool));
    assert_eq!(
        records[0].error.as_deref(),
        Some("there is no group a in eu-west-1; create it, or correct group or region of the pool linux")
    );
    assert_eq!(records[0].trouble, Some(TickTrouble::NotFound));
    assert_eq!(groups.desired("b"), 1);
}

#[tokio::test]
async fn both_errors_of_a_pool_are_told() {
    let (settings, groups) = (settings(&[("a", "region = 'eu-west-1'")]), FakeGroups::of(&[]));
    let mut scheduler = scheduler(&settings, context(&settings, &groups), vec![failing("GitLab answers 502")]);
    let error = ticked(&mut scheduler).await.remove(0).error.unwrap();
    assert!(error.starts_with("GitLab answers 502; and there is no group a in eu-west-1"), "{error}");
}

#[test]
fn failures_are_summed_up_and_many_are_cut_short() {
    assert!(summarize(3, &[]).is_ok());
    let few = [("a".to_owned(), "x".to_owned()), ("b".to_owned(), "y".to_owned())];
    assert_eq!(summarize(3, &few).unwrap_err().to_string(), "2 of 3 pools failed:\n  a: x\n  b: y");
    let many: Vec<_> = (0..1000).map(|n| (format!("pool-{n}"), "x".to_owned())).collect();
    let Err(Failure::Failed(text)) = summarize(1000, &many) else { panic!("not failed") };
    assert_eq!(text.lines().count(), 22);
    assert!(text.ends_with("  and 980 more"));
}

/// Groups that are read one by one, of which one may not be.
struct OneByOne(FakeGroups);

impl Groups for OneByOne {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn location(&self) -> String {
        self.0.location()
    }

    fn describe<'a>(&'a self, names: &'a BTreeSet<String>) -> CloudFuture<'a, BTreeMap<String, GroupDescription>> {
        Box::pin(async move {
            let mut groups = self.0.describe(names).await?;
            groups.insert("a".into(), Err(CloudError::new(CloudErrorKind::Denied, "a may not be read")));
            Ok(groups)
        })
    }

    fn history<'a>(&'a self, name: &'a str) -> CloudFuture<'a, History> {
        self.0.history(name)
    }

    fn raise<'a>(&'a self, seen: &'a GroupView, to: u32) -> CloudFuture<'a, ()> {
        self.0.raise(seen, to)
    }

    fn leave_floor<'a>(&'a self, name: &'a str, floor: Floor) -> CloudFuture<'a, ()> {
        self.0.leave_floor(name, floor)
    }
}

#[tokio::test]
async fn a_group_that_cannot_be_read_fails_its_own_pool() {
    let (settings, groups) = (settings(&[("a", ""), ("b", "")]), FakeGroups::of(&["a", "b"]));
    let tokens = Tokens::new(|_, source| async move { panic!("nobody needs {source}") });
    let open = |_| Box::new(OneByOne(groups.clone())) as Box<dyn Groups>;
    let context = TickContext::new(Driver::new("test"), tokens, &settings, open);
    let mut scheduler = scheduler(&settings, context, vec![waiting(1), waiting(1)]);
    let mut records = ticked(&mut scheduler).await;
    records.sort_by(|a, b| a.pool.cmp(&b.pool));
    let [a, b] = &records[..] else { panic!("{records:?}") };
    assert_eq!(
        (a.result, a.trouble, a.error.as_deref()),
        (Outcome::Failed, Some(TickTrouble::Forbidden), Some("a may not be read"))
    );
    assert_eq!((b.result, groups.desired("b")), (Outcome::Raised, 1));
}
