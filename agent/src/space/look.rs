//! Looks at what may never answer: a file system whose server is gone holds whoever asks it, for as long as it likes.

use std::{sync::Arc, thread, time::Duration};

use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

/// One look at a time, in a thread of its own: however often one is wanted, no more than one thread is ever held.
pub(super) struct Looks {
    turn: Arc<Semaphore>,
    limit: Duration,
}

impl Looks {
    /// Each of which may take so long.
    pub(super) fn within(limit: Duration) -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), limit }
    }

    /// What a look finds; `None` when it does not end in time, or an earlier one has not ended yet.
    pub(super) async fn take<T: Send + 'static>(&self, look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        timeout(self.limit, async {
            let turn = Arc::clone(&self.turn).acquire_owned().await.ok()?;
            let (found, finding) = oneshot::channel();
            let looking = move || {
                let _ = found.send(look());
                drop(turn);
            };
            thread::Builder::new().name("room".into()).spawn(looking).ok()?;
            finding.await.ok()
        })
        .await
        .ok()?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    };

    use super::*;

    #[tokio::test]
    async fn a_file_system_that_does_not_answer_holds_one_thread_only() {
        let looks = Looks::within(Duration::from_millis(50));
        let (begun, (answer, answers)) = (Arc::new(AtomicU32::new(0)), mpsc::channel::<()>());
        let answers = Arc::new(std::sync::Mutex::new(answers));
        for _ in 0..4 {
            let (begun, answers) = (Arc::clone(&begun), Arc::clone(&answers));
            let found = looks.take(move || {
                begun.fetch_add(1, Ordering::SeqCst);
                let _ = answers.lock().unwrap().recv();
            });
            assert_eq!(found.await, None);
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1, "each look began a thread");
        drop(answer);
        while looks.take(|| 1).await != Some(1) {}
    }
}
