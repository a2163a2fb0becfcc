//! Webhooks: who is believed, and that nothing comes twice.

use std::collections::BTreeMap;

use hmac::{Hmac, Mac};
use jiff::Timestamp;
use lightsout_core::platform::{
    self,
    webhook::{Deliveries, Hint, Refused, Webhook, verify},
};
use proptest::prelude::*;
use sha2::Sha256;

const NOW: i64 = 1_769_940_000;
const QUEUED: &str = r#"{"action":"queued","workflow_job":{"id":1,"labels":["linux"]}}"#;
const PENDING: &str = r#"{"object_kind":"build","build_status":"pending","build_id":1}"#;
const SCHEDULED: &str = r#"{"event":"job.scheduled","job":{"id":"1"}}"#;
const KINDS: [&Webhook; 3] = [&platform::gitlab::WEBHOOK, &platform::github::WEBHOOK, &platform::buildkite::WEBHOOK];

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

fn check(kind: &Webhook, secret: &str, headers: &[(&str, &str)], body: &str) -> Result<Hint, Refused> {
    let headers: BTreeMap<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    verify(kind, &secret.into(), &headers, body.as_bytes(), Timestamp::from_second(NOW).expect("a time"))
}

fn github(secret: &str, event: &str, body: &str) -> Result<Hint, Refused> {
    let signature = format!("sha256={}", hex(&hmac(secret.as_bytes(), body)));
    check(&platform::github::WEBHOOK, "s3cret", &[("x-hub-signature-256", &signature), ("x-github-event", event)], body)
}

fn buildkite(secret: &str, at: i64, body: &str) -> Result<Hint, Refused> {
    let signature = format!("timestamp={at},signature={}", hex(&hmac(secret.as_bytes(), &format!("{at}.{body}"))));
    check(&platform::buildkite::WEBHOOK, "s3cret", &[("x-buildkite-signature", &signature)], body)
}

fn gitlab(key: &[u8], at: i64, body: &str) -> Result<Hint, Refused> {
    let (secret, time) = (format!("whsec_{}", base64(b"signing-key")), at.to_string());
    let signature = format!("v1,bm90aGluZw== v2,x v1,{}", base64(&hmac(key, &format!("msg_1.{at}.{body}"))));
    let headers =
        [("webhook-id", "msg_1"), ("webhook-timestamp", time.as_str()), ("webhook-signature", signature.as_str())];
    check(&platform::gitlab::WEBHOOK, &secret, &headers, body)
}

#[test]
fn the_example_of_githubs_documentation_is_accepted() {
    // GitHub documentation, "Validating webhook deliveries": secret, payload and signature for testing.
    let secret = "It's a Secret to Everybody";
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let result = check(&platform::github::WEBHOOK, secret, &[("x-hub-signature-256", signature)], "Hello, World!");
    assert_eq!(result, Err(Refused::Malformed), "authentic, and no JSON");
    let result = check(&platform::github::WEBHOOK, secret, &[("x-hub-signature-256", signature)], "Hello, World?");
    assert_eq!(result, Err(Refused::Forged));
}

#[test]
fn jobs_that_may_wait_are_a_hint_and_other_events_are_none() {
    for (event, body, waiting) in [
        ("workflow_job", QUEUED, true),
        ("workflow_job", r#"{"action":"completed"}"#, false),
        ("workflow_job", "{}", false),
        ("workflow_job", r#"{"action":["queued"]}"#, false),
        ("ping", QUEUED, false),
        ("check_run", QUEUED, false),
    ] {
        assert_eq!(github("s3cret", event, body).expect("authentic").waiting, waiting, "{event} {body}");
    }
    for (body, waiting) in [(SCHEDULED, true), (r#"{"event":"job.finished"}"#, false), ("{}", false)] {
        assert_eq!(buildkite("s3cret", NOW, body).expect("authentic").waiting, waiting);
    }
    for (body, waiting) in [
        (PENDING, true),
        (r#"{"object_kind":"build","build_status":"running"}"#, false),
        (r#"{"object_kind":"push","build_status":"pending"}"#, false),
    ] {
        assert_eq!(gitlab(b"signing-key", NOW, body).expect("authentic").waiting, waiting);
    }
}

#[test]
fn plain_tokens_are_accepted_where_the_platform_has_them() {
    for (kind, header, body) in [
        (&platform::gitlab::WEBHOOK, "x-gitlab-token", PENDING),
        (&platform::buildkite::WEBHOOK, "x-buildkite-token", SCHEDULED),
    ] {
        assert!(check(kind, "s3cret", &[(header, "s3cret")], body).expect("authentic").waiting);
        for wrong in ["", "s3cre", "s3crets", "S3CRET", " s3cret"] {
            assert_eq!(check(kind, "s3cret", &[(header, wrong)], body), Err(Refused::Forged), "{wrong}");
        }
    }
    assert_eq!(
        check(&platform::github::WEBHOOK, "s3cret", &[("x-gitlab-token", "s3cret")], QUEUED),
        Err(Refused::Unsigned)
    );
}

#[test]
fn forged_unsigned_and_broken_ones_are_refused() {
    assert_eq!(github("other", "workflow_job", QUEUED), Err(Refused::Forged));
    assert_eq!(buildkite("other", NOW, SCHEDULED), Err(Refused::Forged));
    assert_eq!(gitlab(b"other", NOW, PENDING), Err(Refused::Forged));
    for kind in KINDS {
        assert_eq!(check(kind, "s3cret", &[], "{}"), Err(Refused::Unsigned));
    }
    for signature in ["", "sha256=", "sha256=zz", "sha256=0", "sha1=00", "757107"] {
        assert_eq!(
            check(&platform::github::WEBHOOK, "s3cret", &[("x-hub-signature-256", signature)], QUEUED),
            Err(Refused::Forged),
            "{signature}"
        );
    }
    for signature in ["", "timestamp=1", "signature=00", "timestamp=,signature="] {
        assert_eq!(
            check(&platform::buildkite::WEBHOOK, "s3cret", &[("x-buildkite-signature", signature)], SCHEDULED),
            Err(Refused::Forged)
        );
    }
    // An empty secret vouches for nobody.
    let signature = format!("sha256={}", hex(&hmac(b"", QUEUED)));
    assert_eq!(
        check(&platform::github::WEBHOOK, "", &[("x-hub-signature-256", &signature)], QUEUED),
        Err(Refused::Forged)
    );
}

#[test]
fn a_signing_token_cannot_be_evaded_by_a_plain_one() {
    let secret = format!("whsec_{}", base64(b"signing-key"));
    assert_eq!(
        check(&platform::gitlab::WEBHOOK, &secret, &[("x-gitlab-token", &secret)], PENDING),
        Err(Refused::Unsigned)
    );
    let both = [("x-buildkite-signature", "timestamp=1,signature=00"), ("x-buildkite-token", "s3cret")];
    assert_eq!(check(&platform::buildkite::WEBHOOK, "s3cret", &both, SCHEDULED), Err(Refused::Forged));
}

#[test]
fn a_signed_time_must_be_near() {
    for (off, fresh) in
        [(0, true), (300, true), (-300, true), (301, false), (-301, false), (i64::MAX - NOW, false), (i64::MIN, false)]
    {
        let at = NOW.saturating_add(off);
        assert_eq!(buildkite("s3cret", at, SCHEDULED).is_ok(), fresh, "{off}");
        assert_eq!(gitlab(b"signing-key", at, PENDING).is_ok(), fresh, "{off}");
        if !fresh {
            assert_eq!(gitlab(b"signing-key", at, PENDING), Err(Refused::Stale));
        }
    }
}

#[test]
fn a_replayed_delivery_is_recognised_whatever_its_unsigned_headers_say() {
    let signature = format!("sha256={}", hex(&hmac(b"s3cret", QUEUED)));
    let with_id = |id: &str| {
        let headers = [
            ("x-hub-signature-256", signature.as_str()),
            ("x-github-event", "workflow_job"),
            ("x-github-delivery", id),
        ];
        check(&platform::github::WEBHOOK, "s3cret", &headers, QUEUED).expect("authentic").delivery
    };
    let mut deliveries = Deliveries::new(2);
    assert!(deliveries.is_new(with_id("a")));
    assert!(!deliveries.is_new(with_id("b")));
    let other = |n: u32| github("s3cret", "workflow_job", &format!("{{\"n\":{n}}}")).expect("authentic").delivery;
    assert!(deliveries.is_new(other(1)) && !deliveries.is_new(other(1)));
    assert!(deliveries.is_new(other(2)));
    assert!(deliveries.is_new(with_id("a")), "the memory is bounded: the oldest was forgotten");
    assert_ne!(
        buildkite("s3cret", NOW, SCHEDULED).map(|hint| hint.delivery),
        buildkite("s3cret", NOW + 1, SCHEDULED).map(|hint| hint.delivery)
    );
}

proptest! {
    #[test]
    fn nothing_arbitrary_is_believed(value in ".{0,80}", body in ".{0,80}") {
        let names = ["x-hub-signature-256", "x-gitlab-token", "x-buildkite-token", "x-buildkite-signature", "webhook-id", "webhook-timestamp", "webhook-signature"];
        let headers: Vec<_> = names.iter().map(|name| (*name, value.as_str())).collect();
        for kind in KINDS {
            for secret in ["s3cret-of-some-length", "whsec_c2lnbmluZy1rZXk=", "whsec_!"] {
                prop_assert!(check(kind, secret, &headers, &body).is_err());
            }
        }
    }

    #[test]
    fn any_authentic_body_is_understood_or_refused(body in ".{0,80}") {
        let understood = serde_json::from_str::<serde_json::Value>(&body).is_ok_and(|value| value.is_object());
        prop_assert_eq!(github("s3cret", "workflow_job", &body).is_ok(), understood);
    }
}
