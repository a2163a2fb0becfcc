//! What an agent is told, in the records' words: of its runner, and by the cloud, the group, the system and its operators.

use std::time::Duration;

use super::{Moment, Recorder, moment::text};
use crate::{
    agent::event::{Event, Order},
    cloud::{Ending, StandingOrder, TargetState},
    duration::format_duration,
    record::{IncidentKind, NoticeKind, NoticeSeen},
    time::Tick,
};

impl Recorder {
    /// The agent is about to be told this.
    pub fn on_event(&mut self, event: &Event, now: Moment) {
        match event {
            Event::Ending { by, at } => self.announced(*by, at.map(|at| text(now.unix_ms_of(at))), now),
            Event::Rebalance => {
                let detail = "the cloud recommends to rebalance: an interruption is likely";
                self.noticed(NoticeKind::Rebalance, IncidentKind::RebalanceNotice, None, detail, now);
            }
            Event::TargetState(TargetState::Terminated) => self.announced(Ending::Termination, None, now),
            Event::Stop => {
                if !self.retires() && self.notice(NoticeKind::Stop, None, now) {
                    self.at_stop.clone_from(&self.jobs);
                    let (because, detail) = self.hook.stopped(now.tick);
                    self.write(IncidentKind::DrainOrdered, &detail, Some(because), 1, now);
                }
            }
            Event::Order(order) => self.ordered(*order, now),
            Event::StandingOrder(standing_order) => self.stands_there(*standing_order, now),
            Event::RunnerExited => self.runner_exited(now),
            Event::Lifted(Ending::Termination) => self.hook.lifted(),
            Event::Activity(_)
            | Event::Lifted(_)
            | Event::RebalanceLifted
            | Event::Woke { .. }
            | Event::Room(_)
            | Event::RunnerExpires { .. }
            | Event::TargetState(_)
            | Event::Policy(_) => {}
        }
    }

    /// An operator is about to order this.
    pub fn ordered(&mut self, order: Order, now: Moment) {
        match order {
            Order::Drain => {
                let detail = "an operator's drain";
                self.noticed(NoticeKind::Drain, IncidentKind::DrainOrdered, None, detail, now);
            }
            Order::Undrain => {
                self.notice(NoticeKind::Undrain, None, now);
            }
            Order::Hold { until } if until <= now.tick => {
                self.happened(IncidentKind::HoldEnded, "an operator ended the hold", now);
            }
            Order::Hold { until } => {
                let at = text(now.unix_ms_of(until));
                let span = format_duration(Duration::from_secs(until.since(now.tick).as_secs()));
                let detail = format!("an operator holds the instance for {span}, until {at}");
                self.notice(NoticeKind::Hold, Some(at), now);
                self.happened(IncidentKind::Held, &detail, now);
            }
        }
    }

    /// What stands on the instance for the agent to follow is another than before.
    fn stands_there(&mut self, standing_order: Option<StandingOrder<Tick>>, now: Moment) {
        match std::mem::replace(&mut self.standing_order, standing_order) {
            Some(StandingOrder::Drain) => _ = self.notice(NoticeKind::Undrain, None, now),
            Some(StandingOrder::Hold { .. }) => self.ordered(Order::Hold { until: now.tick }, now),
            None => {}
        }
        match standing_order {
            Some(StandingOrder::Drain) => self.ordered(Order::Drain, now),
            Some(StandingOrder::Hold { until }) => self.ordered(Order::Hold { until }, now),
            None => {}
        }
    }

    /// Something is going to end the instance, or what runs on it, at this time if that was told.
    fn announced(&mut self, by: Ending, at: Option<String>, now: Moment) {
        let when = at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
        match by {
            Ending::Interruption => {
                let detail = format!("the cloud ends the instance{when}");
                self.noticed(NoticeKind::Spot, IncidentKind::SpotNotice, at, &detail, now);
            }
            Ending::Maintenance => {
                let detail = format!("the cloud has scheduled maintenance{when}");
                self.noticed(NoticeKind::Maintenance, IncidentKind::MaintenanceNotice, at, &detail, now);
            }
            // What it has asked for itself is no news.
            Ending::Termination if self.retires() => {}
            Ending::Termination => {
                self.hook.began(now.tick);
                let until = at.as_ref().map(|at| format!(", and ends it at {at}")).unwrap_or_default();
                let detail = format!(
                    "the group moves the instance to Terminated{until}: a refresh, a scale-in, or somebody's wish"
                );
                self.noticed(NoticeKind::ScaleIn, IncidentKind::ScaleInNotice, at, &detail, now);
            }
        }
    }

    fn notice(&mut self, notice: NoticeKind, at: Option<String>, now: Moment) -> bool {
        let new = self.notices.iter().all(|seen| seen.notice != notice);
        if new {
            self.notices.push(NoticeSeen { time: now.text(), notice, at });
        }
        new
    }

    fn noticed(&mut self, notice: NoticeKind, kind: IncidentKind, at: Option<String>, detail: &str, now: Moment) {
        if self.notice(notice, at, now) {
            self.happened(kind, detail, now);
        }
    }
}
