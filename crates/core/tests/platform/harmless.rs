//! The question that `doctor` asks a platform: it changes nothing there, and its answer says whether the secret is good.

use lightsout_core::{
    exchange::{ErrorKind, ExchangeError, Method, Reply, Request},
    platform::RunnerPlatform,
    settings::{AgentSettings, Fragment, SecretSource},
};

use crate::exchange::{body, header, host, reply, script};

/// What is tried.
const KEY: &str = "glrt-very-secret-1234567890";
/// The value of `B`, for what is written in base64.
const ENCODED: &str = "eyJ2ZXJ5Ijoic2VjcmV0In0=";

/// A platform whose secrets can be tried.
struct Asked {
    settings: &'static str,
    /// Answers that are good, in their order.
    good: &'static [&'static str],
    /// What is said of them.
    says: &'static str,
    /// The last question.
    asks: (Method, &'static str),
}

const ASKED: [Asked; 5] = [
    Asked {
        settings: "[platform.gitlab]\nurl = 'https://gitlab.example.com'\ntoken = { env = 'T' }\nexecutor = 'docker'\nimage = 'alpine'\n",
        good: &[r#"{"id": 9171, "token": "t", "token_expires_at": null}"#],
        says: "the token is that of runner 9171",
        asks: (Method::Post, "https://gitlab.example.com/api/v4/runners/verify"),
    },
    Asked {
        settings: "[platform.github]\norganization = 'acme'\ntoken = { env = 'T' }\nlabels = ['linux']\n",
        good: &[r#"{"total_count": 0, "runners": []}"#],
        says: "the runners of acme can be listed",
        asks: (Method::Get, "https://api.github.com/orgs/acme/actions/runners"),
    },
    Asked {
        settings: "[platform.buildkite]\nqueue = 'linux'\ntoken = { env = 'T' }\n",
        good: &["{}"],
        says: "the token is good for queue linux",
        asks: (Method::Get, "https://agent.buildkite.com/v3/metrics/queue?name=linux"),
    },
    Asked {
        settings: "[platform.spacelift]\nurl = 'https://acme.app.spacelift.io'\ntoken = { env = 'B' }\nprivate_key = { env = 'B' }\n\
                   api_key_id = 'K1'\napi_key_secret = { env = 'S' }\nworker_pool = '01HXAMPLE0P001D00000000000'\n",
        good: &[
            r#"{"data": {"apiKeyUser": {"jwt": "j", "validUntil": 4000000000}}}"#,
            r#"{"data": {"workerPool": {"pendingRuns": 0, "workers": []}}}"#,
        ],
        says: "the API key can read the worker pool",
        asks: (Method::Post, "https://acme.app.spacelift.io/graphql"),
    },
    Asked {
        settings: "[platform.stackguardian]\norganization = 'demo-org'\nrunner_group = 'private-runners'\ntoken = { env = 'T' }\n",
        good: &[
            r#"{"msg": {"ContainerInstances": [], "QueuedWorkflowsCount": 0, "PendingWorkflowsCount": 0, "RunningWorkflowsCount": 0}}"#,
        ],
        says: "the runner group can be read",
        asks: (
            Method::Get,
            "https://api.app.stackguardian.io/api/v1/orgs/demo-org/runnergroups/private-runners/?getActiveWorkflows=true",
        ),
    },
];

pub(crate) fn open(settings: &str) -> Box<dyn RunnerPlatform> {
    let settings = AgentSettings::parse(&[Fragment::new("agent.toml", settings)]).expect(settings);
    let encoded = |source: &SecretSource| matches!(source, SecretSource::Env(name) if name == "B");
    let value = |source: &&SecretSource| if encoded(source) { ENCODED.into() } else { KEY.into() };
    let secrets = settings.platform.secrets().iter().map(value).collect();
    settings.platform.open(secrets).expect("secrets that can be right")
}

fn ask(settings: &str, replies: Vec<Reply>) -> (Result<String, ExchangeError>, Vec<Request>) {
    script(open(settings).check(&host()).expect("a question").as_mut(), replies)
}

/// Reads, and what is known to be no more than a read although it is sent as something else.
fn changes_nothing(request: &Request) -> bool {
    match request.method {
        Method::Get => true,
        // GitLab's answer says whose token it is; Spacelift's is a session, and then a query.
        Method::Post if request.url.ends_with("/runners/verify") => true,
        Method::Post if request.url.ends_with("/graphql") => {
            let sent = body(request);
            sent.contains("apiKeyUser(") || (sent.contains("\"query\":\"query ") && !sent.contains("mutation"))
        }
        Method::Post | Method::Put | Method::Patch | Method::Delete => false,
    }
}

#[test]
fn a_good_secret_is_said_to_be_good_by_a_question_that_changes_nothing() {
    for Asked { settings, good, says, asks } in &ASKED {
        let (answer, requests) = ask(settings, good.iter().map(|text| reply(200, &[], text)).collect());
        assert_eq!(answer.as_deref(), Ok(*says), "{settings}");
        assert!(requests.iter().all(changes_nothing), "{requests:#?}");
        let last = requests.last().expect("it asked");
        assert!(last.method == asks.0 && last.url.starts_with(asks.1), "{last:#?}");
        let secret = |request: &Request| {
            let sent = header(request, "authorization").unwrap_or_default().to_owned() + body(request);
            sent.contains(KEY)
        };
        assert!(requests.iter().any(secret), "the secret itself was tried: {requests:#?}");
    }
}

#[test]
fn a_secret_that_is_refused_is_wrong_and_a_platform_in_trouble_says_nothing_of_it() {
    for Asked { settings, .. } in &ASKED {
        for status in [401, 403, 404] {
            let (answer, _) = ask(settings, vec![reply(status, &[], "{}")]);
            let error = answer.expect_err(settings);
            assert!(!error.is_transient(), "{status}: {error:?}");
            assert!(!error.message.contains(KEY), "{error:?}");
        }
        for status in [500, 503] {
            let (answer, _) = ask(settings, vec![reply(status, &[], "")]);
            assert!(answer.expect_err(settings).is_transient(), "{settings}: {status}");
        }
        let (answer, _) = ask(settings, vec![reply(429, &[("retry-after", "7")], "")]);
        assert!(matches!(answer.expect_err(settings).kind, ErrorKind::Throttled(_)), "{settings}");
    }
}

/// CircleCI has no call that a resource class token may make and that takes no task; `command` has no platform.
#[test]
fn where_every_question_would_change_something_none_is_asked() {
    for settings in [
        "[platform.circleci]\ntoken = { env = 'T' }\n",
        "[platform.command]\nrun = ['/bin/true']\nbusy = ['/bin/false']\n",
        // The registration is somebody else's, made for this one runner.
        "[platform.github]\norganization = 'acme'\njit_config = { env = 'B' }\nlabels = ['linux']\n[agent]\njobs_per_instance = 1\n",
        // Without a key to the API nothing can be read with the launcher's secrets.
        "[platform.spacelift]\ntoken = { env = 'B' }\nprivate_key = { env = 'B' }\n",
    ] {
        assert!(open(settings).check(&host()).is_none(), "{settings}");
    }
}
