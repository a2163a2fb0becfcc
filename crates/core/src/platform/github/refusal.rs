//! What GitHub's refusals mean, its two kinds of rate limits among them.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    duration::format_about,
    exchange::{ErrorKind, ExchangeError, Reply},
    platform::answer::{RequestContext, excerpt, retry_after, sent_at, wait_until},
};

/// How long to wait for a limit that does not say so (GitHub REST API, rate limits).
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(60);

/// What a reply other than the expected one means: GitHub says with 403 both "no right" and "too many requests".
pub(super) fn refusal(context: &RequestContext, reply: &Reply) -> ExchangeError {
    if let Some(wait) = limit(reply) {
        let message = format!(
            "HTTP {}: too many requests; it is asked again in {}. Fewer repositories, a longer tick or a GitHub App (whose limit is higher) help",
            reply.status,
            format_about(wait)
        );
        return context.error(ErrorKind::Throttled(Some(wait)), message);
    }
    let mut error = context.refusal(reply);
    if matches!(reply.status, 403 | 404) {
        error.message.push_str(&rights(reply));
    }
    error
}

/// How long to wait, when the reply refuses for a rate limit.
fn limit(reply: &Reply) -> Option<Duration> {
    if !matches!(reply.status, 403 | 429) {
        return None;
    }
    let used_up = reply.header("x-ratelimit-remaining").is_some_and(|left| left.trim() == "0");
    let says_so = String::from_utf8_lossy(&reply.body).contains("rate limit");
    if let Some(wait) = retry_after(reply) {
        return Some(wait);
    }
    if used_up {
        return Some(reset(reply).unwrap_or(DEFAULT_RETRY_AFTER));
    }
    (says_so || reply.status == 429).then_some(DEFAULT_RETRY_AFTER)
}

/// From the reply until the limit's hour ends, by GitHub's own clock.
pub(super) fn reset(reply: &Reply) -> Option<Duration> {
    let at = reply.header("x-ratelimit-reset")?.trim().parse::<i64>().ok()?;
    let wait = wait_until(Timestamp::from_second(at).ok()?, sent_at(reply)?);
    (!wait.is_zero()).then_some(wait)
}

/// What the call needs and what the token has, as far as GitHub tells.
fn rights(reply: &Reply) -> String {
    let said = |name: &str| reply.header(name).map(excerpt).filter(|text| !text.is_empty());
    let mut text = String::new();
    if let Some(needed) = said("x-accepted-github-permissions") {
        text.push_str(&format!("; the permission that is needed here: {needed}"));
    }
    if let Some(needed) = said("x-accepted-oauth-scopes") {
        text.push_str(&format!("; the scope that is needed here: {needed}"));
    }
    if let Some(scopes) = reply.header("x-oauth-scopes") {
        let scopes = excerpt(scopes);
        text.push_str(&format!("; the token has {}", if scopes.is_empty() { "no scope" } else { &scopes }));
    }
    text
}
