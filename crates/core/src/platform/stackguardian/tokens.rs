//! How the tokens of StackGuardian begin (its documentation of them).

pub(in crate::platform) const BEGINNINGS: &[&str] = &["sgu_", "sgo_"];
