//! Every term of a plan, as data and as one sentence.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Outlook, STALENESS};
use crate::duration::format_duration;

/// What kept the target from being what is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Nothing.
    #[default]
    None,
    /// The lower bound is above the need.
    Min,
    /// The upper bound is below the need.
    Max,
    /// The most that one tick may add.
    Step,
    /// The last raise is too fresh.
    Cooldown {
        /// How much longer, in milliseconds.
        left_ms: u64,
    },
}

/// Every term of a plan. Prints as one sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Jobs that wait.
    pub queued: u32,
    /// Jobs that run; `None` when that is not known or not to be counted.
    pub running: Option<u32>,
    /// Jobs that one instance takes at once.
    pub slots: u32,
    /// How full the slots are planned, in percent.
    pub utilisation: u32,
    /// Fewer waiting jobs than this count as none.
    pub threshold: u32,
    /// Instances kept ready beyond the demand.
    pub spare: u32,
    /// The entry of the pool's schedule that says `spare`; absent when none is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Instances needed, before any limit.
    pub need: u32,
    /// The lower bound that holds: the group's and the policy's together.
    pub min: u32,
    /// The upper bound that holds.
    pub max: u32,
    /// The desired capacity that was read.
    pub desired: u32,
    /// A higher one that was desired lately, and may be still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lately: Option<u32>,
    /// Whether `lately` is what the last raise wrote without an answer, so that it is written again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// The need within its limits. Nothing is raised unless it is above `desired` and `lately`.
    pub target: u32,
    /// The limit that took part, if any.
    pub limit: Limit,
    /// What is in doubt after the raises so far; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlook: Option<Outlook>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} waiting", self.queued)?;
        if self.queued > 0 && self.queued < self.threshold {
            write!(f, " (too few to count, the threshold is {})", self.threshold)?;
        }
        match self.running {
            Some(running) => write!(f, " + {running} running")?,
            None => f.write_str(" (running not known)")?,
        }
        if self.slots > 1 {
            write!(f, ", {} to an instance", self.slots)?;
        }
        if self.utilisation < 100 {
            write!(f, " filled to {} %", self.utilisation)?;
        }
        if self.spare > 0 {
            write!(f, ", {} spare", self.spare)?;
        }
        if let Some(entry) = &self.entry {
            write!(f, " (by {entry:?})")?;
        }
        write!(f, ": need {}", self.need)?;
        match self.limit {
            Limit::None => {}
            Limit::Min => write!(f, ", at least {}", self.min)?,
            Limit::Max => write!(f, ", at most {}", self.max)?,
            Limit::Step => {
                write!(f, ", {} more in one tick", self.target.saturating_sub(self.lately.unwrap_or(self.desired)))?;
            }
            Limit::Cooldown { left_ms } => {
                write!(f, ", but nothing is raised for another {}", format_duration(Duration::from_millis(left_ms)))?;
            }
        }
        write!(f, "; desired is {}", self.desired)?;
        if self.again {
            f.write_str(", and the last raise was not answered: it is written again")?;
        } else if let Some(lately) = self.lately {
            write!(f, ", and was {lately} within {}, which may hold still", format_duration(STALENESS))?;
        }
        let Some(Outlook { unmet, in_vain, pause_ms, silent, ready }) = self.outlook else { return Ok(()) };
        if in_vain > 0 {
            write!(
                f,
                "; the last {in_vain} raises were in vain: their instances left, and nobody took the jobs that wait"
            )?;
            match pause_ms {
                0 => f.write_str(", so one instance is tried")?,
                left => write!(
                    f,
                    ", so nothing is raised for {unmet} of them for another {}",
                    format_duration(Duration::from_millis(left))
                )?,
            }
        }
        if silent > 0 {
            write!(
                f,
                "; {silent} of desired took no job and did not leave, and are not counted: look at their agents"
            )?;
        }
        if ready > 0 {
            write!(f, "; {ready} of desired, ready and counted, took none of the jobs that wait")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three wait and nothing runs, one to an instance, without any limit.
    fn plain() -> Explanation {
        Explanation {
            queued: 3,
            running: Some(0),
            slots: 1,
            utilisation: 100,
            threshold: 1,
            spare: 0,
            entry: None,
            need: 3,
            min: 0,
            max: 10,
            desired: 0,
            lately: None,
            again: false,
            target: 3,
            limit: Limit::None,
            outlook: None,
        }
    }

    fn doubtful(outlook: Outlook) -> Explanation {
        Explanation { outlook: Some(outlook), ..plain() }
    }

    #[test]
    fn only_what_takes_part_is_said() {
        for (explanation, text) in [
            (plain(), "3 waiting + 0 running: need 3; desired is 0"),
            (Explanation { threshold: 3, ..plain() }, "3 waiting + 0 running: need 3; desired is 0"),
            (
                Explanation { threshold: 4, need: 0, ..plain() },
                "3 waiting (too few to count, the threshold is 4) + 0 running: need 0; desired is 0",
            ),
            (
                Explanation { queued: 0, threshold: 4, need: 0, ..plain() },
                "0 waiting + 0 running: need 0; desired is 0",
            ),
            (
                Explanation { running: None, slots: 2, utilisation: 80, spare: 1, ..plain() },
                "3 waiting (running not known), 2 to an instance filled to 80 %, 1 spare: need 3; desired is 0",
            ),
            (
                doubtful(Outlook { unmet: 2, in_vain: 3, pause_ms: 120_000, silent: 0, ready: 0 }),
                "3 waiting + 0 running: need 3; desired is 0; the last 3 raises were in vain: their instances left, and nobody took \
                 the jobs that wait, so nothing is raised for 2 of them for another 2m",
            ),
            (
                doubtful(Outlook { unmet: 1, in_vain: 3, pause_ms: 0, silent: 2, ready: 1 }),
                "3 waiting + 0 running: need 3; desired is 0; the last 3 raises were in vain: their instances left, and nobody took \
                 the jobs that wait, so one instance is tried; 2 of desired took no job and did not leave, and are not counted: look at \
                 their agents; 1 of desired, ready and counted, took none of the jobs that wait",
            ),
        ] {
            assert_eq!(explanation.to_string(), text);
        }
    }
}
