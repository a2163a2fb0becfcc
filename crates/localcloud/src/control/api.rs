//! What every call of the control API takes and refuses with.

use std::sync::Arc;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use crate::state::Shared;

/// What a call acts on.
pub(super) type Api = State<Arc<Shared>>;

/// An error: a status and a sentence, sent as `{"error": "..."}`.
pub(super) struct ApiError(pub StatusCode, pub String);

impl ApiError {
    pub(super) fn bad(what: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, what.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self(StatusCode::BAD_REQUEST, rejection.body_text())
    }
}

/// A body that may be left out: empty means the defaults.
pub(super) fn optional<T: Default + for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, ApiError> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| ApiError::bad(format!("the body is not understood: {error}")))
}

/// The fleet is in no state for it.
pub(super) fn conflict(what: String) -> ApiError {
    ApiError(StatusCode::CONFLICT, what)
}
