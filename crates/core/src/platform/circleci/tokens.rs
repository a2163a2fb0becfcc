//! How the tokens of CircleCI begin (its documentation of them).

pub(in crate::platform) const BEGINNINGS: &[&str] = &["CCIPAT_", "CCIPRJ_"];
