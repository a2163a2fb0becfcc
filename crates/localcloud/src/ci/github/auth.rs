//! Who may ask: personal and installation tokens, App JWTs, and how often.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{GitHub, not_found, refuse};
use crate::{
    http::{Request, Response},
    time::Timestamp,
};

/// A token that was given out.
pub(super) struct Issued {
    pub right: Right,
    pub until: Timestamp,
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// The REST API, as an App's installation.
    Api,
    /// Registering a runner.
    Register,
    Remove,
    /// Administering scale sets.
    Admin,
    /// Reading a scale set's messages.
    Queue,
}

/// How long tokens are good for, installation and registration tokens alike.
const HOUR: Duration = Duration::from_secs(3600);
/// The longest life of an App's JWT, and how far clocks may differ; seconds.
const JWT_LONGEST: i64 = 600;
const JWT_SKEW: i64 = 60;

impl GitHub {
    /// The token of a request to the REST API, if it is good.
    pub(super) fn user(&self, request: &Request, now: Timestamp) -> Result<String, Response> {
        let header = request.header("authorization").ok_or_else(|| refuse(401, "Requires authentication"))?;
        let token = header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("token ")).unwrap_or_default();
        if token == self.options.token || self.allows(token, Right::Api, now) {
            Ok(token.to_owned())
        } else {
            Err(refuse(401, "Bad credentials"))
        }
    }

    pub(super) fn allows(&self, token: &str, right: Right, now: Timestamp) -> bool {
        self.issued.get(token).is_some_and(|issued| issued.right == right && issued.until > now)
    }

    /// Gives out a token that is good for an hour.
    pub(super) fn issue(&mut self, prefix: &str, right: Right, now: Timestamp) -> (String, Timestamp) {
        self.issued.retain(|_, issued| issued.until > now);
        let (token, until) = (self.make(prefix), now + HOUR);
        self.issued.insert(token.clone(), Issued { right, until });
        (token, until)
    }

    pub(super) fn access_token(
        &mut self,
        installation: u64,
        request: &Request,
        now: Timestamp,
    ) -> Result<Response, Response> {
        let jwt = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        self.check_jwt(jwt.unwrap_or_default(), now).map_err(|why| refuse(401, why))?;
        if installation != self.options.installation_id {
            return Err(not_found());
        }
        let (token, until) = self.issue("ghs_", Right::Api, now);
        let body = json!({
            "token": token,
            "expires_at": until.to_seconds(),
            "permissions": {"actions": "read", "metadata": "read", "organization_self_hosted_runners": "write", "administration": "write"},
            "repository_selection": "all",
        });
        Ok(Response::json(201, &body))
    }

    /// Whether this is an App's JWT by its looks: nobody here knows the App's key, so the signature itself is not checked.
    fn check_jwt(&self, jwt: &str, now: Timestamp) -> Result<(), &'static str> {
        const UNDECODED: &str = "A JSON web token could not be decoded";
        let parts: Vec<&str> = jwt.split('.').collect();
        let [header, claims, signature] = parts.as_slice() else { return Err(UNDECODED) };
        let decode = |part: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
        let (header, claims) = decode(header).zip(decode(claims)).ok_or(UNDECODED)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| UNDECODED)?;
        // RSA keys have at least 2048 bits.
        if header["alg"] != "RS256" || signature.len() < 256 {
            return Err(UNDECODED);
        }
        let own_id = self.options.app_id.to_string();
        if claims["iss"] != json!(self.options.app_id) && claims["iss"] != json!(own_id) {
            return Err("Integration not found");
        }
        let (Some(issued), Some(expires)) = (claims["iat"].as_i64(), claims["exp"].as_i64()) else {
            return Err("'Issued at' claim ('iat') and 'Expiration time' claim ('exp') must be integers");
        };
        let now = now.0.div_euclid(1000);
        if issued > now + JWT_SKEW {
            return Err(
                "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
            );
        }
        if expires <= now || expires > now + JWT_LONGEST + JWT_SKEW || expires - issued > JWT_LONGEST + JWT_SKEW {
            return Err("'Expiration time' claim ('exp') is too far in the future or in the past");
        }
        Ok(())
    }

    pub(super) fn short_token(&mut self, right: Right, now: Timestamp) -> Response {
        let (token, until) = self.issue("A", right, now);
        Response::json(201, &json!({"token": token, "expires_at": until.to_seconds()}))
    }
}

/// Counts requests by token in windows of one hour.
#[derive(Default)]
pub(super) struct Limiter {
    window: i64,
    used: BTreeMap<String, u32>,
}

impl Limiter {
    /// Charges for an answer and says how much is left. What the client has already is free.
    pub(super) fn charge(&mut self, token: &str, response: Response, limit: u32, now: Timestamp) -> Response {
        let window = now.0.div_euclid(3_600_000);
        if window != self.window {
            self.window = window;
            self.used.clear();
        }
        let used = self.used.entry(token.to_owned()).or_default();
        let response = if *used >= limit {
            refuse(403, "API rate limit exceeded for user ID 1.")
        } else {
            *used += u32::from(response.status != 304);
            response
        };
        response
            .header("x-ratelimit-limit", limit.to_string())
            .header("x-ratelimit-remaining", limit.saturating_sub(*used).to_string())
            .header("x-ratelimit-used", used.to_string())
            .header("x-ratelimit-reset", ((window + 1) * 3600).to_string())
            .header("x-ratelimit-resource", "core")
    }
}

/// GitHub's answer to too many requests in a short time.
pub(super) fn secondary_limit(now: Timestamp) -> Response {
    refuse(403, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
        .header("retry-after", "60")
        .header("x-ratelimit-remaining", "4000")
        .header("x-ratelimit-reset", (now.0.div_euclid(1000) + 60).to_string())
}
