//! The scaler: raises a group's desired capacity when jobs wait, and nothing else.
//!
//! One tick of a pool reads its queue and its group at the same time, plans ([`lightsout_core::scaling::plan`]) and raises
//! if that is the plan. All pools tick at the same time and none waits for another: each has a deadline of its own, its
//! errors are its own, and one that is still busy sits out the next tick.

#![warn(clippy::expect_used)]

mod args;
mod check;
mod fleet;
mod hooks;
mod listener;
mod pool;
mod tokens;
mod world;

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
    rc::Rc,
};

use lightsout_core::settings::{PoolSettings, ScalerSettings};
use lightsout_io::{
    aws::Aws,
    files,
    group::{AwsGroup, Group},
    http::Driver,
    log, secrets,
};

use tokio::sync::mpsc;

use args::{Args, Verb};
use fleet::Fleet;
use hooks::Hooks;
use pool::Pool;
use tokens::Tokens;
use world::World;

/// Why the scaler stops without success.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// Nothing was tried: the arguments or the settings cannot work.
    #[error("{0}")]
    Refused(String),
    /// Something was tried and failed.
    #[error("{0}")]
    Failed(String),
}

/// Runs the scaler with these arguments, the program's name not among them.
///
/// Exits with 0 on success, 1 when a pool failed (`once`, `check`), 2 when the arguments or the settings cannot work.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let stopped = match args::parse(args) {
        Ok(args) => prepare(&args).and_then(|settings| run(&args, settings)),
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let (code, stop) = match stopped {
        Ok(()) => return ExitCode::SUCCESS,
        Err(stop @ Stop::Failed(_)) => (1, stop),
        Err(stop @ Stop::Refused(_)) => (2, stop),
    };
    eprintln!("lightsout-scaler: {stop}");
    ExitCode::from(code)
}

/// Reads and validates everything that can be wrong before the first call.
fn prepare(args: &Args) -> Result<ScalerSettings, Stop> {
    let refused = |error: &dyn Display| Stop::Refused(error.to_string());
    log::init(args.log_format, args.log.as_deref()).map_err(|error| refused(&error))?;
    let fragments = files::read(&args.config, "scaler").map_err(Stop::Refused)?;
    let mut settings = ScalerSettings::parse(&fragments).map_err(|problems| refused(&problems))?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    settings.tick = args.tick.unwrap_or(settings.tick);
    settings.pools = chosen(settings.pools, &args.pools).map_err(Stop::Refused)?;
    if args.verb == Verb::Once && settings.pools.iter().any(|pool| !pool.policy.cooldown.is_zero()) {
        tracing::warn!("a cooldown has no effect on `once`, which remembers nothing between two runs: use `watch`");
    }
    Ok(settings)
}

/// The pools of these names; all when there are none.
fn chosen(pools: Vec<PoolSettings>, names: &[String]) -> Result<Vec<PoolSettings>, String> {
    if let Some(unknown) = names.iter().find(|name| pools.iter().all(|pool| pool.name != **name)) {
        let known: Vec<_> = pools.iter().take(20).map(|pool| pool.name.as_str()).collect();
        let more = if pools.len() > known.len() { ", ..." } else { "" };
        return Err(format!("--pool {unknown}: there is no such pool; the settings have {}{more}", known.join(", ")));
    }
    Ok(pools.into_iter().filter(|pool| names.is_empty() || names.contains(&pool.name)).collect())
}

fn run(args: &Args, settings: ScalerSettings) -> Result<(), Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop::Failed(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let tokens = Tokens::new(|region, source| async move { secrets::resolve(&source, &Aws::new(region)).await });
        let driver = Driver::new(concat!("lightsout/", env!("CARGO_PKG_VERSION"), " (scaler)"));
        let mut world = World::new(driver, tokens, &settings, AwsGroup::new);
        world.dry_run = args.dry_run;
        act(args, settings, Rc::new(world)).await
    })
}

async fn act<G: Group + 'static>(args: &Args, settings: ScalerSettings, world: Rc<World<G>>) -> Result<(), Stop> {
    let pools = Pool::all(settings.pools);
    let count = pools.len();
    match args.verb {
        Verb::Check => check::check(&world, pools, |finding| print(args.log_format, finding, &finding.json())).await,
        Verb::Once => {
            let mut fleet = Fleet::new(world, pools);
            let failed = fleet.once(|record| print(args.log_format, record, &record.json())).await;
            tracing::debug!(pools = count, failed = failed.len(), "ticked once");
            summed_up(count, &failed)
        }
        Verb::Watch => {
            let stop = stopped().map_err(|error| Stop::Failed(format!("cannot listen for signals: {error}")))?;
            let (hints, hinted) = mpsc::channel(listener::HINTS);
            // It lives until the watching ends; so must the channel's sender where there is none.
            let _listening = match args.listen {
                Some(address) => {
                    let hooks = Hooks::resolve(&pools, &world.tokens).await.map_err(Stop::Failed)?;
                    Ok(listener::listen(address, hooks, hints).await.map_err(Stop::Failed)?)
                }
                None => Err(hints),
            };
            tracing::info!(pools = count, tick = ?settings.tick, dry_run = args.dry_run, "watching");
            let mut fleet = Fleet::new(world, pools);
            fleet.watch(settings.tick, hinted, stop, |record| print(args.log_format, record, &record.json())).await;
            tracing::info!("stopped");
            Ok(())
        }
    }
}

/// How many failures are printed in full.
const PRINTED: usize = 20;

fn summed_up(count: usize, failed: &[(String, String)]) -> Result<(), Stop> {
    if failed.is_empty() {
        return Ok(());
    }
    let mut lines = vec![format!("{} of {count} pools failed:", failed.len())];
    lines.extend(failed.iter().take(PRINTED).map(|(pool, error)| format!("{pool}: {error}")));
    if failed.len() > PRINTED {
        lines.push(format!("and {} more", failed.len() - PRINTED));
    }
    Err(Stop::Failed(lines.join("\n  ")))
}

/// Becomes ready at the first `SIGTERM` or `SIGINT`.
fn stopped() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

/// Prints one line. A reader that went away does not stop the scaler.
fn print(format: log::Format, text: &dyn Display, json: &str) {
    let mut out = io::stdout().lock();
    let written = match format {
        log::Format::Text => writeln!(out, "{text}"),
        log::Format::Json => writeln!(out, "{json}"),
    };
    if let Err(error) = written.and_then(|()| out.flush()) {
        tracing::debug!(%error, "nobody reads standard output");
    }
}
