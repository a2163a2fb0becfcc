//! The program `lightsout`.

use std::process::ExitCode;

fn main() -> ExitCode {
    lightsout::main()
}
