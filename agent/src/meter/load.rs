//! How loaded the instance is, as the kernel tells.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use lightsout_core::metrics::Load;

use crate::space;

/// A share of the processors' time over less than this says nothing.
const SHORTEST_SPAN: Duration = Duration::from_secs(1);

/// Looks at processors, memory and disk.
pub(super) struct LoadWatch {
    state_dir: PathBuf,
    /// When the processors were looked at last, and what they had done by then.
    seen: Option<(Instant, Ticks)>,
    cpu: Option<f64>,
    /// The last look, which does for a second: a page asks for each metric on its own.
    told: Option<(Instant, Load)>,
}

/// The processors' time since the machine's start, in the kernel's own unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    idle: u64,
    all: u64,
}

impl LoadWatch {
    /// Of this machine, and the file system of this folder.
    pub(super) fn new(state_dir: &Path) -> Self {
        let mut watch = Self { state_dir: state_dir.to_owned(), seen: None, cpu: None, told: None };
        watch.look();
        watch
    }

    /// How loaded it is, or was less than a second ago.
    pub(super) fn look(&mut self) -> Load {
        if let Some((at, load)) = self.told
            && at.elapsed() < SHORTEST_SPAN
        {
            return load;
        }
        let load = self.look_now();
        self.told = Some((Instant::now(), load));
        load
    }

    fn look_now(&mut self) -> Load {
        if self.seen.is_none_or(|(at, _)| at.elapsed() >= SHORTEST_SPAN)
            && let Some(now) = fs::read_to_string("/proc/stat").ok().and_then(|text| ticks(&text))
            && let Some((_, before)) = self.seen.replace((Instant::now(), now))
        {
            self.cpu = share(before, now);
        }
        Load {
            cpu: self.cpu,
            memory: space::memory().and_then(|memory| used(memory.total.saturating_sub(memory.free), memory.total)),
            disk: disk(&self.state_dir),
        }
    }
}

/// The first line of /proc/stat (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq, steal; a guest's time is in user's already.
fn ticks(stat: &str) -> Option<Ticks> {
    let numbers = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace().take(8);
    let numbers = numbers.map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
    Some(Ticks { idle: numbers.get(3)? + numbers.get(4).unwrap_or(&0), all: numbers.iter().sum() })
}

fn share(before: Ticks, now: Ticks) -> Option<f64> {
    let all = now.all.checked_sub(before.all)?;
    let idle = now.idle.saturating_sub(before.idle).min(all);
    used(all - idle, all)
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
fn used(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

/// As df(1) counts it: what only root may use is not free.
fn disk(path: &Path) -> Option<f64> {
    let seen = rustix::fs::statvfs(path).ok()?;
    let taken = seen.f_blocks.saturating_sub(seen.f_bfree);
    used(taken, taken + seen.f_bavail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_busy_with_all_but_waiting() {
        let before = ticks("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3 4\n").unwrap();
        let now = ticks("cpu  130 0 60 850 60 0 0 0 0 0\n").unwrap();
        assert_eq!(share(before, now), Some(0.4));
        assert_eq!(share(now, now), None, "nothing is known of no time");
        assert_eq!(share(now, before), None, "nor of a counter that went back");
        for text in ["", "cpu", "cpu  1 2 3", "intr 1 2 3 4"] {
            assert_eq!(ticks(text), None, "{text}");
        }
    }

    #[test]
    fn this_machine_has_all_three() {
        let mut watch = LoadWatch::new(Path::new("/"));
        watch.seen = watch.seen.map(|(at, ticks)| {
            (at.checked_sub(SHORTEST_SPAN).unwrap(), Ticks { idle: ticks.idle, all: ticks.all.saturating_sub(1) })
        });
        let load = watch.look_now();
        for share in [load.cpu, load.memory, load.disk] {
            assert!(share.is_some_and(|share| (0.0..=1.0).contains(&share)), "{load:?}");
        }
    }

    #[test]
    fn many_looks_at_once_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = LoadWatch::new(folder.path());
        let first = watch.look();
        assert!(first.disk.is_some());
        // What is asked again at once is not looked at: the folder is gone, and it is not noticed.
        drop(folder);
        assert_eq!(watch.look(), first);
        watch.told = watch.told.map(|(at, load)| (at.checked_sub(SHORTEST_SPAN).unwrap(), load));
        assert_eq!(watch.look().disk, None);
    }
}
