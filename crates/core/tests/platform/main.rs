//! The platform codecs against recorded-shape replies: what is understood, what is refused, and what is never
//! concluded.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "the scripts that the core holds are run here")]

mod buildkite_queue;
mod buildkite_runner;
mod circleci_queue;
mod circleci_runner;
mod command;
mod exchange;
mod github_auth;
mod github_hook;
mod github_queue;
mod github_runner;
mod github_scale_set;
mod github_scale_set_runner;
mod github_scale_set_session;
mod gitlab_metrics;
mod gitlab_queue;
mod gitlab_queue_refusals;
mod gitlab_runner;
mod harmless;
mod partial_reading;
mod partial_reading_github;
mod spacelift_queue;
mod spacelift_runner;
mod stackguardian_probes;
mod stackguardian_queue;
mod stackguardian_runner;
mod stackguardian_supervisor;
mod versions;
mod waits;
mod webhook;
mod wild;
