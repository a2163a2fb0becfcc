//! Readings of many lists: several at a time, and in parts. What was counted is never above the truth and never lost.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use lightsout_core::{
    exchange::{EffectResult, ErrorKind, ExchangeError, Reply, Request, Unreachable},
    platform::{
        Queue, Reading,
        gitlab::{self, GitLabQueueSettings, Scope},
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::exchange::{at_once, complete, reply, url};

/// As many requests open as the shell has room for.
pub(crate) const ROOM: usize = 32;

/// The group `team` on a GitLab that says how many jobs wait in each of its projects.
fn gitlab() -> impl Queue {
    let settings = GitLabQueueSettings {
        url: url("https://gitlab.example.com"),
        scope: Scope::Group("team".parse().unwrap()),
        tags: ["docker".to_owned()].into(),
        run_untagged: false,
        runner_id: None,
    };
    gitlab::queue(settings, "glpat-x".into()).expect("settings that can work")
}

/// The projects of the group, and how many jobs wait in each.
#[derive(Clone, Debug, Default)]
struct GitLab(BTreeMap<u64, u64>);

impl GitLab {
    fn of(projects: u64, jobs: u64) -> Self {
        Self((1..=projects).map(|project| (project, jobs)).collect())
    }

    fn truth(&self) -> u64 {
        self.0.values().sum()
    }

    fn answer(&self, request: &Request) -> EffectResult {
        EffectResult::Http(Ok(self.reply(request)))
    }

    fn reply(&self, request: &Request) -> Reply {
        let page = page(&request.url);
        let body = match project(&request.url) {
            Some(id) => {
                let jobs = (0..self.0[&id]).map(
                    |job| json!({"id": id * 1_000 + job, "status": "pending", "tag_list": ["docker"], "runner": null}),
                );
                cut(jobs, page)
            }
            None => cut(self.0.keys().map(|id| json!({"id": id, "path_with_namespace": format!("team/p{id}")})), page),
        };
        reply(200, &[], &Value::Array(body).to_string())
    }
}

/// The number of the project whose jobs are asked for.
fn project(url: &str) -> Option<u64> {
    url.split_once("/projects/")?.1.split_once('/')?.0.parse().ok()
}

/// The page, and how many items it has.
pub(crate) fn page(url: &str) -> (usize, usize) {
    let value = |key: &str| url.split(['?', '&']).find_map(|pair| pair.strip_prefix(key)?.parse().ok());
    (value("page=").unwrap_or(1), value("per_page=").expect("a size"))
}

pub(crate) fn cut(items: impl Iterator<Item = Value>, (page, size): (usize, usize)) -> Vec<Value> {
    items.skip((page - 1) * size).take(size).collect()
}

pub(crate) fn status(status: u16) -> EffectResult {
    EffectResult::Http(Ok(reply(status, &[], "{}")))
}

/// The first that was asked is answered first.
pub(crate) fn in_order(
    mut answer: impl FnMut(&Request) -> EffectResult,
) -> impl FnMut(&[Request]) -> Option<(usize, EffectResult)> {
    move |open| Some((0, answer(&open[0])))
}

pub(crate) fn counted(reading: &Reading) -> (u32, bool) {
    (reading.demand.queued, reading.missing.is_none())
}

#[test]
fn one_project_that_is_refused_costs_only_itself() {
    let world = GitLab::of(3, 2);
    let refused = |request: &Request| match project(&request.url) {
        Some(2) => status(403),
        _ => world.answer(request),
    };
    let reading = at_once(&mut gitlab(), ROOM, in_order(refused)).expect("in time").expect("read");
    assert_eq!(reading.demand.queued, 4);
    let missing = reading.missing.expect("a project is missing");
    assert_eq!(missing.kind, ErrorKind::Forbidden);
    for part in ["team/p2", "HTTP 403", "the role Reporter"] {
        assert!(missing.message.contains(part), "{missing} lacks {part}");
    }
}

#[test]
fn several_projects_that_fail_are_named_and_counted() {
    let world = GitLab::of(9, 1);
    let refused = |request: &Request| match project(&request.url) {
        Some(3..) => status(403),
        _ => world.answer(request),
    };
    let reading = at_once(&mut gitlab(), ROOM, in_order(refused)).expect("in time").expect("read");
    let missing = reading.missing.expect("projects are missing").message;
    assert!(missing.contains("nor could it read the jobs of project team/p4, "), "{missing}");
    assert!(missing.ends_with(" and 3 more"), "{missing}");
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_pieces() {
    let world = GitLab::of(2, 50);
    let mut queue = gitlab();
    let asked = RefCell::new(Vec::new());
    let fat = |request: &Request| {
        asked.borrow_mut().push(request.url.clone());
        // Each job of the first project is so long that ten fill a page.
        if project(&request.url) == Some(1) && page(&request.url).1 > 10 {
            return EffectResult::Http(Err(Unreachable::TooLarge(4 << 20)));
        }
        world.answer(request)
    };
    let reading = at_once(&mut queue, ROOM, in_order(fat)).expect("in time").expect("read");
    assert_eq!(counted(&reading), (100, true));
    let sizes = |asked: &[String]| -> Vec<usize> {
        asked.iter().filter(|url| project(url) == Some(1)).map(|url| page(url).1).collect()
    };
    assert_eq!(sizes(&asked.borrow())[..3], [100, 25, 6]);
    let longest = "x".repeat(600_000);
    let remembered = RefCell::new(Vec::new());
    let lean = |request: &Request| {
        remembered.borrow_mut().push(request.url.clone());
        let mut jobs: Vec<Value> = serde_json::from_slice(&world.reply(request).body).expect("a list");
        if project(&request.url) == Some(1) {
            for job in &mut jobs {
                job["commit"] = json!({"message": longest});
            }
        }
        EffectResult::Http(Ok(reply(200, &[], &Value::Array(jobs).to_string())))
    };
    let reading = at_once(&mut queue, ROOM, in_order(lean)).expect("in time").expect("read");
    assert_eq!(counted(&reading), (100, true));
    assert_eq!(sizes(&remembered.borrow())[..2], [24, 24], "it grows as far as there is room");
}

#[test]
fn one_item_that_is_too_large_alone_is_named() {
    let world = GitLab::of(2, 2);
    let fat = |request: &Request| match project(&request.url) {
        Some(1) => EffectResult::Http(Err(Unreachable::TooLarge(4 << 20))),
        _ => world.answer(request),
    };
    let reading = at_once(&mut gitlab(), ROOM, in_order(fat)).expect("in time").expect("read");
    assert_eq!(reading.demand.queued, 2);
    let missing = reading.missing.expect("the first project").message;
    assert!(
        missing.contains("team/p1") && missing.contains("one item alone is longer than 4194304 bytes"),
        "{missing}"
    );
}

#[test]
fn what_a_reading_had_no_time_for_is_read_by_the_next() {
    let (world, mut queue) = (GitLab::of(60, 1), gitlab());
    let asked = RefCell::new(Vec::new());
    let mut read = |answers: usize| {
        asked.borrow_mut().clear();
        let mut left = answers;
        let answers = |open: &[Request]| {
            left = left.checked_sub(1)?;
            asked.borrow_mut().extend(project(&open[0].url));
            Some((0, world.answer(&open[0])))
        };
        at_once(&mut queue, ROOM, answers).expect("something is known").expect("read")
    };
    let first = read(26);
    assert_eq!(first.demand.queued, 25, "a lower bound, at once");
    let missing = first.missing.expect("35 projects");
    assert_eq!(missing.kind, ErrorKind::TimeOver);
    for part in ["25 of 60 projects", "the next reading goes on there", "Raise `deadline`"] {
        assert!(missing.message.contains(part), "{missing} lacks {part}");
    }
    let before = asked.borrow().clone();
    let second = read(19);
    assert!(asked.borrow().iter().all(|project| !before.contains(project)), "it goes on where the first one stopped");
    assert_eq!(second.demand.queued, 44, "the first 25 count as they were");
    assert_eq!(read(16).demand.queued, 60);
    assert!(read(60).missing.is_none(), "the whole in one go");
}

#[test]
fn what_was_not_read_again_for_long_counts_no_more() {
    let (two, mut queue) = (GitLab([(1, 5), (2, 1)].into()), gitlab());
    assert_eq!(counted(&complete(&mut queue, |request| two.answer(request)).expect("read")), (6, true));
    let trouble = |request: &Request| match project(&request.url) {
        Some(1) => status(502),
        _ => two.answer(request),
    };
    for reading in 1..8 {
        let read = complete(&mut queue, trouble).expect("read");
        assert_eq!(counted(&read), (6, false), "reading {reading} after it was read");
    }
    assert_eq!(counted(&complete(&mut queue, trouble).expect("read")), (1, false));
}

#[test]
fn what_may_not_be_read_any_more_counts_no_more() {
    let (world, mut queue) = (GitLab::of(2, 3), gitlab());
    assert_eq!(counted(&complete(&mut queue, |request| world.answer(request)).expect("read")), (6, true));
    let refused =
        |request: &Request| if project(&request.url) == Some(1) { status(403) } else { world.answer(request) };
    assert_eq!(counted(&complete(&mut queue, refused).expect("read")), (3, false));
}

#[test]
fn a_platform_in_trouble_is_left_alone_and_one_that_throttles_at_once() {
    let world = GitLab::of(200, 1);
    let read = |answer: &dyn Fn() -> EffectResult| {
        let (mut requests, mut queue) = (0, gitlab());
        let answer = |request: &Request| {
            requests += 1;
            if requests > 50 { answer() } else { world.answer(request) }
        };
        let reading = at_once(&mut queue, ROOM, in_order(answer)).expect("in time").expect("read");
        (reading, requests)
    };
    let (reading, requests) = read(&|| status(502));
    assert_eq!((reading.demand.queued, requests), (47, 60));
    let missing = reading.missing.expect("the rest");
    assert!(missing.message.contains("HTTP 502") && missing.message.contains("47 of 200 projects"), "{missing}");
    let wait = || EffectResult::Http(Ok(reply(429, &[("retry-after", "30")], "{}")));
    let (reading, requests) = read(&wait);
    assert_eq!((reading.demand.queued, requests), (47, 51));
    assert_eq!(reading.missing.expect("the rest").kind, ErrorKind::Throttled(Some(Duration::from_secs(30))));
}

#[test]
fn a_quota_that_is_used_up_ends_a_reading_before_it_is_refused() {
    let world = GitLab::of(100, 1);
    let mut left = 60;
    let limited = |request: &Request| {
        left -= 1;
        let mut answer = world.reply(request);
        answer.headers.insert("ratelimit-remaining".to_owned(), left.to_string());
        EffectResult::Http(Ok(answer))
    };
    let reading = at_once(&mut gitlab(), ROOM, in_order(limited)).expect("in time").expect("read");
    assert!(left >= 0, "more was asked than there was: {left}");
    assert!(reading.demand.queued > 30, "{reading:?}");
    let missing = reading.missing.expect("the rest");
    assert_eq!(missing.kind, ErrorKind::Throttled(Some(Duration::from_secs(60))));
    assert!(missing.message.contains("of 100 projects") && missing.message.contains("`tick`"), "{missing}");
}

#[test]
fn projects_that_hang_keep_no_others_waiting() {
    let (world, mut queue) = (GitLab::of(60, 1), gitlab());
    let hangs = |url: &str| project(url).is_some_and(|project| project <= 20);
    let mut read = || {
        at_once(&mut queue, ROOM, |open| {
            let at = open.iter().position(|request| !hangs(&request.url))?;
            Some((at, world.answer(&open[at])))
        })
    };
    let counted: Vec<_> = (0..8).map(|_| read().map_or(0, |reading| reading.expect("read").demand.queued)).collect();
    assert_eq!(counted[2..], [40; 6], "{counted:?}");
}

#[test]
fn a_cut_that_comes_before_anything_is_known_is_none() {
    use lightsout_core::exchange::{Effect, Exchange, ExchangeStep};
    let (world, mut queue) = (GitLab::of(1, 3), gitlab());
    let ExchangeStep::Perform(list, Effect::Http(request)) = queue.start() else { panic!("nothing is asked") };
    assert_eq!(queue.cut(), None);
    let ExchangeStep::Perform(jobs, Effect::Http(next)) = queue.resume(list, world.answer(&request)) else {
        panic!("it ended")
    };
    assert_eq!(queue.cut(), None, "the list of projects alone tells nothing");
    let ExchangeStep::Done(Ok(reading)) = queue.resume(jobs, world.answer(&next)) else { panic!("it did not go on") };
    assert_eq!(counted(&reading), (3, true));
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Well,
    Status(u16),
    TooLarge,
    Lost,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Well),
        1 => prop_oneof![Just(403), Just(404), Just(451), Just(500), Just(502)].prop_map(Fate::Status),
        1 => Just(Fate::TooLarge),
        1 => Just(Fate::Lost),
    ]
}

/// How many jobs wait in a project: few, and now and then more than a page.
fn waiting() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0u64..4, 1 => 95u64..130]
}

/// Some readings of a GitLab, each cut after so many answers, whose requests have these fates in turn.
fn read_all(
    world: &GitLab,
    readings: &[(usize, Vec<Fate>)],
    order: &[usize],
) -> Vec<(Option<Result<Reading, ExchangeError>>, u64)> {
    let mut queue = gitlab();
    let read = |(answers, fates): &(usize, Vec<Fate>)| {
        let (mut at, mut jobs) = (0, 0);
        let reading = at_once(&mut queue, ROOM, |open| {
            if at == *answers {
                return None;
            }
            let (which, fate) = (order[at % order.len()] % open.len(), fates[at % fates.len()]);
            at += 1;
            let answer = match fate {
                Fate::Well => world.answer(&open[which]),
                Fate::Status(code) => status(code),
                Fate::TooLarge => EffectResult::Http(Err(Unreachable::TooLarge(4 << 20))),
                Fate::Lost => EffectResult::Http(Err(Unreachable::Broken("reset".to_owned()))),
            };
            if let (Fate::Well, Some(id)) = (fate, project(&open[which].url)) {
                jobs += world.0[&id].min(1);
            }
            Some((which, answer))
        });
        (reading, jobs)
    };
    readings.iter().map(read).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever fails, in whatever order the answers come and wherever a reading is cut.
    #[test]
    fn what_is_counted_is_never_above_the_truth_nor_lost(
        jobs in prop::collection::vec(waiting(), 1..40),
        readings in prop::collection::vec((1usize..120, prop::collection::vec(fate(), 1..30)), 1..12),
        order in prop::collection::vec(0usize..ROOM, 1..20),
    ) {
        let world = GitLab((1..).zip(jobs).collect());
        for (reading, seen) in read_all(&world, &readings, &order) {
            let Some(Ok(reading)) = reading else {
                prop_assert_eq!(seen, 0, "jobs were seen and lost");
                continue;
            };
            let counted = u64::from(reading.demand.queued);
            prop_assert!(counted <= world.truth(), "{counted} of {}", world.truth());
            prop_assert!(seen == 0 || counted > 0, "jobs were seen and none was counted");
            prop_assert!(reading.missing.is_some() || counted == world.truth(), "{counted}: nothing is missing?");
        }
    }

    /// Where nothing fails and no answer is held back for ever, cuts only delay the whole.
    #[test]
    fn everything_is_read_in_the_end(
        jobs in prop::collection::vec(waiting(), 1..90),
        answers in 40usize..60,
        mut order in prop::collection::vec(0usize..4, 1..20),
    ) {
        order.push(0);
        let world = GitLab((1..).zip(jobs).collect());
        let readings = vec![(answers, vec![Fate::Well]); 12];
        let counted = read_all(&world, &readings, &order).into_iter().filter_map(|(reading, _)| reading?.ok());
        let best = counted.map(|reading| u64::from(reading.demand.queued)).max();
        prop_assert_eq!(best, Some(world.truth()));
    }
}
