//! Lines for the systemd journal, which adds the time itself and reads the priority from the line's beginning.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{self, Compact, Writer},
    },
    registry::LookupSpan,
};

/// The compact format behind a priority, as in `<4>the disk is slow ms=812`.
pub(super) struct Journal(format::Format<Compact, ()>);

impl Journal {
    pub(super) fn new() -> Self {
        Self(format::format().compact().without_time().with_level(false).with_target(false))
    }
}

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// The priority of a level in the words of `sd-daemon(3)`: `SD_ERR`, `SD_WARNING`, `SD_INFO`, `SD_DEBUG`.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}
