//! The cloud's notices, as events of the core.

use lightsout_core::{agent::event::Event, cloud::Notice};
use tokio::sync::mpsc;

use crate::{
    clock::Clock,
    input::{Input, Inputs},
    orders::Orders,
};

/// Passes them on for as long as there is somebody to hear them. Times of the wall's clock are turned into ticks here, once.
pub(crate) async fn pass_on(mut notices: mpsc::Receiver<Notice>, mut orders: Orders, clock: Clock, inputs: Inputs) {
    while let Some(notice) = notices.recv().await {
        let event = match notice {
            Notice::Ending { by, at } => Event::Ending { by, at: at.map(|at| clock.tick_of(at.as_millisecond())) },
            Notice::Lifted(by) => Event::Lifted(by),
            Notice::Rebalance => Event::Rebalance,
            Notice::RebalanceLifted => Event::RebalanceLifted,
            Notice::Target(target) => Event::TargetState(target),
            Notice::Order(text) => {
                let order = orders.read(text.as_deref());
                Event::StandingOrder(order.map(|order| order.map(|until| clock.tick_of(until.as_millisecond()))))
            }
        };
        if inputs.send(Input::Event(event)).await.is_err() {
            return;
        }
    }
}
