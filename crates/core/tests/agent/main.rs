//! The agent's protocol: events in, actions out, no sleeping, no network.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::disallowed_types, reason = "the model only looks up which states it has seen")]

mod deadlines;
mod fullness;
mod herd;
mod joining;
mod ladder;
mod leaving;
mod limits;
mod model;
mod operations;
mod pauses;
mod preparing;
mod records;
mod retiring;
mod rig;
mod serving;
mod standing_order;
mod waking;
mod words;
mod world;
