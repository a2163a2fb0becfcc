//! How tokens begin that can be told by that, as each platform has it. The platforms need what hides tokens; so it needs nothing of them but these
//! words, which need nothing.

const BEGINNINGS: &[&[&str]] = &[
    super::buildkite::tokens::BEGINNINGS,
    super::circleci::tokens::BEGINNINGS,
    super::github::tokens::BEGINNINGS,
    super::gitlab::tokens::BEGINNINGS,
    super::stackguardian::tokens::BEGINNINGS,
];

/// The beginnings, of all platforms.
pub(crate) fn beginnings() -> impl Iterator<Item = &'static str> {
    BEGINNINGS.iter().copied().flatten().copied()
}
