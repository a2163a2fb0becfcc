//! How the tokens of GitLab CI begin (its documentation of them).

pub(in crate::platform) const BEGINNINGS: &[&str] = &["glrt-", "glrtr-", "glpat-", "gldt-", "glcbt-", "glptt-"];
