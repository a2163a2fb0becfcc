//! `lightsout-doctor`: what `lightsout-agent doctor` becomes.

fn main() -> std::process::ExitCode {
    lightsout_agent::doctor(std::env::args_os().skip(1).collect())
}
