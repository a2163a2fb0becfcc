//! The scaler: raises a group's desired capacity when jobs wait, and nothing else.
//!
//! One tick of a pool reads its queue and its group at the same time, plans ([`lightsout_core::scaling::plan`]) and raises
//! if that is the plan. All pools tick at the same time and none waits for another: each has a deadline of its own, its
//! errors are its own, and one that is still busy sits out the next tick.

#![warn(clippy::expect_used)]

mod args;
mod call_permits;
mod check;
mod custom_handler;
mod function;
mod lambda;
mod listener;
mod memory;
mod meter;
mod page;
mod pool;
mod regions;
mod scheduler;
mod tokens;
mod trouble;
mod webhooks;

#[cfg(test)]
mod tests;

use std::{
    env,
    ffi::OsString,
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
    rc::Rc,
    sync::Arc,
};

use lightsout_cloud::{Groups, provider};
use lightsout_core::{
    duration::format_duration,
    record::Decision,
    settings::{Location, MetricsSettings, PoolSettings, ScalerSettings},
};
use lightsout_io::{
    command_line::{self, Failure, runtime},
    files,
    http::Driver,
    log::Format,
    metrics::{self, otlp::Exporter},
};
use tokio::sync::mpsc;

use args::{Args, Verb};
use listener::{Endpoints, Limits};
use memory::Memory;
use meter::Meter;
use page::{PageData, ServedPage, look_on};
use pool::{Pool, TickContext};
use scheduler::Scheduler;
use tokens::Tokens;
use trouble::summarize;
use webhooks::{RENEW_EVERY, Webhooks};

const NAME: &str = "lightsout-scaler";

/// The groups of a location.
fn groups(location: Location) -> Box<dyn Groups> {
    (provider(location.cloud).groups)(location)
}

/// The secrets of pools, each from the cloud whose store it is in.
fn tokens() -> Tokens {
    Tokens::new(|region, source| async move { lightsout_cloud::resolve(region, &source).await })
}

/// The command line, for its manual pages and completions.
pub fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the scaler with these arguments, the program's name not among them.
///
/// Without arguments, where Lambda or the host of Azure Functions started it, it serves invocations (docs/lambda.md, docs/azure.md). Else it exits with 0 on success, 1 when a pool failed or was read in part (`once`, `check`), 2 when the arguments or the settings cannot work.
pub fn main(args: Vec<OsString>) -> ExitCode {
    if args.is_empty() {
        if let Ok(address) = env::var(lambda::RUNTIME_API) {
            return lambda::main(&address);
        }
        if let Ok(port) = env::var(custom_handler::PORT) {
            return custom_handler::main(&port);
        }
    }
    command_line::run(NAME, args::parse(args), |args| {
        let settings = read_settings(&args)?;
        run(&args, settings).map(|()| ExitCode::SUCCESS)
    })
}

/// Reads and validates everything that can be wrong before the first call.
fn read_settings(args: &Args) -> Result<ScalerSettings, Failure> {
    args.log.init()?;
    let fragments = files::read(&args.config, "scaler").map_err(Failure::Refused)?;
    let mut settings = ScalerSettings::parse_with(&fragments, &files::zone).map_err(Failure::refused)?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    settings.tick = args.tick.unwrap_or(settings.tick);
    settings.metrics.listen = args.metrics.or(settings.metrics.listen);
    settings.metrics.emf |= args.emf;
    settings.pools = chosen(settings.pools, &args.pools).map_err(Failure::Refused)?;
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

fn run(args: &Args, settings: ScalerSettings) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let driver = Driver::new(concat!("lightsout/", env!("CARGO_PKG_VERSION"), " (scaler)"));
        let mut context = TickContext::new(driver, tokens(), &settings, groups);
        let exporter = exporter(args);
        let MetricsSettings { listen, emf } = settings.metrics;
        if args.verb != Verb::Check && (emf || exporter.is_some() || (listen.is_some() && args.verb == Verb::Watch)) {
            context.meter = Meter::new(&settings.pools, emf);
        }
        context.dry_run = args.dry_run || args.verb == Verb::Check;
        context.carries = args.verb == Verb::Watch;
        if args.verb == Verb::Once {
            context.only_once(settings.pools.len());
        }
        let exporting = exporter.zip(context.meter.metered()).map(|(exporter, metered)| exporter.spawn(metered));
        let result = execute(args, settings, Rc::new(context)).await;
        if let Some(exporting) = exporting {
            exporting.finish().await;
        }
        result
    })
}

async fn execute(args: &Args, settings: ScalerSettings, context: Rc<TickContext>) -> Result<(), Failure> {
    let pools = Pool::all(settings.pools);
    let count = pools.len();
    let meter = context.meter.clone();
    let done = |record: &Decision| say(args.format(), record, &meter);
    match args.verb {
        Verb::Check => check::check(&context, pools, |finding| print(args.format(), finding, &finding.json())).await,
        Verb::Once => {
            let mut scheduler = Scheduler::new(context, pools);
            if let Some(path) = &args.state {
                scheduler.recall(&Memory::read(path).pools);
            }
            let failed = scheduler.once(done).await;
            if let Some(path) = &args.state {
                Memory::of(scheduler.memory()).write(path);
            }
            tracing::debug!(pools = count, failed = failed.len(), "ticked once");
            summarize(count, &failed)
        }
        Verb::Watch => {
            let stop = stop_signal().map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
            // Both live until the watching ends.
            let metered = meter.metered().filter(|_| settings.metrics.listen.is_some());
            let _page = match settings.metrics.listen.zip(metered.clone()) {
                Some((address, metered)) => metrics::serve(address, metered)
                    .await
                    .inspect_err(|why| tracing::error!("metrics are not shown: {why}"))
                    .ok(),
                None => None,
            };
            let (hints, hinted) = mpsc::channel(listener::MAX_HINTS);
            let mut webhooks = Arc::new(Webhooks::default());
            let (mut kept, mut shown) = (None, None);
            // It lives until the watching ends; so must the channel's sender where there is none.
            let of_pools: Vec<_> = pools.iter().map(|pool| Rc::clone(&pool.settings)).collect();
            let _listener = match args.listen {
                Some(address) => {
                    webhooks = Arc::new(Webhooks::resolve(&of_pools, &context.tokens).await.map_err(Failure::Failed)?);
                    let listener = listener::bind(address).await.map_err(Failure::Failed)?;
                    let address = listener.local_addr().unwrap_or(address);
                    if webhooks.is_empty() {
                        tracing::info!(%address, "no pool has a webhook: there is the page alone");
                    } else {
                        tracing::info!(%address, "listening for webhooks");
                    }
                    let records = kept.insert(PageData::default()).clone();
                    // No raise depends on it.
                    shown = ServedPage::start(address, !webhooks.is_empty(), records)
                        .inspect(|shown| tracing::info!(at = shown.link, "live page"))
                        .inspect_err(|error| tracing::error!(%error, "the page is not shown"))
                        .ok();
                    let page = shown.as_ref().map(|shown| shown.page.clone());
                    let offer = Endpoints { webhooks: Arc::clone(&webhooks), hints, metered, page };
                    Ok(listener::listen(listener, offer, Limits::default()))
                }
                None => Err(hints),
            };
            let done = |record: &Decision| {
                if let Some(kept) = &kept {
                    kept.keep(record);
                }
                done(record);
            };
            tracing::info!(pools = count, tick = format_duration(settings.tick), dry_run = args.dry_run, "watching");
            let mut scheduler = Scheduler::new(Rc::clone(&context), pools);
            let looking = async {
                match shown.as_ref().and(kept.clone()) {
                    Some(kept) => look_on(kept, &context.regions, of_pools, settings.tick).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = scheduler.watch(settings.tick, hinted, stop, done) => {}
                never = looking => match never {},
                never = webhooks.keep_fresh(&context.tokens, RENEW_EVERY) => match never {},
            }
            if let Some(shown) = shown {
                shown.finish().await;
            }
            tracing::info!("stopped");
            Ok(())
        }
    }
}

/// Who sends metrics by OTLP, where the environment names an endpoint. What cannot work is an error in the log, and the scaler goes on
/// without: the variables may be another program's, and no raise depends on them.
fn exporter(args: &Args) -> Option<Exporter> {
    // Its runs have no rate of anything, and the next one begins at 0.
    if args.verb == Verb::Check {
        return None;
    }
    let instance = format!("{}/{}", env::var("HOSTNAME").unwrap_or_default(), std::process::id());
    let exporter = Exporter::new(NAME, &instance, |name| env::var(name).ok());
    exporter.inspect_err(|why| tracing::error!("metrics are not sent: {why}")).ok().flatten()
}

/// Becomes ready at the first `SIGTERM` or `SIGINT`.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

/// Prints a record, and the metrics' lines after it.
fn say(format: Format, record: &Decision, meter: &Meter) {
    print(format, record, &record.json());
    for line in meter.lines(&record.pool) {
        print(Format::Json, &"", &line);
    }
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
