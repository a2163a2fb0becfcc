//! The fleet's records, all in one file: the scaler's decisions as it prints them, the agents' as they stand in their logs.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File, OpenOptions},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use lightsout_core::record::Record;
use tokio::{sync::oneshot, task::JoinHandle};

use super::ended_logs::LOG;
use crate::fleet_dir::FleetDir;

/// How often the logs are looked at.
const PAUSE: Duration = Duration::from_millis(250);
/// How large the file may become; then it is put aside, in the place of the one before.
const LARGEST: u64 = 16 << 20;

/// Adds a record, as one line.
pub(super) fn append(fleet_dir: &FleetDir, record: &str) -> io::Result<()> {
    append_within(&fleet_dir.records(), record, LARGEST)
}

fn append_within(path: &Path, record: &str, largest: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    if file.metadata()?.len() >= largest {
        fs::rename(path, path.with_extension("jsonl.1"))?;
        file = OpenOptions::new().create(true).append(true).open(path)?;
    }
    // In one piece: the scaler's come from another task.
    file.write_all(format!("{record}\n").as_bytes())
}

/// Collects the agents' records while the fleet runs.
pub(super) struct Collector {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Collector {
    pub(super) fn start(fleet_dir: &FleetDir) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let fleet_dir = fleet_dir.clone();
        let task = tokio::spawn(async move {
            let mut logs = Logs::default();
            loop {
                let last = tokio::time::timeout(PAUSE, &mut stopped).await.is_ok();
                if let Err(error) = logs.sweep(&fleet_dir) {
                    tracing::warn!(%error, "records of agents may be missing");
                }
                if last {
                    return;
                }
            }
        });
        Self { stop, task }
    }

    /// Takes what is left in the logs, and ends.
    pub(super) async fn finish(self) {
        drop(self.stop);
        let _ = self.task.await;
    }
}

/// What has been read of each log.
#[derive(Default)]
struct Logs(BTreeMap<PathBuf, Place>);

#[derive(Default)]
struct Place {
    offset: u64,
    /// Digests of its records so far. A machine that ends writes its whole log anew.
    taken: HashSet<u64>,
}

impl Logs {
    fn sweep(&mut self, fleet_dir: &FleetDir) -> io::Result<()> {
        let folders = match fs::read_dir(fleet_dir.instances()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            folders => folders?,
        };
        let logs: BTreeMap<PathBuf, Place> = folders
            .filter_map(|folder| {
                let path = folder.ok()?.path().join(LOG);
                Some((path.clone(), self.0.remove(&path).unwrap_or_default()))
            })
            .collect();
        // Those of logs that are gone are forgotten.
        self.0 = logs;
        for (path, place) in &mut self.0 {
            for record in place.read(path)? {
                append(fleet_dir, &record)?;
            }
        }
        Ok(())
    }
}

impl Place {
    /// The records that are new in this log.
    fn read(&mut self, path: &Path) -> io::Result<Vec<String>> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        let length = file.metadata()?.len();
        if length < self.offset {
            self.offset = 0;
        }
        if length == self.offset {
            return Ok(Vec::new());
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut piece = Vec::new();
        file.read_to_end(&mut piece)?;
        // The last line may still be written.
        let whole = piece.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.offset += whole as u64;
        let text = String::from_utf8_lossy(&piece[..whole]);
        let records = text.lines().filter_map(Record::text_in);
        let digest = BuildHasherDefault::<DefaultHasher>::default();
        Ok(records.filter(|record| self.taken.insert(digest.hash_one(record))).map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(n: u32) -> String {
        format!(
            "LIGHTSOUT_RECORD {{\"schema\":1,\"kind\":\"incident\",\"time\":\"2026-11-26T03:00:00.{n:03}Z\",\"instance\":\"i-1\",\
             \"platform\":\"gitlab\",\"what\":\"ready\",\"detail\":\"\"}}"
        )
    }

    fn records(fleet_dir: &FleetDir) -> Vec<String> {
        fs::read_to_string(fleet_dir.records()).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    #[test]
    fn each_record_of_a_log_is_taken_once_also_when_the_log_is_written_anew() {
        let temp = tempfile::tempdir().unwrap();
        let fleet_dir = FleetDir::new(Some(temp.path().to_owned())).unwrap();
        let mut logs = Logs::default();
        logs.sweep(&fleet_dir).unwrap();
        let log = fleet_dir.instances().join("i-1").join(LOG);
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        logs.sweep(&fleet_dir).unwrap();
        fs::write(&log, format!("INFO now idle\n{}\n{}", incident(1), &incident(2)[..60])).unwrap();
        logs.sweep(&fleet_dir).unwrap();
        assert_eq!(records(&fleet_dir).len(), 1, "half a line is waited for");
        let whole = format!("INFO now idle\n{}\n{}\nINFO bye\n", incident(1), incident(2));
        fs::write(&log, &whole).unwrap();
        logs.sweep(&fleet_dir).unwrap();
        assert_eq!(records(&fleet_dir).len(), 2);
        fs::write(&log, "INFO\n").unwrap();
        logs.sweep(&fleet_dir).unwrap();
        fs::write(&log, format!("{whole}{}\n", incident(3))).unwrap();
        logs.sweep(&fleet_dir).unwrap();
        let found = records(&fleet_dir);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().all(|line| Record::find(line).is_some()), "{found:?}");
    }

    #[test]
    fn the_file_is_bounded() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("records.jsonl");
        for n in 0..100 {
            append_within(&path, &incident(n), 1_000).unwrap();
        }
        let size = |name: &str| fs::metadata(temp.path().join(name)).unwrap().len();
        assert!(size("records.jsonl") < 1_200 && size("records.jsonl.1") < 1_200);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2);
        let last = fs::read_to_string(path).unwrap();
        assert!(last.ends_with(&format!("{}\n", incident(99))), "{last}");
    }
}
