//! Hands records in where the settings say, beside the log. Nothing waits for it but an ending, for a moment; what does not arrive is in the log.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use lightsout_cloud::{Archive, Entry};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::Delivery;

/// How many incidents may wait for an archive; more than that are for the log alone.
const WAITING: usize = 16;

/// The archives. Each has a task of its own for incidents, so that they arrive in order.
pub(super) struct Sinks {
    archives: Vec<Arc<dyn Archive>>,
    incidents: Vec<mpsc::Sender<Entry>>,
    /// Departures on their way.
    leaving: Vec<JoinHandle<()>>,
}

impl Sinks {
    pub(super) fn spawn(archives: Vec<Box<dyn Archive>>) -> Self {
        let archives: Vec<Arc<dyn Archive>> = archives.into_iter().map(Arc::from).collect();
        let incidents = archives.iter().filter(|archive| archive.takes_all()).map(|archive| {
            let (sender, mut waiting) = mpsc::channel::<Entry>(WAITING);
            let archive = Arc::clone(archive);
            tokio::spawn(async move {
                let mut failing = false;
                while let Some(entry) = waiting.recv().await {
                    failing = hand_in(&*archive, &entry, failing).await;
                }
            });
            sender
        });
        Self { incidents: incidents.collect(), archives, leaving: Vec::new() }
    }

    /// An incident, for those that take each record. Never waits.
    pub(super) fn incident(&self, entry: &Entry) {
        for archive in &self.incidents {
            // Full: the archive does not answer, and has been complained of.
            let _ = archive.try_send(entry.clone());
        }
    }

    /// A departure, for all. The result is over when each has it, and after this time at the latest.
    pub(super) fn departure(&mut self, entry: &Entry, patience: Duration) -> Option<Delivery> {
        let (told, over): (Vec<_>, Vec<_>) = self
            .archives
            .iter()
            .map(|archive| {
                let (archive, entry) = (Arc::clone(archive), entry.clone());
                let (done, over) = tokio::sync::oneshot::channel::<()>();
                let told = tokio::spawn(async move {
                    hand_in(&*archive, &entry, false).await;
                    drop(done);
                });
                (told, over)
            })
            .unzip();
        // One that stays is certified again and again.
        self.leaving.retain(|told| !told.is_finished());
        self.leaving.extend(told);
        (!over.is_empty() && !patience.is_zero()).then(|| {
            Box::pin(async move {
                if timeout(patience, join_all(over)).await.is_err() {
                    tracing::warn!(
                        "an ending waits for its record no longer, which may not arrive; it stands in this log"
                    );
                }
            }) as Delivery
        })
    }

    /// Waits until those on their way have arrived, no longer than this: the program ends.
    pub(super) async fn finish(self, patience: Duration) {
        let _ = timeout(patience, join_all(self.leaving)).await;
    }
}

/// Whether it failed, which is said once in a row.
async fn hand_in(archive: &dyn Archive, entry: &Entry, failing: bool) -> bool {
    let result = archive.put(entry).await;
    if let Err(error) = result.as_ref()
        && !failing
    {
        tracing::warn!(place = archive.place(), %error, "a record did not arrive there; it stands in this log");
    }
    result.is_err()
}

#[cfg(test)]
mod tests {
    use lightsout_cloud::CloudFuture;
    use lightsout_core::cloud::{CloudError, CloudErrorKind};

    use super::*;

    /// Far more than a busy machine needs.
    const LONG: Duration = Duration::from_secs(60);

    enum Manner {
        Refuses,
        Hangs,
    }

    impl Archive for Manner {
        fn key(&self) -> &'static str {
            "log_group"
        }

        fn place(&self) -> String {
            "nowhere".into()
        }

        fn takes_all(&self) -> bool {
            false
        }

        fn put<'a>(&'a self, _: &'a Entry) -> CloudFuture<'a, ()> {
            match self {
                Self::Refuses => Box::pin(async { Err(CloudError::new(CloudErrorKind::Denied, "no")) }),
                Self::Hangs => Box::pin(std::future::pending()),
            }
        }
    }

    fn sinks(manners: Vec<Manner>) -> Sinks {
        Sinks::spawn(manners.into_iter().map(|manner| Box::new(manner) as Box<dyn Archive>).collect())
    }

    #[tokio::test]
    async fn a_departure_waits_for_every_answer_no_longer_than_it_may() {
        let entry = Entry { instance: "i-1".into(), name: "left".into(), unix_ms: 0, json: "{}".into() };
        let over = |manners, patience| sinks(manners).departure(&entry, patience);
        assert!(over(vec![Manner::Hangs], Duration::ZERO).is_none(), "there is no time");
        let refused = over(vec![Manner::Refuses], Duration::from_secs(3600)).expect("there is time");
        timeout(LONG, refused).await.expect("a refusal is an answer");
        let short = Duration::from_millis(20);
        let hung = over(vec![Manner::Hangs, Manner::Refuses], short).expect("there is time");
        let begun = tokio::time::Instant::now();
        timeout(LONG, hung).await.expect("no answer ends it as well");
        assert!(begun.elapsed() >= short, "one of them had not answered");
    }
}
