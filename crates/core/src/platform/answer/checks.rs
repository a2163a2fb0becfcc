//! Checks of secrets before any call.

use secrecy::{ExposeSecret, SecretString};

use crate::{
    exchange::{ErrorKind, ExchangeError},
    settings::Problem,
};

/// Refuses a token that is empty or that no platform can have given out.
pub(crate) fn check_token(key: &str, what: &str, token: &SecretString, remedy: &str) -> Result<(), Problem> {
    let token = token.expose_secret();
    if token.trim().is_empty() {
        return Err(Problem::new(key, format!("the {what} is empty"), remedy));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem::new(
            key,
            format!("the {what} holds a space, a line break or another character that no token has"),
            "store it without them",
        ));
    }
    Ok(())
}

/// What cannot be done with these settings on this instance.
pub(crate) fn refuse<T>(why: impl Into<String>) -> Result<T, ExchangeError> {
    Err(ExchangeError::new(ErrorKind::Refused, why.into()))
}
