//! `lightsout-scaler`: raises the desired capacity when jobs wait, once or for as long as it runs.

fn main() -> std::process::ExitCode {
    lightsout_scaler::main(std::env::args_os().skip(1).collect())
}
