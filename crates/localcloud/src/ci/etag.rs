//! Entity tags: what the client has already is not sent again.

use sha2::{Digest, Sha256};

use crate::{
    hex::hex,
    http::{Answer, Request},
};

/// Adds the entity tag, and leaves the body out when the client has it already.
pub(super) fn conditional(request: &Request, answer: Answer) -> Answer {
    if request.method != "GET" || answer.status != 200 {
        return answer;
    }
    let tag = format!("W/\"{}\"", hex(&Sha256::digest(&answer.body)[..16]));
    let known = request.header("if-none-match").is_some_and(|tags| tags.split(',').any(|known| known.trim() == tag));
    if known {
        return Answer::empty(304).header("etag", tag);
    }
    answer.header("etag", tag).header("cache-control", "max-age=0, private, must-revalidate")
}
