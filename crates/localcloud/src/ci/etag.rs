//! Entity tags: what the client has already is not sent again.

use sha2::{Digest, Sha256};

use crate::http::{Request, Response};

/// Adds the entity tag, and leaves the body out when the client has it already.
pub(super) fn conditional(request: &Request, response: Response) -> Response {
    if request.method != "GET" || response.status != 200 {
        return response;
    }
    let tag = format!("W/\"{}\"", hex::encode(&Sha256::digest(&response.body)[..16]));
    let known = request.header("if-none-match").is_some_and(|tags| tags.split(',').any(|known| known.trim() == tag));
    if known {
        return Response::empty(304).header("etag", tag);
    }
    response.header("etag", tag).header("cache-control", "max-age=0, private, must-revalidate")
}
