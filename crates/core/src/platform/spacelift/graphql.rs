use serde_json::Value;

use crate::{
    platform::{
        ErrorKind, PlatformError,
        answer::{Asked, Document, excerpt},
    },
    wire::Reply,
};
use secrecy::ExposeSecret;

/// The data of an answer without errors.
pub(super) fn read(asked: &Asked, reply: &Reply) -> Result<Document, PlatformError> {
    // Errors come with HTTP 200 as well as with 400 and 422.
    if let Some(message) = first_error(&reply.body) {
        return Err(failure(asked, reply.status, &message));
    }
    if reply.status != 200 {
        return Err(asked.refusal(reply));
    }
    asked.json(reply)
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

fn failure(asked: &Asked, status: u16, message: &str) -> PlatformError {
    let (kind, remedy) = if says(message, &["unauthorized", "unauthenticated"]) || status == 401 {
        (ErrorKind::Unauthorized, asked.remedies.unauthorized)
    } else if says(message, &["forbidden", "permission", "access denied", "not allowed"]) || status == 403 {
        (ErrorKind::Forbidden, asked.remedies.forbidden)
    } else if says(message, &["not found", "does not exist", "no such"]) {
        (ErrorKind::NotFound, asked.remedies.not_found)
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
    let secret = asked.secret.expose_secret();
    let message = if secret.is_empty() { message.to_owned() } else { message.replace(secret, "***") };
    let words = if message.is_empty() { "an error without words".to_owned() } else { excerpt(&message) };
    asked.error(kind, format!("its answer is an error ({words}); {remedy}"))
}

fn says(message: &str, words: &[&str]) -> bool {
    let message = message.to_ascii_lowercase();
    words.iter().any(|word| message.contains(word))
}
