//! What GitHub says of a scale set and of its session.

use secrecy::{ExposeSecret, SecretString};

use crate::{
    exchange::{ExchangeError, Method, Reply, Request, Text},
    platform::{
        answer::{Document, Node, RequestContext},
        github::refusal::refusal,
    },
};

/// The Actions service, which has an address and a token of its own.
#[derive(Clone, Debug)]
pub(super) struct Service {
    url: String,
    token: SecretString,
}

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
    /// Jobs that wait for or run on its runners.
    pub(super) assigned: u32,
    /// Those that run.
    pub(super) running: u32,
}

impl Service {
    pub(super) fn read(context: &RequestContext, document: &Document) -> Result<Self, ExchangeError> {
        let root = document.root();
        let url = root.key("url")?.text()?;
        let token = root.key("token")?.text()?;
        Ok(Self { url: address(context, "url", url)?, token: token.into() })
    }

    /// A call of the service; `path` may have a query.
    pub(super) fn request(&self, method: Method, path: &str) -> Request {
        let mark = if path.contains('?') { '&' } else { '?' };
        Request::new(method, format!("{}/_apis/{path}{mark}api-version=6.0-preview", self.url.trim_end_matches('/')))
            .header("authorization", Text::secret(format!("Bearer {}", self.token.expose_secret())))
            .header("accept", "application/json")
    }
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

    /// The session's place in the service.
    pub(super) fn path(&self) -> String {
        format!("runtime/runnerscalesets/{}/sessions/{}", self.scale_set, self.id)
    }

    /// Where messages come from.
    pub(super) fn messages(&self) -> String {
        if self.last == 0 {
            return self.queue.clone();
        }
        let mark = if self.queue.contains('?') { '&' } else { '?' };
        format!("{}{mark}lastMessageId={}", self.queue, self.last)
    }

    /// The message of this number.
    pub(super) fn message(&self, number: u64) -> String {
        let (path, query) = self.queue.split_once('?').unwrap_or((&self.queue, ""));
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}/{number}{mark}{query}", path.trim_end_matches('/'))
    }

    pub(super) fn bearer(&self) -> Text {
        Text::secret(format!("Bearer {}", self.token.expose_secret()))
    }
}

impl Statistics {
    /// The statistics that stand in this object.
    pub(super) fn read(root: &Node<'_>) -> Result<Self, ExchangeError> {
        let statistics = root.key("statistics")?;
        Ok(Self {
            assigned: statistics.key("totalAssignedJobs")?.count()?,
            running: statistics.key("totalRunningJobs")?.count()?,
        })
    }
}

/// An address that GitHub gave, to which a token will go.
fn address(context: &RequestContext, key: &str, url: &str) -> Result<String, ExchangeError> {
    let tls = !context.platform.contains("http://");
    let fits = url.starts_with("https://") || (!tls && url.starts_with("http://"));
    if fits && !url.contains(['@', '#']) && !url.contains(char::is_whitespace) {
        return Ok(url.to_owned());
    }
    Err(context.malformed(&format!("{key} is no address to which a token may go")))
}
