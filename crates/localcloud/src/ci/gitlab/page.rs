//! Pages and entity tags, as GitLab's REST API has them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::invalid;
use crate::ci::jobs::Job;
use crate::http::{Request, Response};

/// Whether the total is told; GitLab leaves it out for lists that are costly to count, jobs among them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Total {
    Told,
    Untold,
}

/// One page of these items, as `show` shows them. `base` is the server's own address.
pub(super) fn page<T>(
    request: &Request,
    base: &str,
    items: &[T],
    total: Total,
    show: impl Fn(&T) -> Value,
) -> Response {
    let (number, size) = match (positive(request, "page", 1), positive(request, "per_page", 20)) {
        (Ok(number), Ok(size)) => (number, size.min(100)),
        (Err(refusal), _) | (_, Err(refusal)) => return refusal,
    };
    let pages = items.len().div_ceil(size).max(1);
    let from = size.saturating_mul(number - 1).min(items.len());
    let to = from.saturating_add(size).min(items.len());
    let next = (number < pages).then(|| number + 1);
    let previous = (number > 1).then(|| number - 1);

    let link =
        |page: usize, rel: &str| format!("<{}>; rel=\"{rel}\"", address(request, base, "page", &page.to_string()));
    let mut links: Vec<String> = Vec::new();
    links.extend(previous.map(|page| link(page, "prev")));
    links.extend(next.map(|page| link(page, "next")));
    links.push(link(1, "first"));
    let number_of = |page: Option<usize>| page.map_or_else(String::new, |page| page.to_string());
    let response = Response::json(200, &items[from..to].iter().map(show).collect())
        .header("x-page", number.to_string())
        .header("x-per-page", size.to_string())
        .header("x-next-page", number_of(next))
        .header("x-prev-page", number_of(previous));
    match total {
        Total::Told => {
            links.push(link(pages, "last"));
            response
                .header("link", links.join(", "))
                .header("x-total", items.len().to_string())
                .header("x-total-pages", pages.to_string())
        }
        Total::Untold => response.header("link", links.join(", ")),
    }
}

/// One page of jobs, newest first, by cursor: only a link to the next.
pub(super) fn keyset(request: &Request, base: &str, jobs: &[&Job], show: impl Fn(&&Job) -> Value) -> Response {
    let size = match positive(request, "per_page", 20) {
        Ok(size) => size.min(100),
        Err(refusal) => return refusal,
    };
    let before = match request.query("cursor").map(cursor_id) {
        None => u64::MAX,
        Some(Some(id)) => id,
        Some(None) => return invalid("cursor is invalid"),
    };
    let rest = &jobs[jobs.partition_point(|job| job.id >= before)..];
    let shown = &rest[..size.min(rest.len())];
    let response = Response::json(200, &shown.iter().map(show).collect());
    match shown.last() {
        Some(last) if rest.len() > size => {
            let cursor = URL_SAFE_NO_PAD.encode(last.id.to_string());
            response.header("link", format!("<{}>; rel=\"next\"", address(request, base, "cursor", &cursor)))
        }
        Some(_) | None => response,
    }
}

fn positive(request: &Request, name: &str, default: usize) -> Result<usize, Response> {
    match request.query(name) {
        None => Ok(default),
        Some(text) => match text.parse() {
            Ok(0) | Err(_) => Err(invalid(&format!("{name} does not have a valid value"))),
            Ok(number) => Ok(number),
        },
    }
}

/// The request's own address with one parameter set.
fn address(request: &Request, base: &str, name: &str, value: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(request.query.iter().filter(|(key, _)| key != name && key != "private_token"));
    query.append_pair(name, value);
    format!("{base}{}?{}", request.path, query.finish())
}

fn cursor_id(cursor: &str) -> Option<u64> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?.parse().ok()
}
