//! Those who follow what happens, each with a short queue of its own: who reads slower than the fleet speaks is dropped, and begins anew.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

/// So many events wait for a reader at most.
pub(crate) const QUEUE: usize = 4;

/// What a reader is told; it ends when nothing more comes.
pub(crate) type Updates = mpsc::Receiver<Bytes>;

/// All of them.
#[derive(Default)]
pub(crate) struct Readers(Vec<Reader>);

struct Reader {
    queue: mpsc::Sender<Bytes>,
    dropped: Arc<Notify>,
}

impl Readers {
    /// One more, who is told this first, of which there is room for [`QUEUE`]. `dropped` is notified when it has fallen behind: what it was sent may never leave this machine then.
    pub(crate) fn add(&mut self, first: impl IntoIterator<Item = Bytes>, dropped: Arc<Notify>) -> Updates {
        self.0.retain(|reader| !reader.queue.is_closed());
        let (queue, told) = mpsc::channel(QUEUE);
        for event in first {
            let _ = queue.try_send(event);
        }
        self.0.push(Reader { queue, dropped });
        told
    }

    /// Tells all of them without waiting for any.
    pub(crate) fn tell(&mut self, event: &Bytes) {
        self.0.retain(|reader| match reader.queue.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                reader.dropped.notify_one();
                false
            }
        });
    }

    /// How many there are, those included that went and have not been told anything since.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody follows.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|reader| reader.queue.is_closed())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    #[test]
    fn who_does_not_read_is_dropped_and_who_does_is_told_all() {
        let (mut readers, slow) = (Readers::default(), Arc::new(Notify::new()));
        let mut stuck = readers.add([Bytes::from("chart")], Arc::clone(&slow));
        let mut quick = readers.add([Bytes::from("chart")], Arc::new(Notify::new()));
        let mut heard = Vec::new();
        for event in ["1", "2", "3", "4", "5"] {
            heard.extend(std::iter::from_fn(|| quick.try_recv().ok()));
            readers.tell(&Bytes::from(event));
        }
        heard.extend(std::iter::from_fn(|| quick.try_recv().ok()));
        assert_eq!(heard, ["chart", "1", "2", "3", "4", "5"]);
        assert_eq!(readers.0.len(), 1);
        let kept = std::iter::from_fn(|| stuck.try_recv().ok()).count();
        assert_eq!((kept, stuck.try_recv()), (QUEUE, Err(mpsc::error::TryRecvError::Disconnected)));
        assert!(is_ready(slow.notified()), "its connection is told to end");
        drop(quick);
        assert!(readers.is_empty());
        // Nobody is told anything meanwhile, and still none of those who came and went is kept.
        for _ in 0..3 {
            drop(readers.add([Bytes::from("chart")], Arc::new(Notify::new())));
        }
        assert_eq!(readers.len(), 1);
    }

    fn is_ready(future: impl Future) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}
