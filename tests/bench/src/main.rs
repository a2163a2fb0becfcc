//! Measures what the README promises in numbers: the shipped release binaries, on a fleet of `lightsout up` that is
//! idle and on one that works. Prints a table and one line of JSON. Asserted is what does not depend on the machine, that a queue is read
//! whole and that nothing grows with the launches; and of the delays, which a slow machine has without a broken program, one alone: what the
//! agent takes itself until its runner is registered, a fifteenth of its bar when this was written.

mod cycle;
mod fleet;
mod function;
#[path = "../../fleet/rig/http.rs"]
mod http;
mod idle;
mod machine;
mod metered;
mod once;
mod platform;
mod played;
mod process;
mod queue;
mod report;
mod scaler;
mod simulated;
mod soak;

use std::{env, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};

use crate::{fleet::Programs, report::Report};

/// Measure the agent and the scaler on a fleet of this machine
#[derive(Parser)]
struct Args {
    /// Where `lightsout`, `lightsout-agent` and `lightsout-scaler` are [default: beside this program]
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,
    /// How often each delay is measured
    #[arg(long, value_name = "N", default_value_t = 9)]
    samples: usize,
    /// How long the idle fleet is watched, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    window: u64,
    /// How many pools the big scaler has
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pools: u32,
    /// How many instances a soak launches
    #[arg(long, value_name = "N", default_value_t = 1000)]
    launches: usize,
    /// Print the JSON only
    #[arg(long)]
    json: bool,
    /// What to measure [default: all but soak]
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The agent at rest and at work, and its delays; then with metrics on
    Idle,
    /// From a waiting job to the raise, from the idle timeout to the end
    Cycle,
    /// The scaler with one pool and with many, and from its start to a raise
    Scaler,
    /// The scaler as a Lambda function, beside the smallest one in Go
    Function,
    /// The queues of large organisations, 60 ms an answer
    Queue,
    /// A day of 100,000 jobs, simulated
    Simulate,
    /// The waits of the same jobs in a fleet and in the simulation
    Played,
    /// Many launches on one fleet: what its programs hold at the start and at the end
    Soak,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match measure(&args) {
        Ok(report) => {
            if !args.json {
                println!("{report}");
            }
            println!("{}", report.json());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether what is to be measured can be measured here, before minutes go into it.
fn within_reach(parts: &[Part], docker: Option<&str>) -> Result<()> {
    let containers = parts.is_empty() || parts.contains(&Part::Idle);
    ensure!(
        docker.is_some() || !containers,
        "`idle` measures jobs in containers, and no Docker engine answers `docker version` here: start one, or name the other parts: \
         cycle scaler function queue simulate played soak"
    );
    Ok(())
}

fn measure(args: &Args) -> Result<Report> {
    let bin = match &args.bin {
        Some(bin) => bin.clone(),
        None => env::current_exe()?.parent().context("this program is in no folder")?.to_owned(),
    };
    let programs = Programs::in_folder(&bin)?;
    let machine = machine::describe();
    within_reach(&args.parts, machine.docker.as_deref())?;
    let mut report = Report::new(machine);
    let chosen = |part: Part| args.parts.is_empty() || args.parts.contains(&part);
    if chosen(Part::Idle) {
        idle::measure(&programs, Duration::from_secs(args.window), args.samples, &mut report)?;
        metered::measure(&programs, Duration::from_secs(args.window), &mut report)?;
    }
    if chosen(Part::Cycle) {
        cycle::measure(&programs, args.samples, &mut report)?;
    }
    if chosen(Part::Scaler) {
        scaler::measure(&programs, args.pools, args.samples, &mut report)?;
    }
    if chosen(Part::Function) {
        function::measure(&programs, args.samples, &mut report)?;
    }
    if chosen(Part::Queue) {
        queue::measure(&programs, &mut report)?;
    }
    if chosen(Part::Simulate) {
        simulated::measure(&programs, args.samples, &mut report)?;
    }
    if chosen(Part::Played) {
        played::measure(&programs, &mut report)?;
    }
    if args.parts.contains(&Part::Soak) {
        soak::measure(&programs, args.launches, &mut report)?;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_engine_only_what_needs_one_is_refused_and_at_once() {
        for parts in [&[][..], &[Part::Scaler, Part::Idle]] {
            let refused = within_reach(parts, None).unwrap_err().to_string();
            assert!(refused.contains("no Docker engine answers") && refused.contains("soak"), "{refused}");
            assert!(within_reach(parts, Some("20.10.24")).is_ok());
        }
        assert!(within_reach(&[Part::Soak, Part::Queue], None).is_ok());
    }
}
