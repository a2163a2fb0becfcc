//! How the tokens of Buildkite begin (its documentation of them).

pub(in crate::platform) const BEGINNINGS: &[&str] = &["bkua_", "bkct_", "bkaj_"];
