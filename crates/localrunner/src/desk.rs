//! Where the runners of all platforms but GitLab get their jobs: the embedded platform's private API, below `/_lightsout/runner/`.
//! The vendors' own protocols are not open; their rules hold behind it.

use std::{
    collections::BTreeMap,
    env,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    http::{Http, Reply},
    machine::MARKER,
};

/// How a runner introduces itself.
#[derive(Clone, Debug, Serialize)]
pub struct Hello {
    /// The platform that it works for.
    pub platform: &'static str,
    /// What the vendor's runner would be given to prove that it may.
    pub token: String,
    /// Its name.
    pub name: String,
    /// The instance that it runs on.
    pub instance_id: Option<String>,
    /// What it tells about itself: Spacelift's metadata, Buildkite's tags.
    pub metadata: BTreeMap<String, String>,
    /// Jobs at once.
    pub slots: usize,
    /// Whether it leaves after a job.
    pub mode: Mode,
}

/// Whether a runner goes on after a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Continuous,
    Single,
}

/// A job as it is handed out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub id: u64,
    #[serde(default)]
    pub argv: Vec<String>,
    #[serde(default)]
    pub image: Option<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// What came of asking for a job.
pub enum Claimed {
    Job(Box<Job>),
    Nothing,
    /// There will be no more, and why.
    Over(String),
    /// Nobody knows; ask again.
    Failed(anyhow::Error),
}

/// What a runner says about a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Running,
    Success,
    Failed,
    /// The runner could not run it.
    SystemFailure,
    /// The runner was told to end it.
    Canceled,
}

/// The connection of one runner.
#[derive(Debug)]
pub struct Desk {
    http: Http,
    base: String,
    hello: Hello,
    /// Whether it comes back when the platform has forgotten it.
    returns: bool,
    runner: Mutex<Option<String>>,
}

/// The instance that this process runs on, as whoever booted the machine marked it.
pub fn instance() -> Option<String> {
    Some(env::var(MARKER).ok()?.rsplit_once('/')?.1.to_owned())
}

/// Where the embedded platform answers: where everything embedded does.
pub fn embedded() -> Result<String> {
    env::var("AWS_ENDPOINT_URL")
        .context("AWS_ENDPOINT_URL is not set: the built-in runner works within `lightsout up` only")
}

impl Desk {
    /// A connection to the platform at `url`, not yet made. With `returns` the runner connects anew when the platform has forgotten it.
    pub fn new(url: &str, hello: Hello, returns: bool) -> Self {
        let base = format!("{}/_lightsout/runner", url.trim_end_matches('/'));
        Self { http: Http::new(Duration::from_secs(10)), base, hello, returns, runner: Mutex::new(None) }
    }

    /// Asks for a job, after having connected if need be.
    pub async fn claim(&self) -> Claimed {
        self.try_claim().await.unwrap_or_else(Claimed::Failed)
    }

    async fn try_claim(&self) -> Result<Claimed> {
        let runner = match self.runner() {
            Some(runner) => runner,
            None => match self.connect().await? {
                Ok(runner) => runner,
                Err(refused) => return Ok(Claimed::Over(refused)),
            },
        };
        let reply = self.post(&format!("{runner}/claim"), &json!({})).await?;
        Ok(match reply.status {
            StatusCode::OK => {
                #[derive(Deserialize)]
                struct Ticket {
                    job: Job,
                }
                let ticket: Ticket = serde_json::from_slice(&reply.body).context("the job cannot be understood")?;
                Claimed::Job(Box::new(ticket.job))
            }
            StatusCode::NO_CONTENT => Claimed::Nothing,
            StatusCode::NOT_FOUND if self.returns => {
                self.know(None);
                Claimed::Nothing
            }
            StatusCode::CONFLICT | StatusCode::NOT_FOUND => Claimed::Over(reason(&reply)),
            _ => bail!("HTTP {}: {}", reply.status, reason(&reply)),
        })
    }

    /// Connects: the runner's number, or why it may not.
    async fn connect(&self) -> Result<Result<String, String>> {
        #[derive(Deserialize)]
        struct Connected {
            runner: String,
        }
        let reply = self.post("connect", &serde_json::to_value(&self.hello)?).await?;
        match reply.status {
            StatusCode::OK => {
                let Connected { runner } = serde_json::from_slice(&reply.body).context("the answer is no number")?;
                println!("connected as {} ({})", self.hello.name, runner);
                self.know(Some(runner.clone()));
                Ok(Ok(runner))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => Ok(Err(reason(&reply))),
            _ => bail!("HTTP {}: {}", reply.status, reason(&reply)),
        }
    }

    /// Says how a job stands, with more of its output. False when the platform no longer wants it.
    pub async fn report(&self, job: u64, state: State, trace: &str, exit_code: Option<i64>) -> Result<bool> {
        #[derive(Deserialize)]
        struct Seen {
            state: String,
        }
        let runner = self.runner().context("not connected")?;
        let mut body = json!({ "state": state, "trace": trace });
        if let Some(code) = exit_code {
            body["exit_code"] = code.into();
        }
        let reply = self.post(&format!("{runner}/jobs/{job}"), &body).await?;
        match reply.status {
            StatusCode::OK => {
                let Seen { state } = serde_json::from_slice(&reply.body).context("the answer is no state")?;
                Ok(state == "running")
            }
            StatusCode::NOT_FOUND => Ok(false),
            _ => bail!("HTTP {}: {}", reply.status, reason(&reply)),
        }
    }

    /// Leaves.
    pub async fn disconnect(&self) {
        if let Some(runner) = self.runner()
            && let Err(error) = self.post(&format!("{runner}/disconnect"), &json!({})).await
        {
            eprintln!("the platform did not hear the farewell: {error:#}");
        }
        self.know(None);
    }

    async fn post(&self, path: &str, body: &serde_json::Value) -> Result<Reply> {
        self.http.json(Method::POST, &format!("{}/{path}", self.base), body).await
    }

    fn runner(&self) -> Option<String> {
        self.runner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn know(&self, runner: Option<String>) {
        *self.runner.lock().unwrap_or_else(PoisonError::into_inner) = runner;
    }
}

fn reason(reply: &Reply) -> String {
    let told = reply.value().ok().and_then(|body| Some(body.get("error")?.as_str()?.to_owned()));
    told.unwrap_or_else(|| reply.text())
}
