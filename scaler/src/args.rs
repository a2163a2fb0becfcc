//! The arguments of `lightsout-scaler`, and what `--help` says of them.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind};
use lightsout_io::{
    command_line::{LogArgs, duration_within, metrics_address},
    log::Format,
};

/// Raises the desired capacity of Auto Scaling groups when CI jobs wait for them. It never lowers anything.
#[derive(Debug, PartialEq, Eq, Parser)]
#[command(
    name = "lightsout-scaler",
    version,
    override_usage = "lightsout-scaler once|watch|check [OPTIONS]",
    after_help = "Exit codes: 0 success, 1 a pool failed, 2 the arguments or the settings cannot work"
)]
pub(crate) struct Args {
    /// What to do
    #[arg(value_enum, value_name = "once|watch|check")]
    pub(crate) verb: Verb,
    /// Settings: a file, or a folder of *.toml; may be repeated, later ones win
    ///
    /// Without it: /etc/lightsout/scaler.toml, then /etc/lightsout/scaler.d/*.toml
    #[arg(short, long, value_name = "PATH", env = "LIGHTSOUT_SCALER_CONFIG")]
    pub(crate) config: Vec<PathBuf>,
    /// Only this pool; may be repeated
    #[arg(long = "pool", value_name = "NAME")]
    pub(crate) pools: Vec<String>,
    /// Decide and report, but change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// The pause between two ticks of watch, such as 10s (over the settings)
    #[arg(long, value_name = "DURATION", value_parser = duration_within(Duration::from_secs(1), Duration::from_secs(3600)))]
    pub(crate) tick: Option<Duration>,
    /// With watch: accept webhooks at http://ADDR/hooks/POOL, such as 127.0.0.1:8080, and show a live page
    ///
    /// Each webhook is a hint that makes the pool tick at once. Put a proxy with TLS before it. Where the page is, the log says: its address has a token,
    /// unless it is loopback's and no pool has a webhook.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,
    /// With watch: show metrics to Prometheus at http://ADDR/metrics; a port alone is loopback's (over the settings)
    ///
    /// With --listen, at its address as well: let the proxy pass /hooks/ only.
    #[arg(long, value_name = "ADDR", value_parser = metrics_address)]
    pub(crate) metrics: Option<SocketAddr>,
    /// Print a line in CloudWatch's embedded metric format after each record, too
    #[arg(long)]
    pub(crate) emf: bool,
    /// With once: a file in which it keeps what makes the next run cheaper
    ///
    /// The pages of the queue that need not be read again, and until when a platform wishes to be left alone. It may be lost at any time.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Print one JSON object a line for each record or finding, however log lines look
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verb {
    /// One tick of every pool
    Once,
    /// A tick of every pool again and again, until SIGTERM or SIGINT
    Watch,
    /// Read settings, groups and queues, say what is wrong or doubtful, and change nothing
    Check,
}

impl Args {
    /// How what it prints on standard output looks.
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.log.log_format }
    }
}

/// Reads the arguments, without the program's own name.
pub(crate) fn parse(args: Vec<OsString>) -> Result<Args, clap::Error> {
    let args = Args::try_parse_from(std::iter::once(OsString::from(crate::NAME)).chain(args))?;
    if args.state.is_some() && args.verb != Verb::Once {
        return Err(Args::command().error(ErrorKind::ArgumentConflict, "--state goes with once only"));
    }
    for (flag, given) in
        [("--tick", args.tick.is_some()), ("--listen", args.listen.is_some()), ("--metrics", args.metrics.is_some())]
    {
        if given && args.verb != Verb::Watch {
            return Err(Args::command().error(ErrorKind::ArgumentConflict, format!("{flag} goes with watch only")));
        }
    }
    Ok(args)
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write an address with its port, such as 127.0.0.1:8080 or [::]:8080")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Args, clap::Error> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn reads_everything() {
        let line = "watch --config a.toml -c b --pool x --pool y --dry-run --tick 2s --listen 127.0.0.1:0 --metrics 9464 --emf --log-format json --log debug";
        let expected = Args {
            verb: Verb::Watch,
            config: vec!["a.toml".into(), "b".into()],
            pools: vec!["x".into(), "y".into()],
            dry_run: true,
            tick: Some(Duration::from_secs(2)),
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            metrics: Some(SocketAddr::from(([127, 0, 0, 1], 9464))),
            emf: true,
            state: None,
            json: false,
            log: LogArgs { log: Some("debug".into()), log_format: Format::Json },
        };
        assert_eq!(parsed(line).unwrap(), expected);
        assert_eq!(parsed(&line.replace("--log-format", "--format")).unwrap(), expected, "its former name");
        assert_eq!(parsed("once --state x").unwrap().state, Some("x".into()));
        assert_eq!(parsed("-n --config a once").unwrap(), parsed("once --config a --dry-run").unwrap(), "in any order");
    }

    #[test]
    fn help_and_version_are_no_errors() {
        for line in ["--help", "once -h", "--version", "-V"] {
            let shown = parsed(line).unwrap_err();
            assert!(!shown.use_stderr(), "{line}: {shown}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (line, message) in [
            ("", "<once|watch|check>"),
            ("lower", "invalid value 'lower' for '<once|watch|check>'\n  [possible values: once, watch, check]"),
            ("once watch", "unexpected argument 'watch'"),
            ("once --force", "unexpected argument '--force'"),
            ("once --pol x", "'--pool'"),
            ("once --config", "a value is required for '--config <PATH>'"),
            (
                "watch --log-format xml",
                "'xml' for '--log-format <FORMAT>': there is no log format xml: write text or json",
            ),
            ("once --tick 5s", "--tick goes with watch only"),
            ("watch --state x", "--state goes with once only"),
            ("check --listen 127.0.0.1:1", "--listen goes with watch only"),
            ("once --metrics 9464", "--metrics goes with watch only"),
            (
                "watch --metrics localhost",
                "'localhost' for '--metrics <ADDR>': write an address with its port, such as 127.0.0.1:9464",
            ),
            (
                "watch --listen 8080",
                "'8080' for '--listen <ADDR>': write an address with its port, such as 127.0.0.1:8080",
            ),
            ("watch --tick 2h", "'2h' for '--tick <DURATION>': write a duration from 1s to 1h"),
            (
                "watch --tick 10",
                "'10' for '--tick <DURATION>': not a duration; write a number with its unit, such as \"90s\"",
            ),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.use_stderr() && error.to_string().contains(message), "{line}: {error}");
        }
    }
}
