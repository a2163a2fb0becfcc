//! The metadata service in memory: an instance is told the notices that a test sends.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lightsout_core::cloud::Notice;
use tokio::sync::mpsc;

use crate::{CloudFuture, Identity, NoticeIntervals, Notices};

/// What an instance is told. Clones tell the same.
#[derive(Clone, Debug)]
pub struct FakeNotices {
    identity: Identity,
    watchers: Arc<Mutex<Vec<mpsc::Sender<Notice>>>>,
}

impl FakeNotices {
    /// Tells an instance that it is this one.
    pub fn new(identity: Identity) -> Self {
        Self { identity, watchers: Arc::default() }
    }

    /// Whether somebody watches.
    pub fn watched(&self) -> bool {
        !self.watchers.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Tells everybody who watches. Who begins later does not hear of it.
    pub async fn send(&self, notice: Notice) {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for watcher in watchers {
            let _ = watcher.send(notice.clone()).await;
        }
    }
}

impl Notices for FakeNotices {
    fn is_here(&self) -> CloudFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn identity(&self, _: Duration) -> CloudFuture<'_, Identity> {
        Box::pin(async { Ok(self.identity.clone()) })
    }

    fn tags<'a>(&'a self, _: &'a str, _: Duration) -> CloudFuture<'a, Vec<(String, String)>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn watch(&self, _: NoticeIntervals) -> mpsc::Receiver<Notice> {
        let (watcher, notices) = mpsc::channel(16);
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner).push(watcher);
        notices
    }
}
