//! The embedded cloud against the behaviour of the real one: calls and time go in, replies and effects come out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod balance;
mod bench;
mod calls;
mod ec2;
mod hooks;
mod leaving;
mod paging;
mod refresh;
mod refusals;
mod scheduled;
mod walk;
mod warm;
