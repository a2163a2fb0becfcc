//! The scaler: raises a group's desired capacity when jobs wait, and nothing else.
//!
//! One tick of a pool reads its queue and its group at the same time, plans ([`lightsout_core::scaling::plan`]) and raises
//! if that is the plan. All pools tick at the same time and none waits for another: each has a deadline of its own, its
//! errors are its own, and one that is still busy sits out the next tick.

mod args;
mod check;
mod fleet;
mod hooks;
mod listener;
mod pool;
mod regions;
mod stop;
mod tokens;

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
    rc::Rc,
};

use lightsout_cloud::{PROVIDERS, Provider};
use lightsout_core::settings::{PoolSettings, ScalerSettings};
use lightsout_io::{files, http::Driver, log};
use tokio::sync::mpsc;

use args::{Args, Format, Options, Verb};
use fleet::Fleet;
use hooks::Hooks;
use pool::{Pool, TickContext};
use stop::{Stop, summed_up};
use tokens::Tokens;

/// The cloud of all pools: no setting names one yet.
const CLOUD: &Provider = PROVIDERS[0];

/// Runs the scaler with these arguments, the program's name not among them.
///
/// Exits with 0 on success, 1 when a pool failed (`once`, `check`), 2 when the arguments or the settings cannot work.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let stopped = match args::parse(args) {
        Ok(Args::Help) => {
            print!("{}", args::HELP);
            Ok(())
        }
        Ok(Args::Version) => {
            println!("lightsout-scaler {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Ok(Args::Run(options)) => prepare(&options).and_then(|settings| run(&options, settings)),
        Err(error) => Err(Stop::Refused(format!("{error}\nlightsout-scaler --help lists what can be said"))),
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
fn prepare(options: &Options) -> Result<ScalerSettings, Stop> {
    let refused = |error: &dyn Display| Stop::Refused(error.to_string());
    let log_format = match options.format {
        Format::Text => log::Format::Text,
        Format::Json => log::Format::Json,
    };
    log::init(log_format, options.log.as_deref()).map_err(|error| refused(&error))?;
    let fragments = files::read(&options.config, "scaler").map_err(Stop::Refused)?;
    let mut settings = ScalerSettings::parse(&fragments).map_err(|problems| refused(&problems))?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    settings.tick = options.tick.unwrap_or(settings.tick);
    settings.pools = chosen(settings.pools, &options.pools).map_err(Stop::Refused)?;
    if options.verb == Verb::Once && settings.pools.iter().any(|pool| !pool.policy.cooldown.is_zero()) {
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

fn run(options: &Options, settings: ScalerSettings) -> Result<(), Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop::Failed(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let tokens = Tokens::new(|region, source| async move { (CLOUD.secrets)(region).resolve(&source).await });
        let driver = Driver::new(concat!("lightsout/", env!("CARGO_PKG_VERSION"), " (scaler)"));
        let mut context = TickContext::new(driver, tokens, &settings, CLOUD.groups);
        context.dry_run = options.dry_run;
        act(options, settings, Rc::new(context)).await
    })
}

async fn act(options: &Options, settings: ScalerSettings, context: Rc<TickContext>) -> Result<(), Stop> {
    let pools = Pool::all(settings.pools);
    let count = pools.len();
    match options.verb {
        Verb::Check => check::check(&context, pools, |finding| print(options.format, finding, &finding.json())).await,
        Verb::Once => {
            let mut fleet = Fleet::new(context, pools);
            let failed = fleet.once(|record| print(options.format, record, &record.json())).await;
            tracing::debug!(pools = count, failed = failed.len(), "ticked once");
            summed_up(count, &failed)
        }
        Verb::Watch => {
            let stop = stopped().map_err(|error| Stop::Failed(format!("cannot listen for signals: {error}")))?;
            let (hints, hinted) = mpsc::channel(listener::HINTS);
            // It lives until the watching ends; so must the channel's sender where there is none.
            let _listening = match options.listen {
                Some(address) => {
                    let hooks = Hooks::resolve(&pools, &context.tokens).await.map_err(Stop::Failed)?;
                    Ok(listener::listen(address, hooks, hints).await.map_err(Stop::Failed)?)
                }
                None => Err(hints),
            };
            tracing::info!(pools = count, tick = ?settings.tick, dry_run = options.dry_run, "watching");
            let mut fleet = Fleet::new(context, pools);
            fleet.watch(settings.tick, hinted, stop, |record| print(options.format, record, &record.json())).await;
            tracing::info!("stopped");
            Ok(())
        }
    }
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
fn print(format: Format, text: &dyn Display, json: &str) {
    let mut out = io::stdout().lock();
    let written = match format {
        Format::Text => writeln!(out, "{text}"),
        Format::Json => writeln!(out, "{json}"),
    };
    if let Err(error) = written.and_then(|()| out.flush()) {
        tracing::debug!(%error, "nobody reads standard output");
    }
}
