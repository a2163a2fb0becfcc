//! What other settings would have done with one's own jobs: a world of events in which the shipped decisions run.
//!
//! A [`Trace`] of jobs is played to a [`Fleet`] in a world that a [`Setup`] describes, and an [`Outcome`] comes out: how long the jobs waited,
//! and how long the instances booted, idled, worked and drained. Lightsout's fleet is the shipped one: each instance is an
//! [`Agent`](lightsout_core::agent::Agent) whose effects are answered here, each tick of the scaler a [`plan`](lightsout_core::scaling::plan),
//! and what must never happen is watched by the [`Ledger`](lightsout_core::invariants::Ledger) of the model checker. The rules of other
//! systems ([`Peer`]) are made after their sources.
//!
//! As the core, it reads no clock, no file and no environment. The same trace, setup and fleet give the same outcome to the last bit.

#![warn(clippy::expect_used, clippy::missing_errors_doc)]

mod advice;
mod history;
mod made;
mod outcome;
mod peers;
mod random;
mod setup;
mod trace;
mod world;

pub use self::{
    advice::{Advice, Tried, advise},
    history::{BadHistory, History, boots, from_csv, from_records},
    made::made,
    outcome::{Held, Outcome, Seconds, Turn, Waits},
    peers::{PEERS, Peer},
    setup::{Boots, Fleet, LightsoutSettings, PlanFn, Setup},
    trace::{Job, Trace},
    world::simulate,
};
