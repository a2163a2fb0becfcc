//! The agent's protocol: events in, actions out, no sleeping, no network.

mod leaving;
mod model;
mod retiring;
mod rig;
mod serving;
mod world;
