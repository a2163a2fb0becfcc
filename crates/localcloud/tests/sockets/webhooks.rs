//! Job events that reach a listener.

use axum::{Router, extract::State, http::HeaderMap};
use lightsout_localcloud::{
    NewJobs,
    ci::{buildkite, github, gitlab},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};

use super::support::{Bed, Options};

type Heard = mpsc::UnboundedSender<(HeaderMap, Value)>;

/// Listens, and tells what it heard.
async fn listener() -> (String, mpsc::UnboundedReceiver<(HeaderMap, Value)>) {
    let (heard, inbox) = mpsc::unbounded_channel();
    let hear = async |State(heard): State<Heard>, headers: HeaderMap, body: String| {
        let _ = heard.send((headers, serde_json::from_str(&body).expect("JSON")));
    };
    let router = Router::new().route("/hook", axum::routing::post(hear)).with_state(heard);
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/hook", socket.local_addr().expect("an address"));
    tokio::spawn(async { axum::serve(socket, router).await });
    (url, inbox)
}

#[tokio::test]
async fn a_queued_job_is_told_to_whoever_listens() {
    let cases = [
        (gitlab::KIND, "x-gitlab-event", "Job Hook"),
        (github::KIND, "x-github-event", "workflow_job"),
        (buildkite::KIND, "x-buildkite-event", "job.scheduled"),
    ];
    for (platform, header, event) in cases {
        let bed = Bed::start(Options { platform, ..Options::default() }).await;
        let (url, mut inbox) = listener().await;
        let wish = json!({"url": url, "secret": "hush", "kind": "token"});
        assert_eq!(bed.control("POST", "webhook", &wish).await.status, 200);
        bed.cloud.enqueue(NewJobs::default());
        let (headers, body) = inbox.recv().await.expect("an event");
        assert_eq!(headers.get(header).and_then(|value| value.to_str().ok()), Some(event));
        let genuine =
            ["x-gitlab-token", "x-buildkite-token"].iter().any(|name| headers.get(*name).is_some_and(|v| v == "hush"));
        assert_eq!(genuine, platform != github::KIND);
        if platform == gitlab::KIND {
            assert_eq!((&body["object_kind"], &body["build_status"]), (&json!("build"), &json!("pending")));
        }

        let cleared = bed.control("DELETE", "webhook", &Value::Null).await;
        assert_eq!(cleared.json(), json!({"webhook": null}));
        bed.cloud.enqueue(NewJobs::default());
        assert!(inbox.try_recv().is_err());
        assert_eq!(bed.control("POST", "webhook", &json!({"url": "ftp://x", "secret": ""})).await.status, 400);
        bed.down().await;
    }
}
