use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use secrecy::SecretString;

use super::{Remedies, RequestContext, excerpt, next_page, percent_encode, retry_after};
use crate::{
    exchange::{EffectResult, ErrorKind, Reply, Unreachable},
    settings::BaseUrl,
};

pub(super) fn context() -> RequestContext {
    RequestContext {
        platform: "Somewhere".to_owned(),
        what: "count".to_owned(),
        remedies: Remedies {
            unauthorized: "renew the token",
            forbidden: "give the right",
            not_found: "correct the name",
        },
        secret: SecretString::from("s3cr3t-t0ken"),
    }
}

pub(super) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers: BTreeMap<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reply { status, headers, body: body.as_bytes().to_vec() }
}

#[test]
fn a_status_becomes_a_kind_and_a_remedy() {
    let wait = [("retry-after", "7")];
    let seven = Some(Duration::from_secs(7));
    for (status, headers, kind, part) in [
        (301, &[][..], ErrorKind::Refused, "points to another address"),
        (304, &[], ErrorKind::Malformed, "not expected"),
        (200, &[], ErrorKind::Malformed, "not expected"),
        (400, &[], ErrorKind::Refused, "settings"),
        (401, &[], ErrorKind::Unauthorized, "renew the token"),
        (403, &[], ErrorKind::Forbidden, "give the right"),
        (404, &[], ErrorKind::NotFound, "correct the name"),
        (408, &[], ErrorKind::Server, "asked again"),
        (410, &[], ErrorKind::Refused, "switched off"),
        (422, &[], ErrorKind::Refused, "settings"),
        (429, &[], ErrorKind::Throttled(None), "too many"),
        (429, &wait[..], ErrorKind::Throttled(seven), "too many"),
        (500, &wait[..], ErrorKind::Server, "asked again"),
        (502, &[], ErrorKind::Server, "asked again"),
        (503, &[], ErrorKind::Server, "asked again"),
        (503, &wait[..], ErrorKind::Throttled(seven), "asks to wait"),
        (999, &[], ErrorKind::Malformed, "not expected"),
    ] {
        let error = context().refusal(&reply(status, headers, r#"{"message":"its own words"}"#));
        assert_eq!(error.kind, kind, "{status}");
        for part in [part, "Somewhere: cannot count", "its own words", &status.to_string()] {
            assert!(error.message.contains(part), "{status}: {} lacks {part}", error.message);
        }
    }
}

#[test]
fn the_platforms_words_are_quoted_short_clean_and_without_the_secret() {
    let words = |body: &str| context().refusal(&reply(400, &[], body)).message;
    assert!(words(r#"{"error":"a","message":"b"}"#).contains("(b)"));
    assert!(words(r#"{"error":"invalid_token","error_description":"expired"}"#).contains("(expired)"));
    assert!(words(r#"{"message":{"name":["taken"]}}"#).contains(r#"({"name":["taken"]})"#));
    assert!(words("<html>long</html>").contains("(a web page instead of JSON)"));
    assert!(words("plain words").contains("(plain words)"));
    assert!(words("").contains("HTTP 400; "));
    assert!(words("{}").contains("HTTP 400; "));
    assert!(words("bad s3cr3t-t0ken!").contains("(bad ***!)"));
    // Also when the cut would go through the secret.
    assert!(!words(&format!("{}s3cr3t-t0ken", "x".repeat(195))).contains("s3cr"));
    let long = words(&format!("a\u{1b}[31m\r\nb{}", "ü".repeat(1000)));
    assert!(long.chars().all(|c| !c.is_control()) && long.chars().count() < 400, "{long}");
    assert_eq!(excerpt(&"x".repeat(500)).len(), 200);
}

#[test]
fn no_reply_is_unreachable() {
    let error =
        context().reply(EffectResult::Http(Err(Unreachable::Timeout(Duration::from_secs(10))))).expect_err("no reply");
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.is_transient() && error.message.contains("no answer within 10s"), "{error}");
    let error = context().reply(EffectResult::Program(Err("x".to_owned()))).expect_err("wrong kind");
    assert_eq!(error.kind, ErrorKind::Malformed);
}

#[test]
fn retry_after_is_seconds_or_a_date_and_nonsense_is_ignored() {
    let date = ("date", "Wed, 21 Oct 2015 07:27:00 GMT");
    for (value, clock, wait) in [
        ("0", None, Some(0)),
        (" 12 ", None, Some(12)),
        ("99999999999999999999999", None, Some(3600)),
        ("86400", None, Some(3600)),
        ("-1", None, None),
        ("1.5", None, None),
        ("+5", None, None),
        ("soon", None, None),
        ("", None, None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", Some(date), Some(60)),
        ("Wed, 21 Oct 2015 07:26:00 GMT", Some(date), Some(0)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None, None),
    ] {
        let headers: Vec<_> = [("retry-after", value)].into_iter().chain(clock).collect();
        assert_eq!(retry_after(&reply(429, &headers, "")), wait.map(Duration::from_secs), "{value:?}");
    }
    assert_eq!(retry_after(&reply(429, &[], "")), None);
}

#[test]
fn missing_and_mistyped_values_are_named_with_their_place() {
    let document =
        context().json(&reply(200, &[], r#"{"a":[{"b":1},{"b":"x","c":null}],"n":-1,"f":1.0,"big":4294967296}"#));
    let document = document.expect("JSON");
    let root = document.root();
    let list: Vec<_> = root.key("a").and_then(|a| Ok(a.list()?.collect())).expect("a list");
    assert_eq!(list[0].key("b").and_then(|b| b.number()), Ok(1));
    assert!(list[1].optional("c").expect("null is absent").is_none());
    assert!(list[1].optional("d").expect("absent").is_none());
    for (result, part) in [
        (list[1].key("b").and_then(|b| b.number()).map(drop), "a[1].b is a text, expected a whole number"),
        (list[0].key("c").map(drop), "a[0].c is missing"),
        (list[1].key("c").and_then(|c| c.text()).map(drop), "a[1].c is null, expected a text"),
        (root.text().map(drop), "the whole answer is an object, expected a text"),
        (root.key("a").and_then(|a| a.key("x").map(drop)), "a is a list, expected an object"),
        (root.key("n").and_then(|n| n.number()).map(drop), "n is a number, expected a whole number"),
        (root.key("f").and_then(|n| n.number()).map(drop), "f is a number, expected a whole number"),
        (root.key("big").and_then(|n| n.count()).map(drop), "big is a number, expected a number below"),
        (root.key("n").and_then(|n| n.flag()).map(drop), "n is a number, expected true or false"),
    ] {
        let error = result.expect_err(part);
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.message.contains(part), "{} lacks {part}", error.message);
    }
}

#[test]
fn what_is_not_json_is_said_to_be_so() {
    for (body, part) in [
        ("<!DOCTYPE html><title>Sign in</title>", "a web page"),
        (" \n<html>", "a web page"),
        ("", "not JSON (0 bytes"),
        ("[{\"id\":1", "not JSON (8 bytes, Eof error"),
        ("\u{0}", "not JSON"),
        (&"[".repeat(100_000), "not JSON"),
    ] {
        let error = context().json(&reply(200, &[], body)).err().expect(part);
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.message.contains(part), "{} lacks {part}", error.message);
    }
}

const URL: &str = "https://ci.example.com/api/jobs?scope[]=a&per_page=100";

fn base() -> BaseUrl {
    BaseUrl::parse("https://ci.example.com/api").expect("an address")
}

#[test]
fn the_next_page_is_found_and_never_elsewhere() {
    let next = |headers: &[(&str, &str)], full| next_page(&context(), &reply(200, headers, ""), &base(), URL, full);
    let page = |n: u32| Ok(Some(format!("{URL}&page={n}")));
    assert_eq!(next(&[], false), Ok(None));
    assert_eq!(next(&[], true), page(2), "a full page without any header is not the last");
    assert_eq!(next(&[("x-next-page", "")], true), Ok(None));
    assert_eq!(next(&[("x-next-page", "2")], true), page(2));
    assert_eq!(next(&[("x-next-page", "2"), ("link", "<https://evil.example/>; rel=\"next\"")], true), page(2));
    assert_eq!(next(&[("link", "")], true), Ok(None));
    let own = "https://CI.example.com:443/api/jobs?cursor=a,b";
    for link in [
        format!("<{own}>; rel=\"next\""),
        format!("<{own}>;rel=next"),
        // A backslash escapes within quotes only.
        format!("<https://x.example/1>; title=a\\, <{own}>; rel=\"next\""),
        format!(
            "<https://x.example/1>; rel=\"first\", <{own}>; title=\"a, \\\" <b>\"; rel=\"prefetch NEXT\", <https://x.example/9>; rel=last"
        ),
    ] {
        assert_eq!(next(&[("link", &link)], false), Ok(Some(own.to_owned())), "{link}");
    }
    assert_eq!(next(&[("link", "<https://x.example/1>; rel=\"first\"; title=\"rel=next\"")], true), Ok(None));
    for (header, value) in [
        ("x-next-page", "two"),
        ("x-next-page", "1"),
        ("x-next-page", "-3"),
        ("link", "https://ci.example.com/2; rel=next"),
        ("link", "<https://ci.example.com/2; rel=next"),
        ("link", "<https://ci.example.com/2>; rel=\"next"),
        ("link", "<https://evil.example/2>; rel=\"next\""),
        ("link", "<http://ci.example.com/2>; rel=\"next\""),
        ("link", "<https://ci.example.com:444/2>; rel=\"next\""),
        ("link", "<https://ci.example.com@evil.example/2>; rel=\"next\""),
        ("link", "<https://evil.example\\@ci.example.com/2>; rel=\"next\""),
        ("link", "</api/jobs?page=2>; rel=\"next\""),
        ("link", "<//evil.example/2>; rel=\"next\""),
    ] {
        let error = next(&[(header, value)], true).expect_err(value);
        assert_eq!(error.kind, ErrorKind::Malformed, "{value}");
    }
}

#[test]
fn a_page_number_replaces_the_one_before() {
    let url = "https://ci.example.com/j?page=4&per_page=100";
    let next = next_page(&context(), &reply(200, &[("x-next-page", "5")], ""), &base(), url, true);
    assert_eq!(next, Ok(Some("https://ci.example.com/j?per_page=100&page=5".to_owned())));
}

#[test]
fn reserved_characters_are_escaped() {
    assert_eq!(percent_encode("tëam/app one.x-y_z~"), "t%C3%ABam%2Fapp%20one.x-y_z~");
}

proptest! {
    #[test]
    fn arbitrary_headers_never_panic_and_never_lead_elsewhere(link in ".{0,80}", page in ".{0,10}", full: bool) {
        for headers in [&[("link", link.as_str())][..], &[("x-next-page", page.as_str())], &[("retry-after", page.as_str())]] {
            let reply = reply(200, headers, "");
            let _ = retry_after(&reply);
            if let Ok(Some(next)) = next_page(&context(), &reply, &base(), URL, full) {
                prop_assert!(base().leads_to(&next));
            }
        }
    }

    #[test]
    fn arbitrary_bodies_never_panic(body: Vec<u8>, status: u16) {
        let reply = Reply { status, headers: BTreeMap::new(), body };
        let error = context().refusal(&reply);
        prop_assert!(error.message.chars().all(|c| !c.is_control()));
        let _ = context().json(&reply);
    }
}
