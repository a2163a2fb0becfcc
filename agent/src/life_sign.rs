//! The agent's life sign, for the dead-man's switch (`systemd/dead-man`), which ends a machine on which there has been none for long.

use std::{
    env,
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lightsout_core::{
    agent::{draining::may_be_stopped, host::ToldToDrain},
    platform::DrainRules,
};
use tokio::sync::Notify;

use crate::clock::uptime;

/// From one sign to the next.
pub(crate) const PERIOD: Duration = Duration::from_secs(5);

/// How long after its start an agent gives its first sign, `watchdog` being how long systemd lets it hang: one that dies or hangs again and
/// again gives none. What it does at once is to say of an earlier sign what the runner may be told.
pub(crate) fn first_after(watchdog: Option<Duration>) -> Duration {
    watchdog.map_or(PERIOD, |watchdog| PERIOD.max(watchdog * 2))
}

/// Writes signs: a task of its own, so that nothing keeps the loop waiting. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LifeSign {
    shared: Option<Arc<Shared>>,
    /// Whether this platform's runner may be told to stop at all by whoever finds no agent.
    rules: DrainRules,
}

struct Shared {
    path: PathBuf,
    sign: Mutex<Sign>,
    changed: Notify,
    /// Held while the file is written, so that an older sign never follows a newer one.
    file: Mutex<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sign {
    at: Duration,
    may_stop_runner: bool,
}

impl LifeSign {
    /// Into the file `alive` in the folder that systemd has made for this service below `/run`; nowhere without one.
    /// `told` is what the runner that was found has been told.
    pub(crate) fn spawn(rules: DrainRules, told: ToldToDrain) -> Self {
        let folder = env::var_os("RUNTIME_DIRECTORY");
        let first = folder.as_ref().and_then(|folders| env::split_paths(folders).next());
        Self::spawn_in(first.as_deref(), rules, told)
    }

    fn spawn_in(folder: Option<&Path>, rules: DrainRules, told: ToldToDrain) -> Self {
        let shared = folder.map(|folder| {
            let path = folder.join("alive");
            let at = last(&path).unwrap_or_else(uptime);
            let sign = Sign { at, may_stop_runner: may_be_stopped(rules, told) };
            let shared =
                Arc::new(Shared { path, sign: Mutex::new(sign), changed: Notify::new(), file: Mutex::default() });
            shared.changed.notify_one();
            tokio::spawn(write_signs(Arc::clone(&shared)));
            shared
        });
        Self { shared, rules }
    }

    /// Renews the sign: it holds from now on, or from the end of a hold that lasts for so long still. Never waits.
    pub(crate) fn renew(&self, hold: Duration) {
        if let Some(shared) = &self.shared {
            locked(&shared.sign).at = uptime() + hold;
            shared.changed.notify_one();
        }
    }

    /// The runner is about to be told this, or is a new one that was told nothing: it is on the file when this returns, if the file takes it.
    /// A runner that was told goes by itself, and a second signal would end its job.
    pub(crate) async fn runner_is_told(&self, told: ToldToDrain) {
        let Some(shared) = self.shared.clone() else { return };
        locked(&shared.sign).may_stop_runner = may_be_stopped(self.rules, told);
        let _ = tokio::task::spawn_blocking(move || shared.write()).await;
    }
}

impl Shared {
    fn write(&self) -> io::Result<()> {
        let _file = locked(&self.file);
        let sign = *locked(&self.sign);
        write(&self.path, &sign.text())
    }
}

impl Sign {
    /// The time since boot in whole seconds, and what the runner may be told. Always equally long within a boot.
    fn text(self) -> String {
        format!("{:>10} {}\n", self.at.as_secs(), if self.may_stop_runner { "stop" } else { "keep" })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// That of an earlier agent, or of the dead-man's switch, which begins to count at its first look.
fn last(path: &Path) -> Option<Duration> {
    let text = fs::read_to_string(path).ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_secs)
}

async fn write_signs(shared: Arc<Shared>) {
    let mut failed = false;
    loop {
        shared.changed.notified().await;
        let written = tokio::task::spawn_blocking({
            let shared = Arc::clone(&shared);
            move || shared.write()
        });
        let error = written.await.ok().and_then(Result::err);
        if let Some(error) = error.as_ref().filter(|_| !failed) {
            let path = shared.path.display();
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

    use lightsout_core::platform::{DrainBy, Signal, UndrainBy};

    use super::*;

    const BY_SIGNAL: DrainRules = DrainRules {
        drain: DrainBy::Signal(Signal::Term),
        undrain: UndrainBy::Relaunch,
        abort: Signal::Term,
        quiesce: false,
    };

    async fn given(folder: &Path, other_than: &str) -> String {
        for _ in 0..12_000 {
            if let Ok(text) = fs::read_to_string(folder.join("alive"))
                && text != other_than
            {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no sign within a minute");
    }

    #[tokio::test]
    async fn a_sign_is_the_time_since_boot_or_that_at_which_a_hold_ends() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("alive"), "        30\n").unwrap();
        let sign = LifeSign::spawn_in(Some(folder.path()), BY_SIGNAL, ToldToDrain::No);
        let begun = given(folder.path(), "        30\n").await;
        assert_eq!(begun, "        30 stop\n", "an agent that has only just begun gives no sign of its own");
        let seconds = || uptime().as_secs();
        let up = seconds();
        sign.renew(Duration::ZERO);
        let first = given(folder.path(), &begun).await;
        let at: u64 = first.split_whitespace().next().unwrap().parse().unwrap();
        assert!((up..=seconds()).contains(&at), "{first:?} at {up}");
        assert!(first.ends_with(" stop\n"), "{first:?}");
        sign.renew(Duration::from_secs(3600));
        let held = given(folder.path(), &first).await;
        let until: u64 = held.split_whitespace().next().unwrap().parse().unwrap();
        assert!((up + 3600..=seconds() + 3600).contains(&until), "{held:?} at {up}");
        assert_eq!(held.len(), first.len(), "one replaces the other in place");
    }

    #[tokio::test]
    async fn a_runner_that_may_have_been_told_is_not_told_again_by_the_dead_mans_switch() {
        let folder = tempfile::tempdir().unwrap();
        let text = || fs::read_to_string(folder.path().join("alive")).unwrap();
        let sign = LifeSign::spawn_in(Some(folder.path()), BY_SIGNAL, ToldToDrain::No);
        given(folder.path(), "").await;
        assert!(text().ends_with(" stop\n"), "{:?}", text());
        sign.runner_is_told(ToldToDrain::Maybe).await;
        assert!(text().ends_with(" keep\n"), "before the signal is sent: {:?}", text());
        sign.renew(Duration::from_secs(60));
        let held = given(folder.path(), &text()).await;
        assert!(held.ends_with(" keep\n"), "{held:?}");
        // The next agent finds that runner.
        let _next = LifeSign::spawn_in(Some(folder.path()), BY_SIGNAL, ToldToDrain::Maybe);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(text(), held);
        sign.runner_is_told(ToldToDrain::No).await;
        assert!(text().ends_with(" stop\n"), "another runner has not been told: {:?}", text());
    }

    #[test]
    fn an_agent_that_hangs_again_and_again_gives_no_sign() {
        let watchdog = Duration::from_secs(30);
        assert!(first_after(Some(watchdog)) > watchdog);
        assert_eq!(first_after(None), PERIOD);
    }

    #[test]
    fn a_sign_needs_no_room_that_a_full_disk_would_not_have() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alive");
        let sign = |at| Sign { at: Duration::from_secs(at), may_stop_runner: false }.text();
        write(&path, &sign(7)).unwrap();
        let before = fs::metadata(&path).unwrap();
        write(&path, &sign(4711)).unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "      4711 keep\n");
        assert_eq!((before.ino(), before.len()), (after.ino(), after.len()), "the same file, and no longer");
        write(&folder.path().join("no/alive"), "1").unwrap_err();
    }
}
