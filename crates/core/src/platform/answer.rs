//! What every codec needs once: from a reply to an error that says what to do, strict access to JSON, next pages.

mod checks;
mod json;
mod paging;
mod stage;
#[cfg(test)]
mod tests;

use std::{marker::PhantomData, time::Duration};

use jiff::{Timestamp, fmt::rfc2822};
use secrecy::{ExposeSecret, SecretString};

pub(super) use checks::{check_token, refuse};
pub(super) use json::{Document, Node};
pub(super) use paging::{next_page, percent_encode};
pub(super) use stage::{Stage, demand};

use crate::{
    exchange::{Call, Effect, EffectId, EffectResult, ErrorKind, Exchange, ExchangeError, ExchangeStep, Reply},
    redact,
};

/// The longest part of a platform's own message that is quoted, in characters.
const EXCERPT: usize = 200;

/// The longest wait that a platform may ask for: a mistaken header must not stop us for a day.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What to do about the refusals that a user can cure, as half a sentence each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remedies {
    /// After a 401.
    pub unauthorized: &'static str,
    /// After a 403.
    pub forbidden: &'static str,
    /// After a 404.
    pub not_found: &'static str,
}

/// What was asked of whom: the start of every error's text.
#[derive(Clone, Debug)]
pub(super) struct RequestContext {
    /// The platform and where it is, such as `Somewhere at https://ci.example.com`.
    pub platform: String,
    /// What we want of it, as an infinitive, such as `read the jobs of project 12`.
    pub what: String,
    /// What the user can do about refusals.
    pub remedies: Remedies,
    /// Never shown, even if the platform repeats it in its message.
    pub secret: SecretString,
}

impl RequestContext {
    /// The reply, or why there is none.
    pub(super) fn reply(&self, result: EffectResult) -> Result<Reply, ExchangeError> {
        match result {
            EffectResult::Http(Ok(reply)) => Ok(reply),
            EffectResult::Http(Err(unreachable)) => Err(self
                .error(ErrorKind::Unreachable, format!("{unreachable}; {}, it is asked again", unreachable.remedy()))),
            EffectResult::Program(_) | EffectResult::Clock(_) | EffectResult::Sign(_) => {
                Err(self.malformed("something else came instead of an HTTP reply"))
            }
        }
    }

    /// What a reply other than the expected one means.
    pub(super) fn refusal(&self, reply: &Reply) -> ExchangeError {
        let wait = retry_after(reply);
        let (kind, remedy) = match reply.status {
            401 => (ErrorKind::Unauthorized, self.remedies.unauthorized),
            403 => (ErrorKind::Forbidden, self.remedies.forbidden),
            404 => (ErrorKind::NotFound, self.remedies.not_found),
            429 => (ErrorKind::Throttled(wait), "too many requests; it is asked again later"),
            503 if wait.is_some() => (ErrorKind::Throttled(wait), "it asks to wait"),
            410 => (ErrorKind::Refused, "this part of its API is switched off or was removed; check its version"),
            408 | 500..=599 => (ErrorKind::Server, "it is in trouble itself; it is asked again"),
            301 | 302 | 303 | 307 | 308 => {
                (ErrorKind::Refused, "it points to another address; set the url to the one it has now")
            }
            400..=499 => (ErrorKind::Refused, "check the settings of this pool"),
            // Also a 304 to a question that carried no entity tag.
            _ => (ErrorKind::Malformed, "this answer is not expected here; check that the url leads to the platform"),
        };
        let status = reply.status;
        match self.own_message(&reply.body) {
            Some(message) => self.error(kind, format!("HTTP {status} ({message}); {remedy}")),
            None => self.error(kind, format!("HTTP {status}; {remedy}")),
        }
    }

    /// The reply's body as JSON.
    pub(super) fn json(&self, reply: &Reply) -> Result<Document, ExchangeError> {
        if is_web_page(&reply.body) {
            return Err(self.malformed(
                "a web page came instead of JSON; check the url, and whether a proxy or a login page stands before it",
            ));
        }
        match serde_json::from_slice(&reply.body) {
            Ok(value) => Ok(Document::new(self.clone(), value)),
            Err(error) => Err(self.malformed(&format!(
                "the answer is not JSON ({} bytes, {:?} error at line {} column {})",
                reply.body.len(),
                error.classify(),
                error.line(),
                error.column()
            ))),
        }
    }

    /// An answer that cannot be understood.
    pub(super) fn malformed(&self, how: &str) -> ExchangeError {
        self.error(ErrorKind::Malformed, format!("{how}; nothing is concluded from this answer"))
    }

    /// An error of this kind, with the rest of its sentence.
    pub(super) fn error(&self, kind: ErrorKind, rest: impl AsRef<str>) -> ExchangeError {
        ExchangeError::new(kind, format!("{}: cannot {}: {}", self.platform, self.what, rest.as_ref()))
    }

    /// The platform's own words about a refusal, short and clean.
    pub(super) fn own_message(&self, body: &[u8]) -> Option<String> {
        if is_web_page(body) {
            return Some("a web page instead of JSON".to_owned());
        }
        let text = match serde_json::from_slice::<serde_json::Value>(body) {
            Ok(serde_json::Value::Object(object)) => {
                let words =
                    ["message", "msg", "detail", "error_description", "error"].iter().find_map(|key| object.get(*key));
                let words = words?;
                words.as_str().map_or_else(|| words.to_string(), str::to_owned)
            }
            Ok(other) => other.to_string(),
            Err(_) => String::from_utf8_lossy(body).into_owned(),
        };
        let secret = self.secret.expose_secret();
        let text = if secret.is_empty() { text } else { text.replace(secret, "***") };
        Some(excerpt(&text)).filter(|text| !text.is_empty())
    }
}

/// The HTTP status that a refusal's text begins to tell of, when it is one of [`RequestContext::refusal`], also within a longer text.
pub(crate) fn status_in(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once(": cannot ")?;
    let (_, rest) = rest.split_once(": HTTP ")?;
    rest.get(..3)?.parse().ok()
}

/// What a platform or a program says, short enough to be quoted.
pub(super) fn excerpt(text: &str) -> String {
    redact(text, EXCERPT)
}

/// How long the platform asks to wait: `Retry-After` as seconds, or as a date when the reply says its own time too.
pub(super) fn retry_after(reply: &Reply) -> Option<Duration> {
    let value = reply.header("retry-after")?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)).min(LONGEST_WAIT));
    }
    let until = http_date(value)?;
    Some(wait_until(until, sent_at(reply)?))
}

/// When the platform sent the reply, by its own clock.
pub(super) fn sent_at(reply: &Reply) -> Option<Timestamp> {
    http_date(reply.header("date")?)
}

/// From one time to another on the platform's clock; at most an hour, zero when it is over.
pub(super) fn wait_until(until: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO).min(LONGEST_WAIT)
}

fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

fn is_web_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// An exchange that is over before anything is asked.
pub(super) fn failed<T: 'static>(error: ExchangeError) -> Call<T> {
    Box::new(Failed(error, PhantomData))
}

struct Failed<T>(ExchangeError, PhantomData<fn() -> T>);

impl<T> Exchange for Failed<T> {
    type Output = T;

    fn start(&mut self) -> ExchangeStep<T> {
        ExchangeStep::Done(Err(self.0.clone()))
    }

    fn resume(&mut self, _: EffectId, _: EffectResult) -> ExchangeStep<T> {
        self.start()
    }
}

/// An exchange of one question.
pub(super) fn once<T: 'static>(
    ask: Effect,
    read: impl FnMut(EffectResult) -> Result<T, ExchangeError> + Send + 'static,
) -> Call<T> {
    Box::new(Once { ask, read })
}

struct Once<F> {
    ask: Effect,
    read: F,
}

impl<T, F: FnMut(EffectResult) -> Result<T, ExchangeError> + Send> Exchange for Once<F> {
    type Output = T;

    fn start(&mut self) -> ExchangeStep<T> {
        ExchangeStep::perform(self.ask.clone())
    }

    fn resume(&mut self, _: EffectId, result: EffectResult) -> ExchangeStep<T> {
        ExchangeStep::Done((self.read)(result))
    }
}
