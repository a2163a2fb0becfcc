//! The journal that the supervisor script keeps of this machine's registration.

use std::path::PathBuf;

use serde_json::Value;

use crate::{
    exchange::{Effect, EffectResult, ErrorKind, ExchangeError, Program},
    platform::HostContext,
};

/// How long reading a small local file may take.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Prints a file; nothing when there is none.
const READ: &str = r#"test ! -e "$1" || cat "$1""#;

/// What the supervisor's journal says about this instance's registration.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Registration {
    /// The id under which StackGuardian knows this machine, as soon as there is one.
    pub(super) runner: Option<String>,
    /// How far it is.
    pub(super) stage: Stage,
    /// Registrations in a row that failed.
    pub(super) failures: u32,
    /// Why the last one failed.
    pub(super) why: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// None was begun on this instance.
    #[default]
    None,
    /// One is under way, or the supervisor died in it.
    Begun,
    /// It serves.
    Registered,
    /// It failed, or it ended.
    Over,
}

/// Where the supervisor keeps its journal.
pub(super) fn journal(host: &HostContext) -> PathBuf {
    host.runner_dir.join("registration")
}

/// Asks for the journal: a codec cannot read files.
pub(super) fn ask(host: &HostContext) -> Effect {
    let path = journal(host).to_string_lossy().into_owned();
    let argv = ["/bin/sh", "-c", READ, "sh", &path].map(str::to_owned).into();
    Effect::Program(Program::new(argv, Vec::new(), TIMEOUT))
}

/// The journal as it was read.
pub(super) fn read(result: EffectResult, host: &HostContext) -> Result<Registration, ExchangeError> {
    let refuse = |how: &str| {
        let path = journal(host);
        let message = format!(
            "this machine's StackGuardian registration cannot be read from {}: {how}; nothing is concluded",
            path.display()
        );
        Err(ExchangeError::new(ErrorKind::Malformed, message))
    };
    match result {
        EffectResult::Program(Ok(output)) if output.status == Some(0) => {
            Ok(parse(&String::from_utf8_lossy(&output.stdout), &host.instance_id))
        }
        EffectResult::Program(Ok(_)) => refuse("the file is there, but not readable"),
        EffectResult::Program(Err(why)) => refuse(&super::excerpt(&why)),
        EffectResult::Http(_) | EffectResult::Clock(_) | EffectResult::Sign(_) => refuse("something else came instead"),
    }
}

/// Lines of the journal, oldest first. What another instance wrote (the image was made from a used machine) does not
/// count.
fn parse(text: &str, instance: &str) -> Registration {
    let mut found = Registration::default();
    let mut ours = false;
    for line in text.lines() {
        let (word, rest) = line.split_once([' ', '=']).unwrap_or((line, ""));
        match word {
            "begin" => {
                ours = rest == instance;
                let failures = if ours { found.failures } else { 0 };
                found = Registration { stage: Stage::Begun, failures, ..Registration::default() };
            }
            _ if !ours => {}
            "ECS_INSTANCE_ATTRIBUTES" => found.runner = runner_id(rest).or(found.runner),
            "registered" => found = Registration { stage: Stage::Registered, failures: 0, ..found },
            "gone" => found.stage = Stage::Over,
            "failed" => {
                found.stage = Stage::Over;
                found.failures += 1;
                rest.clone_into(&mut found.why);
            }
            _ => {}
        }
    }
    if ours { found } else { Registration::default() }
}

/// The runner's id among the attributes. The vendor's script writes `null` for an id that it did not get, and itself
/// accepts only letters, digits, `-` and `_` (sg-runner, main.sh).
fn runner_id(attributes: &str) -> Option<String> {
    let attributes: Value = serde_json::from_str(attributes).ok()?;
    let id = attributes.get("sg_runner_id")?.as_str()?;
    let valid = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    (valid && id != "null").then(|| id.to_owned())
}
