//! What must hold of scale sets, over their wire.

mod capacity;
mod errors;
mod leaving;
mod machines;
