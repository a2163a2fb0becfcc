//! `once --state`: what one run leaves for the next.

use std::os::unix::fs::PermissionsExt;

use jiff::Timestamp;
use lightsout_core::{
    cloud::{CapacityChange, ChangeKind},
    record::{Outcome, TickTrouble},
    scaling::{Observation, RaiseHistory},
};
use lightsout_io::testing::{Answer, Server};

use super::*;
use crate::memory::{Memory, PoolMemory};

type Memories = BTreeMap<String, PoolMemory>;

/// One run with these tags on a GitLab, and what it leaves.
async fn run(url: &str, tags: &str, memory: &Memories) -> Memories {
    let text = format!(
        "[[pool]]\ngroup = 'a'\n[pool.platform.gitlab]\nurl = '{url}'\ntoken = 'glpat-secret'\nprojects = ['1']\ntags = ['{tags}']\n"
    );
    let settings = ScalerSettings::parse(&[Fragment::new("test.toml", text)]).unwrap();
    let context = context(&settings, &FakeGroups::of(&["a"]));
    let mut scheduler = Scheduler::new(Rc::new(context), Pool::all(settings.pools.clone()));
    scheduler.recall(memory);
    assert_eq!(scheduler.once(|_| {}).await, []);
    scheduler.memory()
}

#[tokio::test]
async fn the_next_run_need_not_read_again_what_has_not_changed() {
    let server = Server::start(|seen, _| match seen.headers.get("if-none-match") {
        Some(_) => Answer::status(304, ""),
        None => Answer::with(200, ("etag", "\"one\""), "[]"),
    })
    .await;
    let conditional =
        || server.seen().iter().map(|seen| seen.headers.contains_key("if-none-match")).collect::<Vec<_>>();
    let memory = run(&server.url, "linux", &Memories::new()).await;
    assert!(!format!("{memory:?}").contains("glpat-secret"), "{memory:?}");
    let memory = run(&server.url, "linux", &memory).await;
    assert_eq!(conditional(), [false, true]);
    run(&server.url, "other", &memory).await;
    assert_eq!(conditional(), [false, true, false], "what other settings counted is worth nothing");
}

#[tokio::test]
async fn the_next_run_leaves_a_platform_alone_that_wishes_it() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let error = ExchangeError::new(ErrorKind::Throttled(Some(Duration::from_secs(300))), "429");
    let mut first = scheduler(&settings, context(&settings, &groups), vec![Answers(Err(error), None)]);
    assert_eq!(ticked(&mut first).await.len(), 1);
    let mut second = scheduler(&settings, context(&settings, &groups), vec![waiting(1)]);
    second.recall(&first.memory());
    // It says so, and what failed stands in the exit code, too.
    let mut records = Vec::new();
    let failed = second.once(|record| records.push(record.clone())).await;
    let [record] = &records[..] else { panic!("{records:?}") };
    let error = record.error.as_deref().unwrap_or_default();
    assert!(error.starts_with("left alone until 20") && error.ends_with(": 429"), "{record:?}");
    assert_eq!((record.trouble, failed.len()), (Some(TickTrouble::Throttled), 1));
    assert!(!calls(&groups).iter().any(|call| call.contains("raise")), "nothing is asked for it");
    assert!(second.memory()["a"].not_before.is_some(), "and so does the one after it");
}

#[tokio::test]
async fn runs_slow_down_for_a_job_that_no_instance_takes() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state.json");
    for expected in [Outcome::Raised, Outcome::Raised, Outcome::Held, Outcome::Held] {
        let mut run = scheduler(&settings, context(&settings, &groups), vec![waiting(1)]);
        run.recall(&Memory::read(&path).pools);
        let record = ticked(&mut run).await.remove(0);
        Memory::of(run.memory()).write(&path);
        assert_eq!(record.result, expected, "{record}");
        if expected == Outcome::Held {
            assert!(record.reason.unwrap_or_default().contains("the last 2 raises were in vain"));
        } else {
            // The instance leaves without a job.
            groups.change("a", |view| view.desired = 0);
            groups.remember("a", CapacityChange { at: Timestamp::now(), kind: ChangeKind::Left });
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_next_run_asks_what_became_of_a_raise_that_the_group_remembers() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    groups.change("a", |view| view.desired = 1);
    let mut first = scheduler(&settings, context(&settings, &groups), vec![waiting(1)]);
    assert_eq!(ticked(&mut first).await[0].result, Outcome::Held);
    let looks = || calls(&groups).iter().filter(|call| *call == "history a").count();
    for (remembered, expected) in [(None, 0), (Some("a raise"), 1)] {
        let mut memory = first.memory();
        memory.get_mut("a").expect("of the pool").group = remembered.map(str::to_owned);
        let mut next = scheduler(&settings, context(&settings, &groups), vec![waiting(1)]);
        next.recall(&memory);
        assert_eq!(ticked(&mut next).await[0].result, Outcome::Held);
        assert_eq!(looks(), expected, "{remembered:?}");
    }
}

#[tokio::test]
async fn a_platform_that_is_well_and_wishes_to_be_left_alone_is_no_failure() {
    let (settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    let calm = Demand { queued: 0, running: Some(0), poll_after: Some(Duration::from_secs(300)) };
    let mut first = scheduler(&settings, context(&settings, &groups), vec![Answers(Ok(calm.into()), None)]);
    assert_eq!(ticked(&mut first).await.len(), 1);
    let mut second = scheduler(&settings, context(&settings, &groups), vec![waiting(1)]);
    second.recall(&first.memory());
    let record = ticked(&mut second).await.remove(0);
    assert_eq!((record.result, record.failure()), (Outcome::Held, None));
    assert!(record.reason.is_some_and(|reason| reason.starts_with("left alone until 20")));
}

#[test]
fn a_state_file_is_read_back_and_what_is_none_counts_as_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state.json");
    assert!(Memory::read(&path).pools.is_empty());
    let pool = PoolMemory {
        settings: "x".into(),
        not_before: Some(Timestamp::from_millisecond(1_795_773_182_163).unwrap()),
        failed: Some((TickTrouble::Throttled, "429".into())),
        raise_history: {
            let mut raise_history = RaiseHistory::default();
            raise_history.see(
                Observation { queued: 1, running: None, desired: 2, slots: 3, needed: 4, silent_after: Duration::ZERO },
                Duration::from_secs(9),
            );
            raise_history.raised(5);
            raise_history
        },
        queue: Some("y".into()),
        group: Some("z".into()),
    };
    Memory::of(BTreeMap::from([("a".to_owned(), pool.clone())])).write(&path);
    assert_eq!(Memory::read(&path).pools, BTreeMap::from([("a".to_owned(), pool)]));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "no draft is left");
    let text = std::fs::read_to_string(&path).unwrap();
    for wrong in [
        text.replace(env!("CARGO_PKG_VERSION"), "0.0.1"),
        text[1..].to_owned(),
        text.replace("\"seen\"", "\"sight\""),
        String::new(),
    ] {
        std::fs::write(&path, wrong).unwrap();
        assert!(Memory::read(&path).pools.is_empty());
    }
    // It is no reason to fail.
    Memory::default().write(&home.path().join("none/state.json"));
}

#[tokio::test]
async fn what_became_of_the_raises_of_another_group_slows_nothing() {
    let run = |text: &str, memory: Memories| {
        let text = format!("[[pool]]\nname = 'a'\nplatform.command.queue = ['queue']\n{text}\n");
        let settings = ScalerSettings::parse(&[Fragment::new("test.toml", text)]).unwrap();
        async move {
            let groups = FakeGroups::of(&["a", "b"]);
            let mut run = scheduler(&settings, context(&settings, &groups), vec![waiting(1)]);
            run.recall(&memory);
            let record = ticked(&mut run).await.remove(0);
            (record.result, run.memory())
        }
    };
    let known = "group = 'a'\nregion = 'eu-west-1'";
    let mut memory = Memories::new();
    for expected in [Outcome::Raised, Outcome::Raised, Outcome::Held] {
        let (result, next) = run(known, memory).await;
        assert_eq!(result, expected);
        memory = next;
    }
    for (other, expected) in [
        (known.to_owned(), Outcome::Held),
        (known.replace("'a'", "'b'"), Outcome::Raised),
        (known.replace("west-1", "west-2"), Outcome::Raised),
        (format!("{known}\nslots = 2"), Outcome::Raised),
    ] {
        assert_eq!(run(&other, memory.clone()).await.0, expected, "{other}");
    }
}

/// Without it each run of `once` would raise a group that its program only lowers.
#[tokio::test]
async fn the_next_run_finds_that_a_raise_has_lowered() {
    let home = tempfile::tempdir().unwrap();
    let (script, desired) = (home.path().join("cloud"), home.path().join("desired"));
    let member = |id: &str| format!(r#"{{"instance":"{id}","state":"in-service"}}"#);
    let members = ["a", "b", "c", "d", "e"].map(member).join(",");
    std::fs::write(&desired, "5").unwrap();
    let does = format!(
        "case $1 in describe) echo '{{\"max\":9,\"desired\":'$(cat {desired:?})',\"members\":[{members}]}}' ;; \
         raise) echo $(($(cat {desired:?}) - 1)) >{desired:?} ;; esac"
    );
    std::fs::write(&script, does).unwrap();
    let text = format!("[[pool]]\ngroup = 'a'\ncloud = ['/bin/sh', {script:?}]\nplatform.command.queue = ['queue']\n");
    let settings = ScalerSettings::parse(&[Fragment::new("test.toml", text)]).unwrap();
    let mut memory = Memories::new();
    for expected in [Outcome::Raised, Outcome::Raised, Outcome::Failed] {
        let tokens = Tokens::new(|_, source| async move { panic!("nobody needs {source}") });
        let context = TickContext::new(Driver::new("test"), tokens, &settings, crate::groups);
        let mut run = scheduler(&settings, context, vec![waiting(9)]);
        run.recall(&memory);
        let record = ticked(&mut run).await.remove(0);
        assert_eq!(record.result, expected, "{record}");
        memory = run.memory();
    }
}
