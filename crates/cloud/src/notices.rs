//! What an instance is told: who it is, and what the cloud is about to do to it.

#[cfg(feature = "host")]
use std::fmt::Display;
use std::time::Duration;

use lightsout_core::cloud::{Capabilities, Machine, Notice};
#[cfg(feature = "host")]
use lightsout_core::{
    cloud::{CloudError, CloudErrorKind},
    duration::not_within,
};
use tokio::sync::mpsc;

use crate::CloudFuture;

/// The pause between two tries to learn who this instance is.
#[cfg(feature = "host")]
const PAUSE: Duration = Duration::from_secs(1);

/// Asks until it is told, for so long; `who` did not tell `what`, else, and why it did not the last time.
///
/// # Errors
/// When nothing was told by then.
#[cfg(feature = "host")]
pub(crate) async fn until_told<T, E: Display, A: Future<Output = Result<T, E>>>(
    (who, what): (&str, &str),
    within: Duration,
    mut ask: impl FnMut() -> A,
) -> Result<T, CloudError> {
    let mut last = None;
    let asking = async {
        loop {
            match ask().await {
                Ok(told) => return told,
                Err(error) => {
                    if last.is_none() {
                        tracing::warn!(%error, "{who} does not tell {what} yet; asking again");
                    }
                    last = Some(error.to_string());
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(within, asking).await.map_err(|_| {
        let last = last.as_deref().unwrap_or("no answer at all, so see whether the way there is open");
        let why = not_within(format!("{who} did not tell {what}"), within, format_args!("the last that came: {last}"));
        CloudError::new(CloudErrorKind::Unreachable, why)
    })
}

/// The instance's source of news about itself.
pub trait Notices: Send + Sync {
    /// Asks once whether this is an instance of this cloud: it is where that is told who it is.
    fn is_here(&self) -> CloudFuture<'_, ()>;

    /// Who this instance is. Asks again until it is told, for so long; the news may need a moment after boot.
    fn identity(&self, deadline: Duration) -> CloudFuture<'_, Identity>;

    /// The instance's tags whose names begin like this, names and values; none where its metadata do not show tags. Asks again until it is
    /// told, for so long.
    fn tags<'a>(&'a self, prefix: &'a str, deadline: Duration) -> CloudFuture<'a, Vec<(String, String)>>;

    /// Looks for notices until the receiver is gone, in tasks of its own, and sends each that is new. That there is no
    /// answer is no notice; where it lasts, a warning is logged.
    fn watch(&self, every: NoticeIntervals) -> mpsc::Receiver<Notice>;
}

/// Who an instance is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub instance: String,
    /// Where it is, such as `eu-north-1`.
    pub location: String,
    /// The group's name, if it is told.
    pub group: Option<String>,
    /// What kind of machine it is, as far as it is told at the first asking: nothing waits for it.
    pub machine: Machine,
    /// What the cloud can do, where only the instance is told that.
    pub capabilities: Option<Capabilities>,
}

/// The pauses between two looks, for each kind of notice. A cloud that tells several in one place takes the shortest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoticeIntervals {
    /// For an interruption.
    pub interruption: Duration,
    /// For the state that the group moves the instance to.
    pub target: Duration,
    /// For a rebalance recommendation.
    pub rebalance: Duration,
    /// For scheduled maintenance.
    pub maintenance: Duration,
    /// For what an operator has written on the instance.
    pub order: Duration,
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_is_not_told_says_for_how_long_it_asked_and_what_came_last() {
        let who = ("metadata", "who this is");
        let refused =
            until_told::<(), _, _>(who, Duration::from_micros(20_417), || std::future::ready(Err("HTTP 500")));
        assert_eq!(
            refused.await.unwrap_err().message,
            "metadata did not tell who this is within 20ms; the last that came: HTTP 500"
        );
        let silent = until_told::<(), String, _>(who, Duration::from_millis(20), std::future::pending);
        assert!(
            silent
                .await
                .unwrap_err()
                .message
                .contains("within 20ms; the last that came: no answer at all, so see whether")
        );
    }
}
