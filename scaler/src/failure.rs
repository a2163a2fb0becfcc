//! Why the scaler stops without success.

/// Why the scaler stops without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nothing was tried: the arguments or the settings cannot work.
    #[error("{0}")]
    Refused(String),
    /// Something was tried and failed.
    #[error("{0}")]
    Failed(String),
}

/// How many failures are printed in full.
const PRINTED: usize = 20;

/// The end of something that all pools did, given the names and errors of those that failed.
pub(crate) fn summarize(count: usize, failed: &[(String, String)]) -> Result<(), Failure> {
    if failed.is_empty() {
        return Ok(());
    }
    let mut lines = vec![format!("{} of {count} pools failed:", failed.len())];
    lines.extend(failed.iter().take(PRINTED).map(|(pool, error)| format!("{pool}: {error}")));
    if failed.len() > PRINTED {
        lines.push(format!("and {} more", failed.len() - PRINTED));
    }
    Err(Failure::Failed(lines.join("\n  ")))
}
