//! An order that stands on the instance itself, for as long as somebody leaves it there.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use thiserror::Error;

/// What an operator has written on an instance for its agent to follow, where they do not reach the agent itself. `T` is the kind of time.
///
/// As text it is `drain`, or `hold until 2026-11-27T03:00:00Z`. A hold without an end is none: who forgets it would keep an instance for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StandingOrder<T = Timestamp> {
    /// Take no more jobs, finish those that run, leave.
    Drain,
    /// Do not leave for idleness or age before this time.
    Hold {
        /// Until when.
        until: T,
    },
}

const DRAIN: &str = "drain";
const HOLD: &str = "hold until ";

impl<T> StandingOrder<T> {
    /// The same on another clock.
    pub fn map<U>(self, time: impl FnOnce(T) -> U) -> StandingOrder<U> {
        match self {
            Self::Drain => StandingOrder::Drain,
            Self::Hold { until } => StandingOrder::Hold { until: time(until) },
        }
    }
}

impl fmt::Display for StandingOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain => f.write_str(DRAIN),
            Self::Hold { until } => write!(f, "{HOLD}{until:.0}"),
        }
    }
}

/// Text that is no standing order.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no order: write \"drain\", or \"hold until 2026-11-27T03:00:00Z\" with the time at which the hold ends"
)]
pub struct NoStandingOrder(String);

impl FromStr for StandingOrder {
    type Err = NoStandingOrder;

    fn from_str(text: &str) -> Result<Self, NoStandingOrder> {
        let text = text.trim();
        if text == DRAIN {
            return Ok(Self::Drain);
        }
        let until = text.strip_prefix(HOLD).and_then(|until| until.trim().parse().ok());
        until.map(|until| Self::Hold { until }).ok_or_else(|| NoStandingOrder(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_read_as_they_are_written() {
        let until = "2026-11-27T03:00:00Z".parse().unwrap();
        for (order, text) in
            [(StandingOrder::Drain, "drain"), (StandingOrder::Hold { until }, "hold until 2026-11-27T03:00:00Z")]
        {
            assert_eq!((order.to_string().as_str(), text.parse()), (text, Ok(order)));
        }
        assert_eq!(" drain\n".parse(), Ok(StandingOrder::Drain));
    }

    #[test]
    fn what_is_not_an_order_is_refused_with_a_remedy() {
        for text in ["", "Drain", "hold", "hold until", "hold until soon", "hold 2h", "undrain", "drain now"] {
            let error = text.parse::<StandingOrder>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("hold until 2026"), "{error}");
        }
    }
}
