//! How often the instance's metadata are looked at.

use std::time::Duration;

use crate::settings::reader::Section;

/// The pauses between two looks at the instance's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImdsSettings {
    /// For a spot notice. Default 1 s.
    pub spot: Duration,
    /// For the target lifecycle state. Default 2 s.
    pub target: Duration,
    /// For a rebalance recommendation. Default 5 s.
    pub rebalance: Duration,
    /// For scheduled maintenance. Default 60 s.
    pub maintenance: Duration,
}

impl Default for ImdsSettings {
    fn default() -> Self {
        Self {
            spot: Duration::from_secs(1),
            target: Duration::from_secs(2),
            rebalance: Duration::from_secs(5),
            maintenance: Duration::from_secs(60),
        }
    }
}

pub(super) fn read(s: Section<'_>) -> ImdsSettings {
    let d = ImdsSettings::default();
    let (least, most) = (Duration::from_millis(100), Duration::from_secs(600));
    // A spot notice comes two minutes ahead; looking more rarely than every 30 s gives most of that away.
    let settings = ImdsSettings {
        spot: s.duration("spot", least..=Duration::from_secs(30)).unwrap_or(d.spot),
        target: s.duration("target", least..=Duration::from_secs(60)).unwrap_or(d.target),
        rebalance: s.duration("rebalance", least..=most).unwrap_or(d.rebalance),
        maintenance: s.duration("maintenance", least..=6 * most).unwrap_or(d.maintenance),
    };
    s.finish();
    settings
}
