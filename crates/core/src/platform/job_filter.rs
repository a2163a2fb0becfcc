//! Which jobs a pool counts, to find pools that count the same ones.

use std::collections::BTreeSet;

/// Which jobs a pool counts, as far as its settings tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFilter {
    /// Where the jobs come from, as paths: `group/app` is a part of `group`, and of the empty path.
    pub sources: Vec<String>,
    /// Which of them.
    pub jobs: Jobs,
}

/// Some or all jobs of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jobs {
    /// All.
    All,
    /// Those that ask for no label (or tag) outside of these.
    Within {
        /// The labels, as they are compared.
        labels: BTreeSet<String>,
        /// What a job that asks for none of them is called, where it is taken.
        plain: Option<&'static str>,
    },
}

impl JobFilter {
    /// A job that both count, in words; `None` when there can be none.
    pub fn shared(&self, other: &Self) -> Option<String> {
        let same = |one: &String| other.sources.iter().any(|other| is_part(one, other) || is_part(other, one));
        if !self.sources.iter().any(same) {
            return None;
        }
        match (&self.jobs, &other.jobs) {
            (Jobs::All, _) | (_, Jobs::All) => Some("every job".into()),
            (Jobs::Within { plain: Some(plain), .. }, Jobs::Within { plain: Some(_), .. }) => Some((*plain).into()),
            (Jobs::Within { labels, .. }, Jobs::Within { labels: others, .. }) => {
                labels.intersection(others).next().map(|label| format!("a job that asks for {label} alone"))
            }
        }
    }
}

/// Whether this path is that one, or below it.
fn is_part(path: &str, of: &str) -> bool {
    of.is_empty() || path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(source: &str, labels: &[&str], plain: Option<&'static str>) -> JobFilter {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        JobFilter { sources: vec![source.into()], jobs: Jobs::Within { labels, plain } }
    }

    #[test]
    fn a_job_of_two_pools_is_named() {
        let all = |source: &str| JobFilter { sources: vec![source.into()], jobs: Jobs::All };
        let plain = Some("a job without tags");
        for (one, other, shared) in [
            (takes("team", &["linux"], None), takes("team", &["gpu"], None), None),
            (
                takes("team", &["linux", "x64"], None),
                takes("team", &["x64", "gpu"], None),
                Some("a job that asks for x64 alone"),
            ),
            (takes("team", &["linux"], plain), takes("team", &["gpu"], plain), plain),
            (takes("team", &["linux"], plain), takes("team", &["gpu"], None), None),
            (
                takes("team/app", &["linux"], None),
                takes("team", &["linux"], None),
                Some("a job that asks for linux alone"),
            ),
            (takes("", &["linux"], None), takes("team", &["linux"], None), Some("a job that asks for linux alone")),
            (takes("teams", &["linux"], None), takes("team", &["linux"], None), None),
            (all("queue"), all("queue"), Some("every job")),
            (all("queue"), all("other"), None),
        ] {
            assert_eq!(one.shared(&other).as_deref(), shared, "{one:?} {other:?}");
            assert_eq!(other.shared(&one).as_deref(), shared, "{other:?} {one:?}");
        }
    }
}
