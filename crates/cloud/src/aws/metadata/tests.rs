use super::*;
use lightsout_io::testing::{Answer, ReceivedRequest, SOON, Server, nowhere};

/// A service that hands out `token-1`, `token-2`, ... and answers items by the script.
async fn service(script: impl Fn(&ReceivedRequest, usize) -> Answer + Send + Sync + 'static) -> Server {
    service_for(21_600, script).await
}

async fn service_for(ttl: u64, script: impl Fn(&ReceivedRequest, usize) -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |seen, before| {
        if seen.method == "PUT" {
            assert_eq!(seen.path, TOKEN_PATH);
            assert_eq!(seen.headers[TTL_HEADER], "21600");
            Answer::with(200, (TTL_HEADER, &ttl.to_string()), &format!("token-{before}"))
        } else {
            script(seen, before)
        }
    })
    .await
}

fn imds(server: &Server) -> Imds {
    Imds::new(&server.url).unwrap().with_timeout(SOON)
}

const ITEM: &str = "/latest/meta-data/instance-id";

#[tokio::test]
async fn one_token_and_one_connection_serve_many_reads() {
    let server = service(|seen, _| {
        assert_eq!(seen.headers[TOKEN_HEADER], "token-0");
        Answer::ok("i-0123")
    })
    .await;
    let imds = imds(&server);
    for _ in 0..3 {
        assert_eq!(imds.get(ITEM).await, Ok(Some("i-0123".into())));
    }
    assert_eq!(server.count(), 4);
    let seen = server.seen();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|request| request.connection == 0), "{seen:?}");
    assert_eq!(seen[1].path, ITEM);
}

#[tokio::test]
async fn concurrent_reads_share_one_token() {
    let server = service(|_, _| Answer::ok("x")).await;
    let imds = imds(&server);
    let (a, b, c) = tokio::join!(imds.get("a"), imds.get("b"), imds.get("c"));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(server.seen().iter().filter(|request| request.method == "PUT").count(), 1);
}

#[tokio::test]
async fn absent_is_no_error() {
    let server = service(|_, _| Answer::status(404, "<html>")).await;
    assert_eq!(imds(&server).get(ITEM).await, Ok(None));
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_at_once() {
    let server = service(|seen, _| match seen.headers[TOKEN_HEADER].as_str() {
        "token-0" => Answer::status(401, ""),
        _ => Answer::ok("i-0123"),
    })
    .await;
    let imds = imds(&server);
    assert_eq!(imds.get(ITEM).await, Ok(Some("i-0123".into())));
    assert_eq!(server.count(), 4);
    assert_eq!(imds.get(ITEM).await, Ok(Some("i-0123".into())));
    assert_eq!(server.count(), 5, "the new token is kept");
}

#[tokio::test]
async fn refused_again_is_an_error() {
    let server = service(|_, _| Answer::status(401, "")).await;
    let imds = imds(&server);
    assert_eq!(imds.get(ITEM).await, Err(ImdsError::Unauthorized));
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end() {
    let server = service_for(0, |_, _| Answer::ok("x")).await;
    let imds = imds(&server);
    imds.get(ITEM).await.unwrap();
    imds.get(ITEM).await.unwrap();
    assert_eq!(server.seen()[3].headers[TOKEN_HEADER], "token-2");
}

#[test]
fn renewal_leaves_a_margin() {
    let after = |ttl: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(TTL_HEADER, ttl.parse().unwrap());
        renew_after(&headers).as_secs()
    };
    assert_eq!(after("21600"), 21_540);
    assert_eq!(after("100"), 90);
    assert_eq!(after("0"), 0);
    assert_eq!(after("999999999999"), 21_540, "no token lives longer");
    assert_eq!(after("soon"), 21_540);
    assert_eq!(renew_after(&HeaderMap::new()).as_secs(), 21_540);
}

#[tokio::test]
async fn each_failure_has_its_own_name() {
    for (status, expected) in [
        (403, ImdsError::Forbidden),
        (429, ImdsError::Throttled),
        (503, ImdsError::Throttled),
        (500, ImdsError::Status(500)),
        (400, ImdsError::Status(400)),
    ] {
        let server = service(move |_, _| Answer::status(status, "")).await;
        let imds = imds(&server);
        assert_eq!(imds.get(ITEM).await, Err(expected));
        assert_eq!(server.count(), 2, "one try");
    }
}

#[tokio::test]
async fn failures_to_get_a_token_never_mean_absent() {
    for (status, expected) in [
        (404, ImdsError::Status(404)),
        (403, ImdsError::Forbidden),
        (401, ImdsError::Unauthorized),
        (503, ImdsError::Throttled),
    ] {
        let server = Server::start(move |_, _| Answer::status(status, "")).await;
        let imds = imds(&server);
        assert_eq!(imds.get(ITEM).await, Err(expected));
        assert!(server.count() <= 2);
    }
}

#[tokio::test]
async fn silence_is_a_timeout() {
    for script in [|| Answer::Silence, || Answer::HeadOnly] {
        let server = service(move |_, _| script()).await;
        let imds = imds(&server);
        assert_eq!(imds.get(ITEM).await, Err(ImdsError::Timeout(SOON)));
        assert_eq!(server.count(), 2, "one try");
    }
}

#[tokio::test]
async fn a_broken_connection_is_named() {
    let imds = Imds::new(&nowhere().await).unwrap();
    assert!(matches!(imds.get(ITEM).await, Err(ImdsError::Connect(why)) if why.contains("refused")));

    let server = service(|_, _| Answer::Reset).await;
    assert!(matches!(self::imds(&server).get(ITEM).await, Err(ImdsError::Connect(_))));

    let truncated = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
    let server = service(|_, _| Answer::Raw(truncated.to_vec())).await;
    assert!(matches!(self::imds(&server).get(ITEM).await, Err(ImdsError::Connect(_))));
}

#[tokio::test]
async fn survives_a_server_that_closes_the_connection() {
    let server = Server::start(|seen, _| match seen.method.as_str() {
        "PUT" => Answer::ReplyAndClose(200, "token"),
        _ => Answer::ReplyAndClose(200, "x"),
    })
    .await;
    let imds = imds(&server);
    for _ in 0..5 {
        assert_eq!(imds.get(ITEM).await, Ok(Some("x".into())));
        // The close is noticed when the runtime next looks at the socket.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_huge_body_is_cut_short() {
    let server = service(|_, _| Answer::Chunks(50)).await;
    assert_eq!(imds(&server).get(ITEM).await, Err(ImdsError::TooLarge(BODY_CAP)));
}

#[tokio::test]
async fn bytes_are_no_item() {
    let server = service(|_, _| Answer::Reply(200, Vec::new(), vec![0xff, 0xfe])).await;
    assert_eq!(imds(&server).get(ITEM).await, Err(ImdsError::NotText));
}

#[test]
fn the_endpoint_is_a_plain_url() {
    for endpoint in ["http://169.254.169.254", "http://[fd00:ec2::254]/", "http://127.0.0.1:8080"] {
        assert!(Imds::new(endpoint).is_ok(), "{endpoint}");
    }
    for endpoint in ["", "169.254.169.254", "https://169.254.169.254", "/latest"] {
        assert!(matches!(Imds::new(endpoint), Err(ImdsError::Endpoint(_))), "{endpoint}");
    }
}

#[tokio::test]
async fn the_token_is_not_shown() {
    let server = service(|_, _| Answer::ok("x")).await;
    let imds = imds(&server);
    imds.get(ITEM).await.unwrap();
    assert!(!format!("{imds:?}").contains("token-0"));
}

#[test]
fn the_endpoint_and_its_mode_come_from_the_usual_variables() {
    let at = |url: Option<&str>, mode: Option<&str>| {
        endpoints(url.map(str::to_owned), mode.map(str::to_owned)).map_err(|error| error.to_string())
    };
    let (ipv4, ipv6) = ("http://169.254.169.254".to_owned(), "http://[fd00:ec2::254]".to_owned());
    assert_eq!(at(None, None), Ok(vec![ipv4.clone(), ipv6.clone()]));
    assert_eq!(at(None, Some("IPv4")), Ok(vec![ipv4]));
    for mode in ["IPv6", "ipv6"] {
        assert_eq!(at(None, Some(mode)), Ok(vec![ipv6.clone()]));
    }
    assert_eq!(at(Some("http://127.0.0.1:1"), Some("IPv6")), Ok(vec!["http://127.0.0.1:1".into()]));
    assert!(at(None, Some("both")).unwrap_err().contains("expected IPv4 or IPv6"));
    Imds::new(ENDPOINT_IPV6).unwrap();
}

/// As on a subnet of IPv6 alone, where nothing leads to the first address.
#[tokio::test]
async fn a_service_at_its_other_address_alone_is_found_there_and_asked_there_from_then_on() {
    let server = service(|_, _| Answer::ok("i-0123")).await;
    let imds = Imds::at(&[nowhere().await, server.url.clone()]).unwrap().with_timeout(SOON);
    for _ in 0..2 {
        assert_eq!(imds.get(ITEM).await, Ok(Some("i-0123".into())));
    }
    assert_eq!(server.count(), 3, "one token, two items");
    assert_eq!(imds.requires_tokens().await, Ok(false));
}

#[tokio::test]
async fn where_the_first_address_answers_or_neither_does_the_second_has_no_say() {
    let (first, second) = (service(|_, _| Answer::ok("first")).await, service(|_, _| Answer::ok("second")).await);
    let imds = Imds::at(&[first.url.clone(), second.url.clone()]).unwrap().with_timeout(SOON);
    assert_eq!(imds.get(ITEM).await, Ok(Some("first".into())));
    assert_eq!(second.count(), 0);
    // A refusal is an answer.
    let refusing = Server::start(|_, _| Answer::status(403, "")).await;
    let imds = Imds::at(&[refusing.url.clone(), second.url.clone()]).unwrap().with_timeout(SOON);
    assert_eq!(imds.get(ITEM).await, Err(ImdsError::Forbidden));
    assert_eq!(second.count(), 0);
    let imds = Imds::at(&[nowhere().await, nowhere().await]).unwrap().with_timeout(SOON);
    assert!(matches!(imds.get(ITEM).await, Err(ImdsError::Connect(_))));
}

/// As where the first was late once: at the second it is switched off, or somebody else answers.
#[tokio::test]
async fn where_no_token_is_given_the_service_is_not() {
    for status in [403, 404, 500, 503] {
        let first = Server::start(|seen, before| match seen.method.as_str() {
            _ if before == 0 => Answer::Reset,
            "PUT" => Answer::ok("token"),
            _ => Answer::ok("first"),
        })
        .await;
        let second = Server::start(move |_, _| Answer::status(status, "")).await;
        let imds = Imds::at(&[first.url.clone(), second.url.clone()]).unwrap().with_timeout(SOON);
        assert!(matches!(imds.get(ITEM).await, Err(ImdsError::Connect(_))), "{status}");
        assert_eq!((imds.get(ITEM).await, second.count()), (Ok(Some("first".into())), 1), "{status}");
    }
}

#[tokio::test]
async fn where_a_token_was_given_once_the_service_stays() {
    let first = Server::start(|seen, before| match seen.method.as_str() {
        _ if before == 2 => Answer::Silence,
        "PUT" => Answer::with(200, (TTL_HEADER, "0"), "token"),
        _ => Answer::ok("first"),
    })
    .await;
    let second = service(|_, _| Answer::ok("second")).await;
    let imds = Imds::at(&[first.url.clone(), second.url.clone()]).unwrap().with_timeout(SOON);
    assert_eq!(imds.get(ITEM).await, Ok(Some("first".into())));
    assert_eq!(imds.get(ITEM).await, Err(ImdsError::Timeout(SOON)), "no token, and one wait");
    assert_eq!((imds.get(ITEM).await, second.count()), (Ok(Some("first".into())), 0));
}
