//! How long jobs waited where only their number is told: from when each was first seen, as if they began in the order in which they came.

use std::{collections::VecDeque, time::Duration};

use crate::platform::Waits;

/// The most moments at which jobs came that are told apart; later ones count as the last.
const MOMENTS: usize = 256;

/// The jobs that wait, by the moment at which they were first seen.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstSeen {
    waiting: VecDeque<(Duration, u32)>,
    running: Option<u32>,
}

impl FirstSeen {
    /// Takes the number of jobs that wait and run at `now`, a time since any origin.
    ///
    /// One that came while another began leaves the number as it was. Where more jobs run than before, at least so many began.
    pub(super) fn see(&mut self, queued: u32, running: Option<u32>, now: Duration) -> Waits {
        let before: u32 = self.waiting.iter().map(|(_, count)| *count).sum();
        let began = running.zip(self.running).map_or(0, |(now, before)| now.saturating_sub(before));
        let leave = before.saturating_sub(queued).max(began.min(before));
        self.running = running;
        let mut waits = Waits::default();
        for _ in 0..leave {
            let Some((since, count)) = self.waiting.front_mut() else { break };
            if waits.ended.len() < crate::platform::MOST_WAITS {
                waits.ended.push(now.saturating_sub(*since));
            }
            *count -= 1;
            if *count == 0 {
                self.waiting.pop_front();
            }
        }
        let came = queued.saturating_sub(before - leave);
        if came > 0 {
            let full = self.waiting.len() >= MOMENTS;
            match self.waiting.back_mut().filter(|_| full) {
                Some((_, count)) => *count += came,
                None => self.waiting.push_back((now, came)),
            }
        }
        waits.oldest = self.waiting.front().map(|(since, _)| now.saturating_sub(*since));
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_came_first_began_first() {
        let mut seen = FirstSeen::default();
        assert_eq!(seen.see(2, Some(0), s(0)), Waits { ended: vec![], oldest: Some(s(0)), unseen: false });
        assert_eq!(seen.see(3, Some(0), s(10)), Waits { ended: vec![], oldest: Some(s(10)), unseen: false });
        assert_eq!(
            seen.see(1, Some(2), s(30)),
            Waits { ended: vec![s(30), s(30)], oldest: Some(s(20)), unseen: false }
        );
        assert_eq!(seen.see(0, Some(3), s(40)), Waits { ended: vec![s(30)], oldest: None, unseen: false });
    }

    #[test]
    fn one_that_began_while_another_came_is_seen_where_more_run() {
        let mut seen = FirstSeen::default();
        let _ = seen.see(1, Some(0), s(0));
        assert_eq!(seen.see(1, Some(1), s(10)), Waits { ended: vec![s(10)], oldest: Some(s(0)), unseen: false });
        // Where that is not told, the wait seems to go on.
        let mut seen = FirstSeen::default();
        let _ = seen.see(1, None, s(0));
        assert_eq!(seen.see(1, None, s(10)), Waits { ended: vec![], oldest: Some(s(10)), unseen: false });
    }

    #[test]
    fn it_stays_small() {
        let mut seen = FirstSeen::default();
        for n in 0..10_000 {
            let _ = seen.see(n, None, s(n.into()));
        }
        assert!(seen.waiting.len() <= MOMENTS);
        assert_eq!(seen.see(0, None, s(20_000)).ended.len(), crate::platform::MOST_WAITS);
    }
}
