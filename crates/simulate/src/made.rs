//! A made trace, for those who have no history at hand, and for comparisons that anybody can repeat.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    random::Random,
    trace::{Job, Trace},
};

/// Monday, 2 November 2026, 00:00 UTC, with which each made trace begins: five working days are Monday to Friday.
const MONDAY: Timestamp = Timestamp::constant(1_793_577_600, 0);
/// How much of a working day's pipelines begin in each of its hours, the first one from midnight: few at night, most in the morning and after
/// lunch.
const DAY: [u64; 24] = [2, 1, 1, 1, 1, 2, 4, 10, 22, 30, 32, 28, 18, 26, 32, 30, 26, 18, 10, 6, 5, 4, 3, 2];
/// How many jobs a pipeline begins with, each as likely as the others.
const PIPELINES: [usize; 10] = [1, 1, 1, 2, 2, 3, 4, 6, 8, 12];
/// Half of the jobs take no longer.
const MEDIAN: f64 = 240.0;
/// The deviation of the logarithm of their times: one in twenty takes longer than 17 min.
const SPREAD: f64 = 0.9;
/// What its series of random numbers is for.
const SERIES: u64 = 4;
const SHORTEST: f64 = 10.0;
const LONGEST: f64 = 3_600.0;

/// So many jobs over so many working days, which follow from the seed: pipelines of 1 to 12 jobs that come at once, by the hours of an office
/// day in UTC, each job of 10 s to an hour, 4 min in the middle.
pub fn made(seed: u64, jobs: usize, days: u32) -> Trace {
    let mut random = Random::new(seed, SERIES);
    let mut made = Vec::with_capacity(jobs);
    while made.len() < jobs {
        let day = random.below(u64::from(days.max(1)));
        let day = day / 5 * 7 + day % 5;
        let arrives = Duration::from_secs(day * 86_400 + hour(&mut random) * 3_600)
            + Duration::from_millis(random.below(3_600_000));
        let size = PIPELINES[random.index(PIPELINES.len())].min(jobs - made.len());
        for _ in 0..size {
            let seconds = (MEDIAN * (SPREAD * random.normal()).exp()).clamp(SHORTEST, LONGEST);
            // Whole seconds: what the last bit of a logarithm says on another machine does not matter then.
            made.push(Job { arrives, runs: Duration::from_secs_f64(seconds.round()) });
        }
    }
    Trace::since(MONDAY, made)
}

fn hour(random: &mut Random) -> u64 {
    let mut left = random.below(DAY.iter().sum());
    for (hour, weight) in (0..).zip(DAY) {
        if left < weight {
            return hour;
        }
        left -= weight;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_works_on_a_weekend() {
        let trace = made(1, 2_000, 11);
        let days: std::collections::BTreeSet<u64> = trace
            .jobs()
            .iter()
            .map(|job| {
                (trace.begins().as_second().unsigned_abs() - MONDAY.as_second().unsigned_abs() + job.arrives.as_secs())
                    / 86_400
            })
            .collect();
        assert_eq!(Vec::from_iter(days), [0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 14]);
    }

    #[test]
    fn a_made_trace_is_as_described() {
        let trace = made(1, 20_000, 5);
        assert_eq!(trace, made(1, 20_000, 5));
        assert_ne!(trace, made(2, 20_000, 5));
        assert_eq!(trace.jobs().len(), 20_000);
        assert!((MONDAY..MONDAY + Duration::from_secs(7_200)).contains(&trace.begins()), "{}", trace.begins());
        assert!(trace.span() < Duration::from_secs(5 * 86_400));
        let mut runs: Vec<u64> = trace.jobs().iter().map(|job| job.runs.as_secs()).collect();
        runs.sort_unstable();
        assert!(runs[0] >= 10 && runs[19_999] <= 3_600);
        assert!((230..250).contains(&runs[10_000]), "{}", runs[10_000]);
        assert!((960..1_100).contains(&runs[19_000]), "{}", runs[19_000]);
    }
}
