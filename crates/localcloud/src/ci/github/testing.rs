//! For tests: each kind of token of the embedded GitHub, got as a client gets it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::ci::testing::{Bench, body};

pub(crate) const USER: [(&str, &str); 2] = [("authorization", "Bearer ghp_lightsoutlocal"), ("user-agent", "test")];

pub(crate) fn registration_token(bench: &mut Bench) -> String {
    let response = bench.call("POST", "/orgs/lightsout/actions/runners/registration-token", &USER, "");
    assert_eq!(response.status, 201, "{}", response.text());
    body(&response)["token"].as_str().expect("a token").to_owned()
}

/// A JWT with these claims and a signature that is long enough.
pub(super) fn jwt(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode([7; 256]))
}

pub(super) fn access_token(bench: &mut Bench) -> String {
    let now = bench.now.0 / 1000;
    let jwt = jwt(&json!({"alg": "RS256", "typ": "JWT"}), &json!({"iat": now - 60, "exp": now + 540, "iss": "4711"}));
    let bearer = format!("Bearer {jwt}");
    let headers = [("authorization", bearer.as_str()), ("user-agent", "test")];
    let response = bench.call("POST", "/app/installations/815/access_tokens", &headers, "");
    assert_eq!(response.status, 201, "{}", response.text());
    body(&response)["token"].as_str().expect("a token").to_owned()
}
