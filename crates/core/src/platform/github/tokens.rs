//! How the tokens of GitHub Actions begin (its documentation of them).

pub(in crate::platform) const BEGINNINGS: &[&str] = &["ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_"];
