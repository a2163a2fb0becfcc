//! What an instance is seen to be doing: always a whole snapshot, never a change.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

/// The name of a job as the probe that saw it knows it (a CI job id, a container name, a process id).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub String);

impl JobId {
    /// Whether it names one job. Some probes only tell how many run (`jobs=2`), or which worker has one (`worker:ID`).
    pub fn is_of_one(&self) -> bool {
        !self.0.contains('=') && !self.0.starts_with("worker:")
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One snapshot of what is running. `Unknown` counts as busy wherever a decision is taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Activity {
    /// These jobs run.
    Busy(BTreeSet<JobId>),
    /// These run and keep the instance as jobs do, but may be none: the platform's jobs leave a surer sign, and there is none of it.
    Occupied(BTreeSet<JobId>),
    /// Every probe answered, and none saw a job.
    Quiet,
    /// At least one probe could not answer, and none saw a job; the text names it and says why.
    Unknown(String),
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(jobs) | Self::Occupied(jobs) => {
                f.write_str("jobs")?;
                jobs.iter().try_for_each(|job| write!(f, " {job}"))
            }
            Self::Quiet => f.write_str("nothing"),
            Self::Unknown(why) => write!(f, "something unknown ({why})"),
        }
    }
}

impl Activity {
    /// Busy with one job.
    pub fn busy(job: impl Into<String>) -> Self {
        Self::Busy(BTreeSet::from([JobId(job.into())]))
    }

    /// The same, seen in a way that does not tell a job from what else may run.
    #[must_use]
    pub fn unsure(self) -> Self {
        match self {
            Self::Busy(jobs) => Self::Occupied(jobs),
            other @ (Self::Occupied(_) | Self::Quiet | Self::Unknown(_)) => other,
        }
    }

    /// Two snapshots of the same moment as one: any job wins over what may be one, that over any doubt, any doubt over quiet.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Busy(mut a), Self::Busy(b) | Self::Occupied(b)) | (Self::Occupied(b), Self::Busy(mut a)) => {
                a.extend(b);
                Self::Busy(a)
            }
            (Self::Occupied(mut a), Self::Occupied(b)) => {
                a.extend(b);
                Self::Occupied(a)
            }
            (seen @ (Self::Busy(_) | Self::Occupied(_)), Self::Quiet | Self::Unknown(_))
            | (Self::Quiet | Self::Unknown(_), seen @ (Self::Busy(_) | Self::Occupied(_))) => seen,
            (Self::Unknown(why), Self::Quiet | Self::Unknown(_)) | (Self::Quiet, Self::Unknown(why)) => {
                Self::Unknown(why)
            }
            (Self::Quiet, Self::Quiet) => Self::Quiet,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn jobs(names: &[&str]) -> Activity {
        Activity::Busy(names.iter().map(|name| JobId((*name).to_owned())).collect())
    }

    fn doubt(why: &str) -> Activity {
        Activity::Unknown(why.to_owned())
    }

    #[test]
    fn any_job_wins_over_any_doubt_and_any_doubt_over_quiet() {
        for (a, b, both) in [
            (Activity::Quiet, Activity::Quiet, Activity::Quiet),
            (Activity::Quiet, doubt("b"), doubt("b")),
            (Activity::Quiet, jobs(&["b"]), jobs(&["b"])),
            (doubt("a"), Activity::Quiet, doubt("a")),
            (doubt("a"), doubt("b"), doubt("a")),
            (doubt("a"), jobs(&["b"]), jobs(&["b"])),
            (jobs(&["a"]), Activity::Quiet, jobs(&["a"])),
            (jobs(&["a"]), doubt("b"), jobs(&["a"])),
            (jobs(&["a"]), jobs(&["b"]), jobs(&["a", "b"])),
            (jobs(&["a"]).unsure(), Activity::Quiet, jobs(&["a"]).unsure()),
            (jobs(&["a"]).unsure(), doubt("b"), jobs(&["a"]).unsure()),
            (jobs(&["a"]).unsure(), jobs(&["b"]).unsure(), jobs(&["a", "b"]).unsure()),
            (jobs(&["a"]).unsure(), jobs(&["b"]), jobs(&["a", "b"])),
            (jobs(&["a"]), jobs(&["b"]).unsure(), jobs(&["a", "b"])),
        ] {
            assert_eq!(a.clone().and(b.clone()), both, "{a:?} and {b:?}");
        }
    }

    #[test]
    fn it_is_said_as_a_person_would() {
        for (activity, text) in [
            (jobs(&["7", "build"]), "jobs 7 build"),
            (Activity::Quiet, "nothing"),
            (doubt("no answer"), "something unknown (no answer)"),
        ] {
            assert_eq!(activity.to_string(), text);
        }
    }

    fn any_activity() -> impl Strategy<Value = Activity> {
        prop_oneof![
            Just(Activity::Quiet),
            "[ab]".prop_map(Activity::Unknown),
            proptest::collection::btree_set("[a-d]".prop_map(JobId), 1..3).prop_map(Activity::Busy),
            proptest::collection::btree_set("[a-d]".prop_map(JobId), 1..3).prop_map(Activity::Occupied),
        ]
    }

    /// Of two doubts either text may stay; what is decided on must not hang on the order.
    fn without_text(activity: Activity) -> Activity {
        match activity {
            Activity::Unknown(_) => doubt(""),
            Activity::Busy(_) | Activity::Occupied(_) | Activity::Quiet => activity,
        }
    }

    proptest! {
        #[test]
        fn the_order_of_the_probes_does_not_matter(a in any_activity(), b in any_activity(), c in any_activity()) {
            prop_assert_eq!(without_text(a.clone().and(b.clone())), without_text(b.clone().and(a.clone())));
            prop_assert_eq!(a.clone().and(b.clone()).and(c.clone()), a.and(b.and(c)));
        }
    }
}
