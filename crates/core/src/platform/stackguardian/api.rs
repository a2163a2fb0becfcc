//! The requests to StackGuardian's API, and its runner groups.

use secrecy::{ExposeSecret, SecretString};

use super::{OrganizationName, RunnerGroupName};
use crate::{
    exchange::{Effect, EffectResult, ExchangeError, Method, Reply, Request, Text},
    platform::answer::{Remedies, RequestContext, percent_encode},
    settings::BaseUrl,
};

/// A runner group of an organization, and the key to it.
#[derive(Clone, Debug)]
pub(super) struct Api {
    pub(super) url: BaseUrl,
    pub(super) organization: OrganizationName,
    pub(super) runner_group: RunnerGroupName,
    pub(super) key: SecretString,
    pub(super) remedies: Remedies,
}

/// What the group's document says.
#[derive(Debug)]
pub(super) struct Group {
    /// `None` when there is no list.
    pub(super) members: Option<Vec<Member>>,
}

/// One registered runner.
#[derive(Debug)]
pub(super) struct Member {
    id: Option<String>,
    status: Option<String>,
    /// Running and pending tasks; `None` when a count is missing.
    pub(super) tasks: Option<u32>,
}

impl Member {
    /// Whether its status says that no task is placed on it any more (Amazon ECS, container instance states).
    pub(super) fn takes_no_more(&self) -> bool {
        matches!(self.status.as_deref(), Some("DRAINING" | "DEREGISTERING" | "INACTIVE"))
    }

    pub(super) fn status(&self) -> &str {
        self.status.as_deref().unwrap_or("no status")
    }
}

impl Api {
    /// The group with its counts.
    pub(super) fn read_group(&self) -> Effect {
        Effect::Http(self.request(Method::Get, "?getActiveWorkflows=true"))
    }

    /// Sets the status of a runner: `DRAINING` or `ACTIVE`.
    pub(super) fn set_status(&self, runner: &str, status: &str) -> Effect {
        self.post("runner_status/", &[("Status", status), ("RunnerId", runner)])
    }

    /// Removes a runner.
    pub(super) fn deregister(&self, runner: &str) -> Effect {
        self.post("deregister/", &[("RunnerId", runner)])
    }

    /// The start of every error's text.
    pub(super) fn context(&self, what: impl Into<String>) -> RequestContext {
        RequestContext {
            platform: format!("StackGuardian at {}", self.url),
            what: format!("{} (runner group {} of {})", what.into(), self.runner_group, self.organization),
            remedies: self.remedies,
            secret: self.key.clone(),
        }
    }

    /// As the vendor's autoscaler does, which sends forms.
    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Effect {
        let field = |(name, value): &(&str, &str)| format!("{name}={}", percent_encode(value));
        let mut request = self.request(Method::Post, path).header("content-type", "application/x-www-form-urlencoded");
        request.body = Some(Text::Plain(fields.iter().map(field).collect::<Vec<_>>().join("&")));
        Effect::Http(request)
    }

    fn request(&self, method: Method, path: &str) -> Request {
        let (organization, group) = (percent_encode(&self.organization), percent_encode(&self.runner_group));
        let url = format!("{}/api/v1/orgs/{organization}/runnergroups/{group}/{path}", self.url);
        let key = Text::secret(format!("apikey {}", self.key.expose_secret()));
        Request::new(method, url).header("authorization", key).header("accept", "application/json")
    }
}

/// The group's document, for its members.
pub(super) fn group(context: &RequestContext, result: EffectResult) -> Result<Group, ExchangeError> {
    let reply = context.reply(result)?;
    if reply.status != 200 {
        return Err(context.refusal(&reply));
    }
    members(context, &reply).map(|members| Group { members })
}

/// The members that the document lists.
pub(super) fn members(context: &RequestContext, reply: &Reply) -> Result<Option<Vec<Member>>, ExchangeError> {
    let document = context.json(reply)?;
    let message = document.root().key("msg")?;
    let Some(instances) = message.optional("ContainerInstances")? else { return Ok(None) };
    let mut members = Vec::new();
    for instance in instances.list()? {
        let text = |key: &str| {
            Ok::<_, ExchangeError>(instance.optional(key)?.map(|node| node.text()).transpose()?.map(str::to_owned))
        };
        let count = |key: &str| instance.optional(key)?.map(|node| node.count()).transpose();
        let tasks = count("runningTasksCount")?.zip(count("pendingTasksCount")?);
        members.push(Member {
            id: text("runnerId")?.filter(|id| !id.is_empty()),
            status: text("status")?,
            tasks: tasks.map(|(running, pending)| running.saturating_add(pending)),
        });
    }
    Ok(Some(members))
}

impl Group {
    /// The runner with this id, `None` when it is certain that the group has none such.
    pub(super) fn own(&self, context: &RequestContext, id: &str) -> Result<Option<&Member>, ExchangeError> {
        let Some(members) = &self.members else {
            return Err(context.malformed("msg.ContainerInstances is missing"));
        };
        let own = members.iter().find(|member| member.id.as_deref() == Some(id));
        if own.is_none() && members.iter().any(|member| member.id.is_none()) {
            return Err(context.malformed("an entry of msg.ContainerInstances has no runnerId, and it may be ours"));
        }
        Ok(own)
    }
}
