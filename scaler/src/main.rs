//! The shipped scaler.

fn main() -> std::process::ExitCode {
    lightsout_scaler::main(std::env::args_os().skip(1).collect())
}
