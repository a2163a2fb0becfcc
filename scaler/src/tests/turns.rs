//! Raises that wait for one another.

use futures_util::FutureExt;
use lightsout_core::record::Outcome;

use super::*;

const POOLS: usize = 40;
/// Of three writes in turn the third comes too late, and each by itself is in time on a busy machine, too.
const DEADLINE: Duration = Duration::from_secs(1);

/// So many pools, of which one needs more than all others, and every write takes its time.
fn crowd(deadline: Duration, carries: bool) -> (FakeGroups, Scheduler) {
    let names: Vec<String> = (0..POOLS).map(|number| format!("p{number:02}")).collect();
    let pools: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let mut settings = settings(&pools);
    settings.deadline = deadline;
    let groups = FakeGroups::of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let need = |number: usize| if number == POOLS - 1 { 9 } else { 1 };
    for (number, name) in names.iter().enumerate() {
        let call = GroupsCall::Raise { group: name.clone(), to: need(number) };
        groups.inject(call, Fault::Slow(Duration::from_millis(600)));
    }
    let mut context = context(&settings, &groups);
    context.carries = carries;
    let queues = (0..POOLS).map(|number| waiting(need(number))).collect();
    (groups, scheduler(&settings, context, queues))
}

fn by_result(records: &[Decision]) -> BTreeMap<&'static str, usize> {
    records.iter().fold(BTreeMap::new(), |mut counts, record| {
        *counts.entry(record.result.as_str()).or_default() += 1;
        counts
    })
}

#[tokio::test]
async fn a_raise_that_waits_for_others_is_carried_into_the_next_tick_and_is_no_failure() {
    let (groups, mut scheduler) = crowd(DEADLINE, true);
    let mut done = BTreeMap::new();
    let mut ticks = 0;
    while done.len() < POOLS {
        ticks += 1;
        let records = ticked(&mut scheduler).await;
        let counts = by_result(&records);
        assert_eq!(counts.get("failed"), None, "tick {ticks}: {counts:?}");
        for record in records {
            if record.result == Outcome::Raised {
                done.insert(record.pool, ticks);
            } else if record.result == Outcome::Queued {
                assert_eq!(record.to, Some(1));
                assert!(record.reason.as_deref().is_some_and(|reason| reason.contains("need 1")), "{record:?}");
            }
        }
        assert!(ticks < 10, "{done:?}");
    }
    assert!(ticks > 1, "with so many a single tick does not do");
    assert_eq!(done["p39"], 1, "the neediest is not the last, although it came last");
    assert!((0..POOLS).all(|number| groups.desired(&format!("p{number:02}")) > 0));
}

#[tokio::test]
async fn where_no_tick_follows_every_raise_gets_its_turn() {
    let (groups, mut scheduler) = crowd(DEADLINE, false);
    let records = ticked(&mut scheduler).await;
    assert_eq!(by_result(&records), BTreeMap::from([("raised", POOLS)]));
    assert!((0..POOLS).all(|number| groups.desired(&format!("p{number:02}")) > 0));
}

#[tokio::test]
async fn a_raise_that_is_not_answered_fails_by_its_own_deadline() {
    // What sees its effect: `once` has no next tick.
    for (carries, sees) in [(true, "the next tick"), (false, "the next run")] {
        let (mut settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
        settings.deadline = DEADLINE;
        groups.inject(GroupsCall::Raise { group: "a".into(), to: 3 }, Fault::Slow(Duration::from_secs(20)));
        let mut context = context(&settings, &groups);
        context.carries = carries;
        let record = ticked(&mut scheduler(&settings, context, vec![waiting(3)])).await.remove(0);
        assert_eq!(record.result, Outcome::Failed);
        assert_eq!(
            record.error.unwrap(),
            format!(
                "the raise to 3 was not answered within 1s; {sees} sees whether it took effect; `deadline` gives it longer, and `--log debug` tells which \
                 requests are slow"
            )
        );
    }
}

/// Raises go first, however long they take.
#[tokio::test]
async fn a_floor_that_waits_for_raises_of_others_gets_its_turn() {
    let (mut settings, groups) = (settings(&[("a", "spare = 2")]), FakeGroups::of(&["a"]));
    settings.deadline = Duration::from_millis(300);
    groups.change("a", |group| group.desired = 2);
    let mut context = context(&settings, &groups);
    context.carries = false;
    let writes = context.regions.region(&lightsout_core::settings::Location::default()).writes.clone();
    let mut held = Vec::new();
    while let Some(slot) = writes.acquire(1).now_or_never() {
        held.push(slot);
    }
    let deadline = settings.deadline;
    let mut scheduler = scheduler(&settings, context, vec![waiting(0)]);
    let freed = async {
        tokio::time::sleep(3 * deadline).await;
        assert!(!calls(&groups).iter().any(|call| call.contains("floor")), "{:?}", calls(&groups));
        drop(held);
        jiff::Timestamp::now()
    };
    let (records, freed) = futures_util::future::join(ticked(&mut scheduler), freed).await;
    assert_eq!(records[0].result, Outcome::Held);
    let left = GroupsCall::LeaveFloor { group: "a".into(), floor: 2 };
    assert!(groups.calls().contains(&left), "{:?}", groups.calls());
    groups.change("a", |group| assert!(group.floor.written >= Some(freed), "its hour begins when it is written"));
}

#[tokio::test]
async fn a_history_is_read_beside_the_raises_and_holds_none_of_them_up() {
    let (mut settings, groups) = (settings(&[("a", "")]), FakeGroups::of(&["a"]));
    settings.deadline = Duration::from_secs(1);
    groups.change("a", |group| group.desired = group.max);
    let context = context(&settings, &groups);
    let writes = &context.regions.region(&lightsout_core::settings::Location::default()).writes;
    let mut held = Vec::new();
    while let Some(slot) = writes.acquire(0).now_or_never() {
        held.push(slot);
    }
    let pools = Pool::all(settings.pools.clone());
    let pools = pools.into_iter().map(|pool| pool.having_waited().with_queue(Box::new(waiting(100))));
    let mut scheduler = Scheduler::new(Rc::new(context), pools.collect());
    assert_eq!(ticked(&mut scheduler).await[0].result, Outcome::Held);
    assert!(groups.calls().contains(&GroupsCall::History("a".into())), "{:?}", groups.calls());
}
