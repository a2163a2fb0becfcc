//! Carries the cloud's notices to the loop.

use lightsout_cloud::{NoticeIntervals, Notices};
use lightsout_core::{agent::event::Event, cloud::Notice, settings::ImdsSettings};
use tokio::sync::mpsc;

use crate::{clock::Clock, run::Input};

/// Watches for ever, and sends what is new.
pub fn watch(notices: &dyn Notices, every: &ImdsSettings, clock: Clock, inputs: mpsc::Sender<Input>) {
    let mut told = notices.watch(NoticeIntervals {
        interruption: every.spot,
        target: every.target,
        rebalance: every.rebalance,
        maintenance: every.maintenance,
    });
    tokio::spawn(async move {
        while let Some(notice) = told.recv().await {
            if inputs.send(Input::Event(event(notice, clock))).await.is_err() {
                return;
            }
        }
    });
}

fn event(notice: Notice, clock: Clock) -> Event {
    match notice {
        Notice::Interruption { at } => Event::Spot { at: clock.tick_of(at.as_millisecond()) },
        Notice::Rebalance => Event::Rebalance,
        Notice::Maintenance => Event::Maintenance,
        Notice::Target(state) => Event::TargetState(state),
    }
}

#[cfg(test)]
mod tests {
    use lightsout_cloud::{Identity, fake::FakeNotices};
    use lightsout_core::cloud::TargetState;

    use super::*;
    use crate::clock::unix_ms_now;

    #[tokio::test]
    async fn every_notice_becomes_an_event() {
        let identity = Identity { instance: "i-1".into(), location: "here".into(), group: None };
        let (notices, clock) = (FakeNotices::new(identity), Clock::start());
        let (inputs, mut incoming) = mpsc::channel(8);
        watch(&notices, &ImdsSettings::default(), clock, inputs);
        let at = jiff::Timestamp::from_millisecond(unix_ms_now() + 120_000).unwrap();
        for (notice, expected) in [
            (Notice::Interruption { at }, Event::Spot { at: clock.tick_of(at.as_millisecond()) }),
            (Notice::Rebalance, Event::Rebalance),
            (Notice::Maintenance, Event::Maintenance),
            (Notice::Target(TargetState::Terminated), Event::TargetState(TargetState::Terminated)),
        ] {
            notices.send(notice).await;
            let Some(Input::Event(event)) = incoming.recv().await else { panic!("no event for {notice:?}") };
            assert_eq!(event, expected);
        }
    }
}
