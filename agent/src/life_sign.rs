//! The agent's life sign, for the dead-man's switch (`systemd/dead-man`), which ends a machine on which there has been none for long.

use std::{
    env,
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use lightsout_core::platform::{DrainBy, DrainRules};
use tokio::sync::watch;

use crate::clock::uptime;

/// From one sign to the next. The first comes as long after the start, so that an agent that dies again and again gives none:
/// what it does at once is to say of an earlier sign what the runner may be told.
pub(crate) const PERIOD: Duration = Duration::from_secs(5);

/// Writes signs: a task of its own, so that nothing keeps the loop waiting.
pub(crate) struct LifeSign {
    signs: Option<watch::Sender<String>>,
    /// Whether the runner may be told to stop by whoever finds no agent.
    may_stop_runner: bool,
}

impl LifeSign {
    /// Into the file `alive` in the folder that systemd has made for this service below `/run`; nowhere without one.
    pub(crate) fn spawn(rules: DrainRules) -> Self {
        let folder = env::var_os("RUNTIME_DIRECTORY");
        let first = folder.as_ref().and_then(|folders| env::split_paths(folders).next());
        Self::spawn_in(first.as_deref(), rules)
    }

    fn spawn_in(folder: Option<&Path>, rules: DrainRules) -> Self {
        let may_stop_runner = finishes_its_jobs(rules);
        let signs = folder.map(|folder| {
            let path = folder.join("alive");
            let (signs, written) = watch::channel(String::new());
            if let Some(at) = last(&path).or_else(uptime) {
                signs.send_replace(sign(at, may_stop_runner));
            }
            tokio::spawn(write_signs(written, path));
            signs
        });
        Self { signs, may_stop_runner }
    }

    /// Gives a sign that holds from now on, or from the end of a hold that lasts for so long still. Never waits.
    pub(crate) fn give(&self, hold: Duration) {
        if let (Some(signs), Some(up)) = (&self.signs, uptime()) {
            signs.send_replace(sign(up + hold, self.may_stop_runner));
        }
    }
}

/// Whether a plain signal makes the runner finish its jobs and go, whenever it comes.
fn finishes_its_jobs(rules: DrainRules) -> bool {
    matches!(rules.drain, DrainBy::Signal(_)) && !rules.quiesce
}

/// The time since boot in whole seconds, and what the runner may be told. Always equally long within a boot.
fn sign(uptime: Duration, may_stop_runner: bool) -> String {
    format!("{:>10} {}\n", uptime.as_secs(), if may_stop_runner { "stop" } else { "keep" })
}

/// That of an earlier agent, or of the dead-man's switch, which begins to count at its first look.
fn last(path: &Path) -> Option<Duration> {
    let text = fs::read_to_string(path).ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_secs)
}

async fn write_signs(mut signs: watch::Receiver<String>, path: PathBuf) {
    let mut failed = false;
    signs.mark_changed();
    while signs.changed().await.is_ok() {
        let sign = signs.borrow_and_update().clone();
        let file = path.clone();
        let written = tokio::task::spawn_blocking(move || write(&file, &sign)).await;
        let error = written.ok().and_then(Result::err);
        if let Some(error) = error.as_ref().filter(|_| !failed) {
            let path = path.display();
            tracing::error!(%path, %error, "the life sign cannot be written; without one the dead-man's switch ends an instance without a job");
        }
        failed = error.is_some();
    }
}

/// In place: a full `/run` has no room for another file, and takes this all the same.
fn write(path: &Path, sign: &str) -> io::Result<()> {
    let file = File::options().write(true).create(true).truncate(false).mode(0o644).open(path)?;
    file.write_all_at(sign.as_bytes(), 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use lightsout_core::platform::{Signal, UndrainBy};

    use super::*;

    fn rules(drain: DrainBy, quiesce: bool) -> DrainRules {
        DrainRules { drain, undrain: UndrainBy::Relaunch, abort: Signal::Term, quiesce }
    }

    async fn given(folder: &Path, other_than: &str) -> String {
        for _ in 0..1_000 {
            if let Ok(text) = fs::read_to_string(folder.join("alive"))
                && text != other_than
            {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no sign within 5 s");
    }

    #[tokio::test]
    async fn a_sign_is_the_time_since_boot_or_that_at_which_a_hold_ends() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("alive"), "        30\n").unwrap();
        let sign = LifeSign::spawn_in(Some(folder.path()), rules(DrainBy::Signal(Signal::Term), false));
        let begun = given(folder.path(), "        30\n").await;
        assert_eq!(begun, "        30 stop\n", "an agent that has only just begun gives no sign of its own");
        let up = uptime().unwrap().as_secs();
        sign.give(Duration::ZERO);
        let first = given(folder.path(), &begun).await;
        let at: u64 = first.split_whitespace().next().unwrap().parse().unwrap();
        assert!((up..up + 3).contains(&at), "{first:?} at {up}");
        assert!(first.ends_with(" stop\n"), "{first:?}");
        sign.give(Duration::from_secs(3600));
        let held = given(folder.path(), &first).await;
        let until: u64 = held.split_whitespace().next().unwrap().parse().unwrap();
        assert!((up + 3600..up + 3603).contains(&until), "{held:?} at {up}");
        assert_eq!(held.len(), first.len(), "one replaces the other in place");
    }

    #[test]
    fn only_a_runner_that_a_signal_makes_finish_its_jobs_may_be_told_to_stop() {
        assert!(finishes_its_jobs(rules(DrainBy::Signal(Signal::Term), false)));
        // It would lose the job that is on its way.
        assert!(!finishes_its_jobs(rules(DrainBy::Signal(Signal::Quit), true)));
        assert!(!finishes_its_jobs(rules(DrainBy::Call, false)));
    }

    #[test]
    fn a_sign_needs_no_room_that_a_full_disk_would_not_have() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alive");
        write(&path, &sign(Duration::from_secs(7), false)).unwrap();
        let before = fs::metadata(&path).unwrap();
        write(&path, &sign(Duration::from_secs(4711), false)).unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "      4711 keep\n");
        assert_eq!((before.ino(), before.len()), (after.ino(), after.len()), "the same file, and no longer");
        write(&folder.path().join("no/alive"), "1").unwrap_err();
    }
}
