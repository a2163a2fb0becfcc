//! The last warnings and errors of this process, for whoever must say later what went wrong.

use std::{
    collections::VecDeque,
    fmt::{self, Write},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use lightsout_core::redact;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// How many are kept, and how many characters of each.
const KEPT: usize = 8;
const CHARS: usize = 300;

static RECENT: Mutex<VecDeque<Said>> = Mutex::new(VecDeque::new());

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// When, in milliseconds since the Unix epoch.
    pub unix_ms: i64,
    /// Whether it was an error; else a warning.
    pub error: bool,
    /// The message and its fields, as `disk is slow ms=812`.
    pub message: String,
}

/// The last warnings and errors, oldest first.
pub fn recent() -> Vec<Said> {
    RECENT.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}

/// Keeps them.
pub(super) struct Recent;

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level > Level::WARN {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        keep(Said { unix_ms: now(), error: level == Level::ERROR, message: text.whole() });
    }
}

fn keep(said: Said) {
    let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    if recent.len() == KEPT {
        recent.pop_front();
    }
    recent.push_back(said);
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A line's message and fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn whole(self) -> String {
        redact(&format!("{}{}", self.message, self.fields), CHARS)
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{Registry, layer::SubscriberExt};

    use super::*;

    #[test]
    fn the_last_warnings_and_errors_are_kept_and_nothing_else() {
        tracing::subscriber::with_default(Registry::default().with(Recent), || {
            for n in 0..20 {
                tracing::info!(n, "fine");
                tracing::warn!(n, why = "a disk", "slow");
            }
            tracing::error!(long = "x".repeat(1_000), "broken\nin two");
        });
        let kept = recent();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0].message, "slow n=13 why=\"a disk\"");
        let last = &kept[KEPT - 1];
        assert!(last.error && last.message.starts_with("broken in two long="), "{last:?}");
        assert_eq!(last.message.chars().count(), CHARS);
        assert!(kept.iter().all(|said| said.unix_ms > 1_600_000_000_000));
    }
}
