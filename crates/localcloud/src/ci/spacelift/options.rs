//! What the embedded Spacelift holds when it starts.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};

/// What Spacelift holds when it starts: one worker pool.
#[derive(Clone, Debug)]
pub struct SpaceliftOptions {
    /// The worker pool's id.
    pub pool: String,
    /// The pool's token (`SPACELIFT_TOKEN`), with which workers connect: base64 of a JSON document.
    pub pool_token: String,
    /// The id of an API key that may read the pool and drain its workers.
    pub key_id: String,
    pub key_secret: String,
    /// How long a login is good for.
    pub session: Duration,
    /// Whether workers have `availableAt`; servers of one's own that are not new do not.
    pub available_at: bool,
}

impl Default for SpaceliftOptions {
    fn default() -> Self {
        Self {
            pool: "01LIGHTSOUTP00LDEM00000000".into(),
            pool_token: STANDARD
                .encode(r#"{"broker":{"endpoint":"worker-iot.lightsout.invalid"},"poolId":"lightsout"}"#),
            key_id: "01LIGHTSOUTAP1KEY000000000".into(),
            key_secret: "lightsout-local-key-secret".into(),
            session: Duration::from_secs(3600),
            available_at: true,
        }
    }
}
