//! What the vendors' programs have in common: arguments, exit codes, and how they are installed.

use std::{
    ffi::OsString,
    io::{self, Write},
    os::unix::{fs::symlink, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus},
    sync::Arc,
};

use anyhow::Result;
use clap::Parser;
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};

/// Reads the arguments and runs the program that they are for.
pub(crate) fn with_args<A: Parser>(name: &str, args: &[OsString], run: impl FnOnce(A) -> Result<ExitCode>) -> ExitCode {
    match A::try_parse_from(std::iter::once(OsString::from(name)).chain(args.iter().cloned())) {
        Ok(args) => exit_code(run(args)),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
    }
}

/// The exit code of a program, after its error is printed.
pub(crate) fn exit_code(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Runs on one thread: nothing here is heavy, and jobs have the cores for themselves.
pub(crate) fn block_on(program: impl Future<Output = Result<()>>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("the operating system gives an event loop").block_on(program)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints for whoever reads; that nobody reads any more is no error.
pub(crate) fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Puts `program` into the directory `bin` by another name.
pub(crate) fn link(program: &Path, bin: &Path, name: &str) -> io::Result<PathBuf> {
    let path = bin.join(name);
    symlink(program, &path)?;
    Ok(path)
}

/// Has this process outlive the signals that end its jobs, so that it can tell how they ended. What it starts hears them as any program.
pub(crate) fn outlive_signals() -> Result<()> {
    for signal in [SIGTERM, SIGINT, SIGQUIT] {
        // A handler, for a signal that is ignored would be so by what is started, too.
        signal_hook::flag::register(signal, Arc::default())?;
    }
    Ok(())
}

/// The exit code as a shell gives it: 128 and the signal's number where a signal ended it.
pub(crate) fn shell_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// The same for this process to exit with.
pub(crate) fn own_code(status: ExitStatus) -> u8 {
    u8::try_from(shell_code(status)).unwrap_or(1)
}
