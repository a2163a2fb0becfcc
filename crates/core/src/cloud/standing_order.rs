//! An order that stands on the instance itself, for as long as somebody leaves it there.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use thiserror::Error;

/// What an operator has written on an instance for its agent to follow, where they do not reach the agent itself. `T` is the kind of time.
///
/// As text it is `drain`, or `hold until 2026-11-27T03:00:00Z`, and may end with ` for i-0abc`, the instance that it is for. A hold without an end
/// is none: who forgets it would keep an instance for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StandingOrder<T = Timestamp> {
    /// Take no more jobs, finish those that run, leave.
    Drain,
    /// Do not leave for idleness or age before this time.
    Hold { until: T },
}

const DRAIN: &str = "drain";
const HOLD: &str = "hold until ";
const FOR: &str = " for ";

impl<T> StandingOrder<T> {
    /// The same on another clock.
    pub fn map<U>(self, time: impl FnOnce(T) -> U) -> StandingOrder<U> {
        match self {
            Self::Drain => StandingOrder::Drain,
            Self::Hold { until } => StandingOrder::Hold { until: time(until) },
        }
    }
}

impl StandingOrder {
    /// As text that is for this instance alone: no other follows it, whoever copies it there.
    pub fn for_instance(self, instance: &str) -> String {
        format!("{self}{FOR}{instance}")
    }

    /// The order that this text is for this instance, which came into being with the text `born_with`.
    ///
    /// # Errors
    /// When it is none, when it is for another instance, and when it names none and was there from the beginning: then its group gives it to
    /// every new instance, and each one's successor would follow it, too.
    pub fn read(text: &str, instance: &str, born_with: Option<&str>) -> Result<Self, NotFollowed> {
        let order = text.parse()?;
        match text.trim().rsplit_once(FOR) {
            Some((_, whose)) if whose.trim().eq_ignore_ascii_case(instance) => Ok(order),
            Some(_) => Err(NotFollowed::Another(text.to_owned())),
            None if born_with == Some(text) => Err(NotFollowed::Inherited(text.to_owned(), instance.to_owned())),
            None => Ok(order),
        }
    }
}

/// Why what is written on an instance is not followed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotFollowed {
    #[error(transparent)]
    NoOrder(#[from] NoStandingOrder),
    /// It names another instance.
    #[error("{0:?} is for another instance; write the order without a name, or with this one's id")]
    Another(String),
    /// It was there before the instance's first agent: the text, and the instance's id.
    #[error(
        "{0:?} was there before this instance had an agent: its group or its launch template gives it to every new instance. Remove it there; an order for this one ends with \"{FOR}{1}\", as `lightsout drain` writes it, or is written anew once its agent runs"
    )]
    Inherited(String, String),
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
        let order = text.rsplit_once(FOR).map_or(text, |(order, _)| order.trim_end());
        if order == DRAIN {
            return Ok(Self::Drain);
        }
        let until = order.strip_prefix(HOLD).and_then(|until| until.trim().parse().ok());
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
    fn an_order_that_names_no_instance_counts_only_where_it_was_written_later() {
        let until = "2026-11-27T03:00:00Z".parse().unwrap();
        for order in [StandingOrder::Drain, StandingOrder::Hold { until }] {
            let (plain, own, others) = (order.to_string(), order.for_instance("i-1"), order.for_instance("i-12"));
            let read = |text: &str, born_with: Option<&str>| StandingOrder::read(text, "i-1", born_with);
            for born_with in [None, Some(""), Some(own.as_str()), Some(others.as_str())] {
                assert_eq!(read(&plain, born_with), Ok(order), "{born_with:?}");
            }
            let inherited = read(&plain, Some(&plain)).unwrap_err().to_string();
            assert!(inherited.contains("Remove it there") && inherited.contains("\" for i-1\""), "{inherited}");
            for born_with in [None, Some(own.as_str()), Some(others.as_str())] {
                assert_eq!(read(&own, born_with), Ok(order), "{born_with:?}");
                assert_eq!(read(&others, born_with), Err(NotFollowed::Another(others.clone())), "{born_with:?}");
            }
            assert_eq!((own.parse(), others.parse()), (Ok(order), Ok(order)));
        }
        assert!(matches!(StandingOrder::read("soon", "i-1", Some("soon")), Err(NotFollowed::NoOrder(_))));
    }

    #[test]
    fn what_is_not_an_order_is_refused_with_a_remedy() {
        for text in
            ["", "Drain", "hold", "hold until", "hold until soon", "hold 2h", "undrain", "drain now", "hold for i-1"]
        {
            let error = text.parse::<StandingOrder>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("hold until 2026"), "{error}");
        }
    }
}
