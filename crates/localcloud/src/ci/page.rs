//! Pages of lists with their `Link` header, as most platforms have them.

use serde_json::{Value, json};

use crate::http::{Request, Response};

/// One page of these items below `key`, with the total.
pub(crate) fn page<T>(request: &Request, base: &str, key: &str, items: &[T], show: impl Fn(&T) -> Value) -> Response {
    let (from, to, links) = cut(request, base, items.len());
    let shown: Vec<Value> = items[from..to].iter().map(show).collect();
    linked(Response::json(200, &json!({"total_count": items.len(), key: shown})), &links)
}

/// One page of these items, as a bare list.
pub(crate) fn bare<T>(request: &Request, base: &str, items: &[T], show: impl Fn(&T) -> Value) -> Response {
    let (from, to, links) = cut(request, base, items.len());
    linked(Response::json(200, &items[from..to].iter().map(show).collect()), &links)
}

/// What a page holds, and the links to the others. What makes no sense counts as left out.
fn cut(request: &Request, base: &str, total: usize) -> (usize, usize, Vec<String>) {
    let number = |name: &str| request.query(name).and_then(|text| text.parse().ok()).filter(|number| *number > 0);
    let size: usize = number("per_page").unwrap_or(30).min(100);
    let page: usize = number("page").unwrap_or(1);
    let pages = total.div_ceil(size).max(1);
    let from = size.saturating_mul(page - 1).min(total);
    let link = |page: usize, rel: &str| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(request.query.iter().filter(|(key, _)| key != "page"));
        query.append_pair("page", &page.to_string());
        format!("<{base}{}?{}>; rel=\"{rel}\"", request.path, query.finish())
    };
    let mut links = Vec::new();
    if page > 1 {
        links.extend([link(page.min(pages + 1) - 1, "prev")]);
    }
    if page < pages {
        links.extend([link(page + 1, "next"), link(pages, "last")]);
    }
    if page > 1 {
        links.extend([link(1, "first")]);
    }
    (from, from.saturating_add(size).min(total), links)
}

fn linked(response: Response, links: &[String]) -> Response {
    if links.is_empty() { response } else { response.header("link", links.join(", ")) }
}
