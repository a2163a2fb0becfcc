//! What GitHub says of a scale set and of its session.

use secrecy::{ExposeSecret, SecretString};

use serde_json::{Value, json};

use super::{
    service::{Service, address},
    waits::JobEvent,
};
use crate::{
    exchange::{ExchangeError, Method, Reply, Request, Text},
    platform::{
        answer::{Document, Node, RequestContext},
        github::refusal::refusal,
    },
};

/// The one message session of a scale set.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) service: Service,
    pub(super) scale_set: u64,
    id: String,
    queue: String,
    token: SecretString,
    /// The number of the last message; 0 before the first.
    pub(super) last: u64,
    pub(super) statistics: Statistics,
}

/// What the scale set has to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statistics {
    /// Jobs that are offered, and wait until they are taken.
    pub(super) available: u32,
    /// Jobs that wait for or run on its runners.
    pub(super) assigned: u32,
    /// Those that run.
    pub(super) running: u32,
}

impl Session {
    /// The answer to an opening or a renewal.
    pub(super) fn read(
        context: &RequestContext,
        reply: &Reply,
        service: Service,
        scale_set: u64,
    ) -> Result<Self, ExchangeError> {
        if reply.status != 200 {
            return Err(refusal(context, reply));
        }
        let document = context.json(reply)?;
        let root = document.root();
        let text = |key: &str| Ok::<_, ExchangeError>(root.key(key)?.text()?.to_owned());
        let id = text("sessionId")?;
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(context.malformed("sessionId is no id"));
        }
        Ok(Self {
            service,
            scale_set,
            id,
            queue: address(context, "messageQueueUrl", &text("messageQueueUrl")?)?,
            token: text("messageQueueAccessToken")?.into(),
            last: 0,
            statistics: Statistics::read(&root)?,
        })
    }

    /// Renews the session's token.
    pub(super) fn renew(&self) -> Request {
        self.service.request(Method::Patch, &self.path())
    }

    /// Gives the session back.
    pub(super) fn end(&self) -> Request {
        self.service.request(Method::Delete, &self.path())
    }

    /// Waits for a message, with room for so many jobs.
    pub(super) fn listen(&self, max_jobs: u32) -> Request {
        let mark = if self.queue.contains('?') { '&' } else { '?' };
        let url = match self.last {
            0 => self.queue.clone(),
            last => format!("{}{mark}lastMessageId={last}", self.queue),
        };
        self.of_queue(Request::get(url)).header("x-scalesetmaxcapacity", max_jobs.to_string())
    }

    /// Takes jobs that were offered. An Enterprise Server assigns no job that was not taken (actions/scaleset, client.go).
    pub(super) fn acquire(&self, jobs: &[u64]) -> Request {
        let path = format!("runtime/runnerscalesets/{}/acquirejobs", self.scale_set);
        let mut request = self.service.request(Method::Post, &path);
        request.headers.retain(|(name, _)| *name != "authorization");
        request.header("authorization", self.bearer()).json(&json!(jobs), false)
    }

    /// Asks for the jobs that are offered already (actions/actions-runner-controller, github/actions/client.go).
    pub(super) fn ask_acquirable(&self) -> Request {
        let path = format!("runtime/runnerscalesets/{}/acquirablejobs", self.scale_set);
        self.service.request(Method::Get, &path)
    }

    /// Acknowledges the message of this number.
    pub(super) fn acknowledge(&self, number: u64) -> Request {
        let (path, query) = self.queue.split_once('?').unwrap_or((&self.queue, ""));
        let mark = if query.is_empty() { "" } else { "?" };
        let url = format!("{}/{number}{mark}{query}", path.trim_end_matches('/'));
        self.of_queue(Request::new(Method::Delete, url))
    }

    fn of_queue(&self, request: Request) -> Request {
        request.header("authorization", self.bearer()).header("accept", "application/json; api-version=6.0-preview")
    }

    fn path(&self) -> String {
        format!("runtime/runnerscalesets/{}/sessions/{}", self.scale_set, self.id)
    }

    fn bearer(&self) -> Text {
        Text::secret(format!("Bearer {}", self.token.expose_secret()))
    }
}

impl Statistics {
    /// The statistics that stand in this object.
    pub(super) fn read(root: &Node<'_>) -> Result<Self, ExchangeError> {
        let statistics = root.key("statistics")?;
        Ok(Self {
            available: statistics.optional("totalAvailableJobs")?.map_or(Ok(0), |node| node.count())?,
            assigned: statistics.key("totalAssignedJobs")?.count()?,
            running: statistics.key("totalRunningJobs")?.count()?,
        })
    }
}

/// The jobs that the answer to [`Session::ask_acquirable`] offers.
pub(super) fn acquirable(context: &RequestContext, reply: &Reply) -> Result<Vec<u64>, ExchangeError> {
    let document = context.json(reply)?;
    document.root().key("value")?.list()?.map(|job| job.key("runnerRequestId")?.number()).collect()
}

/// How many jobs the answer to [`Session::acquire`] names: those that were taken. `None`: it does not say.
pub(super) fn taken(context: &RequestContext, reply: &Reply) -> Option<u32> {
    let document = context.json(reply).ok()?;
    u32::try_from(document.root().key("value").ok()?.list().ok()?.len()).ok()
}

/// A message of the scale set's queue.
pub(super) struct Message {
    pub(super) number: u64,
    pub(super) statistics: Statistics,
    /// Jobs that are offered, and wait until they are taken.
    pub(super) offered: Vec<u64>,
    /// What it tells of jobs, in order.
    pub(super) events: Vec<JobEvent>,
}

impl Message {
    pub(super) fn read(context: &RequestContext, reply: &Reply) -> Result<Self, ExchangeError> {
        let document = context.json(reply)?;
        let root = document.root();
        let (mut offered, mut events) = (Vec::new(), Vec::new());
        if let Some(body) = root.optional("body")? {
            let list: Value =
                serde_json::from_str(body.text()?).map_err(|_| context.malformed("body is no JSON in a text"))?;
            let list = Document::new(context.clone(), list);
            for event in list.root().list()? {
                let kind = event.key("messageType")?;
                if kind.text()? == "JobAvailable" {
                    offered.push(event.key("runnerRequestId")?.number()?);
                }
                events.extend(JobEvent::read(kind.text()?, &event));
            }
        }
        Ok(Self { number: root.key("messageId")?.number()?, statistics: Statistics::read(&root)?, offered, events })
    }
}
