//! `lightsout-agent`: the daemon on the instance, and its operator's commands.

fn main() -> std::process::ExitCode {
    lightsout_agent::main(std::env::args_os().skip(1).collect())
}
