mod agent;
mod buildkite;
mod circleci;
mod github;
mod merging;
mod scaler;
mod spacelift;
mod stackguardian;

use super::*;

/// The problems of one file `f.toml`, one a line.
fn problems<T>(parsed: Result<T, Problems>) -> Vec<String> {
    match parsed {
        Ok(_) => Vec::new(),
        Err(Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn one(text: &str) -> Vec<Fragment> {
    vec![Fragment::new("f.toml", text)]
}
