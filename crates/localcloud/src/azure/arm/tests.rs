//! What must hold of scale sets, over their wire.

mod autoscale;
mod capacity;
mod errors;
mod leaving;
mod machines;
mod resources;
mod roles;
mod sites;
