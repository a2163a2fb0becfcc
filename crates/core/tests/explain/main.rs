//! What is explained from which evidence: each of the field's puzzles, those that look alike, and what is said when evidence is missing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cloud_cli;
mod dropped;
mod instances;
mod made;
mod pools;
mod scenarios;
