//! Processes that are not our children any more: found by process id, told apart by a variable, watched and signalled
//! through a pidfd.

use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::Arc,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use tokio::io::{Interest, unix::AsyncFd};

/// One process, held so that its id cannot come to mean another.
#[derive(Clone, Debug)]
pub struct Process {
    pid: u32,
    handle: Arc<AsyncFd<OwnedFd>>,
}

impl Process {
    /// The living process with this id whose environment holds `variable` (`NAME=value`).
    pub fn find(pid: u32, variable: &str) -> io::Result<Option<Self>> {
        let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let handle = match pidfd_open(id, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Read after the handle was taken: if it is gone by now, the id may already mean another process.
        if !alive(pid) || !has_variable(pid, variable)? {
            return Ok(None);
        }
        #[expect(unsafe_code, reason = "tokio has no safe way to register a file descriptor that it does not own")]
        // SAFETY: the AsyncFd owns the OwnedFd, which stays open and stays the same until it is dropped with it.
        let handle = unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE)? };
        Ok(Some(Self { pid, handle: Arc::new(handle) }))
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has not exited.
    pub fn alive(&self) -> bool {
        let mut poll = [PollFd::new(self.handle.get_ref(), PollFlags::IN)];
        // The pidfd becomes readable when the process exits (pidfd_open(2)).
        !matches!(rustix::event::poll(&mut poll, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1..))
    }

    /// Sends a signal. A process that is gone is no error.
    pub fn signal(&self, signal: lightsout_core::platform::Signal) -> io::Result<()> {
        use lightsout_core::platform::Signal as CoreSignal;
        let signal = match signal {
            CoreSignal::Term => Signal::TERM,
            CoreSignal::Int => Signal::INT,
            CoreSignal::Quit => Signal::QUIT,
        };
        self.send(signal)
    }

    /// Ends it and every process of its group, without asking.
    pub fn kill_group(&self) -> io::Result<()> {
        if !self.alive() {
            return Ok(());
        }
        if let Some(id) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process_group(id, Signal::KILL);
        }
        self.send(Signal::KILL)
    }

    /// Resolves when it has exited.
    pub async fn exited(&self) {
        while self.alive() {
            if self.handle.readable().await.is_ok() {
                return;
            }
        }
    }

    fn send(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(self.handle.as_fd(), signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The names and ids of the direct children of a process.
pub fn children(pid: u32) -> io::Result<Vec<(u32, String)>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let list = fs::read_to_string(task?.path().join("children"))?;
        for child in list.split_ascii_whitespace().filter_map(|id| id.parse().ok()) {
            // A child that ended meanwhile, or is a zombie, does no work.
            if alive(child) {
                found.push((child, name(child).unwrap_or_default()));
            }
        }
    }
    Ok(found)
}

/// The names and ids of the children of a process, their children, and so on.
pub fn descendants(pid: u32) -> io::Result<Vec<(u32, String)>> {
    let mut found = children(pid)?;
    let mut at = 0;
    while let Some((child, _)) = found.get(at) {
        match children(*child) {
            Ok(more) => found.extend(more),
            // It ended meanwhile.
            Err(_) if !alive(*child) => {}
            Err(error) => return Err(error),
        }
        at += 1;
    }
    Ok(found)
}

fn name(pid: u32) -> Option<String> {
    let exe = fs::read_link(format!("/proc/{pid}/exe")).ok();
    exe.and_then(|path| Some(Path::new(&path).file_name()?.to_string_lossy().into_owned()))
        .or_else(|| Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned()))
}

/// Whether this is one of the arguments with which a process was called.
pub fn was_called_with(pid: u32, argument: &str) -> bool {
    let called = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    called.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
}

/// Exists and is no zombie.
fn alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name in parentheses may hold anything; the state follows the last one.
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X' | 'x'))
}

fn has_variable(pid: u32, variable: &str) -> io::Result<bool> {
    match fs::read(format!("/proc/{pid}/environ")) {
        Ok(environ) => Ok(environ.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => Ok(false),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::SRCH) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_grandchild_is_found_among_the_descendants_only() {
        // Each shell waits for the next, as run.sh, its helper, the listener and the worker do.
        let mut child =
            Command::new("/bin/sh").args(["-c", "sh -c 'sleep 30; :'; :"]).stdin(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        let names = |found: Vec<(u32, String)>| found.into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        let deep = (0..200).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            let found = descendants(pid).unwrap();
            (found.len() == 2).then_some(found)
        });
        let deep = deep.expect("two below the first");
        assert_eq!(children(pid).unwrap().len(), 1);
        assert!(
            names(deep.clone()).iter().any(|name| name == "sleep" || name == "coreutils" || name == "busybox"),
            "{deep:?}"
        );
        for (id, _) in deep.into_iter().rev() {
            let _ = Command::new("kill").arg(id.to_string()).status();
        }
        let _ = child.kill();
        child.wait().unwrap();
    }
}
