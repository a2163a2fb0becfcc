//! The probes: where it shows on the instance whether jobs run, and what of that counts as a job.

use std::{iter, path::PathBuf};

use crate::{
    activity::{Activity, JobId},
    exchange::Call,
};

/// One source of truth about what runs on the instance. All are asked; any job wins, any doubt counts as busy.
pub enum Probe {
    /// Running containers of this selection. Each is a job.
    Containers(Selection),
    /// Processes below the runner's main process, at any depth, whose name starts with one of these; empty: any child. What they say is [`child`].
    Children(Vec<String>),
    /// PID files that jobs leave in a folder: each regular file names the process of one job, as
    /// [`JobPidFile`](super::job_pid_file::JobPidFile) reads it. One whose process is gone is removed and counts for nothing; without
    /// the folder there has been no job yet.
    Files {
        /// Where the PID files are.
        folder: PathBuf,
    },
    /// A question to the runner's own process (its metrics) whose answer is the activity. Without the process there is
    /// nothing to ask.
    Runner(Call<Activity>),
    /// A question to someone else (the platform, a program of the user's) whose answer is the activity.
    Call(Call<Activity>),
}

/// Which containers are jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Those that carry all of these labels (a value of `None`: any value); empty matches every container.
    pub labels: Vec<(String, Option<String>)>,
    /// Name prefixes of the platform's own infrastructure, which is none.
    pub except: Vec<String>,
    /// The label that holds the job's id, else the container's name stands for it.
    pub job_label: Option<String>,
}

impl Selection {
    /// Every container.
    pub const ALL: Self = Self { labels: Vec::new(), except: Vec::new(), job_label: None };

    /// The job of a container with this name, whose labels match as the engine has seen; `None` when it is infrastructure. `label` yields one of them.
    pub fn job<'a>(&self, name: &str, label: impl FnOnce(&str) -> Option<&'a String>) -> Option<JobId> {
        let name = name.trim_start_matches('/');
        if self.except.iter().any(|prefix| name.starts_with(prefix.as_str())) {
            return None;
        }
        let id = self.job_label.as_deref().and_then(label);
        Some(JobId(id.map_or_else(|| name.to_owned(), Clone::clone)))
    }
}

/// Which of the processes below a runner's are jobs. The others are the runner's own: who tells the platform is among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobProcesses {
    /// All of them.
    Jobs,
    /// Those below the ones whose name begins with one of these.
    Reporters(Vec<String>),
    /// None: its jobs are containers.
    NoJobs,
}

/// What a platform's probes mean together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSigns {
    /// Of each probe, whether what it sees is a job for certain, or the best that can be had.
    sure: Vec<bool>,
    /// Of the containers.
    containers: Option<(Selection, bool)>,
    below: JobProcesses,
}

impl JobSigns {
    /// Of these probes, where the machine has a container engine or not.
    pub fn of(probes: &[Probe], engine: bool) -> Self {
        // Where no probe is sure, the best there is has to do for counting jobs.
        let none_is_sure = !probes.iter().any(Probe::is_sure);
        let sure: Vec<bool> = probes.iter().map(|probe| none_is_sure || probe.is_sure()).collect();
        let (mut names, mut containers) = (None, None);
        for (probe, sure) in probes.iter().zip(&sure) {
            match probe {
                Probe::Containers(selection) => containers = Some((selection.clone(), *sure)),
                Probe::Children(found) => names = Some(found),
                Probe::Files { .. } | Probe::Runner(_) | Probe::Call(_) => {}
            }
        }
        let below = match names {
            Some(names) if !names.is_empty() => JobProcesses::Reporters(names.clone()),
            None if containers.is_some() && engine => JobProcesses::NoJobs,
            Some(_) | None => JobProcesses::Jobs,
        };
        Self { sure, containers, below }
    }

    /// One snapshot of what each probe said, in their order.
    pub fn together(&self, seen: impl IntoIterator<Item = Activity>) -> Activity {
        // One of which nothing is said here must not be lost.
        let sure = self.sure.iter().copied().chain(iter::repeat(true));
        let counted = |(seen, sure): (Activity, bool)| if sure { seen } else { seen.unsure() };
        seen.into_iter().zip(sure).map(counted).fold(Activity::Quiet, Activity::and)
    }

    /// What it means that a container of the selection began.
    pub fn began(&self, job: JobId) -> Activity {
        let seen = Activity::Busy([job].into());
        if self.containers.as_ref().is_some_and(|(_, sure)| *sure) { seen } else { seen.unsure() }
    }

    /// Which containers are jobs, where any is one.
    pub fn containers(&self) -> Option<&Selection> {
        self.containers.as_ref().map(|(selection, _)| selection)
    }

    /// Which of the processes below the runner's are jobs.
    pub fn below(&self) -> &JobProcesses {
        &self.below
    }
}

impl Probe {
    /// Whether what it sees is a job, and not whatever else may run there: a sidecar, a hook, what a job left behind.
    fn is_sure(&self) -> bool {
        match self {
            Self::Containers(selection) => !selection.labels.is_empty(),
            Self::Children(names) => !names.is_empty(),
            Self::Files { .. } | Self::Runner(_) | Self::Call(_) => true,
        }
    }
}

/// What a process below the runner says, if only those whose name starts with one of these (all, if there are none) are jobs. `name` is that of its
/// program; `None`: it cannot be told.
pub fn child(pid: u32, name: Option<&str>, names: &[String]) -> Activity {
    match name {
        Some(name) if names.is_empty() || names.iter().any(|prefix| name.starts_with(prefix.as_str())) => {
            Activity::busy(format!("{name}:{pid}"))
        }
        Some(_) => Activity::Quiet,
        None if names.is_empty() => Activity::busy(format!("process:{pid}")),
        None => Activity::Unknown(format!("process {pid} below the runner may be a job: its name cannot be read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Ready;

    fn labelled() -> Selection {
        let labels = vec![("ci".to_owned(), None)];
        Selection { labels, except: vec!["sidecar".to_owned()], job_label: Some("job".to_owned()) }
    }

    fn files() -> Probe {
        Probe::Files { folder: "/jobs".into() }
    }

    fn ask() -> Probe {
        Probe::Call(Box::new(Ready(Activity::Quiet)))
    }

    fn any_child() -> Probe {
        Probe::Children(Vec::new())
    }

    fn named() -> Probe {
        Probe::Children(vec!["Worker".to_owned()])
    }

    #[test]
    fn no_answer_is_lost() {
        let signs = JobSigns::of(&[ask()], true);
        let job = Activity::busy("job-1".to_owned());
        assert_eq!(signs.together([Activity::Quiet, job.clone()]), job);
    }

    #[test]
    fn what_may_be_no_job_counts_as_one_only_where_nothing_is_surer() {
        let seen = || Activity::busy("it");
        for (probes, both) in [
            (vec![Probe::Containers(Selection::ALL)], seen()),
            (vec![any_child()], seen()),
            (vec![Probe::Containers(Selection::ALL), any_child()], seen()),
            (vec![Probe::Containers(labelled()), any_child()], seen().unsure()),
            (vec![named(), Probe::Containers(Selection::ALL)], seen().unsure()),
            (vec![files(), any_child()], seen().unsure()),
            (vec![ask(), any_child()], seen().unsure()),
            (vec![named(), Probe::Containers(labelled())], seen()),
        ] {
            let signs = JobSigns::of(&probes, true);
            // The last one sees it.
            let said = |last: Activity| iter::repeat_n(Activity::Quiet, probes.len() - 1).chain([last]);
            assert_eq!(signs.together(said(seen())), both);
            assert_eq!(signs.together(said(Activity::Quiet)), Activity::Quiet);
            let doubt = Activity::Unknown("no answer".into());
            assert_eq!(signs.together(said(doubt.clone())), doubt);
        }
    }

    #[test]
    fn a_container_that_begins_is_what_a_sample_of_it_says() {
        for (probes, sure) in [
            (vec![Probe::Containers(Selection::ALL)], true),
            (vec![Probe::Containers(Selection::ALL), any_child()], true),
            (vec![Probe::Containers(Selection::ALL), ask()], false),
            (vec![files(), Probe::Containers(labelled())], true),
        ] {
            let signs = JobSigns::of(&probes, true);
            let began = signs.began(JobId("build".to_owned()));
            assert_eq!(began == Activity::busy("build"), sure, "{began:?}");
            assert_eq!(began == Activity::busy("build").unsure(), !sure, "{began:?}");
            assert!(signs.containers().is_some());
        }
        assert_eq!(JobSigns::of(&[any_child()], true).containers(), None);
    }

    #[test]
    fn the_processes_that_are_jobs_are_those_below_who_reports() {
        let below = |probes: &[Probe], engine| JobSigns::of(probes, engine).below().clone();
        let containers = || Probe::Containers(labelled());
        assert_eq!(below(&[named(), files()], true), JobProcesses::Reporters(vec!["Worker".to_owned()]));
        assert_eq!(below(&[containers(), named()], true), JobProcesses::Reporters(vec!["Worker".to_owned()]));
        assert_eq!(below(&[containers()], true), JobProcesses::NoJobs);
        assert_eq!(below(&[containers()], false), JobProcesses::Jobs, "without an engine none is a container");
        assert_eq!(below(&[containers(), any_child()], true), JobProcesses::Jobs);
        assert_eq!(below(&[any_child()], true), JobProcesses::Jobs);
        assert_eq!(below(&[ask()], true), JobProcesses::Jobs, "nobody says otherwise");
    }

    #[test]
    fn a_child_that_cannot_be_read_is_not_quiet() {
        let worker = ["Runner.Worker".to_owned()];
        assert_eq!(child(17, Some("Runner.Worker"), &worker), Activity::busy("Runner.Worker:17"));
        assert_eq!(child(17, Some("sh"), &worker), Activity::Quiet);
        assert_eq!(child(17, Some("sh"), &[]), Activity::busy("sh:17"));
        assert!(matches!(child(17, None, &worker), Activity::Unknown(_)));
        assert_eq!(child(17, None, &[]), Activity::busy("process:17"));
    }

    #[test]
    fn infrastructure_is_no_job_and_a_label_names_one() {
        let id = "4711".to_owned();
        let label = |key: &str| (key == "job").then_some(&id);
        assert_eq!(labelled().job("/sidecar-1", label), None);
        assert_eq!(labelled().job("/build", label), Some(JobId("4711".to_owned())));
        assert_eq!(labelled().job("/build", |_| None), Some(JobId("build".to_owned())));
        assert_eq!(Selection::ALL.job("/build", label), Some(JobId("build".to_owned())));
    }
}
