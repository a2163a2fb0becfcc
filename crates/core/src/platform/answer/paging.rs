//! The address of the next page, which never leads the token to another host.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::RequestContext;
use crate::{
    exchange::{ExchangeError, Reply},
    settings::BaseUrl,
};

/// What must be escaped in one piece of a URL (RFC 3986): all but the unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The address of the page after this one, `None` after the last.
///
/// `X-Next-Page` (a page number, empty on the last page) is put into `url` as its `page` parameter. Else the `Link`
/// header's `next` is followed, if it leads to `base`: a token must not follow a link to another host. When neither
/// header is there (a proxy may have dropped them) a page that is `full` is not taken for the last one.
pub(crate) fn next_page(
    context: &RequestContext,
    reply: &Reply,
    base: &BaseUrl,
    url: &str,
    full: bool,
) -> Result<Option<String>, ExchangeError> {
    let page = page_of(url);
    if let Some(next) = reply.header("x-next-page") {
        let next = next.trim();
        if next.is_empty() {
            return Ok(None);
        }
        return match next.parse::<u64>() {
            Ok(number) if number > page => Ok(Some(with_page(url, number))),
            Ok(_) | Err(_) => Err(context.malformed(&format!("the header x-next-page after page {page} is nonsense"))),
        };
    }
    let Some(link) = reply.header("link") else {
        return Ok(full.then(|| with_page(url, page + 1)));
    };
    let Ok(next) = link_next(link) else {
        return Err(context.malformed("its link header cannot be read"));
    };
    match next {
        None => Ok(None),
        Some(next) if base.leads_to(next) => Ok(Some(next.to_owned())),
        Some(_) => Err(context.malformed(
            "the next page is said to be at another address, where the token must not go; \
             set the url to the address by which the platform knows itself (its own setting external_url or the like)",
        )),
    }
}

/// Text as one piece of a URL: all but letters, digits and `-._~` escaped.
pub(crate) fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The `next` target of a `Link` header (RFC 8288).
fn link_next(header: &str) -> Result<Option<&str>, ()> {
    let mut rest = header.trim_start();
    let mut found = None;
    while !rest.is_empty() {
        let (target, after) = rest.strip_prefix('<').ok_or(())?.split_once('>').ok_or(())?;
        let end = end_of_parameters(after)?;
        let (parameters, after) = after.split_at(end);
        if is_next(parameters) {
            found = found.or(Some(target));
        }
        rest = after.trim_start_matches([',', ' ', '\t']);
    }
    Ok(found)
}

/// Where the comma is that ends this link: the first outside of quotes.
fn end_of_parameters(text: &str) -> Result<usize, ()> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => return Ok(at),
            _ => {}
        }
    }
    if quoted { Err(()) } else { Ok(text.len()) }
}

fn is_next(parameters: &str) -> bool {
    parameters.split(';').any(|parameter| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
        })
    })
}

/// The page that a URL names; 1 when it names none.
fn page_of(url: &str) -> u64 {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query.split('&').find_map(|pair| pair.strip_prefix("page=")?.parse().ok()).unwrap_or(1)
}

fn with_page(url: &str, page: u64) -> String {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("page="));
    let mut pairs: Vec<String> = kept.map(str::to_owned).collect();
    pairs.push(format!("page={page}"));
    format!("{path}?{}", pairs.join("&"))
}
