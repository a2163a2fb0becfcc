//! Why an instance ended, as it strikes whoever looks.

use serde::{
    Deserialize,
    de::{IntoDeserializer, value::Error},
};

use super::Tone;
use crate::agent::phase::LeaveReason;

pub(super) fn tone(why: LeaveReason) -> Tone {
    use LeaveReason as Why;
    match why {
        Why::Full | Why::Broken => Tone::Bad,
        Why::Spot | Why::Rebalance | Why::Maintenance | Why::ScaleIn | Why::Operator => Tone::Notice,
        Why::Idle | Why::Limit | Why::Age | Why::RunnerExpired => Tone::Plain,
    }
}

/// The reason in what an agent wrote on its instance, which begins with its word; `None` for one that this program does not know.
pub(super) fn reason(written: &str) -> Option<LeaveReason> {
    let word = written.split_once(':').map_or(written, |(word, _)| word);
    let word: serde::de::value::StrDeserializer<'_, Error> = word.into_deserializer();
    LeaveReason::deserialize(word).ok()
}
