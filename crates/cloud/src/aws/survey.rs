//! What only a person asks: what a role may do, and how a function is set up.

mod function;
mod role;

pub(super) use function::function;
pub(super) use role::{has_role, role};
