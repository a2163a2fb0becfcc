use secrecy::{ExposeSecret, SecretString};

use crate::platform::{ErrorKind, PlatformError};

/// Refuses an address that cannot be a platform's: anything but scheme, host, port and perhaps a path.
pub(crate) fn check_url(platform: &str, url: &str, example: &str) -> Result<(), PlatformError> {
    let refuse = |why: &str| refuse(format!("the {platform} url {why}; write for example {example}"));
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return refuse("does not start with https:// or http://");
    };
    if rest.contains('@') {
        return refuse("holds a user name or a password");
    }
    if rest.contains(['?', '#', '"', '\\']) || rest.contains(char::is_whitespace) || rest.contains(char::is_control) {
        return refuse("holds a query, a fragment, a quote or a space");
    }
    if rest.starts_with(['/', ':']) || rest.trim_end_matches('/').is_empty() {
        return refuse("names no host");
    }
    Ok(())
}

/// Refuses a token that is empty or that no platform can have given out.
pub(crate) fn check_token(what: &str, token: &SecretString, remedy: &str) -> Result<(), PlatformError> {
    let token = token.expose_secret();
    if token.trim().is_empty() {
        return refuse(format!("the {what} is empty; {remedy}"));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse(format!(
            "the {what} holds a space, a line break or another character that no token has; store it without them"
        ));
    }
    Ok(())
}

/// Settings that cannot work.
pub(crate) fn refuse<T>(why: impl Into<String>) -> Result<T, PlatformError> {
    Err(PlatformError::new(ErrorKind::Refused, why))
}
