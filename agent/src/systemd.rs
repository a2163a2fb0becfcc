//! Asking systemd, through its own programs.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use lightsout_core::{duration::not_within, exchange::Text};

/// Runs one of systemd's programs; what it prints.
///
/// # Errors
/// When it cannot be run, does not answer in time, or says no.
pub(crate) async fn ask(program: &str, arguments: Vec<String>, within: Duration) -> Result<String, String> {
    let asked = [program].into_iter().chain(arguments.first().map(String::as_str)).collect::<Vec<_>>().join(" ");
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    // What it says to systemd about itself must not be taken for our word.
    for name in ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"] {
        command.env_remove(name);
    }
    let output = match tokio::time::timeout(within, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("{program} cannot be run: {error}")),
        Err(_) => {
            return Err(not_within(
                format!("{asked} did not answer"),
                within,
                "systemctl list-jobs shows what systemd is busy with",
            ));
        }
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program}: {}: {}", output.status, said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// An argument in which systemd finds no variable to expand (systemd.service(5), "Command lines").
pub(crate) fn unexpanded(argument: &str) -> String {
    argument.replace('$', "$$")
}

/// The contents of a file for `EnvironmentFile=` (systemd.exec(5)).
pub(crate) fn environment_file(variables: &BTreeMap<String, Text>) -> String {
    variables.iter().map(|(name, value)| format!("{name}={}\n", quoted(value.expose()))).collect()
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('`', "\\`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_hangs_is_not_waited_for() {
        let error = ask("sleep", vec!["30".into()], Duration::from_millis(50)).await.unwrap_err();
        assert!(error.contains("did not answer"), "{error}");
    }
}
