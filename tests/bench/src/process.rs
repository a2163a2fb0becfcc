//! What a process uses, as the kernel counts it (proc(5)).

use std::{fs, path::Path, thread, time::Duration};

use anyhow::{Context, Result};

/// The kernel's clock ticks a second in `/proc/PID/stat`; 100 on every Linux that Rust knows.
const TICKS: f64 = 100.0;

/// Memory in MiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// All resident pages.
    pub rss: f64,
    /// The same, with shared pages split among those that share them.
    pub pss: f64,
    /// Resident pages that no file backs.
    pub anonymous: f64,
}

/// What this process has in memory now.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .with_context(|| format!("process {pid} is gone, or not ours"))?;
    let of = |key| mib(&text, key).with_context(|| format!("no {key} for process {pid}"));
    Ok(Memory { rss: of("Rss:")?, pss: of("Pss:")?, anonymous: of("Anonymous:")? })
}

/// How many entries this folder of the process has in `/proc`: its open files in `fd`, its threads in `task`.
///
/// # Errors
/// When the process is gone, or not ours.
#[expect(clippy::cast_precision_loss, reason = "no process has so many")]
pub(crate) fn entries(pid: u32, folder: &str) -> Result<f64> {
    let entries = fs::read_dir(format!("/proc/{pid}/{folder}"));
    Ok(entries.with_context(|| format!("process {pid} is gone, or not ours"))?.count() as f64)
}

/// The most that this process ever had in memory, in MiB; `None` when it is gone.
pub(crate) fn peak(pid: u32) -> Option<f64> {
    mib(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmHWM:")
}

/// How much of a core each of these processes uses, in percent, over this time.
pub(crate) fn cpu_percent(pids: &[u32], over: Duration) -> Result<Vec<f64>> {
    let seconds = || pids.iter().map(|pid| cpu_seconds(*pid)).collect::<Result<Vec<_>>>();
    let before = seconds()?;
    thread::sleep(over);
    let after = seconds()?;
    Ok(before.iter().zip(&after).map(|(before, after)| (after - before) / over.as_secs_f64() * 100.0).collect())
}

/// The processes that run this program.
pub(crate) fn running(program: &Path) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    pids.filter(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program)).collect()
}

fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} has ended meanwhile"))?;
    // The name in parentheses may hold anything; the state follows the last one, and is field 3.
    let (_, rest) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
    let ticks = rest.split_ascii_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>().context("no times in /proc/PID/stat")? / TICKS)
}

fn mib(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.split_ascii_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let pid = std::process::id();
        let memory = memory(pid).unwrap();
        assert!(memory.rss > 0.1 && memory.pss <= memory.rss && memory.anonymous <= memory.rss, "{memory:?}");
        assert!(peak(pid).unwrap() > 0.1);
        assert!(cpu_percent(&[pid], Duration::from_millis(10)).unwrap()[0] >= 0.0);
        assert!(running(&std::env::current_exe().unwrap()).contains(&pid));
    }
}
