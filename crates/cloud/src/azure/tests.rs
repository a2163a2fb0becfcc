//! What the tests of Azure share, and those of its client.

use lightsout_core::cloud::CloudErrorKind;
use lightsout_io::testing::{Answer, ReceivedRequest, Server};

use super::{call, client::Azure};

pub(super) const SET: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333/resourceGroups/ci/providers/Microsoft.Compute/virtualMachineScaleSets/runners";

/// Azure, all of it at this address.
pub(super) fn at(url: &str) -> Azure {
    let mut azure = Azure::default();
    azure.everything_at = Some(url.to_owned());
    azure
}

/// A token for who asks for one.
pub(super) fn granted(seen: &ReceivedRequest) -> Option<Answer> {
    let token = seen.path.starts_with("/metadata/identity/oauth2/token?") && seen.headers.contains_key("metadata");
    token.then(|| Answer::ok(r#"{"access_token":"token-1","expires_in":"86399","token_type":"Bearer"}"#))
}

/// A refusal as the Resource Manager writes it.
pub(super) fn refused(status: u16, code: &str, message: &str) -> Answer {
    Answer::status(status, format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#))
}

async fn read(azure: &Azure) -> Result<(), CloudErrorKind> {
    let call = call::read(&azure.manager(), &SET.parse().unwrap());
    azure.call(call).await.map(drop).map_err(|error| error.kind)
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_anew_when_it_is_refused() {
    let server = Server::start(|seen, count| {
        granted(seen).unwrap_or_else(|| {
            assert_eq!(seen.headers["authorization"], "Bearer token-1");
            if count == 5 { refused(401, "ExpiredAuthenticationToken", "") } else { Answer::ok("{}") }
        })
    })
    .await;
    let azure = at(&server.url);
    for _ in 0..4 {
        assert_eq!(read(&azure).await, Ok(()));
    }
    let tokens = |server: &Server| server.seen().iter().filter(|seen| seen.path.contains("oauth2")).count();
    assert_eq!((tokens(&server), server.count()), (1, 5));
    assert_eq!(read(&azure).await, Ok(()), "refused, asked for anew, and sent again");
    assert_eq!((tokens(&server), server.count()), (2, 8));
    azure.forget();
    assert_eq!(read(&azure).await, Ok(()));
    assert_eq!(tokens(&server), 3);
}

#[tokio::test]
async fn who_stays_refused_is_told_so() {
    let server =
        Server::start(|seen, _| granted(seen).unwrap_or_else(|| refused(401, "InvalidAuthenticationToken", ""))).await;
    assert_eq!(read(&at(&server.url)).await, Err(CloudErrorKind::Credentials));
    let nobody = Server::start(|_, _| {
        Answer::status(400, r#"{"error":"invalid_request","error_description":"Identity not found"}"#)
    })
    .await;
    assert_eq!(read(&at(&nobody.url)).await, Err(CloudErrorKind::Credentials));
}

#[tokio::test]
async fn what_is_throttled_is_left_alone_and_nothing_else_is() {
    let server = Server::start(|seen, _| {
        granted(seen).unwrap_or_else(|| {
            if seen.path.contains("/runners?") {
                Answer::with(429, ("retry-after", "30"), r#"{"error":{"code":"TooManyRequests"}}"#)
            } else {
                Answer::ok("{}")
            }
        })
    })
    .await;
    let azure = at(&server.url);
    for _ in 0..3 {
        assert_eq!(read(&azure).await, Err(CloudErrorKind::Throttled));
    }
    assert_eq!(server.count(), 2, "a token, and one call");
    let other = call::read(&azure.manager(), &SET.replace("runners", "other").parse().unwrap());
    assert!(azure.call(other).await.is_ok());
}
