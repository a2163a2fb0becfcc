//! Everything that reaches the event loop, from whatever source.

use lightsout_core::{
    activity::Activity,
    agent::{
        event::Event,
        host::{EffectId, HostResult},
        policy::AgentPolicy,
    },
};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::control::Request;

/// The answer to an operator.
pub(crate) type Reply = Result<Value, String>;

/// Where inputs go.
pub(crate) type Inputs = mpsc::Sender<Input>;

pub(crate) enum Input {
    Event(Event),
    /// The last words of a runner whose exit is told next.
    RunnerSaid(String),
    /// The last words of the operator's own program for each boot, whose failure is told next.
    BeforeRegisterSaid(String),
    /// A snapshot of all probes that nobody asked for, and whether the platform refused the token of one.
    Sampled(Activity, bool),
    /// What came of an effect.
    Result(EffectId, HostResult),
    /// An operator asks, over the control socket.
    Request(Request, oneshot::Sender<Reply>),
    /// The settings were read again, or what is wrong with them.
    Reloaded(Result<AgentPolicy, String>),
}
