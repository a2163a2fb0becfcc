//! What the agent counts, where somebody wants to know.

mod load;

use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lightsout_core::{
    agent::{
        Output, Status,
        action::Request,
        host::{HostEffect, HostResult},
    },
    cloud::Machine,
    metrics::{AgentMeter, Registry, cloud_reason, emf, platform_reason},
    settings::{AgentSettings, MetricsSettings, Prices},
};
use lightsout_io::metrics::{
    Metered, Server,
    otlp::{Exporter, Exporting},
    serve,
};
use tokio::task::JoinHandle;

use self::load::LoadWatch;
use crate::{
    boot::Part,
    clock::{Clock, unix_ms_now},
    input::Input,
};

/// How often CloudWatch's lines are written.
const LINES: Duration = Duration::from_secs(60);

/// Counts what the agent does; without anybody who wants to know, nothing.
#[derive(Clone, Default)]
pub(crate) struct Meter(Option<Arc<Counting>>);

struct Counting {
    clock: Clock,
    meter: Mutex<AgentMeter>,
    load: Mutex<LoadWatch>,
}

/// Everybody who shows what is counted.
pub(crate) struct Exporters {
    meter: Meter,
    server: Option<Server>,
    exporting: Option<Exporting>,
    writing: Option<JoinHandle<()>>,
}

impl Exporters {
    /// Begins to show, as the settings and OpenTelemetry's variables in the environment say.
    ///
    /// What cannot work is an error in the log, and the agent goes on without: no job depends on it.
    pub(crate) async fn start(
        settings: &AgentSettings,
        (instance, group, machine): (&str, Option<&str>, &Machine),
        clock: Clock,
    ) -> Self {
        let shown = settings.shown;
        let exporter = Exporter::new("lightsout-agent", instance, |name| std::env::var(name).ok());
        let exporter = exporter.inspect_err(|why| tracing::error!("metrics are not sent: {why}")).ok().flatten();
        if shown == MetricsSettings::default() && exporter.is_none() {
            return Self { meter: Meter::default(), server: None, exporting: None, writing: None };
        }
        let per_hour = settings.prices.as_ref().and_then(|prices| price(prices, machine));
        let counting = Arc::new(Counting {
            clock,
            meter: Mutex::new(AgentMeter::new(group.unwrap_or("unknown"), per_hour, shown.emf, clock.now())),
            load: Mutex::new(LoadWatch::new(&settings.state_dir)),
        });
        let server = match shown.listen {
            Some(address) => serve(address, Arc::clone(&counting) as Arc<dyn Metered>)
                .await
                .inspect_err(|why| tracing::error!("metrics are not shown: {why}"))
                .ok(),
            None => None,
        };
        let exporting = exporter.map(|exporter| exporter.spawn(Arc::clone(&counting) as Arc<dyn Metered>));
        let writing = shown.emf.then(|| {
            let counting = Arc::clone(&counting);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(LINES).await;
                    counting.write_lines();
                }
            })
        });
        Self { meter: Meter(Some(counting)), server, exporting, writing }
    }

    pub(crate) fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// Where Prometheus finds the page.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(|server| server.address)
    }

    /// Tells the last of it, for a moment at most: the instance is about to go.
    pub(crate) async fn finish(self) {
        if let (Some(writing), Some(counting)) = (self.writing, &self.meter.0) {
            writing.abort();
            counting.write_lines();
        }
        if let Some(exporting) = self.exporting {
            exporting.finish().await;
        }
    }
}

impl Meter {
    /// The agent is like this now. `ends`: the cloud has agreed to end the instance.
    pub(crate) fn saw(&self, status: &Status, ends: bool) {
        self.count(|meter, clock| meter.saw(status, ends, clock.now()));
    }

    /// What the agent is told may be a call that failed.
    pub(crate) fn on_input(&self, input: &Input) {
        let (source, reason) = match input {
            Input::Result(_, HostResult::Platform(Err(error))) => ("platform", platform_reason(error.kind)),
            Input::Result(_, HostResult::Cloud(Err(error))) => ("cloud", cloud_reason(error.kind)),
            Input::Result(..)
            | Input::Event(_)
            | Input::RunnerSaid(_)
            | Input::BeforeRegisterSaid(_)
            | Input::Sampled(..)
            | Input::Request(..)
            | Input::Reloaded(_) => {
                return;
            }
        };
        if let Some(reason) = reason {
            self.count(|meter, _| meter.failed(source, reason));
        }
    }

    /// What the agent wants may be the end of its jobs.
    pub(crate) fn on_output(&self, output: &Output, status: impl FnOnce() -> Status) {
        match output {
            // They are noted when they are about to be failed, and never otherwise.
            Output::Effect { effect: HostEffect::NoteJobs, .. } => self.count(|meter, _| meter.cuts(&status())),
            Output::Finished { request: Request::Abort { .. }, outcome } => {
                self.count(|meter, _| meter.abort_ended(outcome));
            }
            Output::Effect { .. } | Output::Reply { .. } | Output::Corrected(_) | Output::Finished { .. } => {}
        }
    }

    /// The instance is ready, after these parts of its boot.
    pub(crate) fn booted(&self, parts: &[Part]) {
        self.count(|meter, _| {
            let mut from = 0;
            for part in parts {
                meter.booted(&part.part, Duration::from_millis(part.until_ms.saturating_sub(from)));
                from = part.until_ms;
            }
        });
    }

    fn count(&self, what: impl FnOnce(&mut AgentMeter, Clock)) {
        if let Some(counting) = &self.0 {
            what(&mut counting.meter.lock().unwrap_or_else(PoisonError::into_inner), counting.clock);
        }
    }
}

impl Counting {
    fn write_lines(&self) {
        let mut lines = Vec::new();
        self.with(&mut |registry| {
            let pools: Vec<String> = registry.pools().map(str::to_owned).collect();
            lines = pools.iter().flat_map(|pool| emf::lines(registry, pool, unix_ms_now())).collect();
        });
        write_to(&mut io::stdout().lock(), &lines);
    }

    fn with(&self, at: &mut dyn FnMut(&mut Registry)) {
        let load = self.load.lock().unwrap_or_else(PoisonError::into_inner).look();
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.loaded(load);
        at(meter.at(self.clock.now()));
    }
}

/// What an hour of this machine costs.
fn price(prices: &Prices, machine: &Machine) -> Option<f64> {
    let per_hour = prices.per_hour(machine);
    if per_hour.is_none() {
        tracing::warn!("no metric says what this instance costs: {}", prices.lacks(machine));
    }
    per_hour
}

/// A full disk behind standard output, or a reader that went away, costs these lines and nothing else: `println!` would panic, and a
/// panic ends the agent.
fn write_to(out: &mut impl Write, lines: &[String]) {
    let written = lines.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush());
    if let Err(error) = written {
        tracing::debug!(%error, "nobody reads standard output");
    }
}

impl Metered for Counting {
    fn look(&self, at: &mut dyn FnMut(&Registry)) {
        self.with(&mut |registry| at(registry));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn lines_that_nobody_takes_do_not_end_the_agent() {
        // Each write to it fails with ENOSPC (full(4)).
        let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        write_to(&mut full, &["a line".to_owned()]);
        let mut taken = Vec::new();
        write_to(&mut taken, &["one".to_owned(), "two".to_owned()]);
        assert_eq!(taken, b"one\ntwo\n");
    }
}
