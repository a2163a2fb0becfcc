//! The environment of the processes that a fleet starts: nothing of it may reach a real cloud.

use std::env;

use tokio::process::Command;

use crate::processes::{MACHINE_ENV, ProcessScope};

/// Variables of the caller that would lead a child elsewhere than to the embedded cloud, or let it talk to the
/// caller's own supervisor.
const FOREIGN: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// Prepares a child that belongs to `scope` and sees the embedded cloud as its only cloud.
pub(super) fn prepare(command: &mut Command, scope: &ProcessScope, cloud: &str, region: &str) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_foreign) {
            command.env_remove(name);
        }
    }
    command
        .env(MACHINE_ENV, scope.value())
        .env("AWS_ENDPOINT_URL", cloud)
        .env("AWS_REGION", region)
        .env("AZURE_RESOURCE_MANAGER_ENDPOINT", cloud)
        .env("AZURE_AUTHORITY_HOST", cloud)
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("NO_PROXY", "127.0.0.1,localhost");
}

fn is_foreign(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    ["AWS_", "AZURE_", "IDENTITY_", "MSI_"].iter().any(|of_a_cloud| name.starts_with(of_a_cloud))
        || upper.ends_with("_PROXY")
        || FOREIGN.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_detours_stay_out() {
        for name in [
            "AWS_PROFILE",
            "AWS_ENDPOINT_URL_AUTO_SCALING",
            "AWS_ACCESS_KEY_ID",
            "AZURE_CLIENT_SECRET",
            "IDENTITY_ENDPOINT",
            "HTTP_PROXY",
            "https_proxy",
            "NOTIFY_SOCKET",
        ] {
            assert!(is_foreign(name), "{name}");
        }
        for name in ["PATH", "HOME", "DOCKER_HOST", "RUST_LOG"] {
            assert!(!is_foreign(name), "{name}");
        }
    }
}
