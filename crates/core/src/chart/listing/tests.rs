use super::*;
use crate::{
    chart::{Chart, tests::at},
    record::{Decision, Record},
};

const LAUNCHING: Membership = Membership::Pending { waiting: false };
const IN_SERVICE: Membership = Membership::InService { protected: true };
const LEAVING: Membership = Membership::Terminating { waiting: true };

fn listed(members: &[(&str, Membership)]) -> Vec<Listed> {
    members.iter().map(|(instance, membership)| Listed::new(*instance, *membership)).collect()
}

fn read(listings: &mut Listings, pool: &str, time: &str, members: &[(&str, Membership)]) {
    listings.read(pool, at(time), Some(&listed(members)));
}

/// What was read of a pool that waits for so many jobs and should have so many instances.
fn readings(queued: u32, desired: u32) -> Readings {
    let line = format!(
        "{{\"schema\":1,\"kind\":\"decision\",\"time\":\"2026-11-26T03:00:00Z\",\"pool\":\"p\",\"group\":\"g\",\"platform\":\"any\",\"result\":\"held\",\
         \"why\":{{\"queued\":{queued},\"running\":0,\"slots\":1,\"utilisation\":100,\"threshold\":1,\"spare\":0,\"need\":2,\"min\":0,\"max\":5,\
         \"desired\":{desired},\"target\":2,\"limit\":\"none\"}},\"ms\":{{\"demand\":1,\"describe\":1,\"raise\":null,\"total\":1}}}}"
    );
    let Some(Record::Decision(decision)) = Record::find(&line) else { panic!("{line}") };
    let (mut readings, decision): (_, Decision) = (Readings::default(), decision);
    readings.push(at("00:00"), &decision);
    readings
}

/// Seconds of each span with its state.
fn spans(life: &ChartInstance) -> Vec<(&'static str, i64)> {
    life.spans.iter().map(|span| (span.state, (span.to - span.from) / 1_000)).collect()
}

#[test]
fn a_life_is_what_the_looks_found_and_busy_is_no_part_of_it() {
    let mut listings = Listings::default();
    read(&mut listings, "linux", "00:00", &[("i-old", IN_SERVICE)]);
    read(&mut listings, "linux", "00:10", &[("i-old", LEAVING), ("i-new", LAUNCHING)]);
    read(&mut listings, "linux", "00:20", &[("i-new", LAUNCHING), ("i-warm", Membership::Warm)]);
    read(
        &mut listings,
        "linux",
        "00:30",
        &[("i-new", IN_SERVICE), ("i-out", Membership::Outside), ("i-by", Membership::Standby)],
    );
    let chart = Chart::of_pools([("linux", &readings(0, 2))], &listings, at("00:40"));
    let lives: Vec<_> =
        chart.lanes.iter().map(|life| (life.instance.as_str(), spans(life), life.end.is_some())).collect();
    assert_eq!(
        lives,
        [
            ("i-old", vec![("in_service", 10), ("leaving", 10)], true),
            ("i-new", vec![("launching", 20), ("in_service", 10)], false),
            ("i-warm", vec![("aside", 10)], true),
            ("i-by", vec![("aside", 10)], false),
        ]
    );
    let [old, new, ..] = &chart.lanes[..] else { panic!("{lives:?}") };
    assert!(
        old.sentences[0].starts_with("It was there already when this scaler looked first, at 2026-11-26T03:00:00Z")
    );
    assert!(new.sentences[0].starts_with("The look at 2026-11-26T03:00:10Z found it first: launching"), "{new:?}");
    assert!(old.sentences.iter().chain(&chart.unseen).any(|line| line.starts_with("Not known: whether it was busy")));
    assert!(chart.unseen[0].contains("whether one is busy or idle") && chart.unseen.len() == 1, "{:?}", chart.unseen);
    assert_eq!((old.silent, old.pool.as_str(), chart.from), (None, "linux", at("00:00").as_millisecond()));
}

/// What is written on an instance is read where its cloud tells it: that of one that stays after all is no reason, and what is told no more was told.
#[test]
fn what_an_agent_wrote_on_its_instance_says_since_when_it_was_ready_and_why_it_left() {
    let mut listings = Listings::default();
    let mut look = |time: &str, membership, why: Option<&str>| {
        let ready = Some(at("00:07"));
        listings.read(
            "linux",
            at(time),
            Some(&[Listed { ready, why: why.map(str::to_owned), ..Listed::new("i-1", membership) }]),
        );
        listings.lives(at(time)).remove(0)
    };
    let stays = look("00:10", IN_SERVICE, Some("idle: nothing ran for 10m"));
    let tells = |life: &ChartInstance, what: &str| life.sentences.iter().any(|line| line.contains(what));
    assert!(tells(&stays, "ready at 2026-11-26T03:00:07Z") && !tells(&stays, "idle"), "{stays:?}");
    let leaves = look("00:20", LEAVING, Some("broken: the runner never registered"));
    assert!(
        tells(&leaves, "wrote on it: broken: the runner never registered.") && !tells(&leaves, "why it left if it did")
    );
    look("00:30", LEAVING, None);
    read(&mut listings, "linux", "00:40", &[]);
    let end = listings.lives(at("00:50")).remove(0).end.expect("it has gone");
    assert_eq!((end.reason.as_str(), end.tone), ("broken", Tone::Bad));
    read(&mut listings, "linux", "00:50", &[("i-2", LEAVING)]);
    read(&mut listings, "linux", "01:00", &[]);
    let ends: Vec<_> = listings.lives(at("01:00")).into_iter().map(|it| it.end.expect("both have").reason).collect();
    assert_eq!(ends, ["broken", "gone"], "of the second nobody wrote why");
}

#[test]
fn a_group_that_could_not_be_read_has_lost_nobody() {
    let mut listings = Listings::default();
    read(&mut listings, "linux", "00:00", &[("i-1", IN_SERVICE)]);
    read(&mut listings, "other", "00:00", &[("i-2", IN_SERVICE)]);
    listings.failed("linux", "throttled");
    let lost = |listings: &Listings, time| -> Vec<_> {
        listings.lives(at(time)).iter().map(|life| (life.silent.is_some(), life.end.is_some())).collect()
    };
    assert_eq!(lost(&listings, "00:10"), [(true, false), (false, false)]);
    assert!(
        listings.unseen().iter().any(|line| line == "The instances of 1 pool could not be looked at last: throttled.")
    );
    read(&mut listings, "linux", "00:20", &[("i-1", IN_SERVICE), ("i-3", LAUNCHING)]);
    assert_eq!(lost(&listings, "00:20"), [(false, false); 3]);
    assert_eq!(listings.unseen().len(), 1);
    assert!(listings.lives(at("00:20"))[2].sentences[0].contains("found it first"), "it was not there before");
}

#[test]
fn where_a_cloud_lists_nobody_the_page_says_so() {
    let mut listings = Listings::default();
    listings.read("linux", at("00:00"), None);
    let chart = Chart::of_pools([("linux", &readings(0, 2))], &listings, at("00:10"));
    assert_eq!(chart.lanes, []);
    assert!(chart.unseen[0].starts_with("A scaler sees groups and their sizes: "), "{:?}", chart.unseen);
    assert!(chart.unseen[1].starts_with("The instances of 1 pool are not shown: "), "{:?}", chart.unseen);
}

#[test]
fn what_is_kept_is_bounded_whatever_is_listed() {
    let mut listings = Listings::default();
    let names: Vec<String> = (0..1_000).map(|n| format!("i-{n:04}")).collect();
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), IN_SERVICE)).collect();
    // Each look finds others than the one before: what has gone makes room.
    for (n, few) in all.chunks(100).enumerate() {
        read(&mut listings, "linux", &format!("00:{n:02}"), few);
    }
    let lives = listings.lives(at("00:10"));
    assert!((MOST_INSTANCES - 100..=MOST_INSTANCES).contains(&lives.len()), "{}", lives.len());
    assert_eq!(lives.iter().filter(|life| life.end.is_none()).count(), 100, "those that are there are kept");
    assert_eq!(lives.last().map(|life| life.instance.as_str()), Some("i-0999"));
    assert_eq!(listings.unseen().len(), 1);
    // More at once than there is room for.
    read(&mut listings, "linux", "00:20", &all);
    assert_eq!(listings.lives(at("00:20")).len(), MOST_INSTANCES);
    assert!(
        listings.unseen()[1].starts_with("Some instances are not looked at: 400 at most"),
        "{:?}",
        listings.unseen()
    );
    // One that turns again and again.
    for n in 0..50 {
        let place = if n % 2 == 0 { Membership::Standby } else { IN_SERVICE };
        read(&mut listings, "turning", &format!("01:{n:02}"), &[]);
        read(&mut listings, "linux", &format!("01:{n:02}"), &[("i-0999", place)]);
    }
    let turning = listings.lives(at("02:00")).into_iter().find(|life| life.instance == "i-0999").expect("it is kept");
    assert_eq!(turning.spans.len(), MOST_STEPS);
}

#[test]
fn one_name_in_two_groups_is_the_first_ones_while_that_lives() {
    let mut listings = Listings::default();
    read(&mut listings, "a", "00:00", &[("vm-1", LAUNCHING)]);
    read(&mut listings, "b", "00:01", &[("vm-1", IN_SERVICE)]);
    read(&mut listings, "a", "00:02", &[]);
    let of = |listings: &Listings| {
        listings.lives(at("00:10")).into_iter().map(|it| (it.pool, it.end.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(of(&listings), [("a".to_owned(), true)]);
    read(&mut listings, "b", "00:03", &[("vm-1", IN_SERVICE)]);
    assert_eq!(of(&listings), [("b".to_owned(), false)]);
}

#[test]
fn pools_where_jobs_wait_are_looked_at_and_never_more_instances_than_are_drawn() {
    let (quiet, waiting) = (readings(0, 5), readings(3, 20));
    let names: Vec<String> = (0..100).map(|n| format!("p{n:02}")).collect();
    let pools = || names.iter().enumerate().map(|(n, name)| (name.as_str(), if n >= 90 { &waiting } else { &quiet }));
    let mut listings = Listings::default();
    let chosen = listings.choose(pools());
    // Ten with 20, and of the others as many with 5 as make up 400, but no more than are drawn.
    assert_eq!(chosen.len(), 10 + 40);
    assert_eq!((chosen[0].as_str(), chosen[10].as_str(), chosen[49].as_str()), ("p90", "p00", "p39"));
    assert!(
        listings.unseen()[1]
            .starts_with("The instances of 50 pools are not looked at: 400 at most are, in the 60 pools")
    );
    let small = readings(0, 1);
    assert_eq!(listings.choose(names.iter().map(|name| (name.as_str(), &small))).len(), MOST_DRAWN);
    let (huge, none) = (readings(9, 100_000), Readings::default());
    assert_eq!(listings.choose([("huge", &huge), ("small", &small), ("unread", &none)]), ["small"]);
    // Whose pool is looked at no more is no more known to be there.
    read(&mut listings, "small", "00:00", &[("i-1", IN_SERVICE)]);
    listings.choose([("small", &small)]);
    assert_eq!(listings.lives(at("00:10"))[0].silent, None);
    listings.choose([("huge", &huge), ("small", &readings(0, 1_000))]);
    assert_eq!(listings.lives(at("00:10"))[0].silent, Some(at("00:00").as_millisecond()));
}

#[test]
fn what_is_only_still_there_is_not_sent_again() {
    let mut listings = Listings::default();
    let readings = readings(0, 2);
    let drawn = |listings: &Listings, time| Chart::of_pools([("linux", &readings)], listings, at(time));
    read(&mut listings, "linux", "00:00", &[("i-1", IN_SERVICE), ("i-2", LAUNCHING)]);
    let before = drawn(&listings, "00:10");
    read(&mut listings, "linux", "00:10", &[("i-1", IN_SERVICE), ("i-2", IN_SERVICE)]);
    let after = drawn(&listings, "00:20");
    let sent: Vec<_> =
        after.since(&before).expect("it goes on").lanes.iter().map(|life| life.instance.clone()).collect();
    assert_eq!(sent, ["i-2"]);
}
