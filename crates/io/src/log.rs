//! Logging to standard error, as text for people and journals or as JSON for collectors.

mod journal;
mod recent;

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal, Write},
    sync::OnceLock,
};

use lightsout_core::record::MARK;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

pub use self::recent::{Said, recent};

/// How the lines of this process look.
static STYLE: OnceLock<Style> = OnceLock::new();

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people. Under systemd without time, and with the priority that the journal reads.
    #[default]
    Text,
    /// One flat object a line.
    Json,
}

impl std::str::FromStr for Format {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(LogError(format!("there is no log format {other}: write text or json"))),
        }
    }
}

/// Why logging cannot be set up, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LogError(String);

/// Sets up logging for the whole process. `level` is a level (`debug`) or a list such as `info,lightsout_io=debug`; without
/// one, `LIGHTSOUT_LOG` decides, then `RUST_LOG`, then `info`. Libraries below us stay at `warn` unless named.
///
/// # Errors
/// When the level cannot be read, or logging is set up already.
pub fn init(format: Format, level: Option<&str>) -> Result<(), LogError> {
    let (from, level) = match level {
        Some(level) => ("--log", level.to_owned()),
        None => ["LIGHTSOUT_LOG", "RUST_LOG"]
            .into_iter()
            .find_map(|name| Some((name, env::var(name).ok().filter(|value| !value.is_empty())?)))
            .unwrap_or(("the default", "info".to_owned())),
    };
    let targets = targets(&level).map_err(|why| LogError(format!("{from}: {why}")))?;
    let style = Style {
        format,
        journal: env::var_os("JOURNAL_STREAM").is_some(),
        colour: io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none(),
    };
    Registry::default()
        .with(layer(style, io::stderr).with_filter(targets))
        .with(recent::Recent.with_filter(LevelFilter::WARN))
        .try_init()
        .map_err(|_| LogError("logging is set up already".into()))?;
    let _ = STYLE.set(style);
    Ok(())
}

/// Writes a record to the log, whatever its level: behind [`MARK`], by which the journal can be searched, or as it is among lines of JSON.
pub fn record(json: &str) {
    let line = record_line(STYLE.get(), json);
    // Where nobody reads, nobody misses it.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Says why the program ends: a person reads `PROGRAM: why`; the journal, and who collects JSON, get a line of the log.
pub(crate) fn end(program: &str, why: &dyn Display) {
    match STYLE.get() {
        Some(Style { format: Format::Json, .. } | Style { journal: true, .. }) => tracing::error!("{why}"),
        // Where nobody reads, nobody misses it.
        Some(_) | None => drop(writeln!(io::stderr(), "{program}: {why}")),
    }
}

fn record_line(style: Option<&Style>, json: &str) -> String {
    match style {
        Some(Style { format: Format::Json, .. }) => format!("{json}\n"),
        Some(Style { journal: true, .. }) => format!("<6>{MARK} {json}\n"),
        Some(_) | None => format!("{MARK} {json}\n"),
    }
}

/// What is known about where the lines go.
#[derive(Clone, Copy)]
struct Style {
    format: Format,
    journal: bool,
    colour: bool,
}

/// Libraries that tell more than anyone asked for, by the beginning of their targets.
const NOISY: [&str; 6] = ["aws_", "bollard", "hyper", "reqwest", "rustls", "h2"];

fn targets(text: &str) -> Result<Targets, String> {
    let bad = || {
        format!(
            "{text:?} is no level: write error, warn, info, debug, trace or off, or a list such as info,lightsout_io=debug"
        )
    };
    // A word alone would be taken for a target.
    if text.split(',').any(|part| !part.contains('=') && part.trim().parse::<LevelFilter>().is_err()) {
        return Err(bad());
    }
    let requested: Targets = text.parse().map_err(|_| bad())?;
    let quiet = NOISY.map(|name| (name, LevelFilter::WARN));
    let base = requested.default_level().unwrap_or(LevelFilter::INFO);
    let quiet = quiet.map(|(name, level)| (name, level.min(base)));
    Ok(Targets::new().with_default(base).with_targets(quiet).with_targets(requested.iter()))
}

fn layer<S, W>(style: Style, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    match style.format {
        Format::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(writer)
            .boxed(),
        Format::Text if style.journal => {
            fmt::layer().with_writer(writer).with_ansi(false).event_format(journal::Journal::new()).boxed()
        }
        Format::Text => fmt::layer().compact().with_writer(writer).with_ansi(style.colour).with_target(false).boxed(),
    }
}

#[cfg(test)]
mod tests;
