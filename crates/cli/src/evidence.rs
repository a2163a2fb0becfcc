//! What was written down of a fleet, wherever it lies: files, standard input, log groups, the fleet that runs here.

pub(crate) mod files;
pub(crate) mod fleet;

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use jiff::Timestamp;
use lightsout_core::{explain::Evidence, record::Record};

use crate::fleet_dir::FleetDir;

/// Where to read; by default, what the fleet that runs here has said.
#[derive(Clone, Default, clap::Args)]
pub(crate) struct Places {
    /// Read these files instead of asking the fleet that runs here; `-` is standard input
    #[arg(long, visible_alias = "from", value_name = "FILE", num_args = 1..)]
    records: Vec<PathBuf>,
    /// Read these groups of CloudWatch Logs, with the credentials and the region of the environment
    #[arg(long = "log-group", value_name = "NAME", num_args = 1..)]
    log_groups: Vec<String>,
    /// The region of the log groups [default: the environment's]
    #[arg(long, requires = "log_groups")]
    region: Option<String>,
}

/// What was gathered.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) evidence: Vec<Evidence>,
    /// Lines that are none.
    pub(crate) others: usize,
}

impl Places {
    /// Whether it is the fleet that runs here, as nothing else is named.
    pub(crate) fn are_the_fleet(&self) -> bool {
        self.log_groups.is_empty() && self.records.is_empty()
    }

    /// Whether what is older than the time asked about is left unread.
    pub(crate) fn reads_log_groups(&self) -> bool {
        !self.log_groups.is_empty()
    }

    /// Whether standard input is among them, which can be read once alone.
    pub(crate) fn reads_input(&self) -> bool {
        self.records.iter().any(|path| path.as_os_str() == "-")
    }

    /// All evidence that lies there; of log groups what is from `since` before `now`.
    ///
    /// # Errors
    ///
    /// When something cannot be read, or `command` finds no record in it.
    pub(crate) async fn gather(
        &self,
        command: &str,
        fleet_dir: &FleetDir,
        since: Duration,
        now: Timestamp,
    ) -> Result<Gathered> {
        let gathered = self.read(fleet_dir, since, now).await?;
        if gathered.evidence.is_empty() {
            bail!(
                "no record is among the {} lines that were read; `lightsout {command} --help` says what may be",
                gathered.others
            );
        }
        Ok(gathered)
    }

    /// The same, also where it is nothing.
    ///
    /// # Errors
    ///
    /// When something cannot be read.
    pub(crate) async fn read(&self, fleet_dir: &FleetDir, since: Duration, now: Timestamp) -> Result<Gathered> {
        let mut gathered =
            if self.are_the_fleet() { fleet::gather(fleet_dir).await? } else { files::gather(&self.records)? };
        for group in &self.log_groups {
            self.logged(&mut gathered, group, since, now).await?;
        }
        Ok(gathered)
    }

    /// Reads a log group, from so long before `now`.
    async fn logged(&self, gathered: &mut Gathered, group: &str, since: Duration, now: Timestamp) -> Result<()> {
        let to_ms = now.as_millisecond();
        let from_ms = to_ms.saturating_sub(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        let messages = lightsout_cloud::logged(self.region.clone(), group, (from_ms, to_ms)).await?;
        for (number, message) in messages.iter().enumerate() {
            files::read(gathered, &format!("{group} event {}", number + 1), message.as_bytes(), now);
        }
        Ok(())
    }
}

impl Gathered {
    /// The records among the evidence.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.evidence.iter().filter_map(|it| it.said.record()).collect()
    }
}
