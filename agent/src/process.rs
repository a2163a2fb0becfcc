//! Processes that are not our children: told apart by their number and the moment of their start, watched and signalled
//! through a pidfd. Gone is only what has ended: what cannot be seen, or looks otherwise than before, is not.

use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::Arc,
    time::Duration,
};

use lightsout_core::platform::job_pid_file::start_of;
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use tokio::io::{Interest, unix::AsyncFd};

/// One process, held so that its id cannot come to mean another.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pid: u32,
    start: u64,
    handle: Arc<AsyncFd<OwnedFd>>,
}

impl Process {
    /// The living process with this number; `None` when there is none for certain.
    pub(crate) fn open(pid: u32) -> io::Result<Option<Self>> {
        let Some((handle, start)) = living(pid)? else { return Ok(None) };
        #[expect(unsafe_code, reason = "tokio has no safe way to register a file descriptor that it does not own")]
        // SAFETY: the AsyncFd owns the OwnedFd, which stays open and stays the same until it is dropped with it.
        let handle = unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE)? };
        Ok(Some(Self { pid, start, handle: Arc::new(handle) }))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// When it started, in clock ticks after the boot.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Whether it has not exited.
    pub(crate) fn alive(&self) -> bool {
        !exited(self.handle.get_ref())
    }

    /// Sends a signal. A process that is gone is no error.
    pub(crate) fn signal(&self, signal: lightsout_core::platform::Signal) -> io::Result<()> {
        use lightsout_core::platform::Signal as CoreSignal;
        let signal = match signal {
            CoreSignal::Term => Signal::TERM,
            CoreSignal::Int => Signal::INT,
            CoreSignal::Quit => Signal::QUIT,
            CoreSignal::Hup => Signal::HUP,
        };
        self.send(signal)
    }

    /// Ends it without asking. A process that is gone is no error.
    pub(crate) fn kill(&self) -> io::Result<()> {
        self.send(Signal::KILL)
    }

    /// Ends it and every process of its group, without asking.
    pub(crate) fn kill_group(&self) -> io::Result<()> {
        if !self.alive() {
            return Ok(());
        }
        if let Some(id) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process_group(id, Signal::KILL);
        }
        self.send(Signal::KILL)
    }

    /// Resolves when it has exited.
    pub(crate) async fn exited(&self) {
        while self.alive() {
            match self.handle.readable().await {
                Ok(mut ready) if self.alive() => ready.clear_ready(),
                Ok(_) => return,
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
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

/// A process below another one.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub pid: u32,
    /// The name of its program; `None` when it cannot be told.
    pub name: Option<String>,
}

/// The direct children of a process.
pub(crate) fn children(pid: u32) -> io::Result<Vec<Child>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let list = fs::read_to_string(task?.path().join("children"))?;
        for pid in list.split_ascii_whitespace().filter_map(|id| id.parse().ok()) {
            // A child that ended meanwhile, or is a zombie, does no work.
            if !has_ended(pid)? {
                found.push(Child { pid, name: name(pid) });
            }
        }
    }
    Ok(found)
}

/// The children of a process, their children, and so on.
pub(crate) fn descendants(pid: u32) -> io::Result<Vec<Child>> {
    let mut found = children(pid)?;
    let mut at = 0;
    while let Some(child) = found.get(at) {
        match children(child.pid) {
            Ok(more) => found.extend(more),
            Err(error) if !has_ended(child.pid)? => return Err(error),
            // It ended meanwhile.
            Err(_) => {}
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

/// Whether this is one of the arguments with which a process was called; `None` while it has none: in the midst of becoming
/// another program, and when it ends, for they go before it can be waited for.
pub(crate) fn was_called_with(pid: u32, argument: &str) -> io::Result<Option<bool>> {
    let called = fs::read(format!("/proc/{pid}/cmdline"))?;
    Ok((!called.is_empty()).then(|| called.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())))
}

/// When the process with this number started, in clock ticks after the boot; `None` when there is none for certain.
pub(crate) fn start_of_living(pid: u32) -> io::Result<Option<u64>> {
    Ok(living(pid)?.map(|(_, start)| start))
}

/// A process that leads a process group, and its parent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leader {
    pub pid: u32,
    pub parent: u32,
}

/// The leaders of a process group whose environment holds `variable` (`NAME=value`); of those that handed it to one
/// another only the first. Those whose environment may not be read are left out.
pub(crate) fn leaders_with(variable: &str) -> io::Result<Vec<Leader>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if has_variable(pid, variable)
            && let Some((parent, group)) = parent_and_group(pid)
            && group == pid
            && !has_variable(parent, variable)
        {
            found.push(Leader { pid, parent });
        }
    }
    Ok(found)
}

/// Whether a process was started with this variable (`NAME=value`) and has not written over it; `false` also where that
/// cannot be told.
pub(crate) fn has_variable(pid: u32, variable: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
}

/// A process, its parent, and so on, as far as can be told.
pub(crate) fn ancestors(pid: u32) -> Vec<u32> {
    std::iter::successors(Some(pid), |pid| parent_and_group(*pid).map(|(parent, _)| parent).filter(|pid| *pid > 0))
        .collect()
}

fn parent_and_group(pid: u32) -> Option<(u32, u32)> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// A handle on a living process, and when it started. A process lives as long as one of its threads does: its state in
/// `/proc` is that of the first one alone.
fn living(pid: u32) -> io::Result<Option<(OwnedFd, u64)>> {
    let Some(handle) = handle(pid)? else { return Ok(None) };
    let text = fs::read(format!("/proc/{pid}/stat"));
    // What was read is of this process if it lives even now.
    if exited(&handle) {
        return Ok(None);
    }
    match start_of(&String::from_utf8_lossy(&text?)) {
        Some((start, _)) => Ok(Some((handle, start))),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat cannot be understood"))),
    }
}

/// Whether a process has ended for certain, also where `/proc` hides those of others (`hidepid=`).
fn has_ended(pid: u32) -> io::Result<bool> {
    Ok(handle(pid)?.is_none())
}

fn handle(pid: u32) -> io::Result<Option<OwnedFd>> {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    match pidfd_open(id, PidfdFlags::empty()) {
        Ok(handle) => Ok((!exited(&handle)).then_some(handle)),
        // Nobody has this number, or a thread of somebody else has (ENOENT, before Linux 6.14 EINVAL).
        Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Its pidfd becomes readable when the last thread of a process has exited (pidfd_open(2)).
fn exited(handle: &OwnedFd) -> bool {
    let mut poll = [PollFd::new(handle, PollFlags::IN)];
    matches!(rustix::event::poll(&mut poll, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1..))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn a_process_that_ends_was_called_with_nothing_that_can_be_told() {
        let mut child =
            Command::new("/bin/sh").args(["-c", "read -r go", "word"]).stdin(Stdio::piped()).spawn().unwrap();
        // It is there a moment before its arguments are.
        while was_called_with(child.id(), "word").unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(was_called_with(child.id(), "word").unwrap(), Some(true));
        assert_eq!(was_called_with(child.id(), "another").unwrap(), Some(false));
        drop(child.stdin.take());
        // Ended, and not waited for.
        while start_of_living(child.id()).unwrap().is_some() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(was_called_with(child.id(), "word").unwrap(), None);
        child.wait().unwrap();
    }

    #[test]
    fn a_grandchild_is_found_among_the_descendants_only() {
        // Each shell waits for the next, as run.sh, its helper, the listener and the worker do.
        let mut child =
            Command::new("/bin/sh").args(["-c", "sh -c 'sleep 30; :'; :"]).stdin(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        // What a shell has forked bears the shell's name until it has become the program.
        let sleeps = |child: &Child| matches!(child.name.as_deref(), Some("sleep" | "coreutils" | "busybox"));
        let deep = (0..2_500).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            let found = descendants(pid).unwrap();
            (found.len() == 2 && found.iter().any(sleeps)).then_some(found)
        });
        let deep = deep.expect("two below the first, of which one sleeps");
        assert_eq!(children(pid).unwrap().len(), 1);
        for child in deep.into_iter().rev() {
            let _ = Command::new("kill").arg(child.pid.to_string()).status();
        }
        let _ = child.kill();
        child.wait().unwrap();
    }

    #[test]
    fn a_process_lives_until_its_last_thread_has_exited() {
        // The first thread ends, so that the process looks like a zombie, and another one goes on.
        let script = "import ctypes,threading,time\n\
                      threading.Thread(target=lambda: time.sleep(30)).start()\n\
                      ctypes.CDLL(None).pthread_exit(None)";
        let spawned = Command::new("python3").args(["-c", script]).stdin(Stdio::null()).spawn();
        let Ok(mut child) = spawned else {
            let _ = writeln!(
                io::stderr(),
                "SKIPPED: a_process_lives_until_its_last_thread_has_exited: python3 is not installed"
            );
            return;
        };
        let state = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit_once(") ").unwrap().1.starts_with('Z')
        };
        let zombie = (0..2_500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            state(child.id())
        });
        let start = start_of_living(child.id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(zombie, "its first thread has ended");
        assert!(start.is_some(), "and it lives");
        assert_eq!(start_of_living(child.id()).unwrap(), None, "now it does not");
    }
}
