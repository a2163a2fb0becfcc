//! The program under test.

use std::{
    ffi::OsString,
    path::Path,
    process::{Command, Output, Stdio},
};

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct ProgramOutput {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs `lightsout` with this fleet's directory and these arguments, split at spaces.
pub(crate) fn lightsout(dir: &Path, arguments: &str) -> ProgramOutput {
    command(dir, arguments).output().expect("lightsout starts").into()
}

/// The command, without any influence of this machine's settings.
pub(crate) fn command(dir: &Path, arguments: &str) -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| ["AWS_", "LIGHTSOUT_", "RUST_LOG", "XDG_"].iter().any(|it| name.starts_with(it)))
        {
            command.env_remove(name);
        }
    }
    let multi_call = ["agent", "scaler"].iter().any(|word| arguments.split_whitespace().next() == Some(word));
    if !multi_call {
        command.arg("--dir").arg(dir);
    }
    command.args(arguments.split_whitespace()).stdin(Stdio::null());
    command
}

/// The program that cargo has built, or another build of it (a release, say) that is to be tested.
fn program() -> OsString {
    std::env::var_os("LIGHTSOUT_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_lightsout").into())
}

impl From<Output> for ProgramOutput {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}
