//! The command line.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use lexopt::prelude::*;
use lightsout_core::duration::{format_duration, parse_duration};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Raises the desired capacity of Auto Scaling groups when CI jobs wait for them. It never lowers anything.

Usage: lightsout-scaler once|watch|check [OPTIONS]

  once    One tick of every pool; exits with 1 when any pool failed
  watch   A tick of every pool again and again, until SIGTERM or SIGINT
  check   Reads settings, groups and queues, says what is wrong or doubtful, and changes nothing

Options:
  --config PATH    A file of settings, or a directory of *.toml files; may be repeated, later ones win
                   [default: /etc/lightsout/scaler.toml, then /etc/lightsout/scaler.d/*.toml]
  --pool NAME      Only this pool; may be repeated
  --dry-run        Decide and report, but change nothing
  --tick DURATION  The pause between two ticks of watch, such as 10s (over the settings)
  --listen ADDR    With watch: accept webhooks at http://ADDR/hooks/POOL, such as 127.0.0.1:8080; each is a hint that
                   makes the pool tick at once. Put a proxy with TLS before it
  --format FORMAT  Records on standard output, logs on standard error: text or json [default: text]
  --log LEVEL      error, warn, info, debug, trace, or a list such as info,lightsout_io=debug
  --version        Print the version
  --help           Print this

Exit codes: 0 success, 1 a pool failed, 2 the arguments or the settings cannot work
";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Args {
    /// The help.
    Help,
    /// The version.
    Version,
    /// Work.
    Run(Options),
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// One tick.
    Once,
    /// Tick after tick.
    Watch,
    /// Only look.
    Check,
}

/// How standard output looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// How to do it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) verb: Verb,
    /// Empty: the usual places.
    pub(crate) config: Vec<PathBuf>,
    /// Empty: all.
    pub(crate) pools: Vec<String>,
    pub(crate) dry_run: bool,
    pub(crate) tick: Option<Duration>,
    /// Where to accept webhooks.
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) format: Format,
    pub(crate) log: Option<String>,
}

/// Reads the arguments.
pub(crate) fn parse(args: Vec<OsString>) -> Result<Args, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut verb = None;
    let (mut config, mut pools, mut dry_run, mut tick) = (Vec::new(), Vec::new(), false, None);
    let (mut format, mut log, mut listen) = (Format::default(), None, None);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Args::Help),
            Short('V') | Long("version") => return Ok(Args::Version),
            Short('c') | Long("config") => config.push(PathBuf::from(parser.value()?)),
            Long("pool") => pools.push(parser.value()?.string()?),
            Short('n') | Long("dry-run") => dry_run = true,
            Long("tick") => tick = Some(parser.value()?.parse_with(tick_of)?),
            Long("listen") => listen = Some(parser.value()?.parse_with(address_of)?),
            Long("format") => {
                format = parser.value()?.parse_with(|text| match text {
                    "text" => Ok(Format::Text),
                    "json" => Ok(Format::Json),
                    _ => Err("write text or json"),
                })?;
            }
            Long("log") => log = Some(parser.value()?.string()?),
            Value(word) if verb.is_none() => {
                verb = Some(match word.to_str() {
                    Some("once") => Verb::Once,
                    Some("watch") => Verb::Watch,
                    Some("check") => Verb::Check,
                    _ => {
                        let word = word.to_string_lossy();
                        return Err(format!("there is no command {word}: write once, watch or check").into());
                    }
                });
            }
            other => return Err(other.unexpected()),
        }
    }
    let verb = verb.ok_or("what to do is missing: write once, watch or check")?;
    if tick.is_some() && verb != Verb::Watch {
        return Err("--tick goes with watch only".into());
    }
    if listen.is_some() && verb != Verb::Watch {
        return Err("--listen goes with watch only".into());
    }
    Ok(Args::Run(Options { verb, config, pools, dry_run, tick, listen, format, log }))
}

fn address_of(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "an address with its port, such as 127.0.0.1:8080 or [::]:8080")
}

fn tick_of(text: &str) -> Result<Duration, String> {
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(3600));
    let tick = parse_duration(text).map_err(|error| error.to_string())?;
    if (least..=most).contains(&tick) {
        return Ok(tick);
    }
    Err(format!("a tick is from {} to {}", format_duration(least), format_duration(most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Args, String> {
        parse(line.split_whitespace().map(OsString::from).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_everything() {
        let line = "watch --config a.toml -c b --pool x --pool y --dry-run --tick 2s --listen 127.0.0.1:0 --format json --log debug";
        assert_eq!(
            parsed(line),
            Ok(Args::Run(Options {
                verb: Verb::Watch,
                config: vec!["a.toml".into(), "b".into()],
                pools: vec!["x".into(), "y".into()],
                dry_run: true,
                tick: Some(Duration::from_secs(2)),
                listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
                format: Format::Json,
                log: Some("debug".into()),
            }))
        );
        assert_eq!(parsed("once --help"), Ok(Args::Help));
        assert_eq!(parsed("--version"), Ok(Args::Version));
    }

    #[test]
    fn says_what_is_wrong() {
        for (line, message) in [
            ("", "what to do is missing: write once, watch or check"),
            ("lower", "there is no command lower: write once, watch or check"),
            ("once watch", "unexpected argument \"watch\""),
            ("once --force", "invalid option '--force'"),
            ("once --config", "missing argument for option '--config'"),
            ("watch --format xml", "cannot parse argument \"xml\": write text or json"),
            ("once --tick 5s", "--tick goes with watch only"),
            ("check --listen 127.0.0.1:1", "--listen goes with watch only"),
            (
                "watch --listen 8080",
                "cannot parse argument \"8080\": an address with its port, such as 127.0.0.1:8080 or [::]:8080",
            ),
            ("watch --tick 2h", "cannot parse argument \"2h\": a tick is from 1s to 1h"),
            (
                "watch --tick 10",
                "cannot parse argument \"10\": not a duration; write a number with its unit, such as \"90s\", \"10m\" or \"2h30m\"",
            ),
        ] {
            assert_eq!(parsed(line), Err(message.to_owned()), "{line}");
        }
    }
}
