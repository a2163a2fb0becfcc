//! GraphQL questions, and what their errors mean.

use serde_json::Value;

use crate::{
    exchange::{ErrorKind, ExchangeError, Reply},
    platform::answer::{Document, RequestContext, excerpt},
};
use secrecy::ExposeSecret;

/// The data of an answer without errors.
pub(super) fn read(context: &RequestContext, reply: &Reply) -> Result<Document, ExchangeError> {
    // Errors come with HTTP 200 as well as with 400 and 422.
    if let Some(message) = first_error(&reply.body) {
        return Err(failure(context, reply.status, &message));
    }
    if reply.status != 200 {
        return Err(context.refusal(reply));
    }
    context.json(reply)
}

/// Whether the token was refused: by the status or in words.
pub(super) fn unauthorized(reply: &Reply) -> bool {
    reply.status == 401
        || first_error(&reply.body).is_some_and(|message| says(&message, &["unauthorized", "unauthenticated"]))
}

/// The first of the errors, an empty text when there are errors without words.
fn first_error(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let errors = value.get("errors")?;
    if errors.is_null() || errors.as_array().is_some_and(Vec::is_empty) {
        return None;
    }
    Some(errors.pointer("/0/message").and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn failure(context: &RequestContext, status: u16, message: &str) -> ExchangeError {
    let (kind, remedy) = if says(message, &["unauthorized", "unauthenticated"]) || status == 401 {
        (ErrorKind::Unauthorized, context.remedies.unauthorized)
    } else if says(message, &["forbidden", "permission", "access denied", "not allowed"]) || status == 403 {
        (ErrorKind::Forbidden, context.remedies.forbidden)
    } else if says(message, &["not found", "does not exist", "no such"]) {
        (ErrorKind::NotFound, context.remedies.not_found)
    } else if says(message, &["rate limit", "too many requests"]) || status == 429 {
        (ErrorKind::Throttled(None), "too many requests; it is asked again later")
    } else if says(message, &["cannot query field", "unknown argument", "unknown type"]) {
        (
            ErrorKind::Refused,
            "this server does not know a part of the question; bring a self-hosted Spacelift up to date",
        )
    } else {
        (ErrorKind::Server, "it is asked again")
    };
    let secret = context.secret.expose_secret();
    let message = if secret.is_empty() { message.to_owned() } else { message.replace(secret, "***") };
    let words = if message.is_empty() { "an error without words".to_owned() } else { excerpt(&message) };
    context.error(kind, format!("its answer is an error ({words}); {remedy}"))
}

fn says(message: &str, words: &[&str]) -> bool {
    let message = message.to_ascii_lowercase();
    words.iter().any(|word| message.contains(word))
}
