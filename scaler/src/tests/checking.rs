//! `check`: what it tells, and that it changes nothing.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use lightsout_cloud::{Doubt, DoubtKind};

use super::*;
use crate::check::check;

#[tokio::test]
async fn tells_errors_doubts_and_what_it_saw_and_writes_nothing() {
    let settings = settings(&[
        ("good", "region = 'eu-west-1'"),
        ("bare", "region = 'eu-west-1'\nspare = 4\nmin = 5"),
        ("none", "region = 'eu-west-1'"),
    ]);
    let groups = FakeGroups::of(&["good", "bare"]);
    groups.change("bare", |view| {
        let doubt = |kind, text: &str| Doubt { kind, text: text.into() };
        view.doubts = vec![
            doubt(DoubtKind::Unprotected, "new instances are not protected"),
            doubt(DoubtKind::LaunchesSuspended, "launches are suspended"),
        ];
        view.max = 4;
    });
    let queues = [waiting(2), waiting(0), failing("GitLab answers 403")];
    let pools = Pool::all(settings.pools.clone()).into_iter().zip(queues);
    let pools = pools.map(|(pool, queue)| pool.with_queue(Box::new(queue))).collect();
    let texts = RefCell::new(BTreeMap::new());
    let result = check(&Rc::new(context(&settings, &groups)), pools, |finding| {
        texts.borrow_mut().insert(finding.pool.clone(), finding.to_string());
    })
    .await;
    let texts = texts.into_inner();
    assert_eq!(texts["good"], "good: ok (group good from 0 to 10, desired 0; command: 2 waiting, 0 running)");
    assert_eq!(
        texts["bare"],
        "bare: doubtful (group bare from 0 to 4, desired 0; command: 0 waiting, 0 running)\n  \
         warning: new instances are not protected\n  \
         warning: launches are suspended\n  \
         warning: min = 5 is above the group's maximum of 4, which wins; lower min\n  \
         warning: spare = 4 takes all of the group's maximum of 4: jobs have no room beside it"
    );
    let none = "there is no group none in eu-west-1; create it, or correct group or region of the pool none";
    assert_eq!(texts["none"], format!("none: FAILED\n  error: {none}\n  error: GitLab answers 403"));
    assert_eq!(
        result.unwrap_err().to_string(),
        format!("1 of 3 pools failed:\n  none: {none}; and GitLab answers 403")
    );
    assert_eq!(calls(&groups), ["describe bare,good,none"]);
}

/// A queue whose reading takes something, unless it only looks.
#[derive(Debug)]
struct Takes {
    looks: bool,
    taken: Arc<AtomicBool>,
}

impl Exchange for Takes {
    type Output = Reading;

    fn start(&mut self) -> ExchangeStep<Reading> {
        self.taken.fetch_or(!self.looks, Relaxed);
        waiting(2).start()
    }

    fn resume(&mut self, _: EffectId, _: EffectResult) -> ExchangeStep<Reading> {
        self.start()
    }
}

impl Queue for Takes {
    fn platform(&self) -> &'static str {
        "fake"
    }

    fn only_look(&mut self) -> Option<&'static str> {
        self.looks = true;
        Some("nothing is taken")
    }
}

#[tokio::test]
async fn where_nothing_may_be_changed_the_queue_is_only_looked_at() {
    let (settings, groups) = (settings(&[("a", "region = 'eu-west-1'")]), FakeGroups::of(&["a"]));
    let mut context = context(&settings, &groups);
    context.dry_run = true;
    let context = Rc::new(context);
    let taken = Arc::new(AtomicBool::new(false));
    let pools = || {
        let queue = || Box::new(Takes { looks: false, taken: Arc::clone(&taken) });
        Pool::all(settings.pools.clone()).into_iter().map(|pool| pool.with_queue(queue())).collect()
    };
    let texts = RefCell::new(Vec::new());
    check(&context, pools(), |finding| texts.borrow_mut().push(finding.to_string())).await.unwrap();
    assert!(texts.borrow()[0].contains("2 waiting, 0 running; nothing is taken)"), "{:?}", texts.borrow());
    ticked(&mut Scheduler::new(Rc::clone(&context), pools())).await;
    assert!(!taken.load(Relaxed), "a dry run neither");
}

#[tokio::test]
async fn a_schedule_is_followed_by_ticks_and_told_by_check() {
    let settings = settings(&[("a", "region = 'eu-west-1'\nschedule = ['spare 2']\nzone = 'UTC'")]);
    let groups = FakeGroups::of(&["a"]);
    let pools =
        || Pool::all(settings.pools.clone()).into_iter().map(|pool| pool.with_queue(Box::new(waiting(1)))).collect();
    let texts = RefCell::new(Vec::new());
    let found = |finding: &crate::check::Finding| texts.borrow_mut().push(finding.to_string());
    check(&Rc::new(context(&settings, &groups)), pools(), found).await.unwrap();
    let told = "spare 2 (by \"spare 2\") now, on the clock of UTC, where it is ";
    assert!(texts.borrow()[0].contains(told), "{:?}", texts.borrow());
    let mut scheduler = Scheduler::new(Rc::new(context(&settings, &groups)), pools());
    let records = RefCell::new(Vec::new());
    scheduler.once(|record| records.borrow_mut().push(record.clone())).await;
    let why = records.borrow()[0].why.clone().unwrap();
    assert_eq!((records.borrow()[0].to, why.spare, why.entry.as_deref()), (Some(3), 2, Some("spare 2")));
    assert!(calls(&groups).contains(&"floor a 2".to_owned()), "{:?}", calls(&groups));
}

#[tokio::test]
async fn a_group_that_counts_other_units_is_refused_in_check_and_in_each_tick() {
    let (settings, groups) = (settings(&[("a", "region = 'eu-west-1'")]), FakeGroups::of(&["a"]));
    groups.change("a", |view| view.unscalable = Some("its desired capacity counts vcpu".into()));
    let expected = "the group a of eu-west-1 cannot be scaled: its desired capacity counts vcpu";
    let pools = Pool::all(settings.pools.clone()).into_iter().map(|pool| pool.with_queue(Box::new(waiting(2))));
    let errors = RefCell::new(Vec::new());
    let context_of_check = Rc::new(context(&settings, &groups));
    let found = |finding: &crate::check::Finding| errors.borrow_mut().extend(finding.errors.clone());
    assert!(check(&context_of_check, pools.collect(), found).await.is_err());
    assert_eq!(errors.into_inner(), [expected]);
    let record = ticked(&mut scheduler(&settings, context(&settings, &groups), vec![waiting(2)])).await.remove(0);
    assert_eq!(record.error.as_deref(), Some(expected));
    assert_eq!(groups.desired("a"), 0);
}

#[tokio::test]
async fn pools_that_count_the_same_jobs_are_told_in_check() {
    let github = |group: &str, more: &str| {
        format!("[[pool]]\ngroup = '{group}'\n[pool.platform.github]\ntoken = 'ghp_x'\n{more}\n")
    };
    let text = [
        github("linux", "organization = 'Acme'\nlabels = ['linux']"),
        github("gpu", "repositories = ['acme/app']\nlabels = ['gpu']"),
        github("other", "organization = 'else'\nlabels = ['linux']"),
    ]
    .concat();
    let settings = ScalerSettings::parse(&[Fragment::new("test.toml", text)]).unwrap();
    let groups = FakeGroups::of(&["linux", "gpu", "other"]);
    let queues = Pool::all(settings.pools.clone()).into_iter().map(|pool| pool.with_queue(Box::new(waiting(0))));
    let warnings = RefCell::new(BTreeMap::new());
    let found = |finding: &crate::check::Finding| {
        warnings.borrow_mut().insert(finding.pool.clone(), finding.warnings.concat());
    };
    check(&Rc::new(context(&settings, &groups)), queues.collect(), found).await.unwrap();
    let warnings = warnings.into_inner();
    let text = "a job that asks for self-hosted alone is counted by this pool and by gpu: each of them is raised for it. Let jobs ask for \
                what one pool alone has, or let one pool take them all";
    assert_eq!(warnings["linux"], text);
    assert!(warnings["gpu"].contains("by this pool and by linux"), "{warnings:?}");
    assert_eq!(warnings["other"], "", "another organization's jobs");
}
