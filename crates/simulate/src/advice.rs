//! Which of the settings that were tried to take, and why.

use crate::outcome::Outcome;

/// Settings that were tried, under a name, and what came of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// What is different, as a person would write it.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// Which to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Which of those that were tried; 0 are the present settings.
    pub take: usize,
    /// Why, in a sentence.
    pub why: String,
}

/// By how much another number must be better for a change of settings to be worth it: what differs by less may differ by chance.
const WORTH: f64 = 0.02;

/// The cheapest of those with which no job waits noticeably longer than now, the first being the present ones; or, when `target` seconds are given,
/// the cheapest with which 95 of a hundred jobs wait no longer than that, and where there is none, the one that comes nearest.
///
/// `None` without anything tried.
pub fn advise(tried: &[Tried], target: Option<f64>) -> Option<Advice> {
    let now = &tried.first()?.outcome;
    let all = |index: usize| tried[index].outcome.seconds.all();
    let p95 = |index: usize| tried[index].outcome.waits.p95;
    let sound = |outcome: &Outcome| outcome.violation.is_none() && outcome.unserved <= now.unserved && outcome.cut == 0;
    let candidates: Vec<usize> = (0..tried.len()).filter(|index| sound(&tried[*index].outcome)).collect();
    let limit = |present: f64| present * (1.0 + WORTH) + 1.0;
    let good = |index: &usize| {
        let waits = tried[*index].outcome.waits;
        target.map_or_else(
            || {
                let same = [(waits.p50, now.waits.p50), (waits.p95, now.waits.p95), (waits.p99, now.waits.p99)];
                same.into_iter().all(|(wait, present)| wait <= limit(present))
            },
            |target| waits.p95 <= target,
        )
    };
    let cheapest = candidates.iter().copied().filter(good).min_by(|a, b| all(*a).total_cmp(&all(*b)));
    let Some(take) = cheapest else {
        let take = candidates.iter().copied().min_by(|a, b| p95(*a).total_cmp(&p95(*b)))?;
        let why = format!(
            "none of them keeps 95 % of the waits at {:.0} s; this one comes nearest, with {:.0} s",
            target.unwrap_or_default(),
            p95(take)
        );
        return Some(Advice { take, why });
    };
    let changes = all(take) / all(0) - 1.0;
    if take == 0 || (target.is_none() && changes > -WORTH) {
        let why = match target {
            Some(_) => "the present settings are the cheapest that keep the wait".to_owned(),
            None => "nothing that was tried is noticeably cheaper without longer waits".to_owned(),
        };
        return Some(Advice { take: 0, why });
    }
    let share = |share: f64| format!("{:.0} % {}", share.abs() * 100.0, if share < 0.0 { "fewer" } else { "more" });
    let why = format!(
        "{} instance seconds ({:.0} % instead of {:.0} % without a job), and 95 % of the jobs wait up to {:.0} s instead of {:.0} s",
        share(changes),
        tried[take].outcome.seconds.waste() * 100.0,
        now.seconds.waste() * 100.0,
        p95(take),
        p95(0),
    );
    Some(Advice { take, why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Seconds, Waits};

    fn tried(name: &str, p95: f64, idle: f64) -> Tried {
        let outcome = Outcome {
            jobs: 10,
            unserved: 0,
            cut: 0,
            spot: 0,
            waits: Waits { p50: p95, p95, p99: p95, most: p95, total: p95 },
            launched: 1,
            peak: 1,
            seconds: Seconds { idle, busy: 1000.0, ..Seconds::default() },
            entries: Vec::new(),
            turns: Vec::new(),
            violation: None,
        };
        Tried { name: name.into(), outcome }
    }

    fn taken(tried: &[Tried], target: Option<f64>) -> (usize, String) {
        let advice = advise(tried, target).expect("advice");
        (advice.take, advice.why)
    }

    #[test]
    fn the_cheapest_is_taken_with_which_nobody_waits_longer() {
        let all = [tried("now", 100.0, 500.0), tried("less", 101.0, 200.0), tried("least", 150.0, 10.0)];
        let (take, why) = taken(&all, None);
        assert_eq!(take, 1);
        assert!(why.contains("20 % fewer instance seconds") && why.contains("17 % instead of 33 %"), "{why}");
        assert_eq!(taken(&all[..1], None).0, 0);
        assert_eq!(taken(&[all[0].clone(), tried("same", 100.0, 499.0)], None).0, 0, "not worth a change");
    }

    #[test]
    fn a_wished_wait_may_cost_more_and_may_be_out_of_reach() {
        let all = [tried("now", 100.0, 500.0), tried("spare", 20.0, 900.0), tried("more", 10.0, 2_000.0)];
        assert_eq!(taken(&all, Some(30.0)).0, 1);
        assert_eq!(taken(&all, Some(200.0)).0, 0);
        let (take, why) = taken(&all, Some(5.0));
        assert!(take == 2 && why.contains("comes nearest, with 10 s"), "{why}");
    }

    #[test]
    fn what_breaks_a_promise_or_serves_fewer_is_never_advised() {
        let mut fewer = tried("fewer", 10.0, 0.0);
        fewer.outcome.unserved = 1;
        let mut cuts = tried("cuts", 10.0, 0.0);
        cuts.outcome.cut = 1;
        assert_eq!(taken(&[tried("now", 100.0, 500.0), fewer, cuts], None).0, 0);
        assert_eq!(advise(&[], None), None);
    }
}
